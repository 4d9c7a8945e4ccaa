//! The meaning of the errors of store and index to a caller.

use std::io;

use super::RepositoryError;
use crate::catalog::CatalogError;
use crate::model::{Component, Failure};
use crate::store::StoreError;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let storage = |reason, cause| Failure::unavailable(Component::Storage, reason, cause);
        match error {
            StoreError::NoSpace(cause) => Failure::NoSpace { cause },
            StoreError::TooLarge { setting, reason } => Failure::TooLarge { setting, reason },
            StoreError::Stale(_) => Failure::Unavailable {
                component: Component::Storage,
                reason: error.to_string(),
                cause: None,
            },
            StoreError::Unavailable(cause) => storage("the storage cannot be reached now", cause),
            StoreError::Unwritable(cause) => storage("the storage cannot be written to now", cause),
            StoreError::Io { ref source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                storage("the storage cannot be read now", error.to_string())
            }
            StoreError::Exists | StoreError::Damaged(_) | StoreError::Io { .. } => {
                Failure::Internal {
                    cause: error.to_string(),
                }
            }
        }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Rebuilding => Failure::Unavailable {
                component: Component::Index,
                reason: "the index is being rebuilt".to_owned(),
                cause: None,
            },
            CatalogError::Unavailable(cause) => {
                let reason = "the index cannot be reached now";
                Failure::unavailable(Component::Index, reason, cause)
            }
            CatalogError::Failed(_) => Failure::Internal {
                cause: error.to_string(),
            },
        }
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => error.into(),
            RepositoryError::Catalog(error) => error.into(),
        }
    }
}
