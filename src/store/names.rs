//! The names that a store gives: in a directory, or as the last part of a key.

use crate::model::{FileName, Prefix, UploadId};

/// The folder for files that belong to the server and are no uploads.
pub const PRIVATE: &str = ".wharf";
/// The end of a manifest's name.
const MANIFEST: &str = ".json";

/// The meaning of a name in a folder of uploads.
#[derive(Debug, PartialEq, Eq)]
pub enum StoredName {
    /// The manifest of an upload.
    Manifest(UploadId),
    /// A file of an upload.
    File(UploadId, FileName),
    /// Not ours.
    Foreign,
}

/// The name of a stored file.
pub fn file_name(id: &UploadId, name: &FileName) -> String {
    [id.as_str(), "-", name.as_str()].concat()
}

/// The name of a manifest.
pub fn manifest_name(id: &UploadId) -> String {
    [id.as_str(), MANIFEST].concat()
}

/// Reads a name in the folder `prefix`.
pub fn read_name(prefix: Prefix, name: &[u8]) -> StoredName {
    let parsed = || {
        let (id, rest) = str::from_utf8(name).ok()?.split_at_checked(26)?;
        let id: UploadId = id.parse().ok()?;
        if id.prefix() != prefix {
            return None;
        }
        if rest == MANIFEST {
            return Some(StoredName::Manifest(id));
        }
        let file = FileName::parse(rest.strip_prefix('-')?).ok()?;
        Some(StoredName::File(id, file))
    };
    parsed().unwrap_or(StoredName::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_wharf_gives_are_its_own() {
        let id: UploadId = "0c8r5v3m9ag7wqk2ht4xz1y6ne".parse().unwrap();
        let read = |name: &str| read_name(id.prefix(), name.as_bytes());
        assert_eq!(read(&manifest_name(&id)), StoredName::Manifest(id));
        let name = FileName::from_upload(b"a.txt");
        assert_eq!(read(&file_name(&id, &name)), StoredName::File(id, name));
        for foreign in [
            "notes.txt",
            "0c8r5v3m9ag7wqk2ht4xz1y6ne",
            "0c8r5v3m9ag7wqk2ht4xz1y6ne-",
            "0c8r5v3m9ag7wqk2ht4xz1y6ne-.hidden",
            "0c8r5v3m9ag7wqk2ht4xz1y6ne.json.bak",
            "1c8r5v3m9ag7wqk2ht4xz1y6ne.json",
        ] {
            assert_eq!(read(foreign), StoredName::Foreign, "{foreign}");
        }
    }
}
