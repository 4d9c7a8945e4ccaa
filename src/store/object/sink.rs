//! A file that is being received.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::PutPayload;
use tokio::sync::mpsc;

use super::budget::Permits;
use super::multipart::{self, FilledPart, PartMessage};
use super::parts::{self, PART};
use super::transfers::Transfers;
use crate::buffers::Buffer;
use crate::hashing::TaskHasher;
use crate::model::{FileName, Uptime};
use crate::store::{FileSink, FileSummary, StoreError};

/// How many bytes of a file are held before any of the budget is taken, so that the many small
/// files do not wait for the large ones.
const SMALL_FILE: usize = 64 * 1024;

/// Gathers a file: a small one for one request, a larger one part by part.
pub struct BucketSink<'a> {
    transfers: &'a mut Transfers,
    name: FileName,
    hasher: TaskHasher,
    size: u64,
    /// All of the file, as long as it is small.
    small: Vec<u8>,
    gathered: Gathered,
    /// The channel to the transfer of the parts, once there is one.
    parts: Option<mpsc::Sender<PartMessage>>,
    /// How many parts were sent, and how many bytes with them.
    number: usize,
    sent: u64,
}

/// The bytes of a part that is not whole yet.
#[derive(Default)]
struct Gathered {
    full: Vec<Bytes>,
    last: Option<Buffer>,
    len: usize,
    permits: Permits,
}

impl Gathered {
    /// How many more bytes there is room for.
    fn room(&self) -> usize {
        self.last.as_ref().map_or(0, Buffer::room)
    }

    /// Takes as many bytes as there is room for; answers the rest.
    fn push<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let (now, later) = data.split_at(data.len().min(self.room()));
        if let Some(last) = &mut self.last {
            last.push(now);
            self.len += now.len();
        }
        later
    }

    fn add(&mut self, block: Buffer) {
        let last = self.last.replace(block);
        self.full.extend(last.map(Bytes::from));
    }

    /// All bytes, and their permits.
    fn take(&mut self) -> FilledPart {
        let mut gathered = std::mem::take(self);
        gathered.permits.whole();
        let last = gathered.last.map(Bytes::from);
        FilledPart {
            content: PutPayload::from_iter(gathered.full.into_iter().chain(last)),
            permits: gathered.permits,
        }
    }
}

impl<'a> BucketSink<'a> {
    pub fn new(transfers: &'a mut Transfers, name: FileName, hash: bool) -> Self {
        BucketSink {
            transfers,
            name,
            hasher: TaskHasher::new(hash),
            size: 0,
            small: Vec::new(),
            gathered: Gathered::default(),
            parts: None,
            number: 0,
            sent: 0,
        }
    }

    /// Makes room for more bytes, if need be by sending the gathered ones as a part.
    async fn make_room(&mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.transfers.inner);
        if self.gathered.len >= parts::size(self.number, inner.largest_part) {
            self.send().await?;
        }
        let gathered = &mut self.gathered;
        let (whole, memory_wait) = (gathered.len >= PART, parts::memory_wait(self.number));
        if whole || !memory_wait.is_zero() {
            let mut block = inner.budget.try_block(&mut gathered.permits);
            if block.is_none() && !memory_wait.is_zero() {
                let permits = &mut gathered.permits;
                block = inner.budget.block_within(permits, memory_wait).await;
            }
            if let Some(block) = block {
                gathered.add(block);
                return Ok(());
            }
        }
        if whole {
            // A part that is large enough does not wait for more: other uploads may wait for its memory.
            self.send().await?;
        }
        let block = inner.budget.block(&mut self.gathered.permits).await;
        self.gathered.add(block);
        Ok(())
    }

    async fn gather(&mut self, data: &[u8]) -> Result<(), StoreError> {
        let mut rest = self.gathered.push(data);
        while !rest.is_empty() {
            self.make_room().await?;
            rest = self.gathered.push(rest);
        }
        Ok(())
    }

    /// Sends the gathered bytes as a part.
    async fn send(&mut self) -> Result<(), StoreError> {
        if self.number == parts::MAX_PARTS {
            return Err(StoreError::TooLarge {
                setting: "s3_memory",
                reason: format!(
                    "the store takes a file in {} parts, and those of {} came to {} bytes: with a larger s3_memory they are larger",
                    parts::MAX_PARTS,
                    self.name,
                    self.sent
                ),
            });
        }
        if self.parts.is_none() {
            let (sender, receiver) = mpsc::channel(1);
            let transfers = &mut *self.transfers;
            let (inner, id) = (Arc::clone(&transfers.inner), transfers.id);
            let (name, given_up) = (self.name.clone(), transfers.given_up.clone());
            let run = async move {
                let key = inner.layout.file(&id, &name);
                multipart::transfer(&inner.client, &key, receiver, given_up).await
            };
            transfers.begin(self.name.clone(), run).await?;
            self.parts = Some(sender);
        }
        self.number += 1;
        self.sent += self.gathered.len as u64;
        let part = self.gathered.take();
        self.tell(PartMessage::Part(part)).await
    }

    /// Sends a message to the transfer of the parts.
    ///
    /// # Errors
    /// The error with which that has ended.
    async fn tell(&mut self, message: PartMessage) -> Result<(), StoreError> {
        let sender = self.parts.as_ref().expect("parts are sent over a channel");
        if sender.send(message).await.is_ok() {
            return Ok(());
        }
        self.transfers.join_all().await?;
        Err(StoreError::Unavailable(format!("storing {}", self.name)))
    }
}

#[async_trait]
impl FileSink for BucketSink<'_> {
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        self.transfers.touched = Uptime::now();
        self.hasher.update(&data).await.map_err(StoreError::ended)?;
        self.size += data.len() as u64;
        if self.gathered.last.is_none() && self.parts.is_none() {
            if self.small.len() + data.len() <= SMALL_FILE {
                self.small.extend_from_slice(&data);
                return Ok(());
            }
            let small = std::mem::take(&mut self.small);
            self.gather(&small).await?;
        }
        self.gather(&data).await
    }

    async fn finish(mut self: Box<Self>) -> Result<FileSummary, StoreError> {
        if self.parts.is_some() {
            if self.gathered.len > 0 {
                self.send().await?;
            }
            self.tell(PartMessage::End).await?;
        } else {
            let inner = Arc::clone(&self.transfers.inner);
            let mut part = self.gathered.take();
            if self.size <= SMALL_FILE as u64 {
                part.content = std::mem::take(&mut self.small).into();
                inner.budget.small(&mut part.permits, SMALL_FILE).await;
            }
            let (id, name) = (self.transfers.id, self.name.clone());
            // Not to be broken off: the object would appear after a removal has looked for it.
            let run = async move {
                let key = inner.layout.file(&id, &name);
                let FilledPart { content, permits } = part;
                let stored = inner.client.put_file(&key, content).await;
                drop(permits);
                stored
            };
            self.transfers.begin(self.name.clone(), run).await?;
        }
        let checksums = self.hasher.finish().await.map_err(StoreError::ended)?;
        Ok(FileSummary {
            size: self.size,
            checksums,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::UploadId;
    use crate::store::object::{BucketOptions, BucketStore};

    /// An upload that sends nothing.
    fn transfers() -> Transfers {
        // As the binary does before anything else.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = BucketOptions {
            bucket: "nowhere".to_owned(),
            prefix: String::new(),
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            settings: Vec::new(),
            memory: BucketOptions::LEAST_MEMORY,
            redirect: false,
            stale_after: Duration::from_secs(3600),
        };
        let store = BucketStore::inspect(&options).unwrap();
        Transfers::new(store.0, UploadId::generate().unwrap())
    }

    #[tokio::test]
    async fn a_file_that_needs_too_many_parts_is_told_what_makes_them_larger() {
        let mut transfers = transfers();
        let mut sink = BucketSink::new(&mut transfers, FileName::from_upload(b"huge"), false);
        (sink.number, sink.sent) = (parts::MAX_PARTS, 1 << 40);
        let refused = sink.write(vec![0; 20 << 20].into()).await;
        let Err(StoreError::TooLarge { reason: text, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            text.contains("10000 parts") && text.contains("s3_memory"),
            "{text}"
        );
        assert!(
            text.contains("those of huge came to 1099511627776 bytes"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn where_parts_are_scarce_memory_is_waited_for() {
        const SIZE: usize = 9 << 20;
        let mut transfers = transfers();
        let inner = Arc::clone(&transfers.inner);
        let mut sink = BucketSink::new(&mut transfers, FileName::from_upload(b"large"), false);
        sink.number = parts::MAX_PARTS / 2;
        let (mut permits, mut blocks) = (Permits::default(), Vec::new());
        while let Some(block) = inner.budget.try_block(&mut permits) {
            blocks.push(block);
        }
        {
            let writing = sink.write(vec![1; SIZE].into());
            tokio::pin!(writing);
            let short = tokio::time::timeout(Duration::from_millis(50), &mut writing).await;
            assert!(short.is_err(), "it does not take the reserve");
            drop((blocks, permits));
            writing.await.unwrap();
        }
        let now = (sink.number, sink.gathered.len);
        assert_eq!(now, (parts::MAX_PARTS / 2, SIZE), "nothing was sent early");
    }
}
