//! The digest of a file, taken beside its way to the store.

use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::thread;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::StoreError;
use crate::model::Digest;

/// Frames shorter than this are hashed where they are: a trip to another thread costs more.
const BESIDE: usize = 64 * 1024;

/// How many frames are hashed beside others at once: with half of the processors, whoever has the
/// other half has something to do on them. Under more load all are busy anyway.
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new(processors / 2))
});

/// Takes the SHA-256 of what comes in frames. A large frame is hashed on a thread of its own,
/// while it is written and the next one is received.
#[derive(Debug, Default)]
pub struct Hashing(State);

#[derive(Debug, Default)]
enum State {
    /// No digest is asked for.
    #[default]
    Nothing,
    Here(Sha256),
    Beside(JoinHandle<Sha256>),
}

impl Hashing {
    /// Takes a digest if `wanted`.
    pub fn new(wanted: bool) -> Self {
        if wanted {
            Hashing(State::Here(Sha256::new()))
        } else {
            Hashing::default()
        }
    }

    /// Takes the next bytes. One frame may be held when this answers, until the next call.
    ///
    /// # Errors
    /// The process is ending.
    pub async fn update(&mut self, data: &Bytes) -> Result<(), StoreError> {
        let Some(mut hasher) = self.take().await? else {
            return Ok(());
        };
        let room = || Arc::clone(&ROOM).try_acquire_owned().ok();
        let Some(permit) = (data.len() >= BESIDE).then(room).flatten() else {
            hasher.update(data);
            self.0 = State::Here(hasher);
            return Ok(());
        };
        let data = data.clone();
        self.0 = State::Beside(tokio::task::spawn_blocking(move || {
            hasher.update(&data);
            drop(permit);
            hasher
        }));
        Ok(())
    }

    /// The digest of all that was taken, where one is wanted.
    ///
    /// # Errors
    /// The process is ending.
    pub async fn finish(&mut self) -> Result<Option<Digest>, StoreError> {
        let hasher = self.take().await?;
        Ok(hasher.map(|hasher| <[u8; 32]>::from(hasher.finalize()).into()))
    }

    async fn take(&mut self) -> Result<Option<Sha256>, StoreError> {
        match std::mem::take(&mut self.0) {
            State::Nothing => Ok(None),
            State::Here(hasher) => Ok(Some(hasher)),
            State::Beside(hashing) => hashing.await.map(Some).map_err(StoreError::ended),
        }
    }
}
