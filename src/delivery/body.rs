//! The stream of a representation: blocks of files and bytes from memory, in order.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;

use super::uses::Uses;
use super::{Delivery, DeliveryError, Piece, Representation};
use crate::model::{FileName, UploadId};
use crate::repository::Repository;
use crate::store::{BLOCK, Blob, StoreError};

/// Blocks of a body, exactly as many bytes as its pieces have, or an error.
pub type Stream = BoxStream<'static, Result<Bytes, DeliveryError>>;

impl Delivery {
    /// Opens the stream of `pieces`, in which the whole of `representation` is sent if `counts`.
    /// Its first block is read when this answers.
    ///
    /// # Errors
    /// What is missing or damaged is found before the first byte goes out as far as the first
    /// block goes; or no use is left of a limited download.
    pub async fn open(
        &self,
        representation: &Representation,
        pieces: Vec<Piece>,
        counts: bool,
    ) -> Result<Stream, DeliveryError> {
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
            uses,
        };
        let first = reader.next().await?;
        let rest = futures_util::stream::try_unfold(reader, async |mut reader| {
            Ok(reader.next().await?.map(|block| (block, reader)))
        });
        let first = futures_util::stream::iter(first.map(Ok));
        Ok(first.chain(rest).boxed())
    }
}

/// What is left to be sent.
struct Reader {
    uploads: Repository,
    pieces: VecDeque<Piece>,
    /// The file of the first piece, once it is opened.
    blob: Option<Box<dyn Blob>>,
    /// Bytes.
    left: u64,
    uses: Option<Uses>,
}

impl Reader {
    /// The next block. The uses are kept before the last one is handed out.
    async fn next(&mut self) -> Result<Option<Bytes>, DeliveryError> {
        let block = self.read().await?;
        if let Some(block) = &block {
            self.left -= block.len() as u64;
        }
        if self.left == 0
            && let Some(mut uses) = self.uses.take()
        {
            uses.keep().await?;
        }
        Ok(block)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, DeliveryError> {
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(None);
        };
        let block = match piece {
            Piece::Bytes(bytes) => std::mem::take(bytes),
            Piece::File {
                id,
                name,
                size,
                range,
            } => {
                let blob = match &self.blob {
                    Some(blob) => blob,
                    None => self
                        .blob
                        .insert(open(&self.uploads, id, name, *size).await?),
                };
                let len = (range.end - range.start).min(BLOCK as u64);
                let block = blob.read(range.start, len as usize).await?;
                range.start += len;
                block
            }
        };
        if piece.is_empty() {
            self.pieces.pop_front();
            self.blob = None;
        }
        Ok(Some(block))
    }
}

/// Opens a stored file. One that is missing is damage, unless its upload was removed since its
/// manifest was read.
async fn open(
    uploads: &Repository,
    id: &UploadId,
    name: &FileName,
    size: u64,
) -> Result<Box<dyn Blob>, DeliveryError> {
    match uploads.store().open(id, name, size).await {
        Err(error @ StoreError::Damaged(_)) => match uploads.store().manifest(id).await {
            Ok(None) => {
                uploads.index(id).await?;
                Err(DeliveryError::NotFound(id.to_string()))
            }
            _ => Err(error.into()),
        },
        opened => Ok(opened?),
    }
}
