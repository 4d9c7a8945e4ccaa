//! The two ways of a stored file to its reader, and which of them costs less here.
//!
//! The kernel sends a file by itself, from the page cache and without a copy (sendfile(2)), or a
//! block of it is read and then written. Which costs less depends on the machine: on one sendfile
//! took 0.20 s of processor a GiB where reading and writing took 0.54, on another 0.52 against 0.43.
//! So both are timed while files are sent: the first blocks go in turns, and later one block in many
//! goes the other way.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

/// The first blocks go in turns of [`TURN`] each way.
const FIRST_BLOCKS: u32 = 16;
const TURN: u32 = 4;
/// Later one block of so many goes the way that is not chosen.
const PROBE_EVERY: u32 = 128;
/// A call that moves fewer bytes tells little.
const TELLING: usize = 64 * 1024;
/// Reading is chosen where sendfile costs so much more, in percent: sendfile needs no memory.
const DEARER_PERCENT: u64 = 110;
/// A call counts for at most so many times what such calls took before: it had to wait for a
/// processor.
const OUTLIER: u64 = 4;
/// The unit of a cost: nanoseconds for so many bytes.
const UNIT: u128 = 1 << 20;

/// Whether the kernel sends files by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sendfile {
    /// Where that costs less than reading and writing.
    Auto,
    /// Wherever it can.
    On,
    /// Never.
    Off,
}

/// The way of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The kernel sends it by itself.
    Send,
    /// It is read and written.
    Read,
}

impl Way {
    /// Both.
    pub const BOTH: [Way; 2] = [Way::Send, Way::Read];

    /// Its name for logs and counters.
    pub fn name(self) -> &'static str {
        match self {
            Way::Send => "sendfile",
            Way::Read => "read",
        }
    }
}

/// The cost of each way lately, and how many bytes have gone it. The numbers are estimates of
/// which none guards anything: calls of several threads may overwrite each other's.
#[derive(Debug)]
pub struct Ways {
    mode: Sendfile,
    /// Whether the kernel can send files of the store at all, as far as is known.
    usable: AtomicBool,
    /// How many blocks had their way chosen.
    chosen: AtomicU32,
    /// Whether reading cost less at the last look.
    reads: AtomicBool,
    sending: Cost,
    reading: Cost,
    writing: Cost,
    sent: AtomicU64,
    read: AtomicU64,
}

impl Ways {
    /// Nothing is known of their costs yet.
    pub fn new(mode: Sendfile) -> Self {
        Ways {
            mode,
            usable: AtomicBool::new(true),
            chosen: AtomicU32::new(0),
            reads: AtomicBool::new(false),
            sending: Cost::default(),
            reading: Cost::default(),
            writing: Cost::default(),
            sent: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }

    /// The way of the next block. Where memory to read into is `scarce`, it is the one that needs
    /// none.
    pub fn next(&self, scarce: bool) -> Way {
        if !self.usable.load(Ordering::Relaxed) {
            return Way::Read;
        }
        match self.mode {
            Sendfile::Off => return Way::Read,
            Sendfile::On => return Way::Send,
            Sendfile::Auto if scarce => return Way::Send,
            Sendfile::Auto => {}
        }
        let number = self.chosen.fetch_add(1, Ordering::Relaxed);
        let cheaper = self.cheaper();
        if number < FIRST_BLOCKS {
            return Way::BOTH[(number / TURN % 2) as usize];
        }
        match (cheaper, number.is_multiple_of(PROBE_EVERY)) {
            (Way::Send, false) | (Way::Read, true) => Way::Send,
            (Way::Read, false) | (Way::Send, true) => Way::Read,
        }
    }

    /// The way that costs less, as far as is known.
    fn cheaper(&self) -> Way {
        let costs = [&self.sending, &self.reading, &self.writing].map(Cost::get);
        let [Some(sending), Some(reading), Some(writing)] = costs else {
            return Way::Send;
        };
        let reads = sending * 100 > (reading + writing) * DEARER_PERCENT;
        let cheaper = if reads { Way::Read } else { Way::Send };
        if self.reads.swap(reads, Ordering::Relaxed) != reads {
            tracing::debug!(
                sendfile_ns_per_mib = sending,
                read_ns_per_mib = reading,
                write_ns_per_mib = writing,
                "downloads go by {}: it costs less",
                cheaper.name()
            );
        }
        cheaper
    }

    /// Whether a connection on which sendfile had to wait is to go the other way for a while.
    pub fn avoids_waits(&self) -> bool {
        self.mode == Sendfile::Auto
    }

    /// Notes that the kernel cannot send files of this store.
    pub fn give_up(&self, why: &dyn std::fmt::Display) {
        if self.usable.swap(false, Ordering::Relaxed) && self.mode != Sendfile::Off {
            tracing::info!(%why, "downloads are read and written: sendfile does not work here");
        }
    }

    /// Counts bytes that the kernel has sent in a call of this length.
    pub fn sent(&self, bytes: usize, took: Duration) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.sending.add(bytes, took);
    }

    /// Counts bytes that were read, in this time where they were in memory.
    pub fn read(&self, bytes: usize, took: Option<Duration>) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(took) = took {
            self.reading.add(bytes, took);
        }
    }

    /// Whether a write of so many bytes is to be [timed](Self::written).
    pub fn is_telling(bytes: usize) -> bool {
        bytes >= TELLING
    }

    /// Counts how long it took to write bytes that were read.
    pub fn written(&self, bytes: usize, took: Duration) {
        self.writing.add(bytes, took);
    }

    /// Bytes that have gone this way.
    pub fn bytes(&self, way: Way) -> u64 {
        let counter = match way {
            Way::Send => &self.sent,
            Way::Read => &self.read,
        };
        counter.load(Ordering::Relaxed)
    }
}

/// The time that calls of one kind took lately, in nanoseconds for each MiB; 0 as long as there was
/// none.
#[derive(Debug, Default)]
struct Cost(AtomicU64);

impl Cost {
    fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|cost| *cost > 0)
    }

    /// Adds a call. One that took less counts for more: a longer call is as often
    /// another process.
    fn add(&self, bytes: usize, took: Duration) {
        if bytes < TELLING {
            return;
        }
        let cost = took.as_nanos() * UNIT / bytes as u128;
        let cost = u64::try_from(cost).unwrap_or(u64::MAX).max(1);
        let next = match self.get() {
            None => cost,
            Some(before) if cost <= before => before - (before - cost) / 4,
            Some(before) => {
                before + (cost.min(before.saturating_mul(OUTLIER)) - before).div_ceil(16)
            }
        };
        self.0.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 256 * 1024;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// How many of `blocks` are sent, where calls take so many microseconds.
    fn sent_of(ways: &Ways, blocks: usize, send: u64, read: u64, write: u64) -> usize {
        let mut sent = 0;
        for _ in 0..blocks {
            match ways.next(false) {
                Way::Send => {
                    ways.sent(BLOCK, micros(send));
                    sent += 1;
                }
                Way::Read => {
                    ways.read(BLOCK, Some(micros(read)));
                    ways.written(BLOCK, micros(write));
                }
            }
        }
        sent
    }

    #[test]
    fn the_cheaper_way_is_taken_and_the_other_tried_now_and_then() {
        let ways = Ways::new(Sendfile::Auto);
        assert_eq!(sent_of(&ways, 16, 50, 60, 70), 8, "both in turns at first");
        let sent = sent_of(&ways, 1280, 50, 60, 70);
        assert_eq!(sent, 1280 - 10);
        // It becomes dear: a machine moves, a file system is another.
        let sent = sent_of(&ways, 12_800, 500, 60, 70);
        assert!(sent < 1000, "{sent}");
        // And cheap again.
        let sent = sent_of(&ways, 12_800, 50, 60, 70);
        assert!(sent > 10_000, "{sent}");
        assert_eq!(ways.bytes(Way::Send) % BLOCK as u64, 0);
    }

    #[test]
    fn calls_that_waited_for_a_processor_do_not_decide() {
        let ways = Ways::new(Sendfile::Auto);
        sent_of(&ways, 1000, 50, 60, 70);
        for _ in 0..3 {
            ways.sent(BLOCK, micros(20_000));
        }
        let sent = sent_of(&ways, 128, 50, 60, 70);
        assert_eq!(sent, 127);
    }

    #[test]
    fn a_way_that_is_set_is_taken_and_memory_that_is_scarce_not_used() {
        for (mode, way) in [(Sendfile::On, Way::Send), (Sendfile::Off, Way::Read)] {
            let ways = Ways::new(mode);
            assert!((0..1000).all(|_| ways.next(false) == way), "{mode:?}");
        }
        let ways = Ways::new(Sendfile::Auto);
        sent_of(&ways, 1000, 500, 60, 70);
        assert_eq!(ways.next(false), Way::Read);
        assert_eq!(ways.next(true), Way::Send);
        let ways = Ways::new(Sendfile::On);
        ways.give_up(&"not here");
        assert_eq!(ways.next(false), Way::Read);
    }

    #[test]
    fn calls_that_move_little_tell_nothing() {
        let ways = Ways::new(Sendfile::Auto);
        ways.sent(1000, micros(5000));
        ways.read(1000, Some(micros(5000)));
        assert_eq!((ways.sending.get(), ways.reading.get()), (None, None));
        assert_eq!(ways.bytes(Way::Send) + ways.bytes(Way::Read), 2000);
    }
}
