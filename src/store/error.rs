//! The errors of a store, by their meaning to the caller.

use std::any::Any;
use std::io;

use rustix::io::Errno;

use crate::model::is_full;

/// The process or the machine has no descriptor left.
const EXHAUSTED: [Errno; 2] = [Errno::MFILE, Errno::NFILE];
/// Read-only, not permitted, failing, or gone: the folder, its mount, or the other machine.
const UNWRITABLE: [Errno; 9] = [
    Errno::ROFS,
    Errno::ACCESS,
    Errno::PERM,
    Errno::IO,
    Errno::NOENT,
    Errno::NOTDIR,
    Errno::STALE,
    Errno::NOTCONN,
    Errno::NXIO,
];

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// An error of a [`Store`](super::Store).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room: the disk or a quota is full, or the reserve would be touched.
    #[error("no space: {0}")]
    NoSpace(String),
    /// Something with that id is there already.
    #[error("the upload exists already")]
    Exists,
    /// A file, or the manifest, is larger than can be stored.
    #[error("{reason}")]
    TooLarge {
        /// The setting.
        setting: &'static str,
        /// How, for the client.
        reason: String,
    },
    /// The commit came too late: other processes may have taken the upload for abandoned.
    #[error("the commit came {0:?} after the last byte, later than stale_after")]
    Stale(std::time::Duration),
    /// It cannot be reached, or has too much to do: to be tried again. A change may have
    /// been made or not.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// It cannot be written to: it is read-only, not permitted, failing, or gone. Reads go on
    /// as far as they can.
    #[error("the store cannot be written to: {0}")]
    Unwritable(String),
    /// The stored bytes are not those that were stored once.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Anything else; the text names the operation.
    #[error("{doing}: {source}")]
    Io {
        /// The operation.
        doing: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl StoreError {
    /// A task was not run to its end: the process is ending.
    pub fn ended(error: tokio::task::JoinError) -> Self {
        StoreError::io("the server is ending", io::Error::other(error))
    }

    /// The same error once more, for another of those who waited for one operation.
    pub fn again(&self) -> Self {
        match self {
            StoreError::NoSpace(why) => StoreError::NoSpace(why.clone()),
            StoreError::Exists => StoreError::Exists,
            StoreError::TooLarge { setting, reason } => StoreError::TooLarge {
                setting,
                reason: reason.clone(),
            },
            StoreError::Stale(late) => StoreError::Stale(*late),
            StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
            StoreError::Unwritable(why) => StoreError::Unwritable(why.clone()),
            StoreError::Damaged(why) => StoreError::Damaged(why.clone()),
            StoreError::Io { doing, source } => StoreError::Io {
                doing: doing.clone(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
        }
    }

    /// The operation panicked.
    pub fn panicked(doing: impl Into<String>, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = format!("it panicked: {}", text.unwrap_or_default());
        StoreError::io(doing, io::Error::other(text))
    }

    /// Whether a change that failed with it may have been made all the same.
    pub fn is_unknown(&self) -> bool {
        match self {
            StoreError::Unavailable(_)
            | StoreError::Unwritable(_)
            | StoreError::Damaged(_)
            | StoreError::Io { .. } => true,
            StoreError::NoSpace(_)
            | StoreError::Exists
            | StoreError::TooLarge { .. }
            | StoreError::Stale(_) => false,
        }
    }

    /// The meaning of an error of the operating system.
    pub fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (doing, source) = (doing.into(), source.into());
        if is_full(&source) {
            return StoreError::NoSpace(format!("{doing}: {source}"));
        }
        match EXHAUSTED.iter().any(|errno| is(&source, *errno)) {
            true => StoreError::Unavailable(format!("{doing}: {source}")),
            false => StoreError::Io { doing, source },
        }
    }

    /// The same for an error of a change. One that every other change would meet as well, until the
    /// operator has mended the cause, is [`Unwritable`](Self::Unwritable).
    pub fn change(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        if UNWRITABLE.iter().any(|errno| is(&source, *errno)) {
            return StoreError::Unwritable(format!("{}: {source}", doing.into()));
        }
        StoreError::io(doing, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_classified_by_their_meaning() {
        let of = |errno: Errno| StoreError::change("naming a", errno);
        assert!(matches!(of(Errno::ROFS), StoreError::Unwritable(_)));
        assert!(matches!(of(Errno::MFILE), StoreError::Unavailable(_)));
        assert!(matches!(of(Errno::FBIG), StoreError::NoSpace(_)));
        assert!(matches!(of(Errno::NAMETOOLONG), StoreError::Io { .. }));
        // An error of reading does not say that the store cannot be written to.
        let read = StoreError::io("reading a", Errno::IO);
        assert!(matches!(read, StoreError::Io { .. }));
    }
}
