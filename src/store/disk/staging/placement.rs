//! How a file that waits in the stage gets its own name, of which no other file may be deprived.
//! What the file system can do for that is found out once, by the first file that gets a name: a
//! probe, at the start.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use crate::model::UploadId;
use crate::store::disk::layout::{self, Layout};

/// What a file system answers that cannot do what it was asked: FAT and exFAT know no links
/// (`EPERM`, link(2)), NFS and many that are programs (FUSE) no flags (`EINVAL`, rename(2)).
const UNSUPPORTED: [Errno; 6] = [
    Errno::OPNOTSUPP,
    Errno::PERM,
    Errno::ISDIR,
    Errno::INVAL,
    Errno::NOENT,
    Errno::NOSYS,
];

/// What cannot be promised on FAT, exFAT and what is as bare.
pub const BARE: &str = "the file system has no hard links, as FAT and exFAT have none: uploads are stored, but a power cut may take what was stored last, with `durability = strict` too";

/// Characters of file names: a mount of FAT may keep none of them, or not the last, which has no
/// place in the first plane of Unicode.
const WIDE: &str = "\u{e9}\u{4e2d}\u{1f600}";

/// A way to move a file to a name that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The rename itself refuses a name that is taken (`RENAME_NOREPLACE`).
    Rename,
    /// A hard link does; then the name in the stage is removed.
    Link,
    /// Neither does: this process looks at the name first, and no other process may have the
    /// store.
    Look,
}

/// How files get their names on one file system.
#[derive(Debug, Default)]
pub struct Placement {
    /// Whether files can be made without a name, and linked later.
    pub unnamed: bool,
    /// Whether there are hard links.
    pub links: bool,
    /// Whether names may have characters beyond ASCII.
    wide: bool,
    /// Whether no other process gives names in the store.
    alone: bool,
    way: OnceLock<Way>,
    /// Held from the look at a name until it is taken. A std mutex, for those who may block.
    looking: Mutex<()>,
}

impl Placement {
    /// Finds out what is possible in the stage; `alone` says that no other process gives names in
    /// the store. `None` when others do, and nothing keeps one name from being given twice.
    ///
    /// # Errors
    /// No file can be made there, or moved.
    pub fn probe(layout: &Layout, alone: bool) -> io::Result<Option<Self>> {
        let id = UploadId::generate().map_err(io::Error::other)?;
        let unnamed = probe_unnamed(layout, &id)?;
        let mut placement = Placement {
            unnamed,
            links: true,
            wide: keeps(layout, &format!("{}{WIDE}", layout.staged_name(&id))),
            alone,
            ..Placement::default()
        };
        let stage = layout.stage();
        let staged = match layout.create_staged(&id) {
            Ok((_, staged)) => staged,
            // The first upload that finds room finds out.
            Err(error) if is_full(&error) => return Ok(Some(placement)),
            Err(error) => return Err(error),
        };
        let named = layout.staged_name(&id);
        let mut probe = || {
            placement.links = unnamed || possible(link(stage, &staged, stage, &named))?;
            layout::unlink(stage, named.as_str())?;
            placement.give(stage, &staged, stage, &named)
        };
        let given = probe();
        for left in [&staged, &named] {
            // Best effort: the stage is cleared later.
            let _ = layout::unlink(stage, left.as_str());
        }
        match given {
            Ok(()) => Ok(Some(placement)),
            Err(error) if is_full(&error) => Ok(Some(placement)),
            Err(error) if !alone && is_unsupported(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells the operator what the file system of `dir` lacks, where it is FAT or, by what was
    /// found out, no better; answers whether it is.
    pub fn warn(&self, dir: &Path, fat: bool) -> bool {
        let (bare, dir) = (fat || !self.links, dir.display());
        if bare {
            tracing::warn!(%dir, "{BARE}");
        } else if !self.unnamed {
            tracing::warn!(%dir, "the file system has no unnamed files; uploads wait in .wharf/stage");
        }
        if !self.wide {
            tracing::warn!(%dir, characters = WIDE, "the file system refuses file names with characters like these, and uploads of such files fail: FAT has to be mounted with `utf8`");
        }
        bare
    }

    /// One that has a single way.
    #[cfg(test)]
    pub fn only(way: Way) -> Self {
        Placement {
            alone: true,
            way: OnceLock::from(way),
            ..Placement::default()
        }
    }

    /// Moves a file to a name that is not taken.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when it is; the file is where it was.
    pub fn give(&self, from: impl AsFd, old: &str, to: impl AsFd, new: &str) -> io::Result<()> {
        if let Some(way) = self.way.get() {
            return self.go(*way, from, old, to, new);
        }
        let mut ways = vec![Way::Rename, Way::Link];
        if self.alone {
            ways.push(Way::Look);
        }
        let mut refused = io::Error::from(Errno::OPNOTSUPP);
        for way in ways {
            match self.go(way, &from, old, &to, new) {
                Ok(()) => {
                    self.way.get_or_init(|| way);
                    return Ok(());
                }
                Err(error) if is_unsupported(&error) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    fn go(&self, way: Way, from: impl AsFd, old: &str, to: impl AsFd, new: &str) -> io::Result<()> {
        match way {
            Way::Rename => {
                rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE)?;
            }
            Way::Link => {
                link(&from, old, to, new)?;
                layout::unlink(from, old)?;
            }
            Way::Look => {
                let looking = self.looking.lock();
                let _looking = looking.unwrap_or_else(PoisonError::into_inner);
                match rustix::fs::statat(&to, new, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => rustix::fs::renameat(from, old, to, new)?,
                    Ok(_) => return Err(Errno::EXIST.into()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

fn link(from: impl AsFd, old: &str, to: impl AsFd, new: &str) -> io::Result<()> {
    Ok(rustix::fs::linkat(from, old, to, new, AtFlags::empty())?)
}

/// Whether unnamed files can be made in the stage and linked later.
fn probe_unnamed(layout: &Layout, id: &UploadId) -> io::Result<bool> {
    let (stage, name) = (layout.stage(), layout.staged_name(id));
    let linked =
        layout::create_unnamed(stage).and_then(|file| layout::link_unnamed(&file, stage, &name));
    if linked.is_ok() {
        layout::unlink(stage, name.as_str())?;
    }
    possible(linked)
}

/// Whether a file can have this name in the stage, where there is room for it.
fn keeps(layout: &Layout, name: &str) -> bool {
    match layout::create_named(layout.stage(), name) {
        // Best effort: a start that can make files there and remove none fails soon enough.
        Ok(_) => layout::unlink(layout.stage(), name).is_ok(),
        Err(error) => is_full(&error),
    }
}

/// Whether what was tried is possible, where there is room for it.
fn possible(tried: io::Result<()>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) => Ok(true),
        Err(error) if is_unsupported(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    UNSUPPORTED
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_takes_a_name_that_is_taken() {
        for way in [Way::Rename, Way::Link, Way::Look] {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            for name in ["first", "second"] {
                std::fs::write(path(name), name).unwrap();
            }
            let (folder, placement) = (
                std::fs::File::open(dir.path()).unwrap(),
                Placement::only(way),
            );
            placement.give(&folder, "first", &folder, "name").unwrap();
            let taken = placement.give(&folder, "second", &folder, "name");
            assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(path("name")).unwrap(), b"first");
            assert_eq!(std::fs::read(path("second")).unwrap(), b"second");
            assert!(!path("first").exists(), "{way:?}");
        }
    }

    #[test]
    fn a_probe_finds_the_way_and_leaves_nothing() {
        for alone in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout::open(dir.path()).unwrap();
            let placement = Placement::probe(&layout, alone).unwrap().unwrap();
            assert!(placement.links && placement.way.get().is_some());
            assert_eq!(layout.staged().unwrap().len(), 0);
        }
    }
}
