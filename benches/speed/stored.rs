//! Uploads as they lie in a store, made without a server.

use std::path::Path;

use wharf::model::{
    FIRST_SCHEMA, FileName, Manifest, Part, Salt, StoredFile, Timestamp, TokenHash, UploadId,
};

/// The content of every file of [`store`].
pub const FILE: &[u8] = b"0123456789";

/// An upload of one file, a thousandth of them of one name. Every second has a deadline in the
/// far future.
pub fn manifest(i: usize) -> Manifest {
    let name = format!("file-{}.txt", i % 1000);
    Manifest {
        title: None,
        unseen: 0,
        rest: Default::default(),
        schema: FIRST_SCHEMA,
        generation: 1,
        id: UploadId::generate().expect("randomness"),
        created_at: Timestamp::from_millis(i as i64),
        order: None,
        expires_at: i
            .is_multiple_of(2)
            .then(|| Timestamp::from_millis(4_000_000_000_000 + i as i64)),
        max_downloads: None,
        used: 0,
        salt: Salt::generate().expect("randomness"),
        delete_token: TokenHash::of("t"),
        parts: vec![Part::File {
            field: b"f"[..].into(),
            file: StoredFile {
                name: FileName::from_upload(name.as_bytes()),
                original: name.into_bytes().into(),
                extended: None,
                size: FILE.len() as u64,
                media_type: "text/plain".to_owned(),
                given_type: None,
                sha256: None,
                crc32: None,
                path: None,
                used: None,
                rest: Default::default(),
            },
        }],
    }
}

/// Puts an upload into a store: its file, and its record.
///
/// # Errors
/// The disk says no.
pub fn store(dir: &Path, manifest: &Manifest) -> std::io::Result<()> {
    let folder = dir.join(manifest.id.prefix().as_str());
    std::fs::create_dir_all(&folder)?;
    for part in &manifest.parts {
        if let Part::File { file, .. } = part {
            std::fs::write(folder.join(format!("{}-{}", manifest.id, file.name)), FILE)?;
        }
    }
    let json = serde_json::to_vec(manifest)?;
    std::fs::write(folder.join(format!("{}.json", manifest.id)), json)
}
