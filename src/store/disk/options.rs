//! How a disk store behaves, and why a directory cannot be served.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::store::Sendfile;

/// The state on the disk that an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Everything is on stable storage.
    Strict,
    /// Everything is with the operating system: a killed process loses nothing, a power cut may.
    Relaxed,
}

/// How a disk store behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory; it is made when it is missing.
    pub dir: PathBuf,
    /// The state on the disk that a commit waits for.
    pub durability: Durability,
    /// Bytes of the file system that are not to be used.
    pub min_free: u64,
    /// How many files may be open at once: those of uploads under way, which beyond it wait
    /// closed under a name in the stage, and, where no other process has the directory, small
    /// files that were read lately.
    pub descriptors: usize,
    /// Whether other processes have the directory too, and then how long uploads may wait for
    /// their commit.
    pub shared: Option<Duration>,
    /// Whether the kernel sends files by itself.
    pub sendfile: Sendfile,
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server holds the directory.
    #[error(
        "another wharf serves {0} already (it holds {0}/.wharf/lock); several servers share a store only through one Redis, each with the setting `redis`"
    )]
    Locked(PathBuf),
    /// Several servers are to share the directory, and its file system cannot keep one name from
    /// being given twice.
    #[error(
        "{0} cannot be shared by several servers: its file system has neither hard links nor a rename that refuses a name which is taken (RENAME_NOREPLACE); one server alone, without the setting `redis`, can use it"
    )]
    Unshareable(PathBuf),
    /// The directory cannot be used.
    #[error("cannot use {dir} as a store: {source}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// The system's message.
        source: io::Error,
    },
}
