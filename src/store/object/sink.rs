//! A file that is being received.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::PutPayload;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::budget::Held;
use super::multipart::{self, Message, Part};
use super::parts::{self, PART};
use super::staged::BucketStaged;
use crate::model::{FileName, Uptime};
use crate::store::{FileSink, Received, StoreError};

/// How many bytes of a file are held before any of the budget is taken, so that the many small
/// files do not wait for the large ones.
const SMALL: usize = 64 * 1024;
/// The bytes of a part are held in blocks of this size, and taken from the budget with them.
const BLOCK: usize = 1024 * 1024;

/// Gathers a file: a small one for one request, a larger one part by part.
pub struct BucketSink<'a> {
    staged: &'a mut BucketStaged,
    name: FileName,
    hasher: Option<Sha256>,
    size: u64,
    gathered: Gathered,
    /// The way of the parts, once there are some.
    parts: Option<mpsc::Sender<Message>>,
    /// How many parts were sent.
    number: usize,
}

/// The bytes of a part that is not whole yet.
#[derive(Default)]
struct Gathered {
    blocks: Vec<Bytes>,
    last: Vec<u8>,
    len: usize,
    held: Held,
}

impl Gathered {
    /// How many more bytes there is room for.
    fn room(&self) -> usize {
        self.last.capacity() - self.last.len()
    }

    fn push(&mut self, data: &[u8]) {
        self.last.extend_from_slice(data);
        self.len += data.len();
    }

    /// Begins another block.
    fn grow(&mut self, size: usize) {
        if !self.last.is_empty() {
            let full = std::mem::replace(&mut self.last, Vec::with_capacity(size));
            self.blocks.push(full.into());
        } else {
            self.last = Vec::with_capacity(size);
        }
    }

    /// All bytes, and what they hold of the budget.
    fn take(&mut self) -> Part {
        self.grow(0);
        let gathered = std::mem::take(self);
        Part {
            content: PutPayload::from_iter(gathered.blocks),
            held: gathered.held,
        }
    }
}

impl<'a> BucketSink<'a> {
    pub fn new(staged: &'a mut BucketStaged, name: FileName, hash: bool) -> Self {
        BucketSink {
            staged,
            name,
            hasher: hash.then(Sha256::new),
            size: 0,
            gathered: Gathered::default(),
            parts: None,
            number: 0,
        }
    }

    /// Makes room for more bytes, if need be by sending what there is.
    async fn make_room(&mut self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.staged.inner);
        if self.size == 0 {
            self.gathered.grow(SMALL);
            return Ok(());
        }
        let gathered = &mut self.gathered;
        let whole = gathered.len >= parts::size(self.number, inner.largest_part);
        // One that could be sent waits for no more: others may wait for what it holds.
        if whole || (gathered.len >= PART && !inner.budget.try_take(&mut gathered.held, BLOCK)) {
            self.send().await?;
            return Box::pin(self.make_room()).await;
        }
        if gathered.len < PART {
            inner.budget.take(&mut gathered.held, BLOCK).await;
        }
        // With the first block the small beginning of the file is counted as well.
        let beginning = if gathered.blocks.is_empty() {
            gathered.last.len()
        } else {
            0
        };
        gathered.grow(BLOCK - beginning % BLOCK);
        Ok(())
    }

    /// Sends what was gathered as a part.
    async fn send(&mut self) -> Result<(), StoreError> {
        if self.number == parts::MOST {
            return Err(StoreError::TooLarge(format!(
                "{} needs more than {} parts: a larger s3_memory makes them larger",
                self.name,
                parts::MOST
            )));
        }
        if self.parts.is_none() {
            let (sender, receiver) = mpsc::channel(1);
            let staged = &mut *self.staged;
            let (inner, id) = (Arc::clone(&staged.inner), staged.id);
            let (name, given_up) = (self.name.clone(), staged.given_up.clone());
            let run = async move {
                let key = inner.layout.file(&id, &name);
                multipart::transfer(&inner.client, &key, receiver, given_up).await
            };
            staged.transfer(self.name.clone(), run).await?;
            self.parts = Some(sender);
        }
        let part = self.gathered.take();
        self.number += 1;
        self.tell(Message::Part(part)).await
    }

    /// Tells the transfer of the parts something; what it has failed with, if it has ended.
    async fn tell(&mut self, message: Message) -> Result<(), StoreError> {
        let sender = self.parts.as_ref().expect("parts are sent over a channel");
        if sender.send(message).await.is_ok() {
            return Ok(());
        }
        while self.staged.one_ends().await? {}
        Err(StoreError::Unavailable(format!("storing {}", self.name)))
    }
}

#[async_trait]
impl FileSink for BucketSink<'_> {
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        self.staged.touched = Uptime::now();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&data);
        }
        let mut rest = &data[..];
        while !rest.is_empty() {
            if self.gathered.room() == 0 {
                self.make_room().await?;
            }
            let (now, later) = rest.split_at(rest.len().min(self.gathered.room()));
            self.gathered.push(now);
            self.size += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Received, StoreError> {
        if self.parts.is_some() {
            if self.gathered.len > 0 {
                self.send().await?;
            }
            self.tell(Message::End).await?;
        } else {
            let inner = Arc::clone(&self.staged.inner);
            let mut part = self.gathered.take();
            if self.size <= SMALL as u64 {
                inner.budget.take(&mut part.held, self.size as usize).await;
            }
            let (id, given_up) = (self.staged.id, self.staged.given_up.clone());
            let name = self.name.clone();
            let run = async move {
                let key = inner.layout.file(&id, &name);
                let Part { content, held } = part;
                tokio::select! {
                    () = given_up.cancelled() => Ok(()),
                    stored = inner.client.put_file(&key, content) => {
                        drop(held);
                        stored
                    }
                }
            };
            self.staged.transfer(self.name.clone(), run).await?;
        }
        let hasher = self.hasher.take();
        let sha256 = hasher.map(|hasher| <[u8; 32]>::from(hasher.finalize()).into());
        Ok(Received {
            size: self.size,
            sha256,
        })
    }
}
