//! What a copy has done so far: counted, drawn on a terminal, and said at the end.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::model::{Prefix, UploadId, plain};

/// How often a second the bar is drawn.
const RATE: u8 = 5;

/// What was done.
pub struct Tally {
    copied: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    renewed: AtomicU64,
    removed: AtomicU64,
    unchanged: AtomicU64,
    newer_there: AtomicU64,
    deleted_there: AtomicU64,
    only_there: AtomicU64,
    over: AtomicU64,
    went: AtomicU64,
    failed: AtomicU64,
    /// Bytes on their way as well, for the bar.
    moved: AtomicU64,
    bar: ProgressBar,
}

fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Ordering::Relaxed);
}

fn of(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Tally {
    pub fn new() -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(RATE),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(Prefix::COUNT as u64), target);
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3}% {msg} {elapsed}")
            .expect("the template is well formed");
        bar.set_style(style.progress_chars("=> "));
        Tally {
            copied: AtomicU64::default(),
            files: AtomicU64::default(),
            bytes: AtomicU64::default(),
            renewed: AtomicU64::default(),
            removed: AtomicU64::default(),
            unchanged: AtomicU64::default(),
            newer_there: AtomicU64::default(),
            deleted_there: AtomicU64::default(),
            only_there: AtomicU64::default(),
            over: AtomicU64::default(),
            went: AtomicU64::default(),
            failed: AtomicU64::default(),
            moved: AtomicU64::default(),
            bar,
        }
    }

    /// One more folder was listed: ids are random, so that each has as many as another.
    pub fn listed(&self) {
        self.bar.inc(1);
        self.draw();
    }

    /// An upload with so many files and bytes was copied.
    pub fn copied(&self, files: u64, bytes: u64) {
        add(&self.copied, 1);
        add(&self.files, files);
        add(&self.bytes, bytes);
        self.draw();
    }

    /// These bytes came from the first store.
    pub fn moved(&self, bytes: u64) {
        add(&self.moved, bytes);
        self.draw();
    }

    /// The second store had an earlier record.
    pub fn renewed(&self) {
        add(&self.renewed, 1);
    }

    /// The first store does not have it any more.
    pub fn removed(&self) {
        add(&self.removed, 1);
    }

    /// Both have the same.
    pub fn unchanged(&self) {
        add(&self.unchanged, 1);
    }

    /// The second store has a later record.
    pub fn newer_there(&self) {
        add(&self.newer_there, 1);
    }

    /// The second store has removed it.
    pub fn deleted_there(&self) {
        add(&self.deleted_there, 1);
    }

    /// The first store does not have it, and it was not to be removed.
    pub fn only_there(&self) {
        add(&self.only_there, 1);
    }

    /// It has expired, or all its downloads are used.
    pub fn over(&self) {
        add(&self.over, 1);
    }

    /// It was removed from the first store while it was copied.
    pub fn went(&self) {
        add(&self.went, 1);
    }

    /// Prints why an upload is not copied.
    pub fn failed(&self, id: &UploadId, why: &str) -> anyhow::Result<()> {
        add(&self.failed, 1);
        let line = format!("{id}: {why}");
        self.bar
            .suspend(|| writeln!(io::stdout(), "{}", plain(&line)))?;
        Ok(())
    }

    /// Whether some uploads were not copied.
    pub fn has_failures(&self) -> bool {
        of(&self.failed) > 0
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self) {
        if !self.bar.is_hidden() {
            let (copied, moved) = (of(&self.copied), BinaryBytes(of(&self.moved)));
            self.bar.set_message(format!("{copied} copied, {moved}"));
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} uploads copied ({} files, {} bytes), {} brought up to date, {} removed, {} were the same",
            of(&self.copied),
            of(&self.files),
            of(&self.bytes),
            of(&self.renewed),
            of(&self.removed),
            of(&self.unchanged),
        )?;
        for (count, what) in [
            (&self.newer_there, "newer in the second store, and left"),
            (&self.deleted_there, "deleted in the second store"),
            (
                &self.only_there,
                "only in the second store (--delete removes them)",
            ),
            (&self.over, "over"),
            (&self.went, "removed while they were copied"),
            (&self.failed, "not copied"),
        ] {
            match of(count) {
                0 => {}
                count => write!(f, "; {count} {what}")?,
            }
        }
        Ok(())
    }
}
