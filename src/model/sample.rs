//! Manifests for the tests of all modules.

use super::{
    FIRST_SCHEMA, FileName, Manifest, Part, Salt, StoredFile, Timestamp, TokenHash, UploadId,
};

impl Manifest {
    /// The first version of an upload with these parts, whose delete token is `t`.
    pub fn sample(parts: Vec<Part>) -> Self {
        Manifest {
            schema: FIRST_SCHEMA,
            generation: 1,
            id: UploadId::generate().unwrap(),
            created_at: Timestamp::from_millis(1),
            order: None,
            expires_at: None,
            max_downloads: None,
            used: 0,
            salt: Salt::generate().unwrap(),
            delete_token: TokenHash::of("t"),
            parts,
            title: None,
            unseen: 0,
            rest: Default::default(),
        }
    }
}

impl StoredFile {
    /// A file of plain text, of that name and of `size` bytes.
    pub fn sample(name: &str, size: u64) -> Self {
        StoredFile {
            name: FileName::from_upload(name.as_bytes()),
            original: name.as_bytes().to_vec().into(),
            path: None,
            size,
            extended: None,
            media_type: "text/plain".to_owned(),
            given_type: None,
            sha256: None,
            crc32: None,
            used: None,
            rest: Default::default(),
        }
    }
}

impl Part {
    /// The field `f` with a file.
    pub fn sample(file: StoredFile) -> Self {
        Part::File {
            field: b"f"[..].into(),
            file,
        }
    }
}
