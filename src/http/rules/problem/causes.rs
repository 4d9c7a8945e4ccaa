//! Which error of the use cases ends in which answer.

use http::{StatusCode, header};

use super::{Problem, RETRY_AFTER};
use crate::delivery::DeliveryError;
use crate::form::ContentTypeError;
use crate::ingest::{BodyError, IngestError};
use crate::manage::ManageError;
use crate::model::Failure;

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

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSpace { cause } => Self::no_space(cause),
            Failure::TooLarge { reason } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The upload is too large",
                reason,
            ),
            Failure::Unavailable { reason, cause } => {
                let mut problem = Self::unavailable(reason);
                problem.inside = cause;
                problem
            }
            Failure::Internal { cause } => Self::internal(cause),
        }
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Absent(_) => Self::not_found(error.to_string()),
            ManageError::Store(error) => Failure::from(error).into(),
            ManageError::Catalog(error) => Failure::from(error).into(),
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
            DeliveryError::Store(error) => Failure::from(error).into(),
            DeliveryError::Catalog(error) => Failure::from(error).into(),
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
            IngestError::Store(error) => Failure::from(error).into(),
            IngestError::Catalog(error) => Failure::from(error).into(),
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
