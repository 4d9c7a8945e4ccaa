//! The changes of a stored upload as a use case: the permission to change it, a new deadline, its
//! end.

use std::sync::Arc;

use crate::model::{Clock, Manifest, Reason, Timestamp, Title, TokenHash, UploadId};
use crate::repository::{Removed, Repository};
use crate::store::StoreError;

/// Why an upload is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// There is no upload of that id, or not any more, or the caller may not change it: only a
    /// caller with the permission is told that an id exists.
    #[error("there is no upload {0}")]
    Absent(UploadId),
    /// The upload is in another version than those that the change is meant for: this one, or one
    /// that cannot be read.
    #[error("the upload is not in a version that this change is meant for")]
    OtherVersion(Option<u64>),
    /// So many downloads are used of every file already.
    #[error("every file of the upload was downloaded that often already, or more: DELETE ends it")]
    UsedUp,
    /// The store failed, or holds something damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key of an upload: its id and its delete token as one text, `ID.TOKEN`, for programs that keep
/// one thing. It is taken wherever the token is.
pub fn key(id: &UploadId, delete_token: &str) -> String {
    format!("{id}.{delete_token}")
}

/// The delete token in `given`, which may be the [`key`] of this upload. No token has a full stop.
fn token_of<'a>(id: &UploadId, given: &'a str) -> &'a str {
    match given.split_once('.') {
        Some((named, token)) if named.parse() == Ok(*id) => token,
        _ => given,
    }
}

/// The credentials of a caller that changes an upload.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Secrets, one of which may be the upload's delete token or its [key](key()).
    pub tokens: Vec<String>,
    /// Whether the caller may change every upload.
    pub admin: bool,
}

impl Credentials {
    fn allow(&self, id: &UploadId, token: Option<TokenHash>) -> bool {
        let mut tokens = self.tokens.iter().map(|given| token_of(id, given));
        let known = |hash: TokenHash| tokens.any(|token| hash.matches(token));
        self.admin || token.is_some_and(known)
    }
}

/// The permission to change one upload, which [`Manage::authorize`] alone gives.
#[derive(Debug)]
pub struct ChangePermit {
    id: UploadId,
    found: KeyState,
}

/// The record at the key of the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyState {
    Live,
    Gone,
    /// Something that cannot be understood.
    Damaged,
}

/// A change of an upload. A field that is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct UploadChange {
    /// Its deadline; `Some(None)` is never.
    pub expires_at: Option<Option<Timestamp>>,
    /// How many downloads it allows; `Some(None)` is any number.
    pub max_downloads: Option<Option<u64>>,
    /// Its title; `Some(None)` is none.
    pub title: Option<Option<Title>>,
}

impl UploadChange {
    /// Changes `manifest`. Answers `false`, and leaves it as it is, where that would end the upload.
    fn apply(&self, manifest: &mut Manifest) -> bool {
        if let Some(max) = self.max_downloads
            && !manifest.limit_downloads(max)
        {
            return false;
        }
        if let Some(expires_at) = self.expires_at {
            manifest.expires_at = expires_at;
        }
        if let Some(title) = &self.title {
            manifest.title.clone_from(title);
        }
        true
    }
}

/// The versions of an upload that a change is meant for, by their revisions: all, if nothing is
/// said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeantVersions {
    /// These alone.
    pub only: Option<Vec<u64>>,
    /// Any but these.
    pub except: Vec<u64>,
    /// None at all.
    pub none: bool,
}

impl MeantVersions {
    /// Whether this one is meant.
    pub fn has(&self, revision: u64) -> bool {
        let named = self
            .only
            .as_ref()
            .is_none_or(|only| only.contains(&revision));
        named && !self.none && !self.except.contains(&revision)
    }

    /// Whether a version is meant that cannot be read.
    fn has_unknown(&self) -> bool {
        self.only.is_none() && !self.none
    }
}

/// Changes stored uploads. A change goes on to its end when the caller has gone.
#[derive(Clone)]
pub struct Manage {
    uploads: Repository,
    clock: Clock,
}

impl Manage {
    /// Changes `uploads`.
    pub fn new(uploads: Repository, clock: Clock) -> Self {
        Manage { uploads, clock }
    }

    /// The permission to change an upload, for a caller with its delete token, or for an admin.
    ///
    /// # Errors
    /// [`ManageError::Absent`], whether there is no such upload or another token; or the store
    /// fails, or, but for an admin, the upload's manifest is damaged.
    pub async fn authorize(
        &self,
        id: &UploadId,
        credentials: &Credentials,
    ) -> Result<ChangePermit, ManageError> {
        let (found, token) = match self.uploads.get(id).await {
            Err(StoreError::Damaged(_)) if credentials.admin => (KeyState::Damaged, None),
            Err(error) => return Err(error.into()),
            Ok(Some(manifest)) => (KeyState::Live, Some(manifest.delete_token)),
            Ok(None) => match self.uploads.tombstone(id).await? {
                Some(tombstone) => (KeyState::Gone, tombstone.delete_token),
                None => return Err(ManageError::Absent(*id)),
            },
        };
        match credentials.allow(id, token) {
            true => Ok(ChangePermit { id: *id, found }),
            false => Err(ManageError::Absent(*id)),
        }
    }

    /// Changes an upload that is in one of the versions that are `meant`; the look and the change
    /// are one step. Answers the upload as it is then.
    ///
    /// # Errors
    /// [`ManageError::Absent`] when it is over, [`ManageError::OtherVersion`] or
    /// [`ManageError::UsedUp`]; or the store fails, and the change may have been made: it can be
    /// repeated. An index that does not answer is no error: it learns of the change later.
    pub async fn change(
        &self,
        permit: &ChangePermit,
        change: UploadChange,
        meant: MeantVersions,
    ) -> Result<Arc<Manifest>, ManageError> {
        let id = &permit.id;
        if permit.found == KeyState::Gone {
            return Err(ManageError::Absent(*id));
        }
        let now = self.clock.now();
        let (wanted, again) = (meant.clone(), change.clone());
        // Left as it is, a manifest is left for one of these reasons, in this order.
        let apply = move |manifest: &mut Manifest| {
            if manifest.is_over(now) || !wanted.has(manifest.revision()) {
                return false;
            }
            let before = manifest.clone();
            change.apply(manifest) && *manifest != before
        };
        let updated = self.uploads.update(id, apply).await?;
        let updated = updated.ok_or(ManageError::Absent(*id))?;
        let manifest = updated.manifest;
        if !updated.changed {
            if manifest.is_over(now) {
                return Err(ManageError::Absent(*id));
            }
            if !meant.has(manifest.revision()) {
                return Err(ManageError::OtherVersion(Some(manifest.revision())));
            }
            if !again.apply(&mut Manifest::clone(&manifest)) {
                return Err(ManageError::UsedUp);
            }
        }
        Ok(manifest)
    }

    /// Removes an upload that is in one of the versions that are `meant`, with all files under its
    /// id if its manifest is damaged. A removal that was begun and not finished is finished. Answers
    /// whether this call has removed it.
    ///
    /// # Errors
    /// [`ManageError::OtherVersion`]; or the store fails; it can be repeated. Or a newer version
    /// wrote the manifest.
    pub async fn delete(
        &self,
        permit: &ChangePermit,
        meant: MeantVersions,
    ) -> Result<bool, ManageError> {
        if permit.found == KeyState::Damaged {
            if !meant.has_unknown() {
                return Err(ManageError::OtherVersion(None));
            }
            if self.uploads.remove_damaged(&permit.id).await? {
                return Ok(true);
            }
        }
        let deleted =
            move |manifest: &Manifest| meant.has(manifest.revision()).then_some(Reason::Deleted);
        match self.uploads.remove(&permit.id, deleted).await? {
            Removed::Done(_) => Ok(true),
            Removed::Absent => Ok(false),
            Removed::Kept(revision) => Err(ManageError::OtherVersion(Some(revision))),
        }
    }
}
