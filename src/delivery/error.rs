//! Why an upload or file cannot be given out.

use crate::catalog::CatalogError;
use crate::model::UploadId;
use crate::repository::RepositoryError;
use crate::store::StoreError;

/// Why an upload or file cannot be given out.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// There is no such upload or file, or not any more.
    #[error(transparent)]
    NotFound(Missing),
    /// A request for a form gives two names that mean the same upload or file.
    #[error("{0:?} is asked for twice; the names or ids of one form must differ")]
    Repeated(String),
    /// A form of several uploads would have more parts than this.
    #[error(
        "what is asked for has more than {0} parts together, the most of one form; ask for fewer names at once"
    )]
    TooManyParts(usize),
    /// The files of an upload are being read for its first ZIP file.
    #[error("the files of the upload {0} are being read for its ZIP file; ask for it again")]
    Preparing(UploadId),
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

/// The thing that does not exist, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// An upload of this id.
    #[error("there is no upload {0:?}")]
    Upload(String),
    /// A file in an upload that there is.
    #[error("there is no file {name:?} in the upload {id}")]
    File {
        /// The upload.
        id: String,
        /// The file's name as it was asked for.
        name: String,
    },
    /// Any file in an upload that there is.
    #[error("there is no file in the upload {0}")]
    Files(String),
    /// A file of this name in any upload.
    #[error("there is no file {0:?}")]
    Name(String),
}

impl DeliveryError {
    /// There is no upload of this id.
    pub fn no_upload(id: impl ToString) -> Self {
        DeliveryError::NotFound(Missing::Upload(id.to_string()))
    }
}

impl From<RepositoryError> for DeliveryError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => error.into(),
            RepositoryError::Catalog(error) => error.into(),
        }
    }
}
