//! The files of a folder, to be sent.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::{ClientError, FilePart};

/// Files that file managers leave behind in folders: a sender does not mean to send them.
const LITTER: [&str; 2] = [".DS_Store", "Thumbs.db"];

/// The files of a folder and of those in it, each with its folders before its name. They are in the
/// order of their names, whatever the file system's is; each is opened when its turn comes, and has
/// to be as it was found then.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Folder {
    /// The files.
    pub files: Vec<FilePart>,
    /// Files in it that are not sent, in the same order.
    pub left_out: Vec<LeftOut>,
}

/// Something that is not sent with its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its path.
    pub path: PathBuf,
    /// Its kind.
    pub kind: LeftOutKind,
}

/// The kinds of what is not sent with its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOutKind {
    /// A symbolic link. It may lead to a file outside the folder, which the sender does not mean to
    /// send.
    Link,
    /// A pipe, a socket or a device.
    Special,
    /// Files of a file manager: `.DS_Store`, `Thumbs.db`.
    Litter,
    /// A folder without anything in it: a form has files alone.
    EmptyFolder,
}

impl Folder {
    /// Finds what is in the folder at `path`, without reading any file. Its own name comes first in
    /// those of its files, where the path ends in one (`photos`, not `.`). A symbolic link at `path`
    /// itself is followed; those below are left out.
    ///
    /// # Errors
    /// [`ClientError::Unreadable`] names what cannot be read in it, all of it; or the folder itself
    /// cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let name = path
            .file_name()
            .unwrap_or_default()
            .as_encoded_bytes()
            .to_vec();
        let entries = entries(path).map_err(|error| ClientError::file(path, error))?;
        let mut walk = Walk::default();
        walk.begin(path, &name, entries);
        walk.run();
        match walk.unreadable {
            Some((paths, error)) => Err(ClientError::Unreadable { paths, error }),
            None => Ok(walk.found),
        }
    }
}

/// A walk through a folder. No more than one of the folders is open at a time.
#[derive(Default)]
struct Walk {
    found: Folder,
    /// The paths that cannot be read, and why the first of them cannot.
    unreadable: Option<(Vec<PathBuf>, io::Error)>,
    /// The paths that are still to be looked at, the next at the end, each with the name that it is
    /// sent under.
    next: Vec<(PathBuf, Vec<u8>)>,
}

impl Walk {
    fn run(&mut self) {
        while let Some((path, name)) = self.next.pop() {
            if let Err(error) = self.look(&path, name) {
                let (paths, _) = self.unreadable.get_or_insert((Vec::new(), error));
                paths.push(path);
            }
        }
    }

    fn look(&mut self, path: &Path, name: Vec<u8>) -> io::Result<()> {
        let found = path.symlink_metadata()?;
        match kind(path, &found) {
            Some(kind) => self.leave_out(path, kind),
            None if found.is_dir() => {
                let entries = entries(path)?;
                self.begin(path, &name, entries);
            }
            None => {
                let file = FilePart::found(path.to_owned(), &found, name)?;
                self.found.files.push(file);
            }
        }
        Ok(())
    }

    /// Goes on with what is in a folder.
    fn begin(&mut self, path: &Path, name: &[u8], entries: Vec<PathBuf>) {
        if entries.is_empty() {
            self.leave_out(path, LeftOutKind::EmptyFolder);
        }
        for entry in entries.into_iter().rev() {
            let own = entry.file_name().unwrap_or_default().as_encoded_bytes();
            let name = match name {
                [] => own.to_vec(),
                folder => [folder, b"/", own].concat(),
            };
            self.next.push((entry, name));
        }
    }

    fn leave_out(&mut self, path: &Path, kind: LeftOutKind) {
        let path = path.to_owned();
        self.found.left_out.push(LeftOut { path, kind });
    }
}

/// Why something is left out; `None` for files and folders that are not.
fn kind(path: &Path, found: &Metadata) -> Option<LeftOutKind> {
    let is = |name: &&str| path.file_name() == Some(OsStr::new(name));
    if found.is_symlink() {
        Some(LeftOutKind::Link)
    } else if found.is_dir() {
        None
    } else if !found.is_file() {
        Some(LeftOutKind::Special)
    } else {
        LITTER.iter().any(is).then_some(LeftOutKind::Litter)
    }
}

/// The entries of a folder, by name.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    entries.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_folder_is_walked_by_name_and_what_is_no_file_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("it");
        for folder in ["a/deep", "b", "none", "b-"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "z",
            "a/1",
            "a/deep/2",
            "b/3",
            "b-/4",
            "b/.DS_Store",
            "Thumbs.db",
            ".hidden",
        ] {
            std::fs::write(root.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("b/link")).unwrap();
        std::os::unix::fs::symlink("..", root.join("b/up")).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        let folder = Folder::read(&root).unwrap();
        let names: Vec<_> = folder.files.iter().map(FilePart::shown_name).collect();
        let expected = [
            "it/.hidden",
            "it/a/1",
            "it/a/deep/2",
            "it/b/3",
            "it/b-/4",
            "it/z",
        ];
        assert_eq!(names, expected);
        let left_out: Vec<_> = folder
            .left_out
            .iter()
            .map(|left| {
                (
                    left.path.strip_prefix(&root).unwrap().to_str().unwrap(),
                    left.kind,
                )
            })
            .collect();
        let expected = [
            ("Thumbs.db", LeftOutKind::Litter),
            ("b/.DS_Store", LeftOutKind::Litter),
            ("b/link", LeftOutKind::Link),
            ("b/up", LeftOutKind::Link),
            ("none", LeftOutKind::EmptyFolder),
            ("socket", LeftOutKind::Special),
        ];
        assert_eq!(left_out, expected);

        // A link that is named is followed, and its own name counts.
        let link = dir.path().join("mine");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let folder = Folder::read(link).unwrap();
        assert_eq!(folder.files[0].shown_name(), "mine/.hidden");
        // No name, no folder.
        let folder = Folder::read(root.join("a/..")).unwrap();
        assert_eq!(folder.files[0].shown_name(), ".hidden");
        assert!(matches!(
            Folder::read(root.join("z")),
            Err(ClientError::File { .. })
        ));
    }
}
