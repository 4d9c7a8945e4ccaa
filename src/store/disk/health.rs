//! Whether uploads can be stored, as far as the last ones have shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::{Prefix, Uptime};

/// How often a store that could not be written to is probed, while readiness is asked for.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The trouble that keeps uploads from being stored, from the upload that met it to the next one
/// that succeeds.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether there is trouble: the only field that an upload reads.
    troubled: AtomicBool,
    /// Guards the trouble. A std mutex: held to read or set it.
    trouble: Mutex<Option<Trouble>>,
    /// Whether the store is being probed.
    probing: AtomicBool,
}

#[derive(Debug)]
struct Trouble {
    why: String,
    /// The folder that could not be written to.
    prefix: Prefix,
    /// When that was seen, or probed last.
    seen: Uptime,
}

impl Health {
    /// Why uploads cannot be stored.
    pub fn trouble(&self) -> Option<String> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        self.lock().as_ref().map(|trouble| trouble.why.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        // A panic cannot leave it half changed.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that nothing could be written in a folder.
    pub fn record_failure(&self, prefix: Prefix, why: String) {
        let seen = Uptime::now();
        let before = self.lock().replace(Trouble {
            why: why.clone(),
            prefix,
            seen,
        });
        self.troubled.store(true, Ordering::Release);
        if before.is_none() {
            tracing::error!(
                error = why,
                "uploads cannot be stored; they fail until the store takes them again"
            );
        }
    }

    /// Records that an upload was stored, or could have been.
    pub fn record_success(&self) {
        if !self.troubled.load(Ordering::Acquire) {
            return;
        }
        let before = self.lock().take();
        self.troubled.store(false, Ordering::Release);
        if before.is_some() {
            tracing::info!("uploads can be stored again");
        }
    }

    /// The folder to be probed now, if it is time; the caller calls [`probed`](Self::probed) then.
    pub fn start_probe(&self) -> Option<Prefix> {
        let mut trouble = self.lock();
        let trouble = trouble.as_mut()?;
        let due =
            trouble.seen.elapsed() >= PROBE_INTERVAL && !self.probing.swap(true, Ordering::Relaxed);
        due.then(|| {
            trouble.seen = Uptime::now();
            trouble.prefix
        })
    }

    /// Ends a probe.
    pub fn probed(&self) {
        self.probing.store(false, Ordering::Relaxed);
    }
}
