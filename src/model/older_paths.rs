//! The folders of files that an older version has stored without their paths.

use super::{FilePath, Manifest, Part, StoredFile, UniqueNames, UniquePaths};

impl Manifest {
    /// Gives the files the paths that this version would have stored: by the names as they came,
    /// in the order of the form. A file whose name another rule has made keeps it for its path.
    pub(super) fn restore_paths(&mut self) {
        if !self.files().any(|(_, file)| lacks_path(file)) {
            return;
        }
        let (mut names, mut paths) = (UniqueNames::default(), UniquePaths::default());
        for part in &mut self.parts {
            let Part::File { file, .. } = part else {
                continue;
            };
            let came = FilePath::from_upload(file.original.as_bytes());
            let known = names.assign(came.file_name()) == file.name;
            let path = match known {
                true => paths.assign(&came),
                false => paths.assign(&file.name.clone().into()),
            };
            if lacks_path(file) && path.as_str() != file.name.as_str() {
                file.path = Some(path);
            }
        }
    }
}

/// Whether a file came with folders, and its record does not say so.
fn lacks_path(file: &StoredFile) -> bool {
    let name = file.original.as_bytes();
    file.path.is_none() && name.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}
