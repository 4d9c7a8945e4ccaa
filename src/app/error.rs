//! Why a server cannot start.

use crate::catalog;
use crate::coordination::ConnectError;
use crate::repository::{IdentityError, RepositoryError};
use crate::store::{StoreError, disk, object};

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] disk::OpenError),
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] object::BucketError),
    /// The index cannot be opened.
    #[error(transparent)]
    Catalog(#[from] catalog::IndexOpenError),
    /// The index cannot be made anew.
    #[error(transparent)]
    Index(#[from] catalog::CatalogError),
    /// Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] ConnectError),
    /// The store and Redis do not belong together, or cannot say.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot say what of it is in doubt.
    #[error(transparent)]
    Doubt(#[from] StoreError),
    /// The operating system has no randomness to give.
    #[error(transparent)]
    Random(#[from] getrandom::Error),
    /// Store and index cannot be compared.
    #[error(transparent)]
    Compare(#[from] RepositoryError),
}
