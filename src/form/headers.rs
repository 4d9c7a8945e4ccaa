//! The headers of a part (RFC 2046 section 5.1, RFC 7578 section 4).

use bytes::{Buf, Bytes};

use super::disposition::{self, Disposition, RawFileName};
use super::error::{DecodeErrorKind, Fault, quote};
use super::limits::{HEAD_LIMIT, HEADERS_LIMIT, LINE_LIMIT};
use super::params::{is_space, is_token, trim};

/// The headers of a part that wharf reads. The values are copies: they keep no frame alive.
///
/// They may hold any byte but CR, LF and NUL; code that puts them into another header checks them
/// first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// Which part of the body this is, from 1.
    pub number: usize,
    /// The field name as it came, quotes and their escapes removed, percent codes kept.
    pub name: Bytes,
    /// The file name; `None` makes the part a text field (RFC 7578 section 4.2).
    pub file: Option<RawFileName>,
    /// `Content-Type` as it came; `None` also when it was empty.
    pub content_type: Option<Bytes>,
    /// `Content-Length`, where it is a number. The decoder does not go by it: a part ends at its
    /// delimiter.
    pub content_length: Option<u64>,
    /// Whether the content of a text field is quoted-printable (RFC 2045 section 6.7), to be read
    /// with [`quoted_printable`](super::quoted_printable()).
    pub quoted_printable: bool,
    /// `Repr-Digest` as it came (RFC 9530 section 3).
    pub repr_digest: Option<Bytes>,
    /// `Content-Digest` as it came (RFC 9530 section 2).
    pub content_digest: Option<Bytes>,
}

/// Gathers the headers of one part, line by line.
#[derive(Debug)]
pub(super) struct HeadReader {
    /// `--B`, which no header line may begin with.
    dash_boundary: Bytes,
    line: Vec<u8>,
    /// Where `line` begins in the body.
    line_at: u64,
    /// Whether the last byte was a CR.
    cr: bool,
    /// Bytes of this part's headers so far.
    size: usize,
    /// The names seen, in lower case, each with its colon.
    names: Vec<u8>,
    /// How many they are.
    count: usize,
    draft: Draft,
}

#[derive(Debug, Default)]
struct Draft {
    disposition: Option<Disposition>,
    content_type: Option<Bytes>,
    content_length: Option<u64>,
    /// Where the `Content-Transfer-Encoding` stands that says so.
    quoted_printable: Option<u64>,
    repr_digest: Option<Bytes>,
    content_digest: Option<Bytes>,
}

impl HeadReader {
    pub fn new(dash_boundary: Bytes) -> Self {
        HeadReader {
            dash_boundary,
            line: Vec::new(),
            line_at: 0,
            cr: false,
            size: 0,
            names: Vec::new(),
            count: 0,
            draft: Draft::default(),
        }
    }

    /// Begins the headers of a part at byte `at` of the body.
    pub fn begin(&mut self, at: u64) {
        self.line.clear();
        self.line_at = at;
        self.cr = false;
        self.size = 0;
        self.names.clear();
        self.count = 0;
        self.draft = Draft::default();
    }

    /// Takes header bytes from the front of `frame`; `offset` is moved with them. The head comes
    /// out behind the empty line, numbered `part`.
    pub fn read(
        &mut self,
        frame: &mut Bytes,
        offset: &mut u64,
        part: usize,
    ) -> Result<Option<PartHead>, Fault> {
        while !frame.is_empty() {
            let inner = self.inner(frame);
            self.line.extend_from_slice(&frame[..inner]);
            self.size += inner;
            *offset += inner as u64;
            frame.advance(inner);
            let Some(&byte) = frame.first() else { break };
            let ended = self.byte(byte, *offset)?;
            frame.advance(1);
            *offset += 1;
            if ended {
                return self.end(part).map(Some);
            }
        }
        Ok(None)
    }

    /// How many bytes at the front of `frame` do no more than lengthen the line; what the next
    /// one is, [`byte`](Self::byte) says.
    fn inner(&self, frame: &[u8]) -> usize {
        if self.cr {
            return 0;
        }
        let room = (HEAD_LIMIT - self.size).min(LINE_LIMIT - self.line.len());
        let within = &frame[..room.min(frame.len())];
        memchr::memchr3(b'\r', b'\n', 0, within).unwrap_or(within.len())
    }

    /// The fault when the body ends here, at byte `at`.
    pub fn cut_short(&self, at: u64) -> Fault {
        if self.line.starts_with(&self.dash_boundary) {
            return Fault::new(DecodeErrorKind::NoEmptyLine, self.line_at);
        }
        Fault::new(DecodeErrorKind::Truncated, at)
    }

    /// Takes the byte behind the inner ones; true when it ended the empty line.
    fn byte(&mut self, byte: u8, at: u64) -> Result<bool, Fault> {
        if self.size == HEAD_LIMIT {
            return Err(Fault::new(DecodeErrorKind::HeadTooLong, at));
        }
        self.size += 1;
        if self.cr {
            if byte != b'\n' {
                return Err(Fault::new(DecodeErrorKind::BareCr, at - 1));
            }
            self.cr = false;
            if self.line.is_empty() {
                return Ok(true);
            }
            self.header()?;
            self.line.clear();
            self.line_at = at + 1;
            return Ok(false);
        }
        match byte {
            b'\r' => self.cr = true,
            b'\n' => return Err(Fault::new(DecodeErrorKind::BareLf, at)),
            0 => return Err(Fault::new(DecodeErrorKind::Nul, at)),
            // It would have been an inner one, if there were room.
            _ => return Err(Fault::new(DecodeErrorKind::LineTooLong, at)),
        }
        Ok(false)
    }

    /// Reads the line gathered, which is not empty.
    fn header(&mut self) -> Result<(), Fault> {
        let line_at = self.line_at;
        let here = |kind| Fault::new(kind, line_at);
        if self.line[0] == b' ' || self.line[0] == b'\t' {
            return Err(here(DecodeErrorKind::FoldedHeader));
        }
        if self.line.starts_with(&self.dash_boundary) {
            return Err(here(DecodeErrorKind::NoEmptyLine));
        }
        if self.count == HEADERS_LIMIT {
            return Err(here(DecodeErrorKind::TooManyHeaders));
        }
        let colon = memchr::memchr(b':', &self.line).unwrap_or(0);
        let name = &self.line[..colon];
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(here(DecodeErrorKind::MalformedHeader));
        }
        let is_known = |known: &[u8]| known.eq_ignore_ascii_case(name);
        if self.names.split(|&byte| byte == b':').any(is_known) {
            return Err(here(DecodeErrorKind::DuplicateHeader(quote(name))));
        }
        self.names.extend(name.iter().map(u8::to_ascii_lowercase));
        let name = &self.names[self.names.len() - colon..];
        let padded = &self.line[colon + 1..];
        let value = trim(padded);
        let indent = padded.iter().take_while(|&&byte| is_space(byte)).count();
        let value_at = line_at + (colon + 1 + indent) as u64;
        self.draft.set(name, value, value_at)?;
        self.names.push(b':');
        self.count += 1;
        Ok(())
    }

    /// Makes the head of what the lines said.
    fn end(&mut self, number: usize) -> Result<PartHead, Fault> {
        let draft = std::mem::take(&mut self.draft);
        let Some(disposition) = draft.disposition else {
            return Err(Fault::new(DecodeErrorKind::NoDisposition, self.line_at));
        };
        if let (Some(at), Some(_)) = (draft.quoted_printable, &disposition.file) {
            let shown = "quoted-printable".to_owned();
            return Err(Fault::new(DecodeErrorKind::TransferEncoding(shown), at));
        }
        Ok(PartHead {
            number,
            name: disposition.name,
            file: disposition.file,
            content_type: draft.content_type,
            content_length: draft.content_length,
            quoted_printable: draft.quoted_printable.is_some(),
            repr_digest: draft.repr_digest,
            content_digest: draft.content_digest,
        })
    }
}

impl Draft {
    /// Takes the header `name` (in lower case) whose `value` begins at byte `at` of the body.
    fn set(&mut self, name: &[u8], value: &[u8], at: u64) -> Result<(), Fault> {
        let copied = || Bytes::copy_from_slice(value);
        match name {
            b"content-disposition" => {
                let parsed = disposition::parse(value)
                    .map_err(|(within, kind)| Fault::new(kind, at + within as u64))?;
                self.disposition = Some(parsed);
            }
            b"content-type" => self.content_type = Some(copied()).filter(|v| !v.is_empty()),
            b"content-length" => {
                let digits = str::from_utf8(value).ok();
                let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                self.content_length = digits.and_then(|text| text.parse().ok());
            }
            b"repr-digest" => self.repr_digest = Some(copied()),
            b"content-digest" => self.content_digest = Some(copied()),
            b"content-transfer-encoding" => {
                // Anything else would be stored undecoded as if it were the file.
                let plain = [&b"7bit"[..], b"8bit", b"binary", b"7-bit", b"8-bit"];
                if value.eq_ignore_ascii_case(b"quoted-printable") {
                    self.quoted_printable = Some(at);
                } else if !plain.iter().any(|known| value.eq_ignore_ascii_case(known)) {
                    let kind = DecodeErrorKind::TransferEncoding(quote(value));
                    return Err(Fault::new(kind, at));
                }
            }
            b"content-encoding" if !value.eq_ignore_ascii_case(b"identity") => {
                let kind = DecodeErrorKind::ContentEncoding(quote(value));
                return Err(Fault::new(kind, at));
            }
            _ => {}
        }
        Ok(())
    }
}
