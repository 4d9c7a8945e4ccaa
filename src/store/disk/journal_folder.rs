//! The folder of the journal in a store.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, Mode};
use rustix::io::Errno;

use super::layout::{DIR, Layout, make_dir, unlink};
use crate::store::names::PRIVATE;

const JOURNAL: &str = "journal";

impl Layout {
    /// The folder of the journal, if there is one.
    pub fn journal(&self) -> io::Result<Option<OwnedFd>> {
        match rustix::fs::openat(self.private(), JOURNAL, DIR, Mode::empty()) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder of the journal, made when it is missing.
    pub fn make_journal(&self) -> io::Result<OwnedFd> {
        let folder = make_dir(self.private(), JOURNAL)?;
        rustix::fs::fsync(self.private())?;
        Ok(folder)
    }

    /// Removes the folder of the journal with what is in it.
    pub fn remove_journal(&self) -> io::Result<()> {
        let Some(folder) = self.journal()? else {
            return Ok(());
        };
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                unlink(&folder, entry.file_name())?;
            }
        }
        rustix::fs::unlinkat(self.private(), JOURNAL, AtFlags::REMOVEDIR)?;
        rustix::fs::fsync(self.private())?;
        Ok(())
    }

    /// Gives the folder of the journal a name beside, which says `what` it is; answers that.
    pub fn set_journal_aside(&self, what: &str) -> io::Result<String> {
        for number in 1.. {
            let name = format!("{JOURNAL}.{what}-{number}");
            match rustix::fs::statat(self.private(), &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            rustix::fs::renameat(self.private(), JOURNAL, self.private(), &name)?;
            rustix::fs::fsync(self.private())?;
            return Ok(format!("{PRIVATE}/{name}"));
        }
        unreachable!("one of all numbers is free")
    }
}
