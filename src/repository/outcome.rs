//! The outcomes of reading and changing an upload.

use std::sync::Arc;

use crate::catalog::CatalogError;
use crate::model::{Manifest, Tombstone};
use crate::store::StoreError;

/// Why an upload cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The store failed, or holds something damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// An upload after [`super::Repository::update`].
#[derive(Debug)]
pub struct Updated {
    /// Its manifest as it is now.
    pub manifest: Arc<Manifest>,
    /// Whether it was changed.
    pub changed: bool,
}

/// The outcome of a [`super::Repository::remove`].
#[derive(Debug)]
pub enum Removed {
    /// It is gone, by this call; this was its manifest.
    Done(Box<Manifest>),
    /// It was gone.
    Absent,
    /// It was to stay, as its manifest is now; this is the revision of that.
    Kept(u64),
}

/// The content of an upload's key, as [`super::Repository::index`] found it.
#[derive(Debug)]
pub enum Indexed {
    /// An upload.
    Live(Manifest),
    /// A tombstone.
    Gone(Tombstone),
    /// Nothing.
    Absent,
}
