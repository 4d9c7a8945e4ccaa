//! Where downloaded files go: under a temporary name first, and never over another file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{ClientError, blocking};
use crate::model::UploadId;

/// A directory that files are written into. It is held open: names are looked up in it, wherever
/// its path leads meanwhile.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

/// A file being written. Dropped before it is published, it is removed.
#[derive(Debug)]
pub(super) struct DraftFile<'a> {
    directory: &'a Directory,
    file: File,
    temporary: String,
    published: bool,
}

impl Directory {
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::open(path, flags, Mode::empty());
        let fd = fd.map_err(|error| ClientError::file(path, error.into()))?;
        let path = path.to_owned();
        Ok(Directory { path, fd })
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
        let found = || rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        blocking(found).is_ok()
    }

    pub fn draft(&self) -> Result<DraftFile<'_>, ClientError> {
        let random = UploadId::generate().map_err(|error| ClientError::Setup(error.to_string()))?;
        let temporary = format!(".wharf-{random}.part");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        // The user's umask takes away from this.
        let mode = Mode::from_raw_mode(0o666);
        let open = || rustix::fs::openat(&self.fd, temporary.as_str(), flags, mode);
        let file = blocking(open);
        let file = file.map_err(|error| ClientError::file(&self.path, error.into()))?;
        Ok(DraftFile {
            directory: self,
            file: File::from(file),
            temporary,
            published: false,
        })
    }
}

impl DraftFile<'_> {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Gives it its name: in place of another file of that name, if `replace`, and else only if
    /// there is none.
    pub fn publish(mut self, name: &OsStr, replace: bool) -> Result<PathBuf, ClientError> {
        let path = self.directory.path(name);
        match blocking(|| self.rename(name, replace)) {
            Ok(()) => {
                self.published = true;
                Ok(path)
            }
            Err(Errno::EXIST) => Err(ClientError::Exists(path)),
            Err(error) => Err(ClientError::file(&path, error.into())),
        }
    }

    fn rename(&self, name: &OsStr, replace: bool) -> Result<(), Errno> {
        let (dir, from) = (&self.directory.fd, self.temporary.as_str());
        if replace {
            return rustix::fs::renameat(dir, from, dir, name);
        }
        match rustix::fs::renameat_with(dir, from, dir, name, RenameFlags::NOREPLACE) {
            // File systems without RENAME_NOREPLACE (rename(2)) can link, which never replaces.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(dir, from, dir, name, AtFlags::empty())?;
                rustix::fs::unlinkat(dir, from, AtFlags::empty())
            }
            result => result,
        }
    }
}

impl Drop for DraftFile<'_> {
    fn drop(&mut self) {
        if !self.published {
            let (dir, name) = (&self.directory.fd, self.temporary.as_str());
            // A file that stays is visible by its name; the first error is the one to report.
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn a_draft_has_its_name_at_the_end_or_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let target = Directory::open(dir.path()).unwrap();
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

    #[test]
    fn a_symbolic_link_is_replaced_and_not_followed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = elsewhere.path().join("victim");
        std::os::unix::fs::symlink(&victim, dir.path().join("a")).unwrap();
        let target = Directory::open(dir.path()).unwrap();
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
}
