//! The SHA-256 of a file, taken beside its transfer.
//!
//! Two hashers share the rule when a block is worth another thread. They stay two, for their callers
//! are different:
//!
//! - [`TaskHasher`] is the server's. Many files are received at once by tasks that must not block:
//!   a block is lent to a thread of tokio's blocking pool, as long as no more than half of the
//!   processors hash, and no thread is held between two blocks.
//! - [`ThreadHasher`] is the client's. It writes one file at a time, on a thread that may block: the
//!   blocks go through a channel to one thread, which hashes the last block while the next one waits
//!   and a third is received.
//!
//! One type for both would cost the server a thread for each upload, or the client a task for each
//! block and an await between hashing and writing.

mod task;
mod thread;

pub use task::TaskHasher;
pub use thread::ThreadHasher;

use sha2::{Digest as _, Sha256};

use crate::model::Digest;

/// Blocks shorter than this are hashed where they are: to wake another thread costs more. Bytes.
const WORTH_A_THREAD: usize = 64 * 1024;

/// The facts known of the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksums {
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its CRC-32, as ZIP has it: nearly nothing beside the SHA-256.
    pub crc32: u32,
}

/// The digest of all that `state` has taken; it begins anew.
fn finish(state: &mut Sha256) -> Digest {
    <[u8; 32]>::from(state.finalize_reset()).into()
}
