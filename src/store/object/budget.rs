//! The memory that all uploads to a bucket share.

mod shares;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::parts::PART;
use crate::buffers::{Buffer, Pool};
use shares::{Share, Shares};

/// The size of a buffer and the unit of the budget, in bytes: a slow client holds no more than this
/// beyond the bytes it has sent.
pub const BLOCK: usize = 64 * 1024;

/// The bytes that all uploads of the process together may hold for their parts.
///
/// An upload takes blocks as its bytes come, so that slow clients hold no more than they have
/// sent. The blocks go to few parts at a time: a part that was begun comes before one that was
/// not, and a new one begins only while those that were begun leave room for all of it (see
/// [`Shares`]). Where slow clients hold everything, one whole part is kept in reserve.
#[derive(Debug)]
pub struct Budget {
    shares: Arc<Shares>,
    /// The turn to wait for a large part.
    turn: Arc<Semaphore>,
    /// For whole small files, which are in memory already: they wait for the store alone, and never
    /// for the blocks of slow clients.
    small: Arc<Semaphore>,
    /// The process keeps the buffers: given back to the allocator and taken again all the time, they
    /// would come to far more than the budget.
    pool: Arc<Pool>,
}

/// A part's share of the budget; dropped, it is given back.
#[derive(Debug, Default)]
pub struct Permits {
    share: Option<Share>,
    turn: Option<OwnedSemaphorePermit>,
    small: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// Says that the part is whole: it takes no more.
    pub fn whole(&mut self) {
        if let Some(share) = &self.share {
            share.whole();
        }
    }
}

impl Budget {
    /// The least with which two parts can be under way.
    pub const LEAST: u64 = 3 * PART as u64;

    /// A budget of so many bytes, at least [`LEAST`](Self::LEAST).
    pub fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes.max(Self::LEAST)).unwrap_or(usize::MAX);
        let all = ((bytes - PART) / BLOCK).min(Semaphore::MAX_PERMITS);
        let small = all / 16;
        Budget {
            shares: Shares::new(all - small, PART / BLOCK),
            turn: Arc::new(Semaphore::new(1)),
            small: Arc::new(Semaphore::new(small)),
            pool: Pool::new(BLOCK, bytes / BLOCK),
        }
    }

    /// Takes a block more, if it is free and no other part that was begun needs it. A part that
    /// has the reserve is to be sent.
    pub fn try_block(&self, permits: &mut Permits) -> Option<Buffer> {
        let share = permits
            .share
            .get_or_insert_with(|| Share::new(&self.shares));
        share.try_take().then(|| self.pool.take_empty())
    }

    /// Takes a block more, once there is one for this part. All that is held until it is given
    /// back may be no more than [`PART`].
    pub async fn block(&self, permits: &mut Permits) -> Buffer {
        let share = permits
            .share
            .get_or_insert_with(|| Share::new(&self.shares));
        share.take().await;
        self.pool.take_empty()
    }

    /// Takes a block more for a part that has to become large, waiting for it at most `limit`.
    /// One upload at a time waits, and has its turn until it gives its blocks back: many that
    /// wait, each with half of a large part, would get nowhere.
    pub async fn block_within(&self, permits: &mut Permits, limit: Duration) -> Option<Buffer> {
        let share = permits
            .share
            .get_or_insert_with(|| Share::new(&self.shares));
        if share.has_reserve() {
            return None;
        }
        let turn = &mut permits.turn;
        let waiting = async {
            if turn.is_none() {
                let permit = Arc::clone(&self.turn).acquire_owned().await;
                *turn = Some(permit.expect("the semaphores are never closed"));
            }
            share.take_free().await;
        };
        tokio::time::timeout(limit, waiting).await.ok()?;
        Some(self.pool.take_empty())
    }

    /// Takes the permits of a small file of so many bytes, once they are free.
    pub async fn small(&self, permits: &mut Permits, bytes: usize) {
        let blocks = u32::try_from(bytes.max(1).div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.small).acquire_many_owned(blocks);
        permits.small = Some(permit.await.expect("the semaphores are never closed"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const BLOCKS: usize = PART / BLOCK;

    /// Takes all blocks of a part.
    async fn fill(budget: &Budget, permits: &mut Permits) {
        for _ in 0..BLOCKS {
            budget.block(permits).await;
            tokio::task::yield_now().await;
        }
        permits.whole();
    }

    #[tokio::test(start_paused = true)]
    async fn parts_that_fill_the_budget_do_not_wait_for_each_other() {
        let budget = Arc::new(Budget::new(Budget::LEAST));
        let parts: Vec<_> = (0..50)
            .map(|_| {
                let budget = Arc::clone(&budget);
                tokio::spawn(async move { fill(&budget, &mut Permits::default()).await })
            })
            .collect();
        for part in parts {
            part.await.unwrap();
        }
        let small = budget.small.available_permits();
        assert_eq!(budget.shares.free() + small, 2 * BLOCKS);
        assert!(budget.shares.has_reserve());
    }

    /// The store takes a second for a part. However many uploads want to send, as many parts are
    /// under way as there is memory for.
    #[tokio::test(start_paused = true)]
    async fn memory_goes_to_whole_parts_however_many_upload() {
        // 24 parts, of which one is in reserve, and a little more than one for small files.
        const PARTS: usize = 24;
        const SENT: usize = 2000;
        let mut best = Duration::MAX;
        for uploads in [10, 20, 40, 100, 1000] {
            let budget = Arc::new(Budget::new((PARTS * PART) as u64));
            let left = Arc::new(AtomicUsize::new(SENT));
            let begun = tokio::time::Instant::now();
            let clients: Vec<_> = (0..uploads)
                .map(|_| {
                    let (budget, left) = (Arc::clone(&budget), Arc::clone(&left));
                    tokio::spawn(async move {
                        let mut parts = tokio::task::JoinSet::new();
                        let mut sent = 0;
                        let down = |left: usize| left.checked_sub(1);
                        while left
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, down)
                            .is_ok()
                        {
                            let mut permits = Permits::default();
                            fill(&budget, &mut permits).await;
                            parts.spawn(async move {
                                tokio::time::sleep(Duration::from_secs(1)).await;
                                drop(permits);
                            });
                            sent += 1;
                            while parts.len() >= 4 {
                                parts.join_next().await;
                            }
                        }
                        parts.join_all().await;
                        sent
                    })
                })
                .collect();
            let mut each = Vec::new();
            for client in clients {
                each.push(client.await.unwrap());
            }
            let took = begun.elapsed();
            best = best.min(took);
            let (least, most) = (each.iter().min().unwrap(), each.iter().max().unwrap());
            println!("{uploads} uploads: {took:?}, {least} to {most} parts each");
            assert!(
                took.as_secs_f64() <= best.as_secs_f64() / 0.9,
                "{uploads}: {took:?}"
            );
            let fair = SENT / uploads;
            assert!(
                *least + 4 >= fair / 2 && *most <= 2 * fair + 6,
                "{least} to {most}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_clients_hold_what_they_have_sent() {
        let budget = Budget::new(24 * PART as u64);
        // Far more than there are parts, each with a little, and none goes on.
        let mut slow: Vec<Permits> = (0..400).map(|_| Permits::default()).collect();
        for permits in &mut slow {
            budget.block(permits).await;
        }
        // One that is fast is not kept from sending part after part.
        for _ in 0..50 {
            fill(&budget, &mut Permits::default()).await;
        }
        // Where they hold everything, one goes on in the reserve.
        for permits in &mut slow {
            while budget.try_block(permits).is_some() {}
        }
        assert_eq!(budget.shares.free(), 0);
        for _ in 0..3 {
            fill(&budget, &mut Permits::default()).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_is_given_up_gives_everything_back() {
        let budget = Arc::new(Budget::new(0));
        let all = budget.shares.free();
        let mut parts = Vec::new();
        for _ in 0..20 {
            let budget = Arc::clone(&budget);
            parts.push(tokio::spawn(async move {
                let mut permits = Permits::default();
                fill(&budget, &mut permits).await;
                std::future::pending::<()>().await;
            }));
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        // Some are whole, some wait in the middle, some have not begun.
        for part in parts {
            part.abort();
            let _ = part.await;
        }
        assert_eq!(budget.shares.free(), all);
        assert!(budget.shares.has_reserve());
    }

    #[tokio::test(start_paused = true)]
    async fn small_files_go_past_all_that() {
        let budget = Budget::new(0);
        let (mut first, mut second) = (Permits::default(), Permits::default());
        fill(&budget, &mut first).await;
        while budget.try_block(&mut first).is_some() {}
        fill(&budget, &mut second).await;
        assert!(!budget.shares.has_reserve());
        budget.small(&mut Permits::default(), BLOCK).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_waits_for_a_large_part() {
        const LIMIT: Duration = Duration::from_millis(20);
        let budget = Budget::new(0);
        let (mut others, mut first, mut second) = Default::default();
        while budget.try_block(&mut others).is_some() {}
        assert_eq!(budget.shares.free(), 0);
        assert!(budget.block_within(&mut first, LIMIT).await.is_none());
        {
            let large = budget.block_within(&mut first, LIMIT);
            tokio::pin!(large);
            assert!(futures_util::poll!(&mut large).is_pending());
            drop(others);
            assert!(large.await.is_some());
        }
        // There is enough, and it is not the second one's turn until the first has sent.
        let refused = budget.block_within(&mut second, LIMIT).await;
        assert!(refused.is_none());
        drop(first);
        assert!(budget.block_within(&mut second, LIMIT).await.is_some());
    }
}
