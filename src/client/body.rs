//! The body of an upload: heads from memory, contents from files, block by block.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _, try_unfold};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

use super::source::{FileBlocks, FileSource};
use super::{ClientError, Progress};
use crate::buffers::Pool;

/// How many buffers are kept to be used again: more than the network has at a time.
const MAX_FREE: usize = 16;

/// A piece of the body; they are sent in their order.
pub(super) enum FormPiece {
    /// Bytes from memory.
    Bytes(Bytes),
    /// The content of a file.
    File {
        /// Its name, as people see it.
        name: String,
        /// Its length, where that is known.
        size: Option<u64>,
        /// Where it comes from.
        source: FileSource,
    },
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
    pieces: VecDeque<FormPiece>,
    open: Option<FileBlocks>,
    pool: Arc<Pool>,
    block: usize,
    count: u64,
    sent: Sent,
    progress: Arc<dyn Progress>,
}

impl FormBody {
    /// The body made of `pieces`, of `len` bytes where that is known, whose files are read in
    /// blocks of `block` bytes.
    pub fn new(
        pieces: VecDeque<FormPiece>,
        len: Option<u64>,
        block: usize,
        sent: Sent,
        progress: Arc<dyn Progress>,
    ) -> Self {
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
            match self.pieces.pop_front() {
                Some(FormPiece::Bytes(bytes)) => {
                    self.count += bytes.len() as u64;
                    if self.pieces.is_empty() {
                        // Where the length is known, hyper does not ask for the end.
                        self.progress.sent();
                        self.sent.whole.send_replace(Some(self.count));
                    }
                    return Ok(Some(bytes));
                }
                Some(FormPiece::File { name, size, source }) => {
                    self.progress.file(&name, size);
                    self.open = Some(FileBlocks::open(
                        source,
                        self.block,
                        Arc::clone(&self.pool),
                    )?);
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
