//! Which error of the use cases ends in which answer.

use http::{HeaderValue, StatusCode, header};

use super::{Code, Problem};
use crate::delivery::{DeliveryError, Missing};
use crate::form::{ContentTypeError, DecodeError};
use crate::http::admission::Refused;
use crate::http::rules::conditional;
use crate::ingest::{BodyError, IngestError, Place, UploadOption};
use crate::manage::ManageError;
use crate::model::{Component, Failure, Limit};
use crate::operate::Unready;

/// How long an upload that was too slow stays away, in seconds: others wait for its place.
const SLOW: u64 = 30;

impl From<ContentTypeError> for Problem {
    fn from(error: ContentTypeError) -> Self {
        Self::new(Code::UnsupportedMediaType, error.to_string()).allowed(&["multipart/form-data"])
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSpace { cause } => {
                Self::new(Code::NoSpace, "there is no room for the upload").inside_is(cause)
            }
            Failure::TooLarge { setting, reason } => {
                Self::new(Code::LimitExceeded, reason).setting(setting)
            }
            Failure::Unavailable {
                component,
                reason,
                cause,
            } => {
                let code = match component {
                    Component::Storage => Code::StorageUnavailable,
                    Component::Index => Code::IndexUnavailable,
                };
                let problem = Self::new(code, reason);
                match cause {
                    Some(cause) => problem.inside_is(cause),
                    None => problem,
                }
            }
            Failure::Internal { cause } => Self::internal(cause),
        }
    }
}

impl From<Unready> for Problem {
    fn from(unready: Unready) -> Self {
        let code = match unready {
            Unready::Draining => Code::ShuttingDown,
            Unready::Index => Code::IndexUnavailable,
            Unready::Store | Unready::Both => Code::StorageUnavailable,
        };
        Self::new(code, unready.to_string())
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Absent(id) => {
                Self::new(Code::UploadNotFound, error.to_string()).name(&id.to_string())
            }
            ManageError::OtherVersion(generation) => {
                let problem = Self::new(Code::PreconditionFailed, error.to_string());
                let tag = generation.map(conditional::record_tag);
                let tag = tag.and_then(|tag| HeaderValue::try_from(tag).ok());
                match tag {
                    Some(tag) => problem.header(header::ETAG, tag),
                    None => problem,
                }
            }
            ManageError::UsedUp => {
                Self::invalid_option(UploadOption::MaxDownloads.name(), error.to_string())
            }
            ManageError::Store(error) => Self::unrecorded(error.into(), "the change is not made"),
        }
    }
}

impl From<DeliveryError> for Problem {
    fn from(error: DeliveryError) -> Self {
        let text = error.to_string();
        match error {
            DeliveryError::NotFound(missing) => {
                let (code, name) = match &missing {
                    Missing::Upload(id) => (Code::UploadNotFound, id),
                    Missing::File { name, .. } => (Code::FileNotFound, name),
                    Missing::Files(id) => (Code::FileNotFound, id),
                    Missing::Name(name) => (Code::NameNotFound, name),
                };
                Self::new(code, text).name(name)
            }
            DeliveryError::Repeated(name) => Self::invalid_parameter("name", text).name(&name),
            DeliveryError::TooManyParts(most) => {
                Self::invalid_parameter("name", text).most(most as u64)
            }
            DeliveryError::Preparing(id) => {
                Self::new(Code::ArchivePreparing, text).name(&id.to_string())
            }
            DeliveryError::Busy(id) => Self::new(Code::LastDownloadInProgress, text).name(&id),
            DeliveryError::Store(error) => {
                Self::unrecorded(error.into(), "the download cannot be counted")
            }
            DeliveryError::Catalog(error) => Failure::from(error).into(),
        }
    }
}

impl Problem {
    /// A failure; `unrecorded` is what comes of it where there is no room for a record.
    fn unrecorded(failure: Failure, unrecorded: &str) -> Self {
        match failure {
            Failure::NoSpace { cause } => {
                let detail = format!("the storage is full: {unrecorded}");
                Self::new(Code::NoSpace, detail).inside_is(cause)
            }
            other => other.into(),
        }
    }

    /// The part, and its field.
    fn place(self, place: &Place) -> Self {
        let problem = self.part(place.part);
        match &place.field {
            Some(field) => problem.field(field),
            None => problem,
        }
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        Self::new(Code::MalformedForm, error.to_string())
            .part(error.part)
            .byte(error.offset)
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        let text = error.to_string();
        match error {
            IngestError::Form(error) => error.into(),
            IngestError::InvalidOption(invalid) => {
                let problem =
                    Self::invalid_option(&invalid.option, text).part(invalid.place.part());
                match invalid.limit {
                    Some(limit) => problem.limit(limit),
                    None => problem,
                }
            }
            IngestError::UnknownOption(unknown) => {
                let allowed: Vec<&str> = unknown.allowed.iter().map(String::as_str).collect();
                Self::new(Code::UnknownOption, text)
                    .option(&unknown.option)
                    .allowed(&allowed)
                    .part(unknown.place.part())
            }
            IngestError::DigestHeader { place, .. } => {
                Self::new(Code::InvalidDigest, text).place(&place)
            }
            IngestError::DigestMismatch {
                place,
                found,
                expected,
            } => Self::new(Code::DigestMismatch, text)
                .place(&place)
                .expected(expected.to_string())
                .actual(found.to_string()),
            IngestError::Limit { place, limit } => Self::new(Code::LimitExceeded, text)
                .limit(limit)
                .place(&place),
            IngestError::OtherSite(field) => Self::new(Code::CrossSite, text).field(field),
            IngestError::NoMemory => Self::new(Code::TooManyUploads, text),
            IngestError::Full { limit } => Self::new(Code::QuotaExceeded, text).limit(limit),
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
            BodyError::Idle(limit) => Self::new(Code::BodyStalled, text).limit(limit),
            BodyError::TooSlow(limit) => Self::new(Code::BodyStalled, text)
                .limit(limit)
                .retry_after(SLOW),
            BodyError::Broken(_) => Self::new(Code::BodyIncomplete, text),
            BodyError::ShuttingDown => Self::new(Code::ShuttingDown, text),
        }
    }
}

impl Problem {
    /// An upload that was not admitted, where there are places for so many.
    pub fn not_admitted(refused: Refused, places: usize) -> Self {
        let refuse =
            |limit: Limit, detail: String| Self::new(Code::TooManyUploads, detail).limit(limit);
        match refused {
            Refused::Full => {
                let limit = Limit::count("max_uploads", places);
                refuse(limit, format!("{limit} are under way"))
            }
            Refused::Half => {
                let limit = Limit::count("max_uploads", places);
                let detail =
                    format!("one address may have half of {limit} while most are under way");
                refuse(limit, detail)
            }
            Refused::Client(most) => {
                let limit = Limit::count("max_uploads_per_client", most);
                refuse(limit, format!("{limit} are under way from this address"))
                    .status(StatusCode::TOO_MANY_REQUESTS)
            }
        }
    }
}
