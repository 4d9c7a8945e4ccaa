//! Why store or index could not do their part, by what it means to a caller.

use std::io;

/// Why store or index could not do their part. The texts named `cause` can hold paths and
/// addresses: they are for the operator, and no caller is shown them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There is no room for an upload.
    NoSpace {
        /// The store's own message.
        cause: String,
    },
    /// A file, or what is kept of a form beside its files, is larger than can be stored.
    TooLarge {
        /// The setting.
        setting: &'static str,
        /// Which limit, for the caller.
        reason: String,
    },
    /// To be tried again later.
    Unavailable {
        /// The component that does not work now.
        component: Component,
        /// The same in words, for the caller.
        reason: String,
        /// The message of store or index, where that says more.
        cause: Option<String>,
    },
    /// Anything else.
    Internal {
        /// The message of store or index.
        cause: String,
    },
}

/// The components that an upload needs beside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Where files and manifests are.
    Storage,
    /// The index, which finds uploads by name and time.
    Index,
}

impl Failure {
    /// A component that does not work now, and why.
    pub fn unavailable(component: Component, reason: &str, cause: String) -> Self {
        Failure::Unavailable {
            component,
            reason: reason.to_owned(),
            cause: Some(cause),
        }
    }
}

/// Whether an error of the system says that there is no room: the disk or a quota is full, or the
/// process has come to its limit of file sizes (`ulimit -f`).
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
