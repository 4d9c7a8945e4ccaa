//! Hashing on the blocking threads of the runtime.

use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::thread;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

use super::{Checksums, WORTH_A_THREAD};

/// How many blocks are hashed beside others at once: with half of the processors, so that the
/// callers have the other half. Under more load all are busy anyway.
static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new(processors / 2))
});

/// Takes SHA-256 and CRC-32 of a file that comes in blocks. A large block is hashed on a blocking thread,
/// while it is written and the next one is received.
#[derive(Debug, Default)]
pub struct TaskHasher(Hashing);

#[derive(Debug, Default)]
enum Hashing {
    /// No checksum is asked for.
    #[default]
    Nothing,
    Here(Box<State>),
    Beside(JoinHandle<Box<State>>),
}

/// The state of both. Boxed, so that it is not copied with each block.
#[derive(Debug, Default)]
struct State {
    sha256: Sha256,
    crc32: crc32fast::Hasher,
}

impl State {
    fn update(&mut self, data: &[u8]) {
        self.sha256.update(data);
        self.crc32.update(data);
    }
}

impl TaskHasher {
    /// Takes both if `wanted`.
    pub fn new(wanted: bool) -> Self {
        if wanted {
            TaskHasher(Hashing::Here(Box::default()))
        } else {
            TaskHasher::default()
        }
    }

    /// Takes the next bytes. One block may be held when this answers, until the next call.
    ///
    /// # Errors
    /// The process is ending.
    pub async fn update(&mut self, data: &Bytes) -> Result<(), JoinError> {
        let Some(mut state) = self.take().await? else {
            return Ok(());
        };
        let permit = || Arc::clone(&PERMITS).try_acquire_owned().ok();
        let Some(permit) = (data.len() >= WORTH_A_THREAD).then(permit).flatten() else {
            state.update(data);
            self.0 = Hashing::Here(state);
            return Ok(());
        };
        let data = data.clone();
        self.0 = Hashing::Beside(tokio::task::spawn_blocking(move || {
            state.update(&data);
            drop(permit);
            state
        }));
        Ok(())
    }

    /// The checksums of all that was taken, where they are wanted.
    ///
    /// # Errors
    /// The process is ending.
    pub async fn finish(&mut self) -> Result<Option<Checksums>, JoinError> {
        let state = self.take().await?;
        Ok(state.map(|mut state| Checksums {
            sha256: super::finish(&mut state.sha256),
            crc32: state.crc32.finalize(),
        }))
    }

    async fn take(&mut self) -> Result<Option<Box<State>>, JoinError> {
        match std::mem::take(&mut self.0) {
            Hashing::Nothing => Ok(None),
            Hashing::Here(state) => Ok(Some(state)),
            Hashing::Beside(hashing) => hashing.await.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    #[tokio::test]
    async fn blocks_of_all_sizes_are_hashed_in_their_order() {
        let content: Bytes = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut hasher = TaskHasher::new(true);
        let mut at = 0;
        for len in [1, 70_000, 0, 100, 300_000, WORTH_A_THREAD, 5]
            .iter()
            .cycle()
        {
            let end = content.len().min(at + len);
            hasher.update(&content.slice(at..end)).await.unwrap();
            at = end;
            if at == content.len() {
                break;
            }
        }
        let expected: [u8; 32] = Sha256::digest(&content).into();
        let found = hasher.finish().await.unwrap().unwrap();
        assert_eq!(found.sha256, Digest::from(expected));
        assert_eq!(found.crc32, crc32fast::hash(&content));
        assert_eq!(TaskHasher::new(false).finish().await.unwrap(), None);
    }
}
