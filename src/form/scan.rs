//! The search for delimiters: `CRLF--B` in data, and the rest of its line.

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;

use super::error::DecodeErrorKind;
use super::{Boundary, LINE_LIMIT};

/// Finds `CRLF--B` in data that comes in frames.
///
/// The bytes held back at the end of a frame are always a beginning of the delimiter itself, so
/// only their length is kept. The delimiter holds one CR, at its start: bytes that turn
/// out not to be one cannot hide the beginning of another.
#[derive(Debug)]
pub(super) struct Scanner {
    delimiter: Bytes,
    finder: Finder<'static>,
    /// How many bytes of the delimiter the bytes behind us match.
    matched: usize,
    /// How many of those were not data: the CRLF that ends the headers or, at the start of the
    /// body, an imaginary one.
    implied: usize,
}

/// The meaning of the next bytes of a frame.
#[derive(Debug)]
pub(super) enum Scan {
    /// Data, never empty.
    Data(Bytes),
    /// A whole `CRLF--B`, not yet the rest of its line.
    Delimiter,
    /// The frame is used up.
    More,
}

const CRLF: usize = 2;

impl Scanner {
    pub fn new(boundary: &Boundary) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        let finder = Finder::new(&delimiter).into_owned();
        Scanner {
            delimiter: delimiter.into(),
            finder,
            matched: CRLF,
            implied: CRLF,
        }
    }

    /// `--B`, sharing the scanner's memory.
    pub fn dash_boundary(&self) -> Bytes {
        self.delimiter.slice(CRLF..)
    }

    /// Begins at the start of a line, where `--B` alone is a delimiter: at the start of the body,
    /// and behind the empty line, whose CRLF serves a part without data as well.
    pub fn begin_at_line(&mut self) {
        self.matched = CRLF;
        self.implied = CRLF;
    }

    /// Takes data or a delimiter from the front of `frame`.
    pub fn scan(&mut self, frame: &mut Bytes) -> Scan {
        if self.matched > 0 {
            let rest = &self.delimiter[self.matched..];
            let common = rest
                .iter()
                .zip(frame.iter())
                .take_while(|(a, b)| a == b)
                .count();
            if common == rest.len() {
                return self.found(frame, common);
            }
            if common == frame.len() {
                self.matched += common;
                frame.clear();
                return Scan::More;
            }
            let held = self.delimiter.slice(self.implied..self.matched);
            self.matched = 0;
            self.implied = 0;
            if !held.is_empty() {
                return Scan::Data(held);
            }
        }
        match self.finder.find(frame) {
            Some(0) => self.found(frame, self.delimiter.len()),
            Some(at) => Scan::Data(frame.split_to(at)),
            None => self.keep_end(frame),
        }
    }

    fn found(&mut self, frame: &mut Bytes, len: usize) -> Scan {
        frame.advance(len);
        self.matched = 0;
        self.implied = 0;
        Scan::Delimiter
    }

    /// Takes all of `frame` but its end, where that may begin a delimiter.
    fn keep_end(&mut self, frame: &mut Bytes) -> Scan {
        let tail = frame.len().saturating_sub(self.delimiter.len() - 1);
        let held = memchr::memrchr(b'\r', &frame[tail..])
            .map(|at| tail + at)
            .filter(|&at| self.delimiter.starts_with(&frame[at..]))
            .map_or(0, |at| frame.len() - at);
        let data = frame.split_to(frame.len() - held);
        frame.clear();
        self.matched = held;
        if data.is_empty() {
            Scan::More
        } else {
            Scan::Data(data)
        }
    }
}

/// The rest of a line that begins with `--B`: `--` or nothing, then padding, then CRLF; behind
/// `--` a bare LF will do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line {
    /// Right behind the boundary.
    Boundary,
    /// Behind `--B-`.
    Dash,
    /// Behind `--B` or `--B--` and so many spaces and tabs.
    Padding { close: bool, len: usize },
    /// Behind the CR.
    Cr { close: bool },
    /// The line has ended.
    End { close: bool },
}

impl Line {
    pub fn step(self, byte: u8) -> Result<Self, DecodeErrorKind> {
        let (close, len) = match self {
            Line::Dash if byte == b'-' => {
                return Ok(Line::Padding {
                    close: true,
                    len: 0,
                });
            }
            Line::Dash => return Err(DecodeErrorKind::NotADelimiter),
            Line::Cr { close } if byte == b'\n' => return Ok(Line::End { close }),
            Line::Cr { .. } => return Err(DecodeErrorKind::BareCr),
            Line::Boundary if byte == b'-' => return Ok(Line::Dash),
            Line::Boundary | Line::End { .. } => (false, 0),
            Line::Padding { close, len } => (close, len),
        };
        match byte {
            b'\r' => Ok(Line::Cr { close }),
            // Most readers take it, and behind the close delimiter nothing can be lost.
            b'\n' if close => Ok(Line::End { close }),
            b'\n' => Err(DecodeErrorKind::BareLf),
            b' ' | b'\t' if len == LINE_LIMIT => Err(DecodeErrorKind::PaddingTooLong),
            b' ' | b'\t' => Ok(Line::Padding {
                close,
                len: len + 1,
            }),
            _ => Err(DecodeErrorKind::NotADelimiter),
        }
    }
}
