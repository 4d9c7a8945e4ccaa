//! The upload as a use case: the parts of a form go into one staged upload, which is committed
//! at the clean end of the body, or dropped.

mod error;
mod file;
mod form;
mod memory;
mod options;
mod quota;
mod source;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Clock, Digest, Manifest, Part, SCHEMA, Salt, TokenHash, UploadId};
use crate::repository::{Open, Repository};
use crate::store::Staged;

pub use error::{BodyError, IngestError};
pub use file::RawFile;
pub use form::FORM_FIELD;
use memory::{Held, Memory};
pub use options::{Given, OPTION_NAMES, UploadOptions};
use quota::{Claim, Length};

/// What an upload may be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most bytes of one file.
    pub max_file_size: Option<u64>,
    /// The most bytes of one request body.
    pub max_request_size: Option<u64>,
    /// The most files of one form.
    pub max_files: usize,
    /// The most text fields of one form.
    pub max_fields: usize,
    /// The most bytes of one text field.
    pub max_field_size: u64,
    /// The most bytes of all text fields of one form, and of all names in it.
    pub max_fields_size: u64,
    /// What all uploads may take of the store together, in bytes: see [`Manifest::room`].
    pub max_total_size: Option<u64>,
    /// Whether every file gets its digest.
    pub digest: bool,
    /// How long an upload lives that does not say.
    pub expire_after: Option<Duration>,
    /// How long an upload may live at most.
    pub max_expire_after: Option<Duration>,
}

/// What a client said about its upload beside the body.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Options given in the query.
    pub given: Given,
    /// What the whole body must hash to (RFC 9530 section 2).
    pub content_digest: Option<Digest>,
    /// What the field [`FORM_FIELD`] of the form must say, if it must.
    pub proof: Option<String>,
    /// Bytes of the whole body, where its head says so.
    pub length: Option<u64>,
}

/// A committed upload.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// What was stored.
    pub manifest: Arc<Manifest>,
    /// The secret that deletes it; kept nowhere else.
    pub delete_token: String,
}

/// An upload that is being received.
struct Begun {
    id: UploadId,
    staged: Box<dyn Staged>,
    /// Its room in the store.
    claim: Claim,
    /// What of the memory for text it takes.
    held: Held,
    /// Says to all instances that it is under way.
    _open: Open,
}

/// Receives uploads.
#[derive(Clone)]
pub struct Ingest {
    uploads: Repository,
    clock: Clock,
    options: Arc<Options>,
    memory: Memory,
}

impl Ingest {
    /// Receives uploads into `uploads`.
    pub fn new(uploads: Repository, clock: Clock, options: Options) -> Self {
        Ingest {
            memory: Memory::new(options.max_fields_size),
            options: Arc::new(options),
            uploads,
            clock,
        }
    }

    /// The limits, to be checked before a body is read.
    pub fn options(&self) -> &Options {
        &self.options
    }

    async fn begin(&self, length: Length) -> Result<Begun, IngestError> {
        let id = UploadId::generate().map_err(IngestError::internal)?;
        let max = self.options.max_total_size;
        let claim = Claim::begin(max, &**self.uploads.catalog(), id, length).await?;
        Ok(Begun {
            id,
            staged: self.uploads.store().stage(id).await?,
            claim,
            held: self.memory.begin(),
            _open: self.uploads.open(id),
        })
    }

    /// Commits what was received. From here on the client's leaving changes nothing.
    async fn commit(
        &self,
        mut begun: Begun,
        parts: Vec<Part>,
        options: UploadOptions,
    ) -> Result<Receipt, IngestError> {
        let delete_token = new_token()?;
        let created_at = self.clock.now();
        let lifetime = options.lifetime(&self.options);
        let manifest = Arc::new(Manifest {
            schema: SCHEMA,
            generation: 1,
            id: begun.id,
            created_at,
            order: None,
            expires_at: lifetime.map(|span| created_at.after(span)),
            max_downloads: options.max_downloads,
            used: 0,
            salt: Salt::generate().map_err(IngestError::internal)?,
            delete_token: TokenHash::of(&delete_token),
            parts,
            rest: Default::default(),
        });
        begun.claim.whole(|| manifest.room()).await?;
        let Begun {
            staged,
            claim,
            held,
            _open,
            ..
        } = begun;
        // What it takes of the memory, and what says to the other instances that it is under way,
        // lasts until it is stored; its room until the index knows what became of it.
        let ended = move |stays: bool| {
            if stays {
                claim.leave();
            }
            drop((held, _open));
        };
        self.uploads
            .commit(staged, Arc::clone(&manifest), ended)
            .await?;
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
