//! Why an upload was not stored.

use crate::catalog::CatalogError;
use crate::form::DecodeError;
use crate::model::DigestHeaderError;
use crate::model::units::format_size;
use crate::store::StoreError;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for the idle time-out.
    #[error("the body made no progress for {0} s")]
    Idle(u64),
    /// It came too slowly, while others could not begin.
    #[error("the body comes slower than min_rate, and others wait for its place")]
    TooSlow,
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
    #[error("{place}more than {setting} ({value})")]
    Limit {
        /// Which part, as a beginning of the message; may be empty.
        place: String,
        /// The setting's name.
        setting: &'static str,
        /// The setting's value.
        value: String,
    },
    /// There is no room for it below the cap on all that is stored.
    #[error("the store would hold more than max_total_size ({})", format_size(*.max))]
    Full {
        /// The cap, in bytes.
        max: u64,
    },
    /// An option cannot be understood, or asks for too much.
    #[error("{0}")]
    Option(String),
    /// A digest header cannot be understood.
    #[error("{place}{source}")]
    DigestHeader {
        /// Which part, as a beginning of the message; may be empty.
        place: String,
        /// The reason.
        source: DigestHeaderError,
    },
    /// The content does not have the digest that the client announced.
    #[error("{place}the content has the sha-256 {found}, and {expected} was announced")]
    DigestMismatch {
        /// Which part, as a beginning of the message; may be empty.
        place: String,
        /// The digest of the content.
        found: String,
        /// The announced digest.
        expected: String,
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

impl IngestError {
    /// Wraps an error that neither the client nor the store can cause.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        IngestError::Internal(error.into())
    }

    pub(super) fn limit(part: usize, setting: &'static str, value: impl ToString) -> Self {
        IngestError::Limit {
            place: place(part),
            setting,
            value: value.to_string(),
        }
    }
}

/// The beginning of a message about a part; nothing for part 0, which is the whole body.
pub(super) fn place(part: usize) -> String {
    if part == 0 {
        String::new()
    } else {
        format!("part {part}: ")
    }
}
