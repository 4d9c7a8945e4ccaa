//! The body: its frames, counted and hashed, and the events in them.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::error::{BodyError, IngestError, Place};
use crate::form::{Boundary, DecodeError, DecodeErrorKind, Decoder, Event};
use crate::model::{Digest, Limit};

/// A body whose size and digest are checked, frame by frame.
pub struct CheckedBody<S> {
    stream: S,
    size: u64,
    max_size: Option<u64>,
    expected: Option<(Digest, Sha256)>,
}

impl<S> CheckedBody<S>
where
    S: Stream<Item = Result<Bytes, BodyError>> + Unpin,
{
    pub fn new(stream: S, max_size: Option<u64>, expected: Option<Digest>) -> Self {
        CheckedBody {
            stream,
            size: 0,
            max_size,
            expected: expected.map(|digest| (digest, Sha256::new())),
        }
    }

    /// The next frame; `None` at the clean end of a body that is what its digest says.
    pub async fn frame(&mut self) -> Result<Option<Bytes>, IngestError> {
        let Some(frame) = self.stream.next().await else {
            self.check_digest()?;
            return Ok(None);
        };
        let frame = frame?;
        self.size += frame.len() as u64;
        match self.max_size {
            Some(max) if self.size > max => {
                return Err(IngestError::limit(0, Limit::bytes("max_request_size", max)));
            }
            _ => {}
        }
        if let Some((_, hasher)) = &mut self.expected {
            hasher.update(&frame);
        }
        Ok(Some(frame))
    }

    fn check_digest(&mut self) -> Result<(), IngestError> {
        match self.expected.take() {
            None => Ok(()),
            Some((expected, hasher)) => {
                let found: [u8; 32] = hasher.finalize().into();
                compare(0, expected, found.into())
            }
        }
    }
}

/// Compares a digest with the one that was announced for `part` (0: the whole body).
pub fn compare(part: usize, expected: Digest, found: Digest) -> Result<(), IngestError> {
    if found == expected {
        return Ok(());
    }
    Err(IngestError::DigestMismatch {
        place: Place::part(part),
        found,
        expected,
    })
}

/// The events of a form, pulled from its frames.
pub struct FormEvents<S> {
    frames: CheckedBody<S>,
    decoder: Decoder,
}

impl<S> FormEvents<S>
where
    S: Stream<Item = Result<Bytes, BodyError>> + Unpin,
{
    pub fn new(frames: CheckedBody<S>, boundary: Boundary) -> Self {
        let decoder = Decoder::new(boundary);
        FormEvents { frames, decoder }
    }

    /// The next event; `None` at the clean end of a whole form.
    pub async fn next(&mut self) -> Result<Option<Event>, IngestError> {
        loop {
            if let Some(event) = self.decoder.next()? {
                return Ok(Some(event));
            }
            match self.frames.frame().await? {
                Some(frame) => self.decoder.push(frame),
                None => {
                    self.decoder.finish()?;
                    return Ok(None);
                }
            }
        }
    }

    /// An error of the part that has just been read.
    pub fn fault(&self, part: usize, kind: DecodeErrorKind) -> IngestError {
        let offset = self.decoder.offset();
        DecodeError { kind, part, offset }.into()
    }

    /// The next bytes of the part's content; `None` at its end.
    pub async fn data(&mut self) -> Result<Option<Bytes>, IngestError> {
        match self.next().await? {
            Some(Event::Data(data)) => Ok(Some(data)),
            // The decoder ends every part before the next and before the body.
            _ => Ok(None),
        }
    }
}
