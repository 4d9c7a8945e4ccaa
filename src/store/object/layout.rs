//! The keys of a bucket.

use object_store::path::Path;

use crate::model::{FileName, Prefix, UploadId};
use crate::store::names;

/// The keys of a store in a bucket.
#[derive(Debug, Clone)]
pub struct KeyLayout {
    /// The beginning of every key, without a slash at its end; may be empty.
    prefix: String,
}

impl KeyLayout {
    /// Below `prefix`, which may be empty.
    pub fn new(prefix: &str) -> Self {
        KeyLayout {
            prefix: prefix.to_owned(),
        }
    }

    fn key(&self, rest: &str) -> Path {
        let key = match self.prefix.as_str() {
            "" => rest.to_owned(),
            prefix => format!("{prefix}/{rest}"),
        };
        // Not `Path::from`, which would escape characters that file names may have.
        Path::parse(key).expect("prefix, ids and file names have no control characters")
    }

    /// The key of an upload.
    pub fn manifest(&self, id: &UploadId) -> Path {
        let name = names::manifest_name(id);
        self.key(&format!("{}/{name}", id.prefix().as_str()))
    }

    /// The key of a file.
    pub fn file(&self, id: &UploadId, name: &FileName) -> Path {
        let name = names::file_name(id, name);
        self.key(&format!("{}/{name}", id.prefix().as_str()))
    }

    /// The beginning of the keys of a folder, but for a slash.
    pub fn folder(&self, prefix: Prefix) -> Path {
        self.key(prefix.as_str())
    }

    /// The beginning of the keys of all files of an upload.
    pub fn files(&self, id: &UploadId) -> String {
        format!("{}/{id}-", self.folder(id.prefix()))
    }

    /// A key of the server's own, which is no upload.
    pub fn private(&self, name: &str) -> Path {
        self.key(&format!("{}/{name}", names::PRIVATE))
    }
}

/// The last part of a key.
pub fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_paths_on_a_disk() {
        let id: UploadId = "0c8r5v3m9ag7wqk2ht4xz1y6ne".parse().unwrap();
        let name = FileName::from_upload("100%_[#]~é.txt".as_bytes());
        let layout = KeyLayout::new("a/b");
        assert_eq!(layout.manifest(&id).as_ref(), format!("a/b/0c/{id}.json"));
        let file = layout.file(&id, &name);
        assert_eq!(file.as_ref(), format!("a/b/0c/{id}-100%_[#]~é.txt"));
        assert!(file.as_ref().starts_with(&layout.files(&id)));
        assert_eq!(KeyLayout::new("").folder(id.prefix()).as_ref(), "0c");
        assert_eq!(layout.private("x").as_ref(), "a/b/.wharf/x");
        assert_eq!(name_of("a/b"), "b");
    }
}
