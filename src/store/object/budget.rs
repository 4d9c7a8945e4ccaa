//! The memory that uploads have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::parts::PART;

/// The size of a [`Block`], in bytes, and what the budget is counted in: a slow client holds no
/// more than this beyond what it has sent.
pub const BLOCK: usize = 64 * 1024;

/// The bytes that all uploads of the process together may hold for their parts.
///
/// An upload takes what it needs bit by bit, as its bytes come, so that slow clients hold no more
/// than they have sent. Many that each hold half a part could then wait for each other for ever:
/// so one whole part is kept in reserve. Whoever takes the reserve can end its part, send it, and
/// give back all it held.
#[derive(Debug)]
pub struct Budget {
    free: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    /// Whose turn it is to wait for a large part.
    turn: Arc<Semaphore>,
    /// For whole small files, which are held already: they wait for the store alone, and never for
    /// what slow clients hold.
    small: Arc<Semaphore>,
    pool: Arc<Pool>,
}

/// Blocks that were used before. The process keeps them: memory that is given back to the
/// allocator and taken again all the time comes to far more than the budget.
///
/// A std mutex: held for a push or a pop.
#[derive(Debug, Default)]
struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Nothing between a lock and its release can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for [`BLOCK`] bytes, which goes back when it is dropped.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Block {
    /// How many more bytes there is room for.
    pub fn room(&self) -> usize {
        BLOCK - self.bytes.len()
    }

    /// Appends bytes that there is room for.
    pub fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    /// The bytes, to be sent.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.pool.lock().push(bytes);
    }
}

/// What of the budget is taken; dropped, it is given back.
#[derive(Debug, Default)]
pub struct Held {
    free: Option<OwnedSemaphorePermit>,
    reserve: Option<OwnedSemaphorePermit>,
    turn: Option<OwnedSemaphorePermit>,
    small: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// The least that lets two parts be under way.
    pub const LEAST: u64 = 3 * PART as u64;

    /// One of so many bytes, at least [`LEAST`](Self::LEAST).
    pub fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes.max(Self::LEAST)).unwrap_or(usize::MAX);
        let all = ((bytes - PART) / BLOCK).min(Semaphore::MAX_PERMITS);
        let small = all / 16;
        Budget {
            free: Arc::new(Semaphore::new(all - small)),
            reserve: Arc::new(Semaphore::new(1)),
            turn: Arc::new(Semaphore::new(1)),
            small: Arc::new(Semaphore::new(small)),
            pool: Arc::default(),
        }
    }

    /// Takes a block more, if it is free. Whoever has the reserve has one part, to be sent.
    pub fn try_block(&self, held: &mut Held) -> Option<Block> {
        if held.reserve.is_some() {
            return None;
        }
        self.try_take(held, BLOCK).then(|| self.fetch())
    }

    /// Takes a block more, once it is free; see [`take`](Self::take).
    pub async fn block(&self, held: &mut Held) -> Block {
        self.take(held, BLOCK).await;
        self.fetch()
    }

    /// Takes a block more for a part that has to become large, waiting for it at most `patience`.
    /// One upload at a time waits, and has its turn until it gives back what it holds: many that
    /// wait, each with half of a large part, would get nowhere.
    pub async fn patient_block(&self, held: &mut Held, patience: Duration) -> Option<Block> {
        if held.reserve.is_some() {
            return None;
        }
        let closed = "the semaphores are never closed";
        let waiting = async {
            if held.turn.is_none() {
                let turn = Arc::clone(&self.turn).acquire_owned().await;
                held.turn = Some(turn.expect(closed));
            }
            let permit = Arc::clone(&self.free).acquire_many_owned(units(BLOCK));
            held.add(permit.await.expect(closed));
        };
        tokio::time::timeout(patience, waiting).await.ok()?;
        Some(self.fetch())
    }

    /// Takes what a small file of so many bytes needs on its way, once that is free.
    pub async fn small(&self, held: &mut Held, bytes: usize) {
        let permit = Arc::clone(&self.small).acquire_many_owned(units(bytes.max(1)));
        held.small = Some(permit.await.expect("the semaphores are never closed"));
    }

    fn fetch(&self) -> Block {
        let used = self.pool.lock().pop();
        Block {
            bytes: used.unwrap_or_else(|| Vec::with_capacity(BLOCK)),
            pool: Arc::clone(&self.pool),
        }
    }

    /// Takes `bytes` more if they are free; answers whether they were.
    fn try_take(&self, held: &mut Held, bytes: usize) -> bool {
        if held.reserve.is_some() {
            return true;
        }
        let permit = Arc::clone(&self.free).try_acquire_many_owned(units(bytes));
        permit.is_ok_and(|permit| {
            held.add(permit);
            true
        })
    }

    /// Takes `bytes` more, once they are free. All that is held until it is given back may be no
    /// more than [`PART`].
    pub async fn take(&self, held: &mut Held, bytes: usize) {
        if self.try_take(held, bytes) {
            return;
        }
        let closed = "the semaphores are never closed";
        tokio::select! {
            biased;
            permit = Arc::clone(&self.free).acquire_many_owned(units(bytes)) => {
                held.add(permit.expect(closed));
            }
            permit = Arc::clone(&self.reserve).acquire_owned() => {
                held.reserve = Some(permit.expect(closed));
            }
        }
    }
}

impl Held {
    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.free {
            Some(held) => held.merge(permit),
            None => self.free = Some(permit),
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: usize = PART / 8;

    #[tokio::test]
    async fn parts_that_fill_the_budget_do_not_wait_for_each_other() {
        let budget = Arc::new(Budget::new(Budget::LEAST));
        // Far more parts than there is room for, all begun before any is whole.
        let parts: Vec<_> = (0..50)
            .map(|_| {
                let budget = Arc::clone(&budget);
                tokio::spawn(async move {
                    let mut held = Held::default();
                    for _ in 0..PART / STEP {
                        budget.take(&mut held, STEP).await;
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for part in parts {
            part.await.unwrap();
        }
        let small = budget.small.available_permits();
        assert_eq!(budget.free.available_permits() + small, 2 * PART / BLOCK);
        assert_eq!(budget.reserve.available_permits(), 1);
    }

    #[tokio::test]
    async fn what_is_not_free_is_waited_for() {
        let budget = Budget::new(0);
        let (mut first, mut second, mut third) = Default::default();
        let free = budget.free.available_permits() * BLOCK;
        assert!(budget.try_take(&mut first, free));
        assert!(!budget.try_take(&mut second, 1));
        budget.take(&mut second, 1).await;
        assert!(second.reserve.is_some() && budget.try_take(&mut second, PART));
        assert!(budget.try_block(&mut second).is_none(), "it is to be sent");
        // Small files go past all that.
        let mut small = Held::default();
        budget.small(&mut small, BLOCK).await;
        {
            let waiting = budget.take(&mut third, 1);
            tokio::pin!(waiting);
            assert!(futures_util::poll!(&mut waiting).is_pending());
            drop(first);
            waiting.await;
        }
        assert!(third.free.is_some());
    }

    #[tokio::test]
    async fn one_at_a_time_waits_for_a_large_part() {
        const PATIENCE: Duration = Duration::from_millis(20);
        let budget = Budget::new(0);
        let (mut others, mut first, mut second) = Default::default();
        let free = budget.free.available_permits() * BLOCK;
        assert!(budget.try_take(&mut others, free));
        // Nothing is free.
        assert!(budget.patient_block(&mut first, PATIENCE).await.is_none());
        {
            let large = budget.patient_block(&mut first, PATIENCE);
            tokio::pin!(large);
            assert!(futures_util::poll!(&mut large).is_pending());
            drop(others);
            assert!(large.await.is_some());
        }
        // There is enough, and it is not the second one's turn until the first has sent.
        let refused = budget.patient_block(&mut second, PATIENCE).await;
        assert!(refused.is_none());
        assert!(budget.try_block(&mut second).is_some());
        drop(first);
        assert!(budget.patient_block(&mut second, PATIENCE).await.is_some());
        let mut sending = Held {
            reserve: Arc::clone(&budget.reserve).try_acquire_owned().ok(),
            ..Held::default()
        };
        let more = budget.patient_block(&mut sending, PATIENCE).await;
        assert!(more.is_none(), "it is to be sent");
    }
}
