//! A directory by its path, for systems that look nothing up in a directory that is held open. A
//! link put in the place of one of its folders while files are written into it is not noticed.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::hold::Hold;

/// A directory by its path.
#[derive(Debug)]
pub(super) struct Held(PathBuf);

impl Hold for Held {
    fn open(path: &Path) -> io::Result<Self> {
        match path.metadata()?.is_dir() {
            true => Ok(Held(path.to_owned())),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn folder(&self, name: &str) -> io::Result<Self> {
        let path = self.0.join(name);
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // The target of a link is not looked at.
        match path.symlink_metadata()?.is_dir() {
            true => Ok(Held(path)),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn has(&self, name: &OsStr) -> bool {
        self.0.join(name).symlink_metadata().is_ok()
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).open(self.0.join(name))
    }

    fn rename(&self, from: &str, to: &OsStr, replace: bool) -> io::Result<()> {
        let (from, to) = (self.0.join(from), self.0.join(to));
        if replace {
            return std::fs::rename(from, to);
        }
        // A link never replaces.
        std::fs::hard_link(&from, to)?;
        std::fs::remove_file(from)
    }

    fn remove(&self, name: &str) {
        let _ = std::fs::remove_file(self.0.join(name));
    }
}
