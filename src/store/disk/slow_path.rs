//! Decides whether an operation runs inline or on a blocking thread, by how slow it was lately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the slow path is active after one slow run; each further one doubles it. One slow run
/// alone is as often a thread that had to wait for a processor.
const FIRST_PERIOD: Duration = Duration::from_millis(16);
/// The longest.
const MAX_PERIOD: Duration = Duration::from_secs(1);

/// Whether an operation that is fastest inline is to take its slow path: a blocking thread for
/// one that waited for the disk, an `fsync` of each file for a `syncfs` that took long.
#[derive(Debug)]
pub struct SlowPath {
    /// An operation that takes longer than this was slow.
    limit: Duration,
    start: Instant,
    /// Until when the slow path is active, in milliseconds since `start`.
    until: AtomicU64,
    /// For how long it will be active next, in milliseconds.
    next: AtomicU64,
}

impl SlowPath {
    /// Not active yet; an operation that takes longer than `limit` activates it.
    pub fn new(limit: Duration) -> Self {
        SlowPath {
            limit,
            start: Instant::now(),
            until: AtomicU64::new(0),
            next: AtomicU64::new(millis(FIRST_PERIOD)),
        }
    }

    /// Whether operations are to take it now.
    pub fn is_active(&self) -> bool {
        millis(self.start.elapsed()) < self.until.load(Ordering::Relaxed)
    }

    /// Times an operation of several steps.
    pub fn timed(&self) -> Timed<'_> {
        Timed {
            path: self,
            took: Some(Duration::ZERO),
        }
    }

    /// Records how long an operation took inline.
    pub fn record(&self, took: Duration) {
        let next = self.next.load(Ordering::Relaxed);
        if took > self.limit {
            let until = millis(self.start.elapsed()) + next;
            self.until.store(until, Ordering::Relaxed);
            let doubled = (2 * next).min(millis(MAX_PERIOD));
            self.next.store(doubled, Ordering::Relaxed);
        } else if next != millis(FIRST_PERIOD) {
            self.next.store(millis(FIRST_PERIOD), Ordering::Relaxed);
        }
    }
}

/// An operation of several steps, recorded once: as soon as it is slow, else when this is dropped.
pub struct Timed<'a> {
    path: &'a SlowPath,
    /// How long it took so far; `None` once it is recorded.
    took: Option<Duration>,
}

impl Timed<'_> {
    /// Runs one step.
    pub fn run<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = step();
        self.took = self.took.map(|took| took + start.elapsed());
        if let Some(took) = self.took.take_if(|took| *took > self.path.limit) {
            self.path.record(took);
        }
        result
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        if let Some(took) = self.took {
            self.path.record(took);
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_is_slow_again_and_again_stays_off_for_longer() {
        let (slow, quick) = (Duration::from_secs(3600), Duration::from_millis(1));
        let path = SlowPath::new(Duration::from_millis(5));
        assert!(!path.is_active());
        path.record(quick);
        assert!(!path.is_active());
        for _ in 0..10 {
            path.record(slow);
            assert!(path.is_active());
        }
        assert_eq!(path.next.load(Ordering::Relaxed), millis(MAX_PERIOD));
        path.record(quick);
        assert_eq!(path.next.load(Ordering::Relaxed), millis(FIRST_PERIOD));
    }

    #[test]
    fn a_quick_step_does_not_hide_a_slow_one() {
        let path = SlowPath::new(Duration::ZERO);
        for times in 1..=3 {
            let mut timed = path.timed();
            timed.run(|| std::thread::sleep(Duration::from_millis(1)));
            assert!(path.is_active(), "it is recorded at once");
            timed.run(|| ());
            drop(timed);
            let next = path.next.load(Ordering::Relaxed);
            assert_eq!(next, millis(FIRST_PERIOD) << times);
        }
    }
}
