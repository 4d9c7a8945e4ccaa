//! The stream of a representation: blocks of files and bytes from memory, in order.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use tokio_util::task::AbortOnDropHandle;

use super::uses::Uses;
use super::{Delivery, DeliveryError, Piece, Representation};
use crate::repository::Repository;
use crate::store::{Blob, StoreError};

/// Of how many bytes beside its first block a body is read before it is sent: what is damaged in a
/// small form is found before its head goes out, and all of it goes out in one write.
const SHORT: u64 = 64 << 10;

/// A body, exactly as many bytes as its pieces have.
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// Block by block; an error is its end.
    Blocks(BoxStream<'static, Result<Bytes, DeliveryError>>),
}

impl Delivery {
    /// Opens the body made of `pieces`, in which the whole of `representation` is sent if `counts`.
    /// Its first block is read when this answers, and all of a short one.
    ///
    /// # Errors
    /// What is missing or damaged is found before the first byte goes out as far as the first
    /// block goes, and in all of a short body; or no use is left of a limited download.
    pub async fn open(
        &self,
        representation: &Representation,
        pieces: Vec<Piece>,
        counts: bool,
    ) -> Result<Content, DeliveryError> {
        let uses = if counts && representation.is_limited() {
            Some(self.reserve(representation).await?)
        } else {
            None
        };
        let mut reader = Reader {
            uploads: self.uploads.clone(),
            left: pieces.iter().map(Piece::len).sum(),
            pieces: pieces.into(),
            blob: None,
            ahead: None,
            uses,
        };
        let first = reader.next().await?;
        if reader.left == 0 {
            return Ok(Content::Whole(first.unwrap_or_default()));
        }
        if reader.left <= SHORT {
            return Ok(Content::Whole(reader.rest(first).await?));
        }
        let rest = futures_util::stream::try_unfold(reader, async |mut reader| {
            Ok(reader.next().await?.map(|block| (block, reader)))
        });
        let first = futures_util::stream::iter(first.map(Ok));
        Ok(Content::Blocks(first.chain(rest).boxed()))
    }
}

/// What is left to be sent.
struct Reader {
    uploads: Repository,
    pieces: VecDeque<Piece>,
    /// The file of the first piece, once it is opened.
    blob: Option<Box<dyn Blob>>,
    /// The next file, which is being opened.
    ahead: Option<AbortOnDropHandle<Opened>>,
    /// Bytes.
    left: u64,
    uses: Option<Uses>,
}

type Opened = Result<Box<dyn Blob>, DeliveryError>;

impl Reader {
    /// The next block. The uses are kept before the last one is handed out.
    async fn next(&mut self) -> Result<Option<Bytes>, DeliveryError> {
        let block = self.read().await?;
        if let Some(block) = &block {
            self.left -= block.len() as u64;
        }
        if self.left == 0
            && let Some(uses) = self.uses.take()
        {
            uses.keep().await?;
        }
        Ok(block)
    }

    /// What has been read and all that is left, in one piece.
    async fn rest(&mut self, read: Option<Bytes>) -> Result<Bytes, DeliveryError> {
        let mut all = BytesMut::from(read.unwrap_or_default());
        while let Some(block) = self.next().await? {
            all.extend_from_slice(&block);
        }
        Ok(all.freeze())
    }

    async fn read(&mut self) -> Result<Option<Bytes>, DeliveryError> {
        loop {
            match self.pieces.front_mut() {
                None => return Ok(None),
                Some(Piece::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.pieces.pop_front();
                    return Ok(Some(bytes));
                }
                Some(Piece::File { .. }) => {}
            }
            if self.blob.is_none()
                && self.ahead.is_none()
                && let Some(bytes) = self.at_hand()
            {
                self.pieces.pop_front();
                return Ok(Some(bytes));
            }
            let block = self.file().await?.next().await?;
            if block.is_some() {
                return Ok(block);
            }
            self.blob = None;
            self.pieces.pop_front();
        }
    }

    /// All that is wanted of the file of the first piece, if it is to be had without waiting.
    fn at_hand(&self) -> Option<Bytes> {
        let Some(Piece::File {
            id,
            name,
            size,
            range,
        }) = self.pieces.front()
        else {
            return None;
        };
        let content = self.uploads.store().at_hand(id, name, *size)?;
        // It is in memory: its length fits a usize, and the range lies within it.
        Some(content.slice(range.start as usize..range.end as usize))
    }

    /// The file of the first piece.
    async fn file(&mut self) -> Result<&mut Box<dyn Blob>, DeliveryError> {
        if self.blob.is_none() {
            let opened = match self.ahead.take() {
                Some(opening) => opening.await.map_err(StoreError::ended)?,
                None => self.open(0).await,
            };
            self.blob = Some(opened?);
            self.open_ahead();
        }
        Ok(self.blob.as_mut().expect("it was opened"))
    }

    /// Begins to open the next file, where that takes long.
    fn open_ahead(&mut self) {
        let is_file = |piece: &Piece| matches!(piece, Piece::File { .. });
        if !self.uploads.store().opens_ahead() {
            return;
        }
        if let Some(next) = self.pieces.iter().skip(1).position(is_file) {
            let opening = tokio::spawn(self.open(next + 1));
            self.ahead = Some(AbortOnDropHandle::new(opening));
        }
    }

    /// Opens the file of the piece at this place. One that is missing is damage, unless its
    /// upload was removed since its manifest was read.
    fn open(&self, place: usize) -> impl Future<Output = Opened> + Send + 'static {
        let (uploads, piece) = (self.uploads.clone(), self.pieces[place].clone());
        async move {
            let Piece::File {
                id,
                name,
                size,
                range,
            } = piece
            else {
                unreachable!("files alone are opened");
            };
            match uploads.store().open(&id, &name, size, range).await {
                Err(error @ StoreError::Damaged(_)) => match uploads.store().manifest(&id).await {
                    Ok(None) => {
                        uploads.index(&id, &[]).await?;
                        Err(DeliveryError::NotFound(id.to_string()))
                    }
                    _ => Err(error.into()),
                },
                opened => Ok(opened?),
            }
        }
    }
}
