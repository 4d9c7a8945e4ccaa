//! Why an upload was not stored.

use std::fmt;

use super::option_names::UnknownOption;
use super::options::InvalidOption;
use crate::catalog::CatalogError;
use crate::form::DecodeError;
use crate::model::{Digest, DigestHeaderError, Limit};
use crate::store::StoreError;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for the idle time-out.
    #[error("the body made no progress for {0}")]
    Idle(Limit),
    /// It came too slowly, while others could not begin.
    #[error("the body comes slower than {0} a second, and others wait for its place")]
    TooSlow(Limit),
    /// The connection broke, or the transfer coding did.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Why an upload was not stored. Nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body breaks the grammar.
    #[error(transparent)]
    Form(#[from] DecodeError),
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A limit was passed.
    #[error("{place}more than {limit}")]
    Limit {
        /// The part.
        place: Place,
        /// The limit.
        limit: Limit,
    },
    /// There is no room for it below the cap on all that is stored.
    #[error("the store would hold more than {limit}")]
    Full {
        /// The cap.
        limit: Limit,
    },
    /// An option cannot be understood, or asks for too much.
    #[error(transparent)]
    InvalidOption(#[from] Box<InvalidOption>),
    /// Something that looks like an option is none.
    #[error(transparent)]
    UnknownOption(#[from] Box<UnknownOption>),
    /// A digest header cannot be understood.
    #[error("{place}{source}")]
    DigestHeader {
        /// The part.
        place: Place,
        /// The reason.
        source: DigestHeaderError,
    },
    /// The content does not have the digest that the client announced.
    #[error("{place}the content has the sha-256 {found}, and {expected} was announced")]
    DigestMismatch {
        /// The part.
        place: Place,
        /// The digest of the content.
        found: Digest,
        /// The announced digest.
        expected: Digest,
    },
    /// The form does not say what a form of this server's page says.
    #[error(
        "this may be the form of another site: its field {0} is not that of this server's page"
    )]
    OtherSite(&'static str),
    /// Other uploads hold all the memory there is for text: names, types and text fields.
    #[error("the names and text fields of other uploads take all the memory there is for them")]
    NoMemory,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Something that should not fail did.
    #[error("{0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<InvalidOption> for IngestError {
    fn from(invalid: InvalidOption) -> Self {
        Box::new(invalid).into()
    }
}

impl From<UnknownOption> for IngestError {
    fn from(unknown: UnknownOption) -> Self {
        Box::new(unknown).into()
    }
}

impl IngestError {
    /// Wraps an error that neither the client nor the store can cause.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        IngestError::Internal(error.into())
    }

    pub(super) fn limit(part: usize, limit: Limit) -> Self {
        let place = Place::part(part);
        IngestError::Limit { place, limit }
    }

    /// The same with the name of the field that the part is of.
    pub(super) fn of_field(mut self, name: &[u8]) -> Self {
        if let IngestError::Limit { place, .. }
        | IngestError::DigestHeader { place, .. }
        | IngestError::DigestMismatch { place, .. } = &mut self
            && place.part > 0
        {
            place.field = Some(String::from_utf8_lossy(name).into_owned());
        }
        self
    }
}

/// The part of a body that an error is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Its number, from 1; 0 is the whole body.
    pub part: usize,
    /// The field it is of.
    pub field: Option<String>,
}

impl Place {
    pub(super) fn part(part: usize) -> Self {
        Place { part, field: None }
    }
}

/// The beginning of a message about a part; nothing for the whole body.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => Ok(()),
            part => write!(f, "part {part}: "),
        }
    }
}
