//! Which part gets the next block of memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Blocks that a part is expected to take in this time are kept for it. It is about as long as a
/// store takes for a part.
const LOOKAHEAD: Duration = Duration::from_secs(4);
/// How long the speed of a client counts as unknown; meanwhile all of its part is kept for it.
const SPEED_UNKNOWN_FOR: Duration = Duration::from_millis(250);
/// How often a part that has not begun looks whether it may begin: no event tells that another
/// client has become slow.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The blocks, and the parts that share them.
///
/// Blocks in the order of asking would go to more parts than can become whole: all memory would lie
/// in parts that wait for each other, and one at a time would go on in the reserve. So
/// - parts that were begun get free blocks before others, the oldest first;
/// - a part begins only if there is room for all of it beside what those that were begun will
///   take in the near future, by the speed of their clients so far: slow clients keep none from it;
/// - a part that waits for its first block waits behind those that came before it, so that uploads
///   take turns; where not even one part is free, it may have the reserve.
#[derive(Debug)]
pub struct Shares {
    /// Guards the parts and the free blocks. A std mutex: held for a walk over the parts, and for no
    /// await; a part is woken after its state was changed.
    state: Mutex<SharesState>,
    /// The blocks of a part.
    part: usize,
}

#[derive(Debug)]
struct SharesState {
    /// Blocks that no part has.
    free: usize,
    /// Whether room for one whole part is in reserve, which counts apart.
    reserve: bool,
    /// By the order in which they came.
    parts: BTreeMap<u64, PartState>,
    next: u64,
    /// The first of those that wait for their first block: it looks for all, for time alone can
    /// make room.
    first: Option<u64>,
}

/// A part, from its first wish to its end.
#[derive(Debug)]
struct PartState {
    blocks: usize,
    /// Whether it was given the reserve.
    reserve: bool,
    /// When it was given its first block.
    begun: Option<Instant>,
    /// Whether it takes no more.
    whole: bool,
    waits: Option<Waits>,
    wake: Arc<Notify>,
}

/// Why a part waits.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Waits {
    /// A block, or the reserve.
    Any,
    /// A block beyond those that a part must have.
    Free,
}

/// The blocks of one part.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    number: u64,
}

impl Shares {
    /// Shares of so many blocks, with room for one more part in reserve.
    pub fn new(blocks: usize, part: usize) -> Arc<Self> {
        let state = SharesState {
            free: blocks,
            reserve: true,
            parts: BTreeMap::new(),
            next: 0,
            first: None,
        };
        Arc::new(Shares {
            state: Mutex::new(state),
            part,
        })
    }

    fn lock(&self) -> MutexGuard<'_, SharesState> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks that no part has.
    #[cfg(test)]
    pub fn free(&self) -> usize {
        self.lock().free
    }

    /// Whether no part has the reserve.
    #[cfg(test)]
    pub fn has_reserve(&self) -> bool {
        self.lock().reserve
    }
}

impl SharesState {
    /// Gives free blocks to the parts that wait.
    fn settle(&mut self, part: usize) {
        let SharesState {
            free,
            reserve,
            parts,
            first,
            ..
        } = self;
        let waiting = |entry: &&mut PartState| entry.waits.is_some() && entry.begun.is_some();
        let needs = |entry: &&mut PartState| entry.blocks < part && !entry.reserve;
        for entry in parts.values_mut().filter(waiting).filter(needs) {
            if !entry.grant(free, reserve) {
                return;
            }
        }
        for entry in parts.values_mut().filter(waiting) {
            if !entry.grant(free, reserve) {
                return;
            }
        }
        let mut kept = kept(parts, part);
        let queued =
            |(_, entry): &(&u64, &mut PartState)| entry.waits.is_some() && entry.begun.is_none();
        for (number, entry) in parts.iter_mut().filter(queued) {
            // The reserve is for parts that find all other blocks held by slow clients.
            let (mut none, mut blocks) = (0, *free);
            let free_for_it = if *free >= kept + part {
                &mut blocks
            } else {
                &mut none
            };
            let may_have = *free_for_it > 0 || *free < part;
            if !may_have || !entry.grant(free_for_it, reserve) {
                if first.replace(*number) != Some(*number) {
                    entry.wake.notify_one();
                }
                return;
            }
            if !entry.reserve {
                *free -= 1;
                kept += part - entry.blocks;
            }
        }
        *first = None;
    }
}

/// Blocks that the parts which were begun will take in the near future.
fn kept(parts: &BTreeMap<u64, PartState>, part: usize) -> usize {
    let now = Instant::now();
    parts.values().map(|entry| entry.expected(now, part)).sum()
}

impl PartState {
    /// Gives a block, or the reserve, to a part that waits; answers whether there was one.
    fn grant(&mut self, free: &mut usize, reserve: &mut bool) -> bool {
        if *free > 0 {
            *free -= 1;
            self.blocks += 1;
        } else if *reserve && self.waits == Some(Waits::Any) {
            *reserve = false;
            self.reserve = true;
        } else {
            return false;
        }
        self.waits = None;
        self.begun.get_or_insert_with(Instant::now);
        self.wake.notify_one();
        true
    }

    /// How many blocks it will take in the near future.
    fn expected(&self, now: Instant, part: usize) -> usize {
        let Some(begun) = self.begun.filter(|_| !self.whole && !self.reserve) else {
            return 0;
        };
        let left = part.saturating_sub(self.blocks);
        let age = now.duration_since(begun);
        if age < SPEED_UNKNOWN_FOR {
            return left;
        }
        let taken = self.blocks as u128 * LOOKAHEAD.as_millis() / age.as_millis().max(1);
        left.min(usize::try_from(taken).unwrap_or(usize::MAX))
    }
}

impl Share {
    /// The share of a part that has no block yet.
    pub fn new(shares: &Arc<Shares>) -> Self {
        let mut state = shares.lock();
        let number = state.next;
        state.next += 1;
        let entry = PartState {
            blocks: 0,
            reserve: false,
            begun: None,
            whole: false,
            waits: None,
            wake: Arc::default(),
        };
        state.parts.insert(number, entry);
        drop(state);
        Share {
            shares: Arc::clone(shares),
            number,
        }
    }

    /// Changes the state of the part, and gives free blocks to the parts that wait.
    fn with<T>(&self, change: impl FnOnce(&mut PartState) -> T) -> T {
        let mut state = self.shares.lock();
        let entry = state.parts.get_mut(&self.number);
        let result = change(entry.expect("it is there as long as the share is"));
        state.settle(self.shares.part);
        result
    }

    /// Whether it was given the reserve.
    pub fn has_reserve(&self) -> bool {
        self.shares.lock().parts[&self.number].reserve
    }

    /// Says that the part takes no more.
    pub fn whole(&self) {
        self.with(|entry| entry.whole = true);
    }

    /// Takes a block if it can be had at once; none where it has the reserve.
    pub fn try_take(&self) -> bool {
        let part = self.shares.part;
        let mut state = self.shares.lock();
        let entry = &state.parts[&self.number];
        if entry.reserve || state.free == 0 {
            return false;
        }
        // Blocks that others need to become whole are not for a part that is large enough.
        let may_begin = entry.begun.is_some() || state.free >= kept(&state.parts, part) + part;
        let beyond = entry.blocks >= part && state.free <= kept(&state.parts, part);
        if !may_begin || beyond {
            return false;
        }
        let SharesState {
            free,
            reserve,
            parts,
            ..
        } = &mut *state;
        let entry = parts.get_mut(&self.number);
        let entry = entry.expect("it is there as long as the share is");
        entry.grant(free, reserve)
    }

    /// Takes a block, once there is one for it, or the reserve, with which it needs no more.
    pub async fn take(&self) {
        if !self.has_reserve() && !self.try_fill() {
            self.wait(Waits::Any).await;
        }
    }

    /// Takes a block, once there is one for it.
    pub async fn take_free(&self) {
        self.wait(Waits::Free).await;
    }

    /// Takes a free block for a part that was begun: where one is free, none of those waits.
    fn try_fill(&self) -> bool {
        let mut state = self.shares.lock();
        let SharesState {
            free,
            reserve,
            parts,
            ..
        } = &mut *state;
        let entry = parts.get_mut(&self.number);
        let entry = entry.expect("it is there as long as the share is");
        *free > 0 && entry.begun.is_some() && entry.grant(free, reserve)
    }

    async fn wait(&self, waits: Waits) {
        let wake = self.with(|entry| {
            entry.waits = Some(waits);
            Arc::clone(&entry.wake)
        });
        // A wait that is dropped ends; the share keeps the blocks it was given until it is dropped.
        let _waiting = WaitGuard(self);
        loop {
            let (waits, first) = {
                let state = self.shares.lock();
                let waits = state.parts[&self.number].waits.is_some();
                (waits, state.first == Some(self.number))
            };
            match (waits, first) {
                (false, _) => return,
                (true, false) => wake.notified().await,
                (true, true) => {
                    if tokio::time::timeout(POLL_INTERVAL, wake.notified())
                        .await
                        .is_err()
                    {
                        self.with(|_| ());
                    }
                }
            }
        }
    }
}

/// A share that waits.
struct WaitGuard<'a>(&'a Share);

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.with(|entry| entry.waits = None);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.shares.lock();
        if let Some(entry) = state.parts.remove(&self.number) {
            state.free += entry.blocks;
            state.reserve |= entry.reserve;
        }
        state.settle(self.shares.part);
    }
}
