//! The bytes outside the parts: the preamble and the epilogue (RFC 2046 section 5.1.1). Both are
//! dropped, so nothing may stand in them that another reader would take for a part.

use bytes::Bytes;
use memchr::{memchr2, memmem};

use super::error::{DecodeErrorKind, Fault};
use super::limits::{EPILOGUE_LIMIT, PREAMBLE_LIMIT};

/// The bytes before the first delimiter, kept until that has come.
#[derive(Debug)]
pub(super) struct Preamble {
    dash_boundary: Bytes,
    /// From the first byte of the body on, at most [`PREAMBLE_LIMIT`] bytes.
    text: Vec<u8>,
}

impl Preamble {
    /// `dash_boundary` is `--B`.
    pub fn new(dash_boundary: Bytes) -> Self {
        Preamble {
            dash_boundary,
            text: Vec::new(),
        }
    }

    /// Takes more of it.
    pub fn push(&mut self, more: &[u8]) -> Result<(), Fault> {
        let room = PREAMBLE_LIMIT - self.text.len();
        self.text.extend_from_slice(&more[..room.min(more.len())]);
        if more.len() <= room {
            return Ok(());
        }
        self.check()?;
        let at = PREAMBLE_LIMIT as u64;
        Err(Fault::new(DecodeErrorKind::PreambleTooLong, at))
    }

    /// Whether it may be dropped: no line of it begins as a delimiter does, of another boundary or
    /// with a dash missing, and `--B` stands nowhere in it.
    pub fn check(&self) -> Result<(), Fault> {
        let within = memmem::find(&self.text, &self.dash_boundary);
        let dashes = self.lines().find(|&at| {
            let line = &self.text[at..];
            line.starts_with(b"--") || line.starts_with(&self.dash_boundary[1..])
        });
        let fault = |kind, at: usize| Err(Fault::new(kind, at as u64));
        match (within, dashes) {
            (None, None) => Ok(()),
            (Some(at), None) => fault(DecodeErrorKind::PreambleBoundary, at),
            (Some(at), Some(line)) if at <= line => fault(DecodeErrorKind::PreambleBoundary, at),
            (_, Some(line)) => fault(DecodeErrorKind::PreambleDashes, line),
        }
    }

    /// Whether it may be dropped before a close delimiter: there are only line ends.
    pub fn check_empty(&self) -> Result<(), Fault> {
        let mut lines = self.text.chunks(2);
        match lines.position(|pair| pair != b"\r\n") {
            None => Ok(()),
            Some(line) => Err(Fault::new(DecodeErrorKind::ClosedFirst, 2 * line as u64)),
        }
    }

    /// The first part has begun.
    pub fn forget(&mut self) {
        self.text = Vec::new();
    }

    /// Where lines begin. A bare CR or LF ends one as well: for some readers it does.
    fn lines(&self) -> impl Iterator<Item = usize> {
        let ends = memchr::memchr2_iter(b'\r', b'\n', &self.text);
        std::iter::once(0).chain(ends.map(|end| end + 1))
    }
}

/// The bytes behind the line of the close delimiter.
#[derive(Debug)]
pub(super) struct Epilogue {
    dash_boundary: Bytes,
    /// Bytes so far.
    len: usize,
    /// How many bytes of `--B` the line begins with; `None` when it begins with something else.
    matched: Option<usize>,
}

impl Epilogue {
    /// `dash_boundary` is `--B`.
    pub fn new(dash_boundary: Bytes) -> Self {
        Epilogue {
            dash_boundary,
            len: 0,
            matched: Some(0),
        }
    }

    /// Takes more of it, which begins at byte `at` of the body.
    pub fn read(&mut self, more: &[u8], at: u64) -> Result<(), Fault> {
        let room = EPILOGUE_LIMIT - self.len;
        let within = &more[..room.min(more.len())];
        let mut next = 0;
        while let Some(&byte) = within.get(next) {
            match self.matched {
                Some(matched) if byte == self.dash_boundary[matched] => {
                    if matched + 1 == self.dash_boundary.len() {
                        let at = at + next as u64;
                        return Err(Fault::new(DecodeErrorKind::EpilogueBoundary, at));
                    }
                    self.matched = Some(matched + 1);
                    next += 1;
                }
                _ => {
                    let end = memchr2(b'\r', b'\n', &within[next..]);
                    self.matched = end.map(|_| 0);
                    next = end.map_or(within.len(), |end| next + end + 1);
                }
            }
        }
        self.len += within.len();
        if within.len() < more.len() {
            let at = at + room as u64;
            return Err(Fault::new(DecodeErrorKind::EpilogueTooLong, at));
        }
        Ok(())
    }
}
