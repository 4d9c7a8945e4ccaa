//! When to leave a way that is the fastest as a rule.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a way is left after it was slow once; each further time doubles it. One slow time
/// alone is as often a thread that had to wait for a processor.
const FIRST: Duration = Duration::from_millis(16);
/// The longest.
const LONGEST: Duration = Duration::from_secs(1);

/// Remembers whether a way was slow lately, and for how long another one is taken.
#[derive(Debug)]
pub struct Detour {
    slow: Duration,
    start: Instant,
    /// Until when the other way is taken, in milliseconds since `start`.
    until: AtomicU64,
    /// For how long it will be next, in milliseconds.
    next: AtomicU64,
}

impl Detour {
    /// None yet; what takes longer than `slow` begins one.
    pub fn new(slow: Duration) -> Self {
        Detour {
            slow,
            start: Instant::now(),
            until: AtomicU64::new(0),
            next: AtomicU64::new(millis(FIRST)),
        }
    }

    /// Whether the other way is to be taken now.
    pub fn is_on(&self) -> bool {
        millis(self.start.elapsed()) < self.until.load(Ordering::Relaxed)
    }

    /// A way in several stretches.
    pub fn trip(&self) -> Trip<'_> {
        Trip {
            detour: self,
            took: Some(Duration::ZERO),
        }
    }

    /// Says how long the way took this time.
    pub fn judge(&self, took: Duration) {
        let next = self.next.load(Ordering::Relaxed);
        if took > self.slow {
            let until = millis(self.start.elapsed()) + next;
            self.until.store(until, Ordering::Relaxed);
            let doubled = (2 * next).min(millis(LONGEST));
            self.next.store(doubled, Ordering::Relaxed);
        } else if next != millis(FIRST) {
            self.next.store(millis(FIRST), Ordering::Relaxed);
        }
    }
}

/// A way in several stretches, judged as one: at once when it has become slow, else at its end.
pub struct Trip<'a> {
    detour: &'a Detour,
    /// How long it took so far; `None` once it is judged.
    took: Option<Duration>,
}

impl Trip<'_> {
    /// Goes one stretch.
    pub fn go<T>(&mut self, stretch: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = stretch();
        self.took = self.took.map(|took| took + start.elapsed());
        if let Some(took) = self.took.take_if(|took| *took > self.detour.slow) {
            self.detour.judge(took);
        }
        result
    }
}

impl Drop for Trip<'_> {
    fn drop(&mut self) {
        if let Some(took) = self.took {
            self.detour.judge(took);
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
    fn what_is_slow_again_and_again_is_left_for_longer() {
        let (slow, quick) = (Duration::from_secs(3600), Duration::from_millis(1));
        let detour = Detour::new(Duration::from_millis(5));
        assert!(!detour.is_on());
        detour.judge(quick);
        assert!(!detour.is_on());
        for _ in 0..10 {
            detour.judge(slow);
            assert!(detour.is_on());
        }
        assert_eq!(detour.next.load(Ordering::Relaxed), millis(LONGEST));
        detour.judge(quick);
        assert_eq!(detour.next.load(Ordering::Relaxed), millis(FIRST));
    }

    #[test]
    fn a_quick_stretch_does_not_hide_a_slow_one() {
        let detour = Detour::new(Duration::ZERO);
        for times in 1..=3 {
            let mut trip = detour.trip();
            trip.go(|| std::thread::sleep(Duration::from_millis(1)));
            assert!(detour.is_on(), "it is judged at once");
            trip.go(|| ());
            drop(trip);
            let next = detour.next.load(Ordering::Relaxed);
            assert_eq!(next, millis(FIRST) << times);
        }
    }
}
