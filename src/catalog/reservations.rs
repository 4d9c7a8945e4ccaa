//! The uses of limited downloads: reserved while a download is under way, then spent or released.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::CatalogError;
use crate::model::{Manifest, Part, Portion, UploadId};

/// The limit of downloads of a portion of an upload, by one version of its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The upload.
    pub id: UploadId,
    /// The portion that is to be downloaded.
    pub portion: Portion,
    /// The generation of the manifest that says so.
    pub generation: u64,
    /// How many downloads of each file it allows.
    pub max: u64,
    /// The most that are used of a file in the portion.
    pub used: u64,
    /// The files in the portion of which fewer may be used, by their places, where it has several.
    pub fewer: Arc<[(usize, u64)]>,
}

impl Limit {
    /// The limit of a portion by a manifest; `None` where downloads are not counted.
    pub fn of(manifest: &Manifest, portion: Portion) -> Option<Self> {
        let max = manifest.max_downloads?;
        let used = manifest.used_for(&portion);
        let fewer = |(place, part): (usize, &Part)| match part {
            Part::File { file, .. } if portion.has(place) => {
                let own = manifest.used_of(file);
                (own < used).then_some((place, own))
            }
            _ => None,
        };
        let parts = manifest.parts.iter().enumerate();
        let fewer = parts.filter_map(fewer).collect();
        Some(Limit {
            id: manifest.id,
            generation: manifest.generation,
            max,
            used,
            fewer,
            portion,
        })
    }

    /// Whether one more download of the portion may begin beside those of `reserved`.
    pub(super) fn room<'a>(&self, reserved: impl Iterator<Item = &'a Portion>) -> Room {
        if self.used >= self.max {
            return Room::Spent;
        }
        let (mut forms, mut files) = (0, HashMap::<usize, u64>::new());
        for portion in reserved {
            match portion {
                Portion::Form => forms += 1,
                Portion::File(place) => *files.entry(*place).or_default() += 1,
                Portion::Files(places) => {
                    for place in places.iter() {
                        *files.entry(*place).or_default() += 1;
                    }
                }
            }
        }
        let used = |place: usize| {
            let fewer = self.fewer.iter().find(|(known, _)| *known == place);
            fewer.map_or(self.used, |(_, used)| *used)
        };
        // The file in the portion of which the most are used has at least that many.
        let wanted = files.iter().filter(|(place, _)| self.portion.has(**place));
        let most = wanted
            .map(|(place, reserved)| used(*place) + reserved)
            .fold(self.used, u64::max);
        match most + forms < self.max {
            true => Room::Left,
            false => Room::Busy,
        }
    }
}

/// Whether a download may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Left,
    Busy,
    Spent,
}

/// A use that is reserved. As text, the key under which Redis holds it: the number, and behind a
/// slash each the places of the files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reservation {
    /// The number that tells it from all others of the upload.
    pub number: u64,
    /// The portion that is downloaded.
    pub portion: Portion,
}

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.portion {
            Portion::Form => write!(f, "{}", self.number),
            Portion::File(place) => write!(f, "{}/{place}", self.number),
            Portion::Files(places) => {
                write!(f, "{}", self.number)?;
                places.iter().try_for_each(|place| write!(f, "/{place}"))
            }
        }
    }
}

/// The answer to a download that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// A use of each file is reserved, until it is committed or released.
    Use(Reservation),
    /// Downloads under way have reserved all uses that are left.
    Busy,
    /// All uses of a file are spent.
    Spent,
    /// The index knows of a later manifest than the limit is of, which has to be read.
    Stale,
}

/// The part of an index that knows which uses of limited downloads are reserved.
#[async_trait]
pub trait Reservations: Send + Sync {
    /// Reserves one use of each file in a portion of a limited upload: of all of them, or of none.
    /// A use that is neither committed nor released comes back after `ttl`, or when the process
    /// that has reserved it has ended.
    async fn reserve(&self, limit: &Limit, ttl: Duration) -> Result<Reserved, CatalogError>;

    /// Turns a reserved use into a spent one, which `manifest` has recorded.
    async fn commit(
        &self,
        reservation: &Reservation,
        manifest: &Manifest,
    ) -> Result<(), CatalogError>;

    /// Releases a reserved use of an upload.
    async fn release(&self, id: &UploadId, reservation: &Reservation) -> Result<(), CatalogError>;
}
