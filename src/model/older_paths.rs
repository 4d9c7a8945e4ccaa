//! The paths of files that an older version has stored without them.

use super::{
    FileName, FilePath, Manifest, Part, StoredFile, UniqueNames, UniquePaths, display_name,
};

impl Manifest {
    /// Gives the files the paths that this version would have stored: by the names as they came,
    /// in the order of the form. A file whose name another rule has made is called as today's rules
    /// make it of that name.
    pub(super) fn restore_paths(&mut self) {
        if !self.files().any(|(_, file)| lacks_path(file)) {
            return;
        }
        let (mut names, mut paths) = (UniqueNames::default(), UniquePaths::default());
        for part in &mut self.parts {
            let Part::File { file, .. } = part else {
                continue;
            };
            let safe = FileName::from_upload(file.name.as_str().as_bytes());
            let came = came(file);
            let path = match names.assign(came.file_name()) == safe {
                true => paths.assign(&came),
                false => paths.assign(&safe.into()),
            };
            if file.path.is_none() && path.as_str() != file.name.as_str() {
                file.path = Some(path);
            }
        }
    }
}

/// The path of a file by its name as it came: in a form `%22` stands for `"`.
fn came(file: &StoredFile) -> FilePath {
    FilePath::from_upload(&display_name(file.original.as_bytes()))
}

/// Whether the path of a file is another one than its name, and its record does not say so. It is
/// false for nearly all that this version stores.
fn lacks_path(file: &StoredFile) -> bool {
    let safe = || FileName::from_upload(file.name.as_str().as_bytes()) == file.name;
    let has_folders = || FilePath::has_folders(&display_name(file.original.as_bytes()));
    file.path.is_none() && (has_folders() || !safe())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of a manifest of 7d560c9: files by their names as they came, and as they were
    /// stored.
    fn restored(files: &[(&str, &str)]) -> Vec<String> {
        let parts = files.iter().map(|(original, name)| {
            Part::sample(StoredFile {
                original: original.as_bytes().to_vec().into(),
                name: FileName::parse(name).unwrap(),
                ..StoredFile::sample("x", 1)
            })
        });
        let mut manifest = Manifest::sample(parts.collect());
        manifest.restore_paths();
        let paths: Vec<String> = manifest
            .files()
            .map(|(_, file)| file.path().to_owned())
            .collect();
        // Stored again, nothing is left to be restored.
        assert!(!manifest.files().any(|(_, file)| lacks_path(file)));
        paths
    }

    #[test]
    fn older_files_have_the_paths_that_newer_ones_would() {
        assert_eq!(
            restored(&[("x/a.txt", "a.txt"), ("y/a.txt", "a (2).txt"), ("b", "b")]),
            ["x/a.txt", "y/a.txt", "b"]
        );
        // A file where a folder is, and names that were numbered.
        assert_eq!(
            restored(&[("x/a.txt", "a.txt"), ("x", "x")]),
            ["x/a.txt", "x (2)"]
        );
        let twins = [
            ("q/a.txt", "a.txt"),
            ("a.txt", "a (2).txt"),
            ("/a (2).txt", "a (2) (2).txt"),
        ];
        assert_eq!(restored(&twins), ["q/a.txt", "a.txt", "a (2).txt"]);
        // Characters that 7d560c9 kept.
        assert_eq!(restored(&[("C:a.txt", "C:a.txt")]), ["C_a.txt"]);
        assert_eq!(restored(&[("x/a:b", "a:b")]), ["x/a_b"]);
        // What browsers send for a quotation mark and the ends of lines: 7d560c9 kept the first in
        // names, others did not.
        assert_eq!(
            restored(&[
                ("q %22x%22/a %22b%22.txt", "a \"b\".txt"),
                ("q %22x%22/a%0D%0Ab.txt", "ab.txt"),
                ("q %22x%22/c%22.txt", "c_.txt"),
                ("%0D/d.txt", "d.txt"),
            ]),
            ["q _x_/a _b_.txt", "q _x_/ab.txt", "q _x_/c_.txt", "d.txt"]
        );
        // A whole path of another machine has no folders.
        assert_eq!(restored(&[("/home/ana/x", "x")]), ["x"]);
    }
}
