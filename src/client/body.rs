//! The body of an upload: heads from memory, contents from files, block by block.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _, try_unfold};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;

use super::source::{Blocks, Buffers, Source};
use super::{ClientError, Progress};

/// What is sent, in order.
pub(super) enum Piece {
    /// From memory.
    Bytes(Bytes),
    /// The content of a file.
    File {
        /// As people see it.
        name: String,
        /// Its length, where that is known.
        size: Option<u64>,
        /// Where it comes from.
        source: Source,
    },
}

/// Where the sending stands, for who waits for the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    /// What kept a file from being read. The connection is broken off for it, and who sees it
    /// break has to know why.
    pub failure: Arc<Mutex<Option<ClientError>>>,
    /// How many bytes were sent, once that is all.
    pub whole: watch::Sender<Option<u64>>,
}

/// A form as a request's body.
pub(super) struct FormBody {
    blocks: Mutex<BoxStream<'static, Result<Bytes, Failed>>>,
    len: Option<u64>,
}

/// The body cannot go on; [`Sent::failure`] says why.
#[derive(Debug, thiserror::Error)]
#[error("the form cannot be read to its end")]
pub(super) struct Failed;

struct Writer {
    pieces: VecDeque<Piece>,
    open: Option<Blocks>,
    buffers: Buffers,
    block: usize,
    count: u64,
    sent: Sent,
    progress: Arc<dyn Progress>,
}

impl FormBody {
    /// The body made of `pieces`, of `len` bytes where that is known, whose files are read in
    /// blocks of `block` bytes.
    pub fn new(
        pieces: VecDeque<Piece>,
        len: Option<u64>,
        block: usize,
        sent: Sent,
        progress: Arc<dyn Progress>,
    ) -> Self {
        let writer = Writer {
            pieces,
            open: None,
            buffers: Buffers::default(),
            block,
            count: 0,
            sent: sent.clone(),
            progress,
        };
        let next = |mut writer: Writer| async move {
            let block = writer.next().await?;
            Ok(block.map(|block| (block, writer)))
        };
        let blocks = try_unfold(writer, next).map_err(move |error| {
            let mut failure = sent.failure.lock().unwrap_or_else(|held| held.into_inner());
            *failure = Some(error);
            Failed
        });
        FormBody {
            blocks: Mutex::new(blocks.boxed()),
            len,
        }
    }
}

impl Writer {
    async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(block) = open.next().await? {
                    self.progress.advance(block.len() as u64);
                    self.count += block.len() as u64;
                    return Ok(Some(block));
                }
                let closed = self.open.take();
                self.buffers = closed.map(Blocks::into_buffers).unwrap_or_default();
                self.progress.file_end();
            }
            match self.pieces.pop_front() {
                Some(Piece::Bytes(bytes)) => {
                    self.count += bytes.len() as u64;
                    if self.pieces.is_empty() {
                        // Where the length is known, nobody asks for what follows the last byte.
                        self.progress.sent();
                        self.sent.whole.send_replace(Some(self.count));
                    }
                    return Ok(Some(bytes));
                }
                Some(Piece::File { name, size, source }) => {
                    self.progress.file(&name, size);
                    self.open = Some(Blocks::open(
                        source,
                        self.block,
                        std::mem::take(&mut self.buffers),
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
        let blocks = self.get_mut().blocks.get_mut();
        let blocks = blocks.unwrap_or_else(|held| held.into_inner());
        blocks.poll_next_unpin(cx).map_ok(Frame::data)
    }

    fn size_hint(&self) -> SizeHint {
        self.len
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
