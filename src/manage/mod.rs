//! The changes of a stored upload as a use case: the permission to change it, a new deadline, its
//! end.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::CatalogError;
use crate::model::{Clock, Manifest, Reason, TokenHash, UploadId};
use crate::repository::{Removed, Repository, RepositoryError};
use crate::store::StoreError;

/// Why an upload is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// There is no upload of that id, or not any more, or the caller may not change it: only a
    /// caller with the permission is told that an id exists.
    #[error("there is no upload {0}")]
    Absent(UploadId),
    /// The store failed, or holds something damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<RepositoryError> for ManageError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => error.into(),
            RepositoryError::Catalog(error) => error.into(),
        }
    }
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

    /// Sets the deadline of an upload anew, counted from now; `None` is never. Answers the upload
    /// as it is then.
    ///
    /// # Errors
    /// [`ManageError::Absent`] when it is over; or the store or the index fails, and the change
    /// may have been made: it can be repeated.
    pub async fn prolong(
        &self,
        permit: &ChangePermit,
        lifetime: Option<Duration>,
    ) -> Result<Arc<Manifest>, ManageError> {
        let id = &permit.id;
        if permit.found == KeyState::Gone {
            return Err(ManageError::Absent(*id));
        }
        let now = self.clock.now();
        let expires_at = lifetime.map(|span| now.after(span));
        let change = move |manifest: &mut Manifest| {
            let alive = !manifest.is_over(now);
            if alive {
                manifest.expires_at = expires_at;
            }
            alive
        };
        let updated = self.uploads.update(id, change).await?;
        let updated = updated
            .filter(|updated| updated.changed)
            .ok_or(ManageError::Absent(*id))?;
        // The caller may repeat it: until the index knows, others go by the old deadline.
        updated.indexed?;
        Ok(updated.manifest)
    }

    /// Removes an upload, with all files under its id if its manifest is damaged. A removal that
    /// was begun and not finished is finished. Answers whether this call has removed it.
    ///
    /// # Errors
    /// The store or the index fails; it can be repeated. Or a newer version wrote the manifest.
    pub async fn delete(&self, permit: &ChangePermit) -> Result<bool, ManageError> {
        if permit.found == KeyState::Damaged && self.uploads.remove_damaged(&permit.id).await? {
            return Ok(true);
        }
        let deleted = |_: &Manifest| Some(Reason::Deleted);
        let removed = self.uploads.remove(&permit.id, deleted).await?;
        Ok(matches!(removed, Removed::Done(_)))
    }
}
