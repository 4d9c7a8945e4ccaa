//! How long requests to Redis and to a bucket take, and how many fail. They are counted by atomic
//! additions: a request takes no lock for it, and the counters cost nothing until they are read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The bounds of the buckets, in seconds: Redis answers in less than a millisecond, a bucket in some
/// ten, and a part of a large file takes seconds.
pub const BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];
/// The most operations of one backend.
const MOST: usize = 10;

/// The commands to Redis. All but the last are names of Redis.
pub static REDIS: Backend =
    Backend::new(&["eval", "get", "hget", "hmget", "set", "zrange", "other"]);
/// The requests to a bucket.
pub static S3: Backend = Backend::new(&[
    "get", "head", "list", "put", "begin", "part", "complete", "abort", "delete", "other",
]);

/// The requests to one backend, by operation.
#[derive(Debug)]
pub struct Backend {
    names: &'static [&'static str],
    counted: [Counted; MOST],
}

/// The requests of one operation.
#[derive(Debug)]
struct Counted {
    /// By the bucket that they fall into; the last one is above all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
    failed: AtomicU64,
}

/// The counts of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The operation.
    pub operation: &'static str,
    /// How many ended within each of [`BOUNDS`] and above the one before, then those above all.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// How long all of them took.
    pub time: Duration,
    /// How many failed, or were given up.
    pub failed: u64,
}

impl Backend {
    const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= MOST, "the operations have their places");
        Backend {
            names,
            counted: [const { Counted::new() }; MOST],
        }
    }

    /// Begins a request of this operation, which is one of the backend's or else `other`.
    pub fn begin(&'static self, operation: &str) -> Timed {
        let last = self.names.len() - 1;
        let found = self.names.iter().position(|name| *name == operation);
        Timed {
            counted: &self.counted[found.unwrap_or(last)],
            begun: Instant::now(),
            failed: true,
        }
    }

    /// The counts of the operations that there were.
    pub fn seen(&self) -> Vec<Seen> {
        let named = self.names.iter().zip(&self.counted);
        let seen = named.map(|(operation, counted)| Seen {
            operation,
            buckets: std::array::from_fn(|at| counted.buckets[at].load(Ordering::Relaxed)),
            time: Duration::from_nanos(counted.nanos.load(Ordering::Relaxed)),
            failed: counted.failed.load(Ordering::Relaxed),
        });
        seen.filter(|seen| seen.buckets.iter().any(|count| *count > 0))
            .collect()
    }
}

impl Counted {
    const fn new() -> Self {
        Counted {
            buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1],
            nanos: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn add(&self, time: Duration, failed: bool) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        let bucket = &self.buckets[bucket.unwrap_or(BOUNDS.len())];
        bucket.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request under way. One that is dropped before its end was given up, and counts as failed.
#[derive(Debug)]
pub struct Timed {
    counted: &'static Counted,
    begun: Instant,
    failed: bool,
}

impl Timed {
    /// The answer is there.
    pub fn end(mut self, failed: bool) {
        self.failed = failed;
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.counted.add(self.begun.elapsed(), self.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_fall_into_their_buckets_and_those_given_up_have_failed() {
        static BACKEND: Backend = Backend::new(&["get", "other"]);
        assert_eq!(BACKEND.seen(), []);
        BACKEND.counted[0].add(Duration::from_micros(500), false);
        BACKEND.counted[0].add(Duration::from_micros(501), true);
        BACKEND.counted[0].add(Duration::from_secs(31), false);
        BACKEND.begin("unknown").end(false);
        drop(BACKEND.begin("unknown"));
        let seen = BACKEND.seen();
        assert_eq!((seen[0].operation, seen[1].operation), ("get", "other"));
        let mut buckets = [0; BOUNDS.len() + 1];
        (buckets[0], buckets[1], buckets[BOUNDS.len()]) = (1, 1, 1);
        assert_eq!((seen[0].buckets, seen[0].failed), (buckets, 1));
        assert_eq!(seen[0].time, Duration::from_micros(31_001_001));
        assert_eq!(seen[1].buckets.iter().sum::<u64>(), 2);
        assert_eq!(seen[1].failed, 1);
    }
}
