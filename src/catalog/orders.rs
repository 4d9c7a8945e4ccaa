//! The orders of names, as far as this process has given or seen them, so that an upload gets its
//! order without a request to another process.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::{FileName, Manifest, Timestamp};

/// How many names are remembered.
const MAX_NAMES: usize = 8 * 1024;
/// How often the log warns of a wrong clock.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The newest order of each name, never above the true one; two names of one hash share theirs.
pub struct Orders {
    hasher: RandomState,
    /// Guards the orders. A std mutex: held for a read or an insertion.
    state: Mutex<OrderState>,
}

struct OrderState {
    names: HashMap<u64, Timestamp>,
    /// No name that is not among `names` has an order above this.
    floor: Timestamp,
    /// When the log warned last of a wrong clock.
    warned_at: Option<Instant>,
}

impl Orders {
    /// No orders yet; no name has one above `floor`.
    pub fn new(floor: Timestamp) -> Self {
        let state = OrderState {
            names: HashMap::new(),
            floor,
            warned_at: None,
        };
        Orders {
            hasher: RandomState::new(),
            state: Mutex::new(state),
        }
    }

    /// The order of a new upload. `search` finds the newest order of names that are not remembered
    /// and may have one after the upload was created.
    pub fn of(
        &self,
        manifest: &Manifest,
        search: impl FnOnce(&[&FileName]) -> Option<Timestamp>,
    ) -> Timestamp {
        let at = manifest.created_at;
        let (mut newest, mut unknown) = (None, Vec::new());
        {
            let state = self.lock();
            for name in names(manifest) {
                match state.names.get(&self.hash(name)) {
                    Some(known) => newest = newest.max(Some(*known)),
                    None if state.floor >= at => unknown.push(name),
                    None => {}
                }
            }
        }
        if !unknown.is_empty() {
            newest = newest.max(search(&unknown));
        }
        let Some(newest) = newest else { return at };
        if Manifest::is_ahead(at, newest) {
            self.warn(at, newest);
        }
        Manifest::order_behind(at, newest)
    }

    /// Remembers that the names of an upload have its order.
    pub fn record(&self, manifest: &Manifest) {
        self.record_order(manifest, manifest.order());
    }

    /// Remembers that some of the names of an upload have this order.
    pub fn record_order(&self, manifest: &Manifest, order: Timestamp) {
        let mut state = self.lock();
        if order <= state.floor {
            return;
        }
        for name in names(manifest) {
            let known = state.names.entry(self.hash(name)).or_insert(order);
            *known = order.max(*known);
        }
        if state.names.len() > MAX_NAMES {
            state.shrink();
        }
    }

    /// Logs that a clock is or was wrong.
    fn warn(&self, at: Timestamp, newest: Timestamp) {
        let mut state = self.lock();
        if state
            .warned_at
            .is_some_and(|at| at.elapsed() < WARN_INTERVAL)
        {
            return;
        }
        state.warned_at = Some(Instant::now());
        drop(state);
        tracing::warn!(
            now = %at,
            newest = %newest,
            "the newest upload of a name is dated more than an hour from now: a clock is wrong, or was; until then the name gives that one"
        );
    }

    fn hash(&self, name: &FileName) -> u64 {
        self.hasher.hash_one(name.as_str())
    }

    fn lock(&self) -> MutexGuard<'_, OrderState> {
        // Nothing between a lock and its release can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrderState {
    /// Drops the older half.
    fn shrink(&mut self) {
        let mut orders: Vec<Timestamp> = self.names.values().copied().collect();
        let middle = orders.len() / 2;
        let (_, middle, _) = orders.select_nth_unstable(middle);
        let middle = *middle;
        self.floor = self.floor.max(middle);
        self.names.retain(|_, order| *order > middle);
    }
}

/// The names of an upload's files.
fn names(manifest: &Manifest) -> impl Iterator<Item = &FileName> {
    manifest.files().map(|(_, file)| &file.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::conformance::manifest;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_newest_of_a_name_stays_the_newest_whatever_the_clock_says() {
        let orders = Orders::new(at(0));
        let never = |_: &[&FileName]| -> Option<Timestamp> { panic!("it is known") };
        let give = |millis, names: &[&str]| {
            let mut upload = manifest(millis, names);
            upload.follow(orders.of(&upload, never));
            orders.record(&upload);
            upload.order().as_millis()
        };
        const NOW: i64 = 10_000_000;
        assert_eq!(give(NOW, &["a", "b"]), NOW);
        assert_eq!(give(NOW, &["a"]), NOW + 1, "in the same millisecond");
        assert_eq!(give(NOW, &["c"]), NOW, "another name");
        assert_eq!(give(NOW - 1000, &["a"]), NOW + 2, "a clock behind");
        assert_eq!(give(NOW - 1000, &["b", "d"]), NOW + 1);
        const HOUR: i64 = 3_600_000;
        assert_eq!(
            give(NOW - 2 * HOUR, &["a"]),
            NOW - HOUR,
            "as far as it goes"
        );
        assert_eq!(give(NOW + 3, &["a"]), NOW + 3);
    }

    #[test]
    fn an_order_that_was_dropped_is_searched_where_it_matters() {
        let orders = Orders::new(at(0));
        for millis in 1..=MAX_NAMES as i64 + 1 {
            orders.record(&manifest(millis, &[&millis.to_string()]));
        }
        let search = |names: &[&FileName]| (names.len() == 1).then_some(at(7));
        let order = |millis| orders.of(&manifest(millis, &["1"]), search);
        assert_eq!(order(5), at(8));
        let late = MAX_NAMES as i64;
        assert_eq!(order(late), at(late), "every dropped order is older");
        let kept = manifest(5, &[&late.to_string()]);
        assert_eq!(orders.of(&kept, |_| panic!("it is kept")), at(late + 1));
    }
}
