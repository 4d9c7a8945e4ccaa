//! Watching a transfer.

use std::time::Duration;

use super::{ClientError, ReceivedFile};

/// Told while a transfer goes on. All calls come from the task that transfers, and in
/// order: `begin`, then for each file `file`, any number of `advance`, and its end.
pub trait Progress: Send + Sync {
    /// The transfer begins, or begins anew, with so many bytes of files, where that is known.
    fn begin(&self, _bytes: Option<u64>) {}
    /// The next file, of so many bytes, where that is known.
    fn file(&self, _name: &str, _bytes: Option<u64>) {}
    /// So many more bytes of it.
    fn advance(&self, _bytes: u64) {}
    /// All of it was sent, or given up.
    fn file_end(&self) {}
    /// The whole form was handed to the network, and the server's answer is waited for.
    fn sent(&self) {}
    /// All of it has come, was checked, and has its name.
    fn received(&self, _file: &ReceivedFile) {}
    /// The transfer broke at so many bytes, and goes on after `wait`.
    fn retry(&self, _error: &ClientError, _at: u64, _wait: Duration) {}
}

/// Ignores all of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
