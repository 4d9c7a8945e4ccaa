//! What can go wrong in a store, by what it means to the caller.

use std::io;

/// An error of a [`Store`](super::Store).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room: the disk or a quota is full, or the reserve would be touched.
    #[error("no space: {0}")]
    NoSpace(String),
    /// Something with that id is there already.
    #[error("the upload exists already")]
    Exists,
    /// The commit came too late: others have taken what was received for abandoned.
    #[error("the commit came {0:?} after the last byte, later than stale_after")]
    Stale(std::time::Duration),
    /// What is stored is not what was stored.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Anything else; the text says what was being done.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Sorts an error of the operating system by its meaning.
    pub fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (doing, source) = (doing.into(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::NoSpace(format!("{doing}: {source}"))
            }
            _ => StoreError::Io { doing, source },
        }
    }
}
