//! How a file of the stage is moved to its own name without replacing another file. The method
//! depends on the file system, and is found once, with the first file that is moved: a probe, at
//! the start.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use crate::model::UploadId;
use crate::store::disk::layout::{self, Layout};

/// The errors of a file system that does not support a call: FAT and exFAT have no links (`EPERM`,
/// link(2)), NFS and many in user space (FUSE) no flags of a rename (`EINVAL`, rename(2)).
const UNSUPPORTED: [Errno; 6] = [
    Errno::OPNOTSUPP,
    Errno::PERM,
    Errno::ISDIR,
    Errno::INVAL,
    Errno::NOENT,
    Errno::NOSYS,
];

/// The warning on FAT, exFAT and other file systems without hard links.
pub const BARE: &str = "the file system has no hard links, as FAT and exFAT have none: uploads are stored, but a power cut may take the last uploads, with `durability = strict` too";

/// Characters of file names: a mount of FAT may refuse all of them, or the last, which is beyond
/// the first plane of Unicode.
const WIDE: &str = "\u{e9}\u{4e2d}\u{1f600}";

/// How a file is moved to a name that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The rename itself refuses a name that is taken (`RENAME_NOREPLACE`).
    Rename,
    /// A hard link does; then the name in the stage is removed.
    Link,
    /// Neither refuses: this process checks the name before the rename, and no other process may
    /// have the store.
    Check,
}

/// How files get their names on one file system.
#[derive(Debug, Default)]
pub struct Placement {
    /// Whether files can be made without a name, and linked later.
    pub unnamed: bool,
    /// Whether there are hard links.
    pub links: bool,
    /// Whether names may have characters beyond ASCII.
    pub wide: bool,
    /// Whether no other process gives names in the store.
    alone: bool,
    method: OnceLock<Method>,
    /// Held from the check of a name until it is taken. A std mutex: its holders may block.
    checking: Mutex<()>,
}

impl Placement {
    /// Finds out what is possible in the stage; `alone` says that no other process gives names in
    /// the store. `None` when others do, and no method keeps one name from being given twice.
    ///
    /// # Errors
    /// No file can be made there, or moved.
    pub fn probe(layout: &Layout, alone: bool) -> io::Result<Option<Self>> {
        let id = UploadId::generate().map_err(io::Error::other)?;
        let unnamed = probe_unnamed(layout, &id)?;
        let mut placement = Placement {
            unnamed,
            links: true,
            wide: accepts_name(layout, &format!("{}{WIDE}", layout.staged_name(&id))),
            alone,
            ..Placement::default()
        };
        let stage = layout.stage();
        let staged = match layout.create_staged(&id) {
            Ok((_, staged)) => staged,
            // The disk is full: the first upload that has room finds the method.
            Err(error) if is_full(&error) => return Ok(Some(placement)),
            Err(error) => return Err(error),
        };
        let named = layout.staged_name(&id);
        let mut probe = || {
            placement.links = unnamed || possible(link(stage, &staged, stage, &named))?;
            layout::unlink(stage, named.as_str())?;
            placement.move_to(stage, &staged, stage, &named)
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

    /// Warns the operator of what the file system of `dir` lacks; answers whether it is FAT or, by
    /// the probe, no better.
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

    /// Moves files by one method alone.
    #[cfg(test)]
    pub fn only(method: Method) -> Self {
        Placement {
            alone: true,
            method: OnceLock::from(method),
            ..Placement::default()
        }
    }

    /// Moves a file to a name that is not taken.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when it is; the file is where it was.
    pub fn move_to(&self, from: impl AsFd, old: &str, to: impl AsFd, new: &str) -> io::Result<()> {
        if let Some(method) = self.method.get() {
            return self.move_by(*method, from, old, to, new);
        }
        let mut methods = vec![Method::Rename, Method::Link];
        if self.alone {
            methods.push(Method::Check);
        }
        let mut refused = io::Error::from(Errno::OPNOTSUPP);
        for method in methods {
            match self.move_by(method, &from, old, &to, new) {
                Ok(()) => {
                    self.method.get_or_init(|| method);
                    return Ok(());
                }
                Err(error) if is_unsupported(&error) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    fn move_by(
        &self,
        method: Method,
        from: impl AsFd,
        old: &str,
        to: impl AsFd,
        new: &str,
    ) -> io::Result<()> {
        match method {
            Method::Rename => {
                rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE)?;
            }
            Method::Link => {
                link(&from, old, to, new)?;
                layout::unlink(from, old)?;
            }
            Method::Check => {
                let checking = self.checking.lock();
                let _checking = checking.unwrap_or_else(PoisonError::into_inner);
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
fn accepts_name(layout: &Layout, name: &str) -> bool {
    match layout::create_named(layout.stage(), name) {
        // Best effort: where files can be made and not removed, the start fails soon after.
        Ok(_) => layout::unlink(layout.stage(), name).is_ok(),
        Err(error) => is_full(&error),
    }
}

/// Whether the file system supports what was tried, as far as it had room for it.
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
    fn no_method_takes_a_name_that_is_taken() {
        for method in [Method::Rename, Method::Link, Method::Check] {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            for name in ["first", "second"] {
                std::fs::write(path(name), name).unwrap();
            }
            let (folder, placement) = (
                std::fs::File::open(dir.path()).unwrap(),
                Placement::only(method),
            );
            placement
                .move_to(&folder, "first", &folder, "name")
                .unwrap();
            let taken = placement.move_to(&folder, "second", &folder, "name");
            assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(path("name")).unwrap(), b"first");
            assert_eq!(std::fs::read(path("second")).unwrap(), b"second");
            assert!(!path("first").exists(), "{method:?}");
        }
    }

    #[test]
    fn a_probe_finds_the_method_and_leaves_nothing() {
        for alone in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout::open(dir.path()).unwrap();
            let placement = Placement::probe(&layout, alone).unwrap().unwrap();
            assert!(placement.links && placement.method.get().is_some());
            assert_eq!(layout.staged().unwrap().len(), 0);
        }
    }
}
