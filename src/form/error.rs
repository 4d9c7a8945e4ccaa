//! The faults of a body, and their places.

use std::fmt;

use super::params::ParamFault;
use super::{EPILOGUE_LIMIT, HEAD_LIMIT, HEADERS_LIMIT, LINE_LIMIT, PREAMBLE_LIMIT};

/// A body that breaks the grammar; the caller answers 400 and stores nothing.
///
/// Its text names the fault and its place: `part 2, byte 381: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The fault.
    pub kind: DecodeErrorKind,
    /// The part it is in, from 1; 0 before the first part.
    pub part: usize,
    /// The byte of the body it was found at, from 0.
    pub offset: u64,
}

/// The faults of a body. Sections are those of RFC 2046 unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The preamble passes [`PREAMBLE_LIMIT`].
    #[error("no delimiter in the first {PREAMBLE_LIMIT} bytes")]
    PreambleTooLong,
    /// A line of the preamble that begins as a delimiter of another boundary would, or as one that
    /// lacks a dash: parts could stand there.
    #[error("a line before the first delimiter begins like a delimiter of another boundary")]
    PreambleDashes,
    /// `--B` within a line of the preamble: parts could stand there.
    #[error("the boundary stands before the first delimiter, and not at the start of a line")]
    PreambleBoundary,
    /// Text before a close delimiter that comes first: it could be a part.
    #[error("text before a close delimiter that no other delimiter comes before")]
    ClosedFirst,
    /// A line of the epilogue that begins with `--B`: parts could stand there.
    #[error("a line after the close delimiter begins with the boundary")]
    EpilogueBoundary,
    /// The epilogue passes [`EPILOGUE_LIMIT`].
    #[error("more than {EPILOGUE_LIMIT} bytes after the close delimiter")]
    EpilogueTooLong,
    /// `CRLF--B` followed by other text on its line, which section 5.1.1 forbids in data.
    #[error("a line begins with the boundary but is no delimiter")]
    NotADelimiter,
    /// More than [`LINE_LIMIT`] spaces and tabs behind a delimiter.
    #[error("more than {LINE_LIMIT} spaces and tabs behind a delimiter")]
    PaddingTooLong,
    /// LF without CR in a delimiter or in part headers.
    #[error("a line feed without a carriage return before it")]
    BareLf,
    /// CR without LF in a delimiter or in part headers.
    #[error("a carriage return without a line feed behind it")]
    BareCr,
    /// NUL in part headers.
    #[error("a NUL byte in a part header")]
    Nul,
    /// The headers of one part pass [`HEAD_LIMIT`].
    #[error("part headers of more than {HEAD_LIMIT} bytes")]
    HeadTooLong,
    /// A header line passes [`LINE_LIMIT`].
    #[error("a part header line of more than {LINE_LIMIT} bytes")]
    LineTooLong,
    /// A part has more than [`HEADERS_LIMIT`] headers.
    #[error("more than {HEADERS_LIMIT} part headers")]
    TooManyHeaders,
    /// A delimiter directly behind the headers.
    #[error("no empty line between the part headers and the delimiter")]
    NoEmptyLine,
    /// A header line that is not `name: value`.
    #[error("a part header line without a name and a colon")]
    MalformedHeader,
    /// A header line that begins with a space or a tab.
    #[error("a folded part header line")]
    FoldedHeader,
    /// The same header twice in a part.
    #[error("the part header {0} is given twice")]
    DuplicateHeader(String),
    /// RFC 7578 section 4.2 demands the header.
    #[error("the part has no Content-Disposition, so it has no name")]
    NoDisposition,
    /// RFC 7578 section 4.2 demands the type.
    #[error("the Content-Disposition of the part is not form-data")]
    NotFormData,
    /// RFC 7578 section 4.2 demands the parameter.
    #[error("the Content-Disposition of the part has no name")]
    NoName,
    /// The parameters of `Content-Disposition` cannot be read.
    #[error("the Content-Disposition of the part has {0}")]
    Parameter(ParamFault),
    /// The same parameter twice in a `Content-Disposition`.
    #[error("the Content-Disposition of the part has the parameter {0} twice")]
    DuplicateParameter(String),
    /// `name*0` or `filename*0` of RFC 2231, which RFC 7578 does not know: to programs that
    /// put the pieces together the part would be another one.
    #[error("the Content-Disposition of the part has the parameter {0}, cut as in RFC 2231")]
    ContinuedParameter(String),
    /// An encoding other than 7bit, 8bit and binary (RFC 7578 section 4.7), and than
    /// quoted-printable of a text field.
    #[error(
        "the part has the Content-Transfer-Encoding {0}; only 7bit, 8bit and binary are read, \
         and quoted-printable of a text field"
    )]
    TransferEncoding(String),
    /// A text field that is no quoted-printable text (RFC 2045 section 6.7), and should be.
    #[error("the part is not the quoted-printable text that its Content-Transfer-Encoding says")]
    QuotedPrintable,
    /// A content coding: the coded bytes would be stored as if they were the file.
    #[error("the part has the Content-Encoding {0}; only identity is read")]
    ContentEncoding(String),
    /// Several files in one part, as RFC 7578 section 4.3 advises against.
    #[error("the part is a multipart/mixed without a file name; give each file a part of its own")]
    Mixed,
    /// The body ends before the close delimiter.
    #[error("the body ends before the close delimiter")]
    Truncated,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.part) {
            (DecodeErrorKind::EpilogueTooLong | DecodeErrorKind::EpilogueBoundary, _) => {
                f.write_str("after the last part")?
            }
            (_, 0) => f.write_str("before the first part")?,
            (_, part) => write!(f, "part {part}")?,
        }
        write!(f, ", byte {}: {}", self.offset, self.kind)
    }
}

impl std::error::Error for DecodeError {}

/// A fault before the decoder adds the part it is in.
#[derive(Debug)]
pub(super) struct Fault {
    pub kind: DecodeErrorKind,
    pub at: u64,
}

impl Fault {
    pub fn new(kind: DecodeErrorKind, at: u64) -> Self {
        Fault { kind, at }
    }
}

/// The input, short and printable enough for a message.
pub(super) fn quote(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    let mut text = bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string();
    if bytes.len() > SHOWN {
        text.push_str("...");
    }
    text
}
