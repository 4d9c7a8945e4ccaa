//! The downloads that a limited upload allows: each of its files may be fetched whole so many times.

use std::sync::Arc;

use super::layout::SECOND_SCHEMA;
use super::{Manifest, Part, StoredFile};

/// The files of an upload that one download fetches, and so uses up by one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Portion {
    /// The whole form: every file of it.
    Form,
    /// The file at this place among the parts.
    File(usize),
    /// The files at these places, which differ and ascend.
    Files(Arc<[usize]>),
}

impl Portion {
    /// Whether the file at this place is fetched.
    pub fn has(&self, place: usize) -> bool {
        match self {
            Portion::Form => true,
            Portion::File(one) => *one == place,
            Portion::Files(places) => places.binary_search(&place).is_ok(),
        }
    }
}

impl Manifest {
    /// How many downloads of a file are used.
    pub fn used_of(&self, file: &StoredFile) -> u64 {
        file.used.unwrap_or(self.used)
    }

    /// How many downloads are left of the file that has the most; `None` where they are not limited.
    pub fn downloads_left(&self) -> Option<u64> {
        let used = self.files().map(|(_, file)| self.used_of(file));
        let least = used.min().unwrap_or(self.used);
        self.max_downloads.map(|max| max.saturating_sub(least))
    }

    /// How many downloads are left of a file; `None` where they are not limited.
    pub fn downloads_left_of(&self, file: &StoredFile) -> Option<u64> {
        let max = self.max_downloads?;
        Some(max.saturating_sub(self.used_of(file)))
    }

    /// Whether any of it may be downloaded once more.
    pub fn has_downloads(&self) -> bool {
        self.downloads_left().is_none_or(|left| left > 0)
    }

    /// Whether this portion may be downloaded once more.
    pub fn allows(&self, portion: &Portion) -> bool {
        self.max_downloads
            .is_none_or(|max| self.used_for(portion) < max)
    }

    /// The most downloads that are used of a file in this portion.
    pub fn used_for(&self, portion: &Portion) -> u64 {
        let of = |place: &usize| match self.parts.get(*place) {
            Some(Part::File { file, .. }) => self.used_of(file),
            _ => self.used,
        };
        match portion {
            Portion::Form => self.used,
            Portion::File(place) => of(place),
            Portion::Files(places) => places.iter().map(of).max().unwrap_or(self.used),
        }
    }

    /// Counts a download of this portion, unless none is left of it: all its files, or none.
    /// Answers whether it did.
    pub fn count_download(&mut self, portion: &Portion) -> bool {
        if self.max_downloads.is_none() || !self.allows(portion) {
            return false;
        }
        let before = self.used;
        let used = self.used_for(portion) + 1;
        self.used = before.max(used);
        for (place, part) in self.parts.iter_mut().enumerate() {
            let Part::File { file, .. } = part else {
                continue;
            };
            let own = file.used.unwrap_or(before);
            let own = own + u64::from(portion.has(place));
            file.used = Some(own).filter(|own| *own < self.used);
        }
        // An older version knows one count for all files, and would remove files that have
        // downloads left.
        if self.files().any(|(_, file)| file.used.is_some()) {
            self.schema = self.schema.max(SECOND_SCHEMA);
        }
        true
    }

    /// Allows so many downloads of each file from now on, `None` for any number: those that were
    /// counted stay counted as long as there is a limit. Answers `false`, and leaves it as it is,
    /// where none would be left: that would end the upload.
    pub fn limit_downloads(&mut self, max: Option<u64>) -> bool {
        let before = std::mem::replace(&mut self.max_downloads, max);
        if !self.has_downloads() {
            self.max_downloads = before;
            return false;
        }
        if max.is_none() {
            self.used = 0;
            for part in &mut self.parts {
                if let Part::File { file, .. } = part {
                    file.used = None;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FIRST_SCHEMA;

    fn limited(max: u64, names: &[&str]) -> Manifest {
        let part = |name: &&str| Part::sample(StoredFile::sample(name, 1));
        Manifest {
            max_downloads: Some(max),
            ..Manifest::sample(names.iter().map(part).collect())
        }
    }

    fn left(manifest: &Manifest) -> Vec<u64> {
        let left = manifest.files();
        left.map(|(_, file)| manifest.downloads_left_of(file).unwrap())
            .collect()
    }

    #[test]
    fn each_file_has_its_downloads_and_a_form_takes_one_of_each() {
        let mut upload = limited(2, &["a", "b", "c"]);
        assert!(upload.count_download(&Portion::Form));
        assert_eq!(
            (left(&upload), upload.schema),
            (vec![1, 1, 1], FIRST_SCHEMA)
        );
        assert!(upload.count_download(&Portion::File(1)));
        assert_eq!(
            (left(&upload), upload.schema),
            (vec![1, 0, 1], SECOND_SCHEMA)
        );
        assert_eq!(upload.used, 2, "the most of any file");
        let before = upload.clone();
        assert!(!upload.count_download(&Portion::File(1)));
        assert!(!upload.count_download(&Portion::Form), "all files, or none");
        assert_eq!(upload, before);
        assert_eq!(upload.downloads_left(), Some(1));
        assert!(upload.count_download(&Portion::File(0)));
        assert!(upload.has_downloads());
        assert!(upload.count_download(&Portion::File(2)));
        assert_eq!(left(&upload), [0, 0, 0]);
        assert!(!upload.has_downloads());
        assert!(upload.files().all(|(_, file)| file.used.is_none()));
    }

    #[test]
    fn some_files_are_counted_all_or_none() {
        let mut upload = limited(2, &["a", "b", "c"]);
        let some = Portion::Files([0, 2].into());
        assert!(upload.count_download(&some));
        assert_eq!(left(&upload), [1, 2, 1]);
        assert!(upload.count_download(&Portion::File(2)));
        let before = upload.clone();
        assert!(!upload.allows(&some) && !upload.count_download(&some));
        assert_eq!(upload, before);
        assert!(upload.count_download(&Portion::Files([0, 1].into())));
        assert_eq!(left(&upload), [0, 1, 0]);
    }

    #[test]
    fn one_count_of_an_older_version_is_that_of_each_file() {
        let mut upload = limited(3, &["a", "b"]);
        upload.used = 2;
        assert_eq!(left(&upload), [1, 1]);
        assert!(upload.count_download(&Portion::File(0)));
        assert_eq!(left(&upload), [0, 1]);
        assert!(!upload.allows(&Portion::Form) && upload.allows(&Portion::File(1)));
    }

    #[test]
    fn a_new_limit_counts_what_was_counted_and_none_forgets_it() {
        let mut upload = limited(3, &["a", "b"]);
        assert!(upload.count_download(&Portion::Form) && upload.count_download(&Portion::File(1)));
        assert!(upload.limit_downloads(Some(2)));
        assert_eq!(left(&upload), [1, 0]);
        let before = upload.clone();
        assert!(!upload.limit_downloads(Some(1)), "it would be over");
        assert_eq!(upload, before);
        assert!(upload.limit_downloads(None) && upload.downloads_left().is_none());
        assert!(upload.limit_downloads(Some(1)));
        assert_eq!(left(&upload), [1, 1]);
    }

    #[test]
    fn a_form_without_files_is_counted_as_a_whole() {
        let mut upload = limited(1, &[]);
        assert!(upload.has_downloads() && upload.count_download(&Portion::Form));
        assert!(!upload.has_downloads() && !upload.count_download(&Portion::Form));
        let mut free = Manifest {
            max_downloads: None,
            ..upload
        };
        assert!(free.allows(&Portion::Form) && free.has_downloads());
        assert!(!free.count_download(&Portion::Form), "nothing is counted");
    }
}
