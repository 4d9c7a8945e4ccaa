//! Which error of the parts below ends in which answer.

use http::{StatusCode, header};

use super::{Problem, RETRY_AFTER};
use crate::catalog::CatalogError;
use crate::delivery::DeliveryError;
use crate::form::ContentTypeError;
use crate::ingest::{BodyError, IngestError};
use crate::manage::ManageError;
use crate::repository::RepositoryError;
use crate::store::StoreError;

impl From<ContentTypeError> for Problem {
    fn from(error: ContentTypeError) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "A multipart/form-data body is needed",
            error.to_string(),
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSpace(inside) => Self::no_space(inside),
            StoreError::TooLarge(text) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The upload is too large",
                text,
            ),
            StoreError::Stale(_) => Self::unavailable(error.to_string()),
            StoreError::Unavailable(inside) => {
                let mut problem = Self::unavailable("the storage cannot be reached now");
                problem.inside = Some(inside);
                problem
            }
            StoreError::Unwritable(inside) => {
                let mut problem = Self::unavailable("the storage cannot be written to now");
                problem.inside = Some(inside);
                problem
            }
            StoreError::Io { ref source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                let mut problem = Self::unavailable("the storage cannot be read now");
                problem.inside = Some(error.to_string());
                problem
            }
            error => Self::internal(error),
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Rebuilding => Self::unavailable("the index is being rebuilt"),
            CatalogError::Unavailable(inside) => {
                let mut problem = Self::unavailable("the index cannot be reached now");
                problem.inside = Some(inside);
                problem
            }
            error => Self::internal(error),
        }
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Absent(_) => Self::not_found(error.to_string()),
            ManageError::Store(error) => error.into(),
            ManageError::Catalog(error) => error.into(),
        }
    }
}

impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => error.into(),
            RepositoryError::Catalog(error) => error.into(),
        }
    }
}

impl From<DeliveryError> for Problem {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::NotFound(_) => Self::not_found(error.to_string()),
            DeliveryError::Repeated(_) | DeliveryError::TooManyParts(_) => {
                Self::bad_request(error.to_string())
            }
            DeliveryError::Busy(_) => Self::new(
                StatusCode::CONFLICT,
                "busy",
                "The last download is under way",
                error.to_string(),
            )
            .with(header::RETRY_AFTER, RETRY_AFTER),
            DeliveryError::Store(error) => error.into(),
            DeliveryError::Catalog(error) => error.into(),
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        let text = error.to_string();
        let refused = |code, title| Self::new(StatusCode::BAD_REQUEST, code, title, text.clone());
        match error {
            IngestError::Form(_) => refused("malformed-form", "The body is not a well-formed form"),
            IngestError::Option(_) => refused("bad-option", "An option cannot be understood"),
            IngestError::DigestHeader { .. } => {
                refused("bad-digest", "A digest cannot be understood")
            }
            IngestError::DigestMismatch { .. } => {
                refused("digest-mismatch", "What came is not what was announced")
            }
            IngestError::Limit { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The upload is too large",
                text,
            ),
            IngestError::OtherSite(_) => Self::cross_site(text),
            IngestError::NoMemory => Self::unavailable(text),
            IngestError::Full { .. } => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "no-space",
                "The storage is full",
                text,
            ),
            IngestError::Body(error) => error.into(),
            IngestError::Store(error) => error.into(),
            IngestError::Catalog(error) => error.into(),
            IngestError::Internal(error) => Self::internal(error),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let text = error.to_string();
        match error {
            BodyError::Idle(_) => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "idle",
                "The body stopped",
                text,
            ),
            BodyError::TooSlow => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                "The body came too slowly",
                text,
            )
            .with(header::RETRY_AFTER, RETRY_AFTER),
            BodyError::Broken(_) => Self::new(
                StatusCode::BAD_REQUEST,
                "broken-body",
                "The body broke off",
                text,
            ),
            BodyError::ShuttingDown => Self::unavailable(text),
        }
    }
}
