//! The key of an upload: the object that holds its manifest, and later its tombstone. It is put
//! only under a condition; where the answer leaves the outcome open, the key is read back.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use object_store::path::Path;
use object_store::{Attribute, Attributes, Error, PutMode, PutOptions, UpdateVersion};

use super::error::{classify, is_conflict, is_refusal, message};
use super::inner::BucketInner;
use crate::model::{Manifest, Salt, Stored, Tombstone, UploadId};
use crate::store::{Replaced, StoreError, Version, to_json};

/// Names one change of a key. Two instances can write the very same bytes, each counting one
/// download from the same count on: only this tells whose they are.
pub const WRITE: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("wharf-write"));
/// The pauses between the tries of a change that the store refuses while another change of the key
/// is under way (S3: 409), and between readings that come damaged: 50 ms, doubled each time.
const RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_times(4);

/// The manifest or tombstone at a key, and its version.
pub struct Tagged {
    pub stored: Stored,
    /// Which version it is (RFC 9110 section 8.8.3).
    tag: String,
    /// The change that has put it there.
    write: Option<String>,
}

/// The outcome of a creation.
pub enum Created {
    /// It is stored.
    Done,
    /// This was there before.
    Taken(Stored),
    /// There is nothing now; the creation may still reach the store.
    Unknown(StoreError),
}

/// Why a change was not made.
enum Unchanged {
    /// Another change of the key was under way: to be tried again.
    Refused(StoreError),
    Failed(StoreError),
}

impl Unchanged {
    fn is_refused(&self) -> bool {
        matches!(self, Unchanged::Refused(_))
    }
}

impl From<StoreError> for Unchanged {
    fn from(error: StoreError) -> Self {
        Unchanged::Failed(error)
    }
}

impl From<Unchanged> for StoreError {
    fn from((Unchanged::Refused(error) | Unchanged::Failed(error)): Unchanged) -> Self {
        error
    }
}

impl BucketInner {
    /// The manifest or tombstone of an upload.
    pub async fn tagged(&self, id: &UploadId) -> Result<Option<Tagged>, StoreError> {
        let key = self.layout.manifest(id);
        let Some(found) = self.client.read(&key).await? else {
            return Ok(None);
        };
        Ok(Some(Tagged {
            stored: found.content.stored(&key, id)?,
            tag: found.tag.ok_or_else(|| untagged(&key))?,
            write: found.attributes.get(&WRITE).map(|write| write.to_string()),
        }))
    }

    /// Puts `tombstone` in the place of a manifest that cannot be understood.
    pub async fn replace_damaged(&self, tombstone: &Tombstone) -> Result<Replaced, StoreError> {
        let id = &tombstone.id;
        let _lock = self.lock_key(id).await;
        let key = self.layout.manifest(id);
        let Some(found) = self.client.read(&key).await? else {
            return Ok(Replaced::Gone);
        };
        match found.content.stored(&key, id) {
            Ok(Stored::Gone(_)) => return Ok(Replaced::Gone),
            Ok(Stored::Live(_)) => return Ok(Replaced::Changed),
            Err(why) => found.content.require_damaged(why)?,
        }
        let known = Tagged {
            stored: Stored::Gone(tombstone.clone()),
            tag: found.tag.ok_or_else(|| untagged(&key))?,
            write: None,
        };
        self.update(id, &known, to_json(tombstone)?).await
    }

    pub async fn version(&self, id: &UploadId) -> Result<Option<Version>, StoreError> {
        let tag = self.client.tag(&self.layout.manifest(id)).await?;
        Ok(tag.map(Version))
    }

    /// Puts `json` at a key where nothing stands.
    pub async fn create(&self, id: &UploadId, json: Vec<u8>) -> Result<Created, StoreError> {
        let _lock = self.lock_key(id).await;
        let write = write_id()?;
        let create = async || {
            let put = self.put(id, json.clone(), PutMode::Create, &write).await;
            let Err(error) = put else {
                return Ok(Created::Done);
            };
            match self.read_back(id).await? {
                Some(found) if found.write.as_ref() == Some(&write) => Ok(Created::Done),
                Some(found) => Ok(Created::Taken(found.stored)),
                None => {
                    let unknown = classify(&format!("creating {id}"), &error);
                    match is_refusal(&error) {
                        true => Err(Unchanged::Refused(unknown)),
                        false => Ok(Created::Unknown(unknown)),
                    }
                }
            }
        };
        match create.retry(RETRIES).when(Unchanged::is_refused).await {
            Err(Unchanged::Refused(unknown)) => Ok(Created::Unknown(unknown)),
            created => Ok(created?),
        }
    }

    /// Puts `json` in the place of `known`, if that still stands there.
    pub async fn update(
        &self,
        id: &UploadId,
        known: &Tagged,
        json: Vec<u8>,
    ) -> Result<Replaced, StoreError> {
        let write = write_id()?;
        let update = async || {
            let mode = PutMode::Update(UpdateVersion {
                e_tag: Some(known.tag.clone()),
                version: None,
            });
            let Err(error) = self.put(id, json.clone(), mode, &write).await else {
                return Ok(Replaced::Done);
            };
            match self.read_back(id).await? {
                Some(found) if found.write.as_ref() == Some(&write) => Ok(Replaced::Done),
                None => Ok(Replaced::Gone),
                Some(found) if matches!(found.stored, Stored::Gone(_)) => Ok(Replaced::Gone),
                Some(found) if found.tag != known.tag => Ok(Replaced::Changed),
                // The change may still reach the store.
                Some(_) => {
                    let said = message(&error);
                    let unknown = StoreError::Unavailable(format!("replacing {id}: {said}"));
                    match is_conflict(&error) {
                        true => Err(Unchanged::Refused(unknown)),
                        false => Err(Unchanged::Failed(unknown)),
                    }
                }
            }
        };
        let updated = update.retry(RETRIES).when(Unchanged::is_refused).await;
        Ok(updated?)
    }

    /// Reads a key after a change without a clear answer. An object that comes damaged is read again;
    /// then the outcome is unknown, which is no damage.
    async fn read_back(&self, id: &UploadId) -> Result<Option<Tagged>, StoreError> {
        let damaged = |error: &StoreError| matches!(error, StoreError::Damaged(_));
        let read = (|| self.tagged(id)).retry(RETRIES).when(damaged).await;
        read.map_err(|error| match error {
            StoreError::Damaged(why) => StoreError::Unavailable(format!("reading back: {why}")),
            error => error,
        })
    }

    /// Replaces a manifest, if the new one `may` take the place of the stored one.
    pub async fn replace(
        &self,
        manifest: &Manifest,
        may: fn(&Manifest, &Manifest) -> bool,
    ) -> Result<Replaced, StoreError> {
        let id = &manifest.id;
        let _lock = self.lock_key(id).await;
        let Some(known) = self.tagged(id).await? else {
            return Ok(Replaced::Gone);
        };
        match &known.stored {
            Stored::Gone(_) => Ok(Replaced::Gone),
            Stored::Live(stored) if !may(manifest, stored) => Ok(Replaced::Changed),
            Stored::Live(_) => self.update(id, &known, to_json(manifest)?).await,
        }
    }

    async fn put(
        &self,
        id: &UploadId,
        json: Vec<u8>,
        mode: PutMode,
        write: &str,
    ) -> Result<(), Error> {
        let attributes = [
            (Attribute::ContentType, "application/json".to_owned()),
            (WRITE, write.to_owned()),
        ];
        let options = PutOptions {
            mode,
            attributes: Attributes::from_iter(attributes),
            ..PutOptions::default()
        };
        let key = self.layout.manifest(id);
        self.client.put(&key, json, options).await.map(drop)
    }
}

fn untagged(key: &Path) -> StoreError {
    StoreError::Unavailable(format!("reading {key}: no ETag in the answer"))
}

/// 128 random bits.
fn write_id() -> Result<String, StoreError> {
    let salt = Salt::generate().map_err(|error| StoreError::io("naming a change", error))?;
    Ok(salt.to_string())
}
