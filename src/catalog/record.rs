//! The record of an upload in an index.

use serde::{Deserialize, Serialize};

use crate::catalog::{Downloads, IndexEntry, ListFilter, Listed, ShownFacts};
use crate::model::{FileName, Manifest, Timestamp, UploadId};

/// The value of an upload in the database, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub generation: u64,
    pub created_at: Timestamp,
    /// The order among the uploads of a name, where it differs from `created_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// Whether all its downloads are used.
    pub spent: bool,
    /// When it is due: at its deadline, or later after trouble, or long ago when it is spent.
    pub due: Option<Timestamp>,
    /// Bytes of its files.
    pub size: u64,
    /// The bytes that it takes of the store: see [`Manifest::room`].
    pub room: u64,
    /// The names of its files, each once, as they are within an upload.
    pub names: Vec<FileName>,
    /// Its downloads, where they are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloads: Option<Downloads>,
    /// The facts that a listing shows; `None` where an older version has recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<ShownFacts>,
}

impl Record {
    pub fn of(manifest: &Manifest) -> Self {
        let mut names: Vec<FileName> = manifest
            .files()
            .map(|(_, file)| file.name.clone())
            .collect();
        names.sort();
        names.dedup();
        let spent = !manifest.has_downloads();
        Record {
            generation: manifest.generation,
            created_at: manifest.created_at,
            order: Some(manifest.order()).filter(|order| *order != manifest.created_at),
            expires_at: manifest.expires_at,
            spent,
            due: if spent {
                Some(Timestamp::from_millis(0))
            } else {
                manifest.expires_at
            },
            size: manifest.size(),
            room: manifest.room(),
            names,
            downloads: Downloads::of(manifest),
            shown: Some(ShownFacts::of(manifest)),
        }
    }

    /// The names that lead to the upload. None leads to one with limited downloads: a caller who
    /// guesses a name would use them up.
    pub fn found_by(&self) -> &[FileName] {
        match self.downloads {
            None => &self.names,
            Some(_) => &[],
        }
    }

    /// The order among the uploads of a name: the highest is the newest.
    pub fn order(&self) -> Timestamp {
        self.order.unwrap_or(self.created_at)
    }

    /// Whether it is one of the uploads of such a listing, being that of `id`.
    pub fn is_in(&self, filter: &ListFilter, id: &UploadId) -> bool {
        // The names are in their order.
        let has = |name: &FileName| self.names.binary_search(name).is_ok();
        (filter.listed == Listed::All || self.downloads.is_none())
            && filter
                .id
                .as_ref()
                .is_none_or(|beginning| beginning.is_of(id))
            && (filter.names.is_empty() || filter.names.iter().any(has))
    }

    pub fn is_alive(&self, now: Timestamp) -> bool {
        !self.spent && self.expires_at.is_none_or(|deadline| deadline > now)
    }

    pub fn entry(&self, id: UploadId) -> IndexEntry {
        IndexEntry {
            id,
            generation: self.generation,
            created_at: self.created_at,
            expires_at: self.expires_at,
            size: self.size,
            file_count: self.names.len(),
            name: match self.names.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
            downloads: Some(self.downloads),
            shown: self.shown.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::conformance::manifest;
    use crate::model::Title;

    #[test]
    fn a_record_of_an_older_version_says_what_it_knew() {
        let mut upload = manifest(1, &["a.txt"]);
        upload.title = Title::from_upload("A title").unwrap();
        let record = Record::of(&upload);
        let mut json = serde_json::to_value(&record).unwrap();
        assert_eq!(
            serde_json::from_value::<Record>(json.clone()).unwrap(),
            record
        );
        let shown = record.entry(upload.id).shown.unwrap();
        assert_eq!(shown.media_type.as_deref(), Some("text/plain"));
        assert_eq!(shown.title, upload.title);
        json.as_object_mut().unwrap().remove("shown");
        // One of a newer version has members that this one does not know.
        json["later"] = 1.into();
        let older: Record = serde_json::from_value(json).unwrap();
        assert_eq!(older.entry(upload.id).shown, None);
        assert_eq!(older.size, record.size);
    }
}
