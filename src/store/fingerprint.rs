//! The state of an upload as one listing of a folder has it, in a few bytes.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::model::{FileName, Manifest};

/// The version of an upload's key and its files with their sizes, as a listing has them. Only
/// fingerprints that the same process made can be compared.
///
/// The hashes of the files are added up: so it is as small for ten thousand files as for one, and
/// does not depend on the order in which a store lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint {
    key: u64,
    files: u64,
}

impl Fingerprint {
    /// Takes the version of the key: its `ETag`.
    pub(super) fn set_key(&mut self, tag: &str) {
        self.key = hash(tag);
    }

    /// Takes a file of `size` bytes.
    pub(super) fn add_file(&mut self, name: &FileName, size: u64) {
        self.files = self.files.wrapping_add(hash((name.as_str(), size)));
    }

    /// Whether both were made of the same version of the key.
    pub fn has_key_of(&self, other: &Fingerprint) -> bool {
        self.key == other.key
    }

    /// Whether the files of the listing are those of `manifest`, each with its size, and no
    /// others. `false` says only that a closer look is needed.
    pub fn has_files_of(&self, manifest: &Manifest) -> bool {
        let mut expected = Fingerprint::default();
        for (_, file) in manifest.files() {
            expected.add_file(&file.name, file.size);
        }
        self.files == expected.files
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_and_every_size_counts_and_the_order_does_not() {
        let of = |files: &[(&str, u64)]| {
            let mut made = Fingerprint::default();
            for (name, size) in files {
                made.add_file(&FileName::from_upload(name.as_bytes()), *size);
            }
            made.files
        };
        let both = of(&[("a", 1), ("b", 2)]);
        assert_eq!(both, of(&[("b", 2), ("a", 1)]));
        for other in [
            &[("a", 1)][..],
            &[("a", 2), ("b", 1)],
            &[("a", 1), ("b", 3)],
            &[("a", 1), ("b", 2), ("c", 0)],
        ] {
            assert_ne!(both, of(other), "{other:?}");
        }
        let mut keys = [Fingerprint::default(); 2];
        keys[0].set_key("\"1\"");
        keys[1].set_key("\"2\"");
        assert!(!keys[0].has_key_of(&keys[1]));
    }
}
