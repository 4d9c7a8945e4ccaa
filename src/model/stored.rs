//! The record at the key of an upload: its manifest, and afterwards its tombstone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::layout::{FIRST_SCHEMA, Probe};
use super::{FileName, Manifest, Timestamp, TokenHash, UploadId};

/// Why an upload does not exist any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its deadline has come.
    Expired,
    /// All its downloads are used.
    Used,
    /// A client or an operator deleted it.
    Deleted,
    /// It was never committed: its files had no manifest.
    Orphaned,
    /// Its commit failed.
    Failed,
}

/// The rest of an upload whose files are removed, where other instances could still hold it
/// for a live one. It stands in the manifest's place, and is never replaced by a manifest again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The layout of this record: the first, which every version reads.
    pub schema: u32,
    /// Counts on from the manifest's; 1 where there never was one.
    pub generation: u64,
    /// The upload.
    pub id: UploadId,
    /// Why it does not exist any more.
    pub gone: Reason,
    /// Since when.
    pub gone_at: Timestamp,
    /// The hash of the delete token, so that a repeated deletion is known by it.
    pub delete_token: Option<TokenHash>,
    /// The files that are to be removed.
    pub files: Vec<FileName>,
}

impl Tombstone {
    /// The shortest time that tombstones stay: a commit or a removal that was paused has given
    /// up by then.
    const SHORTEST: Duration = Duration::from_secs(48 * 3600);
    /// Beyond the generation of every manifest there can have been, and exact as a double, which
    /// other readers of JSON take it for.
    const BEYOND: u64 = 1 << 52;

    /// The end of the upload of `manifest`.
    pub fn of(manifest: &Manifest, gone: Reason, gone_at: Timestamp) -> Self {
        Tombstone {
            schema: FIRST_SCHEMA,
            generation: manifest.generation + 1,
            id: manifest.id,
            gone,
            gone_at,
            delete_token: Some(manifest.delete_token),
            files: manifest
                .files()
                .map(|(_, file)| file.name.clone())
                .collect(),
        }
    }

    /// The end of an upload that was never committed.
    pub fn orphaned(id: UploadId, files: Vec<FileName>, gone_at: Timestamp) -> Self {
        Tombstone {
            schema: FIRST_SCHEMA,
            generation: 1,
            id,
            gone: Reason::Orphaned,
            gone_at,
            delete_token: None,
            files,
        }
    }

    /// The end of an upload whose manifest cannot be understood: no token deletes it.
    pub fn damaged(id: UploadId, files: Vec<FileName>, gone_at: Timestamp) -> Self {
        Tombstone {
            schema: FIRST_SCHEMA,
            generation: Self::BEYOND,
            id,
            gone: Reason::Deleted,
            gone_at,
            delete_token: None,
            files,
        }
    }

    /// Whether every commit or removal that could still meet it has given up.
    pub fn is_obsolete(&self, now: Timestamp, stale_after: Duration) -> bool {
        let stays = Self::SHORTEST.max(stale_after.saturating_mul(2));
        self.gone_at.after(stays) <= now
    }
}

/// The record at the key of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// It exists.
    Live(Manifest),
    /// It did.
    Gone(Tombstone),
}

impl Stored {
    /// Reads the record of `id`.
    ///
    /// # Errors
    /// It cannot be understood; the text says why.
    pub fn from_json(json: &[u8], id: &UploadId) -> Result<Self, String> {
        let broken = |error: serde_json::Error| format!("is no manifest: {error}");
        let probe: Probe = serde_json::from_slice(json).map_err(broken)?;
        if let Some(obstacle) = probe.obstacle() {
            return Err(obstacle);
        }
        let stored = match probe.gone {
            Some(_) => Stored::Gone(serde_json::from_slice(json).map_err(broken)?),
            None => {
                let mut manifest: Manifest = serde_json::from_slice(json).map_err(broken)?;
                manifest.restore_paths();
                Stored::Live(manifest)
            }
        };
        if stored.id() != id {
            return Err(format!("is of the upload {}", stored.id()));
        }
        Ok(stored)
    }

    /// Whether what [`from_json`](Self::from_json) refuses is the record of a newer version, and
    /// so not damaged.
    pub fn is_newer(json: &[u8]) -> bool {
        serde_json::from_slice(json).is_ok_and(|probe: Probe| probe.obstacle().is_some())
    }

    /// The upload.
    pub fn id(&self) -> &UploadId {
        match self {
            Stored::Live(manifest) => &manifest.id,
            Stored::Gone(tombstone) => &tombstone.id,
        }
    }

    /// Which version of the key it is.
    pub fn generation(&self) -> u64 {
        match self {
            Stored::Live(manifest) => manifest.generation,
            Stored::Gone(tombstone) => tombstone.generation,
        }
    }

    /// The manifest of an upload that exists.
    pub fn live(self) -> Option<Manifest> {
        match self {
            Stored::Live(manifest) => Some(manifest),
            Stored::Gone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_comes_back_from_its_json_and_nothing_newer_does() {
        let id = UploadId::generate().unwrap();
        let files = vec![FileName::from_upload(b"a.txt")];
        let tombstone = Tombstone::orphaned(id, files, Timestamp::from_millis(5));
        let json = serde_json::to_string(&tombstone).unwrap();
        let read = |json: &str| Stored::from_json(json.as_bytes(), &id);
        assert_eq!(read(&json), Ok(Stored::Gone(tombstone)));
        let newer = json.replace("\"schema\":1", "\"schema\":3");
        assert_eq!(
            read(&newer).unwrap_err(),
            "has the schema 3, and 2 is the newest known"
        );
        assert!(Stored::is_newer(newer.as_bytes()) && !Stored::is_newer(json.as_bytes()));
        assert!(read("{}").unwrap_err().starts_with("is no manifest: "));
        assert!(!Stored::is_newer(b"{}"));
        let other = UploadId::generate().unwrap();
        assert!(Stored::from_json(json.as_bytes(), &other).is_err());
    }

    #[test]
    fn tombstones_outlast_whatever_was_paused() {
        let id = UploadId::generate().unwrap();
        let tombstone = Tombstone::orphaned(id, Vec::new(), Timestamp::from_millis(0));
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let at = |span| Timestamp::from_millis(0).after(span);
        assert!(!tombstone.is_obsolete(at(hours(47)), hours(1)));
        assert!(tombstone.is_obsolete(at(hours(48)), hours(1)));
        assert!(!tombstone.is_obsolete(at(hours(48)), hours(25)));
    }
}
