//! Why an upload or file cannot be given out.

use crate::catalog::CatalogError;
use crate::repository::RepositoryError;
use crate::store::StoreError;

/// Why an upload or file cannot be given out.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// There is no upload or file of that name, or not any more.
    #[error("there is no upload or file {0:?}")]
    NotFound(String),
    /// A request for a form gives two names that mean the same upload or file.
    #[error("{0:?} is asked for twice; the names or ids of one form must differ")]
    Repeated(String),
    /// A form of several uploads would have more parts than this.
    #[error(
        "what is asked for has more than {0} parts together, the most of one form; ask for fewer names at once"
    )]
    TooManyParts(usize),
    /// All downloads left are under way.
    #[error("every download that {0} still allows is under way")]
    Busy(String),
    /// The store failed, or holds something damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed, or is being rebuilt.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<RepositoryError> for DeliveryError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => error.into(),
            RepositoryError::Catalog(error) => error.into(),
        }
    }
}
