//! The memory that text takes while uploads are under way: names, types and the values of text
//! fields stay in it to the commit, so what all uploads hold together has a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::error::IngestError;

/// The bytes that each upload may hold without asking: nearly all forms need no more.
const OWN: usize = 8 * 1024;
/// The bytes that all uploads may hold together beyond that.
const SHARED: usize = 24 << 20;
/// The bytes that an upload asks for at once.
const STEP: usize = 32 * 1024;
/// The bytes of a part beside its text.
const PART: usize = 256;
/// The same with its share of the folders, which others have as well.
const PART_IN_FOLDERS: usize = 512;
/// The most parts of an upload for which there is memory in any case: the record of one with more
/// is larger than a record may be.
const MOST_PARTS: usize = 400_000;
/// How long an upload waits for memory, all its waits together. All of them may hold
/// memory while they wait: an upload that has waited so long is refused, and the memory that it
/// held is free for the next. Counted anew for each wait, this would last for minutes: the server
/// does not see that a client has left while it reads nothing from it.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// The memory for the text of all uploads under way.
#[derive(Debug, Clone)]
pub struct TextMemory {
    shared: Arc<Semaphore>,
}

/// The share of one upload; released when it is dropped.
#[derive(Debug)]
pub struct HeldText {
    memory: TextMemory,
    used: usize,
    shared: Option<OwnedSemaphorePermit>,
    /// How much longer it waits.
    wait_left: Duration,
}

impl TextMemory {
    /// An upload may have `max` bytes of text in so many `parts`, and one of that kind has room.
    pub fn new(max: u64, parts: usize) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let parts = parts.min(MOST_PARTS) * PART_IN_FOLDERS;
        let shared = SHARED
            .max(max.saturating_mul(2))
            .max(max.saturating_add(parts))
            .min(Semaphore::MAX_PERMITS);
        TextMemory {
            shared: Arc::new(Semaphore::new(shared)),
        }
    }

    /// Begins an upload.
    pub fn begin(&self) -> HeldText {
        HeldText {
            memory: self.clone(),
            used: 0,
            shared: None,
            wait_left: WAIT_LIMIT,
        }
    }
}

impl HeldText {
    /// Adds a part with so many bytes of text.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn part(&mut self, bytes: usize) -> Result<(), IngestError> {
        self.take(PART + bytes).await
    }

    /// Adds `bytes` of text; waits while other uploads hold all there is.
    ///
    /// # Errors
    /// It has waited too long.
    pub async fn take(&mut self, bytes: usize) -> Result<(), IngestError> {
        self.used += bytes;
        let shared = self.shared.as_ref().map_or(0, |held| held.num_permits());
        let missing = self.used.saturating_sub(OWN + shared);
        if missing == 0 {
            return Ok(());
        }
        let more = u32::try_from(missing.next_multiple_of(STEP)).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.memory.shared).acquire_many_owned(more);
        let start = Instant::now();
        let more = tokio::time::timeout(self.wait_left, more).await;
        self.wait_left = self.wait_left.saturating_sub(start.elapsed());
        let more = more.map_err(|_| IngestError::NoMemory)?;
        let more = more.map_err(IngestError::internal)?;
        match &mut self.shared {
            Some(held) => held.merge(more),
            None => self.shared = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn small_forms_never_wait_and_large_ones_for_each_other() {
        let memory = TextMemory::new(1 << 20, 2000);
        let mut all: Vec<HeldText> = Vec::new();
        // Each upload wants 1 MiB and holds a part of it: none can go on.
        for _ in 0..SHARED / STEP {
            let mut held = memory.begin();
            held.take(OWN + 1).await.unwrap();
            all.push(held);
        }
        let mut small = memory.begin();
        small.part(OWN - PART).await.unwrap();
        let mut last = all.pop().unwrap();
        let waits = tokio::spawn(async move {
            last.take(STEP).await?;
            last.take(STEP).await.map(|()| last)
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        all.truncate(all.len() - 2);
        let last = waits.await.unwrap().unwrap();
        assert_eq!(last.used, OWN + 1 + 2 * STEP);
        // One that waits in vain gives back what it holds.
        let refused = all[0].take(STEP).await;
        assert!(matches!(refused, Err(IngestError::NoMemory)), "{refused:?}");
        let more = all[1].take(STEP);
        tokio::pin!(more);
        assert!(tokio::time::timeout(STEP_TIME, &mut more).await.is_err());
        drop(last);
        more.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_waits_of_an_upload_add_up() {
        let memory = TextMemory::new(1, 1);
        let mut first = memory.begin();
        first.take(OWN + SHARED).await.unwrap();
        let start = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(WAIT_LIMIT * 2 / 3).await;
            drop(first);
        });
        let mut held = memory.begin();
        held.take(OWN + 1).await.unwrap();
        let mut second = memory.begin();
        second.take(OWN + SHARED - STEP).await.unwrap();
        let refused = held.take(STEP).await;
        assert!(matches!(refused, Err(IngestError::NoMemory)), "{refused:?}");
        assert!(start.elapsed() < WAIT_LIMIT + STEP_TIME);
    }

    const STEP_TIME: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn what_one_upload_may_hold_is_there() {
        let max = 3 * SHARED;
        let mut held = TextMemory::new(max as u64, 1).begin();
        held.take(max).await.unwrap();
        // Many parts with little text, each in a folder with another one.
        let mut held = TextMemory::new(2 << 20, 200_000).begin();
        for _ in 0..100_000 {
            held.part(10).await.unwrap();
            held.part(10).await.unwrap();
            held.take(350).await.unwrap();
        }
    }
}
