//! The check of a large index that was closed cleanly: whether all of it can still be read.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::SharedIndex;
use super::tables::Snapshot;

/// Reads all of the index on a thread of its own. A damaged index cannot be rebuilt while it is
/// used: it answers with an error, is not marked as clean at the end, and the next start rebuilds
/// it.
pub fn start(shared: Arc<SharedIndex>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("catalog-check".to_owned());
    thread.spawn(move || check(&shared)).map(drop)
}

fn check(shared: &SharedIndex) {
    let closing = || shared.closing.load(Ordering::Acquire);
    // On a damaged file redb can panic.
    let walked = catch_unwind(AssertUnwindSafe(|| {
        Snapshot::of(&shared.database)?.count(closing)
    }));
    let why = match walked {
        Ok(Ok(_)) => return shared.in_memory.walked(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it is damaged".to_owned(),
    };
    tracing::error!(why, "the index is damaged; restart to rebuild it");
    shared.lock().broken = Some(format!("it is damaged: {why}"));
    shared.written.notify_waiters();
}
