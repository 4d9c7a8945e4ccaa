//! Where downloaded files go: under a temporary name first, and never over another file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use super::held::Held;
#[cfg(not(unix))]
use super::held_by_path::Held;
use super::hold::Hold;
use super::{ClientError, blocking};
use crate::model::UploadId;

/// A directory that files are written into.
#[derive(Debug)]
pub(super) struct Directory<H = Held> {
    path: PathBuf,
    held: H,
}

/// A directory with the folders in it that files go into.
#[derive(Debug)]
pub(super) struct Tree<H = Held> {
    root: Arc<Directory<H>>,
    /// The folders that lead to the last file, each in the one before: the next file is often beside
    /// it.
    open: Vec<(String, Arc<Directory<H>>)>,
}

/// A file being written. Dropped before it is published, it is removed.
#[derive(Debug)]
pub(super) struct DraftFile<H: Hold = Held> {
    directory: Arc<Directory<H>>,
    file: File,
    temporary: String,
    published: bool,
}

impl<H: Hold> Directory<H> {
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let held = H::open(path).map_err(|error| ClientError::file(path, error))?;
        let path = path.to_owned();
        Ok(Directory { path, held })
    }

    /// Makes it, with those above it that are missing.
    pub fn make(path: &Path) -> Result<Self, ClientError> {
        let made = blocking(|| std::fs::create_dir_all(path));
        made.map_err(|error| ClientError::file(path, error))?;
        Self::open(path)
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &OsStr) -> PathBuf {
        match self.path.to_str() {
            Some(".") => PathBuf::from(name),
            _ => self.path.join(name),
        }
    }

    /// Whether anything has this name, be it a symbolic link to nowhere.
    pub fn has(&self, name: &OsStr) -> bool {
        blocking(|| self.held.has(name))
    }

    /// The folder of this name in it, which is made when it is missing.
    fn folder(&self, name: &str) -> Result<Self, ClientError> {
        let path = self.path(OsStr::new(name));
        match blocking(|| self.held.folder(name)) {
            Ok(held) => Ok(Directory { path, held }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(ClientError::NotAFolder(path))
            }
            Err(error) => Err(ClientError::file(&path, error)),
        }
    }

    pub fn draft(self: &Arc<Self>) -> Result<DraftFile<H>, ClientError> {
        let random = UploadId::generate().map_err(|error| ClientError::Setup(error.to_string()))?;
        let temporary = format!(".wharf-{random}.part");
        let file = blocking(|| self.held.create(&temporary));
        let file = file.map_err(|error| ClientError::file(&self.path, error))?;
        Ok(DraftFile {
            directory: Arc::clone(self),
            file,
            temporary,
            published: false,
        })
    }
}

impl<H: Hold> Tree<H> {
    pub fn new(root: Directory<H>) -> Self {
        Tree {
            root: Arc::new(root),
            open: Vec::new(),
        }
    }

    /// The directory that these folders lead to, which are made when they are missing. Each is one
    /// component.
    ///
    /// # Errors
    /// [`ClientError::NotAFolder`] when one of them is a link or a file; or it cannot be made.
    pub fn folder(&mut self, folders: &[&str]) -> Result<Arc<Directory<H>>, ClientError> {
        let same = self.open.iter().zip(folders);
        let same = same.take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(same);
        for name in &folders[same..] {
            let folder = Arc::new(self.last().folder(name)?);
            self.open.push(((*name).to_owned(), folder));
        }
        Ok(Arc::clone(self.last()))
    }

    fn last(&self) -> &Arc<Directory<H>> {
        self.open.last().map_or(&self.root, |(_, folder)| folder)
    }
}

impl<H: Hold> DraftFile<H> {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Gives it its name: in place of another file of that name, if `replace`, and else only if
    /// there is none.
    pub fn publish(mut self, name: &OsStr, replace: bool) -> Result<PathBuf, ClientError> {
        let path = self.directory.path(name);
        let renamed = blocking(|| self.directory.held.rename(&self.temporary, name, replace));
        match renamed {
            Ok(()) => {
                self.published = true;
                Ok(path)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ClientError::Exists(path))
            }
            Err(error) => Err(ClientError::file(&path, error)),
        }
    }
}

impl<H: Hold> Drop for DraftFile<H> {
    fn drop(&mut self) {
        if !self.published {
            self.directory.held.remove(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::held_by_path;
    use super::*;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    fn entries(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn every_hold_keeps_the_rules() {
        a_draft_has_its_name_at_the_end_or_is_gone::<Held>();
        a_symbolic_link_is_replaced_and_not_followed::<Held>();
        folders_are_made_below_and_links_are_none::<Held>();
        a_draft_has_its_name_at_the_end_or_is_gone::<held_by_path::Held>();
        a_symbolic_link_is_replaced_and_not_followed::<held_by_path::Held>();
        folders_are_made_below_and_links_are_none::<held_by_path::Held>();
    }

    fn a_draft_has_its_name_at_the_end_or_is_gone<H: Hold>() {
        let dir = tempfile::tempdir().unwrap();
        let target = Arc::new(Directory::<H>::open(dir.path()).unwrap());
        let mut draft = target.draft().unwrap();
        draft.write(b"new").unwrap();
        assert!(entries(dir.path())[0].starts_with(".wharf-"));
        assert_eq!(
            draft.publish(name("a"), false).unwrap(),
            dir.path().join("a")
        );
        let refused = target
            .draft()
            .unwrap()
            .publish(name("a"), false)
            .unwrap_err();
        assert!(matches!(refused, ClientError::Exists(path) if path == dir.path().join("a")));
        drop(target.draft().unwrap());
        assert_eq!(entries(dir.path()), ["a"]);
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"new");
    }

    fn a_symbolic_link_is_replaced_and_not_followed<H: Hold>() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = elsewhere.path().join("victim");
        std::os::unix::fs::symlink(&victim, dir.path().join("a")).unwrap();
        let target = Arc::new(Directory::<H>::open(dir.path()).unwrap());
        assert!(target.has(name("a")));
        assert!(target.draft().unwrap().publish(name("a"), false).is_err());
        target.draft().unwrap().publish(name("a"), true).unwrap();
        assert!(!victim.exists());
        assert!(
            std::fs::symlink_metadata(dir.path().join("a"))
                .unwrap()
                .is_file()
        );
    }
    fn folders_are_made_below_and_links_are_none<H: Hold>() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink(".", dir.path().join("here")).unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        let mut tree = Tree::new(Directory::<H>::open(dir.path()).unwrap());
        for folders in [&["a", "b"][..], &["a"], &["a", "c", "d"], &[]] {
            let folder = tree.folder(folders).unwrap();
            folder.draft().unwrap().publish(name("x"), false).unwrap();
        }
        for path in ["a/b/x", "a/x", "a/c/d/x", "x"] {
            assert!(dir.path().join(path).is_file(), "{path}");
        }
        for folders in [
            &["out"][..],
            &["out", "a"],
            &["here"],
            &["file"],
            &["file", "a"],
        ] {
            let refused = tree.folder(folders).unwrap_err();
            assert!(matches!(refused, ClientError::NotAFolder(_)), "{refused}");
        }
    }

    /// A link that was put in the place of a folder that is held is not written to.
    #[test]
    fn a_folder_that_is_held_is_written_to_wherever_it_is() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut tree: Tree = Tree::new(Directory::open(dir.path()).unwrap());
        let folder = tree.folder(&["a", "b"]).unwrap();
        std::fs::rename(dir.path().join("a"), dir.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("a")).unwrap();
        folder.draft().unwrap().publish(name("y"), false).unwrap();
        assert!(dir.path().join("moved/b/y").is_file());
        assert_eq!(entries(elsewhere.path()), [""; 0]);
    }
}
