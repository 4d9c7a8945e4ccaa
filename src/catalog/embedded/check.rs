//! Whether a large index that was closed cleanly is as it was.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::tables::Snapshot;

/// Walks through all of it on a thread of its own. What is damaged cannot be mended under those
/// who ask: the index says so, is not marked as whole at the end, and the next start begins it
/// anew.
pub fn start(shared: Arc<Shared>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("catalog-check".to_owned());
    thread.spawn(move || check(&shared)).map(drop)
}

fn check(shared: &Shared) {
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
