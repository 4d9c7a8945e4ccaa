//! The upload as a use case: the parts of a form go into one staged upload, which is committed
//! at the clean end of the body, or dropped.

mod error;
mod file;
mod form;
mod memory;
mod option_names;
mod options;
mod quota;
mod source;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Clock, Digest, FIRST_SCHEMA, Manifest, Part, Salt, TokenHash, UploadId};
use crate::repository::{OpenUpload, Repository};
use crate::store::Staged;

pub use error::{BodyError, IngestError, Place};
pub use file::RawUpload;
pub use form::FORM_FIELD;
use memory::{HeldText, TextMemory};
pub use option_names::{FIELD_PREFIX, OptionPlace, UnknownOption, UploadOption};
pub use options::{GivenOptions, IngestOptions, Lifetime, UploadOptions};
use quota::{BodyLength, RoomClaim};

/// A request to store an upload, without its body.
#[derive(Debug, Clone, Default)]
pub struct UploadRequest {
    /// Options given in the query and the headers.
    pub given: GivenOptions,
    /// The digest that the whole body must have (RFC 9530 section 2).
    pub content_digest: Option<Digest>,
    /// The value that the field [`FORM_FIELD`] of the form must have, if any.
    pub proof: Option<String>,
    /// Bytes of the whole body, where its head says so.
    pub length: Option<u64>,
}

/// A committed upload.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The stored upload.
    pub manifest: Arc<Manifest>,
    /// The secret that deletes it; kept nowhere else.
    pub delete_token: String,
}

/// An upload that is being received.
struct ActiveUpload {
    id: UploadId,
    staged: Box<dyn Staged>,
    /// Its room in the store.
    claim: RoomClaim,
    /// Its share of the memory for text.
    held: HeldText,
    /// Says to all instances that it is under way.
    _open: OpenUpload,
}

/// Receives uploads.
#[derive(Clone)]
pub struct Ingest {
    uploads: Repository,
    clock: Clock,
    options: Arc<IngestOptions>,
    memory: TextMemory,
}

impl Ingest {
    /// Receives uploads into `uploads`.
    pub fn new(uploads: Repository, clock: Clock, options: IngestOptions) -> Self {
        let parts = options.max_files.saturating_add(options.max_fields);
        Ingest {
            memory: TextMemory::new(options.max_fields_size, parts),
            options: Arc::new(options),
            uploads,
            clock,
        }
    }

    /// The limits, to be checked before a body is read.
    pub fn options(&self) -> &IngestOptions {
        &self.options
    }

    /// Reads an `expires_in` that was given in `place`; `None` is `never`.
    ///
    /// # Errors
    /// It does not parse, or is above `max_expires_in`.
    pub fn lifetime(
        &self,
        text: &str,
        place: OptionPlace,
    ) -> Result<Option<Duration>, IngestError> {
        Ok(options::lifetime(
            text,
            place,
            &self.options,
            self.clock.now(),
        )?)
    }

    /// Understands the values of a change; the options of `cleared` are taken away by it.
    ///
    /// # Errors
    /// One does not parse, two exclude each other, or one asks for more than a setting allows.
    pub fn change(
        &self,
        given: &GivenOptions,
        cleared: &[UploadOption],
    ) -> Result<UploadOptions, IngestError> {
        Ok(given.parse_change(cleared, &self.options, self.clock.now())?)
    }

    async fn begin(&self, length: BodyLength) -> Result<ActiveUpload, IngestError> {
        let id = UploadId::generate().map_err(IngestError::internal)?;
        let max = self.options.max_total_size;
        let claim = RoomClaim::begin(max, &**self.uploads.catalog(), id, length).await?;
        Ok(ActiveUpload {
            id,
            staged: self.uploads.store().stage(id).await?,
            claim,
            held: self.memory.begin(),
            _open: self.uploads.open(id),
        })
    }

    /// Commits the upload. From here on it goes on when the client disconnects.
    async fn commit(
        &self,
        mut upload: ActiveUpload,
        parts: Vec<Part>,
        options: UploadOptions,
    ) -> Result<Receipt, IngestError> {
        let delete_token = new_token()?;
        let created_at = self.clock.now();
        let manifest = Arc::new(Manifest {
            schema: FIRST_SCHEMA,
            generation: 1,
            id: upload.id,
            created_at,
            order: None,
            expires_at: options.expires_at(&self.options, created_at),
            max_downloads: options.max_downloads,
            used: 0,
            salt: Salt::generate().map_err(IngestError::internal)?,
            delete_token: TokenHash::of(&delete_token),
            parts,
            title: options.title,
            unseen: 0,
            rest: Default::default(),
        });
        upload.claim.whole(|| manifest.room()).await?;
        let ActiveUpload {
            staged,
            claim,
            held,
            _open,
            ..
        } = upload;
        // Its memory, and the sign to other instances that it is under way, last until it is
        // stored; its room lasts until the index knows the outcome.
        let ended = move |stays: bool| {
            if stays {
                claim.leave();
            }
            drop((held, _open));
        };
        let manifest = self.uploads.commit(staged, manifest, ended).await?;
        Ok(Receipt {
            manifest,
            delete_token,
        })
    }
}

/// 128 random bits, fit for a URL and a header.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn new_token() -> Result<String, IngestError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(IngestError::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bits))
}
