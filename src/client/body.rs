//! The body of an upload: heads from memory, contents from files, block by block.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _, try_unfold};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

use super::source::{FileBlocks, FilePart};
use super::{ClientError, Progress};
use crate::buffers::Pool;
use crate::form::{self, Boundary};

/// How many buffers are kept to be used again: more than the network has at a time.
const MAX_FREE: usize = 16;

/// The form as it is sent. The head of a file is made when its turn comes: a folder may hold a
/// hundred thousand of them.
pub(super) struct FormPieces {
    boundary: Boundary,
    /// The bytes of fields, heads and the end that go out next; empty where a file does.
    text: Vec<u8>,
    /// Whether a part comes before the next one.
    begun: bool,
    /// The file whose head is in `text`, or was sent last.
    file: Option<FilePart>,
    files: vec::IntoIter<FilePart>,
    closed: bool,
}

/// A piece of the form.
enum FormPiece {
    /// Bytes from memory.
    Bytes(Bytes),
    /// The content of a file.
    File(FilePart),
}

impl FormPieces {
    /// The form of these fields and files.
    pub fn new(boundary: Boundary, fields: &[(String, String)], files: Vec<FilePart>) -> Self {
        let mut text = Vec::new();
        for (at, (name, value)) in fields.iter().enumerate() {
            let name = name.as_bytes();
            text.extend(form::upload_part_head(&boundary, at == 0, name, None, None));
            text.extend_from_slice(value.as_bytes());
        }
        let mut pieces = FormPieces {
            boundary,
            text,
            begun: !fields.is_empty(),
            file: None,
            files: files.into_iter(),
            closed: false,
        };
        pieces.advance();
        pieces
    }

    /// Its length in bytes, where that is known.
    pub fn len(&self) -> Option<u64> {
        let first = self.file.iter().map(|file| file.size());
        let rest = self.files.as_slice().iter();
        // None of them is the first part.
        let rest =
            rest.map(|file| Some(file.head(&self.boundary, false).len() as u64 + file.size()?));
        let end = if self.closed {
            0
        } else {
            form::close(&self.boundary, true).len() as u64
        };
        let known = self.text.len() as u64 + end;
        first
            .chain(rest)
            .try_fold(known, |sum, len| sum.checked_add(len?))
    }

    /// Adds the head of the next file to the text, or else the end.
    fn advance(&mut self) {
        self.file = self.files.next();
        match &self.file {
            Some(file) => self.text.extend(file.head(&self.boundary, !self.begun)),
            None => {
                self.text.extend(form::close(&self.boundary, self.begun));
                self.closed = true;
            }
        }
        self.begun = true;
    }

    fn next(&mut self) -> Option<FormPiece> {
        if !self.text.is_empty() {
            return Some(FormPiece::Bytes(std::mem::take(&mut self.text).into()));
        }
        let file = self.file.take()?;
        self.advance();
        Some(FormPiece::File(file))
    }

    /// Whether all of it has gone out.
    fn is_over(&self) -> bool {
        self.closed && self.text.is_empty()
    }
}

/// Where the sending stands, for the task that waits for the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    /// The error that kept a file from being read. The connection is broken off for it, and the
    /// task that sees it break has to know why.
    pub failure: Arc<Mutex<Option<ClientError>>>,
    /// How many bytes were sent, once all of them were.
    pub whole: watch::Sender<Option<u64>>,
    /// Since when the network has had a block without asking for the next.
    pub taken: Arc<Mutex<Option<Instant>>>,
}

impl Sent {
    /// Ends when the network has had one block for so long.
    pub async fn stalled(&self, limit: Duration) {
        loop {
            let since = *lock(&self.taken);
            let left = since.map_or(limit, |since| limit.saturating_sub(since.elapsed()));
            if left.is_zero() {
                return;
            }
            // A block that goes out meanwhile has its whole time.
            tokio::time::sleep(left).await;
        }
    }
}

/// The locks here are held for the length of a statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A form as a request's body.
pub(super) struct FormBody {
    blocks: Mutex<BoxStream<'static, Result<Bytes, Failed>>>,
    len: Option<u64>,
    taken: Arc<Mutex<Option<Instant>>>,
}

/// The body cannot go on; [`Sent::failure`] says why.
#[derive(Debug, thiserror::Error)]
#[error("the form cannot be read to its end")]
pub(super) struct Failed;

struct PieceReader {
    pieces: FormPieces,
    open: Option<FileBlocks>,
    pool: Arc<Pool>,
    block: usize,
    count: u64,
    sent: Sent,
    progress: Arc<dyn Progress>,
}

impl FormBody {
    /// The body made of `pieces`, whose files are read in blocks of `block` bytes.
    pub fn new(pieces: FormPieces, block: usize, sent: Sent, progress: Arc<dyn Progress>) -> Self {
        let len = pieces.len();
        let writer = PieceReader {
            pieces,
            open: None,
            pool: Pool::new(block, MAX_FREE),
            block,
            count: 0,
            sent: sent.clone(),
            progress,
        };
        let taken = Arc::clone(&sent.taken);
        let next = |mut writer: PieceReader| async move {
            let block = writer.next().await?;
            Ok(block.map(|block| (block, writer)))
        };
        let blocks = try_unfold(writer, next).map_err(move |error| {
            *lock(&sent.failure) = Some(error);
            Failed
        });
        FormBody {
            blocks: Mutex::new(blocks.boxed()),
            len,
            taken,
        }
    }
}

impl PieceReader {
    async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(block) = open.next().await? {
                    self.progress.advance(block.len() as u64);
                    self.count += block.len() as u64;
                    return Ok(Some(block));
                }
                self.open = None;
                self.progress.file_end();
            }
            match self.pieces.next() {
                Some(FormPiece::Bytes(bytes)) => {
                    self.count += bytes.len() as u64;
                    if self.pieces.is_over() {
                        // Where the length is known, hyper does not ask for the end.
                        self.progress.sent();
                        self.sent.whole.send_replace(Some(self.count));
                    }
                    return Ok(Some(bytes));
                }
                Some(FormPiece::File(file)) => {
                    self.progress.file(&file.shown_name(), file.size());
                    let pool = Arc::clone(&self.pool);
                    self.open = Some(FileBlocks::open(file.source, self.block, pool)?);
                }
                None => return Ok(None),
            }
        }
    }
}

impl Body for FormBody {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let body = self.get_mut();
        let blocks = body.blocks.get_mut();
        let blocks = blocks.unwrap_or_else(|poisoned| poisoned.into_inner());
        let block = blocks.poll_next_unpin(cx);
        *lock(&body.taken) = block.is_ready().then(Instant::now);
        block.map_ok(Frame::data)
    }

    fn size_hint(&self) -> SizeHint {
        self.len
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length that is announced is the length that goes out, and the form reads back.
    #[test]
    fn the_pieces_are_as_long_as_they_are_said_to_be() {
        let field = [("a".to_owned(), "b".to_owned())];
        for (fields, files) in [(&field[..], 3), (&field[..], 0), (&[][..], 2), (&[][..], 0)] {
            let dir = tempfile::tempdir().unwrap();
            let parts = (0..files).map(|number| {
                let path = dir.path().join(format!("{number}.txt"));
                std::fs::write(&path, "x".repeat(number)).unwrap();
                FilePart::open(path).unwrap()
            });
            let boundary = Boundary::new("B").unwrap();
            let mut pieces = FormPieces::new(boundary.clone(), fields, parts.collect());
            let len = pieces.len().unwrap();
            let mut sent = Vec::new();
            while let Some(piece) = pieces.next() {
                assert!(!pieces.is_over() || matches!(piece, FormPiece::Bytes(_)));
                match piece {
                    FormPiece::Bytes(bytes) => sent.extend_from_slice(&bytes),
                    FormPiece::File(file) => {
                        sent.resize(sent.len() + file.size().unwrap() as usize, b'x')
                    }
                }
            }
            assert!(pieces.is_over());
            assert_eq!(sent.len() as u64, len);
            let mut decoder = form::Decoder::new(boundary);
            decoder.push(sent.into());
            let mut read = 0;
            while let Some(event) = decoder.next().unwrap() {
                read += usize::from(matches!(event, form::Event::PartEnd));
            }
            decoder.finish().unwrap();
            assert_eq!(read, fields.len() + files);
        }
    }
}
