//! The folders of a store, held open, and the names in them.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::model::{Prefix, UploadId};
use crate::store::StoreError;
use crate::store::names::PRIVATE;

const STAGE: &str = "stage";
const LOCK: &str = "lock";

/// How a folder is opened.
pub const DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Without NONBLOCK, to open a FIFO in the place of a file would wait for its writer.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
/// The umask decides which other users may read the files, or serve the store later.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const DIR_MODE: Mode = Mode::from_raw_mode(0o777);

/// The folders of a store.
#[derive(Debug)]
pub struct Layout {
    root: OwnedFd,
    private: OwnedFd,
    stage: OwnedFd,
    /// The next number of a file in the stage. The first is random: other processes count as well.
    staged: AtomicU64,
    /// Guards the folders opened so far, by [`Prefix::index`]. A std mutex: held to read or set
    /// one.
    prefixes: Mutex<Vec<Option<Arc<Folder>>>>,
    /// How many of them are held open, at most: few where the process may open few files.
    most_open: usize,
}

/// A folder of uploads, held open.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    /// Whether its own name is known to be on stable storage.
    durable: AtomicBool,
}

impl Folder {
    /// One whose own name may not be on stable storage yet.
    pub fn new(fd: OwnedFd) -> Self {
        let durable = AtomicBool::new(false);
        Folder { fd, durable }
    }

    /// Whether its own name is known to be on stable storage.
    pub fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    /// Records that its own name is on stable storage.
    pub fn set_durable(&self) {
        self.durable.store(true, Ordering::Release);
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Layout {
    /// Opens the directory and makes what is missing.
    pub fn open(dir: &Path) -> io::Result<Self> {
        create_durably(dir)?;
        // The directory itself may be a symbolic link: the operator named it.
        let root = rustix::fs::open(dir, DIR - OFlags::NOFOLLOW, Mode::empty())?;
        let private = make_dir(&root, PRIVATE)?;
        let stage = make_dir(&private, STAGE)?;
        let prefixes = Mutex::new(vec![None; Prefix::COUNT]);
        let mut first = [0; 8];
        getrandom::fill(&mut first).map_err(io::Error::other)?;
        Ok(Layout {
            root,
            private,
            stage,
            staged: AtomicU64::new(u64::from_le_bytes(first)),
            prefixes,
            most_open: most_open(),
        })
    }

    /// Another handle of the store's directory.
    pub fn root(&self) -> io::Result<OwnedFd> {
        self.root.try_clone()
    }

    /// The store's directory.
    pub fn root_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The folder for files of the server that are no uploads.
    pub fn private(&self) -> &OwnedFd {
        &self.private
    }

    /// The status of the directory that is held open.
    pub fn stat_root(&self) -> io::Result<rustix::fs::Stat> {
        Ok(rustix::fs::fstat(&self.root)?)
    }

    /// Takes the lock of the directory, for this process alone or for all that are `shared`;
    /// `None` when another process holds it.
    pub fn lock(&self, shared: bool) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.private, LOCK, flags, FILE_MODE)?;
        let operation = match shared {
            true => FlockOperation::NonBlockingLockShared,
            false => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Some(file.into())),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the files that an earlier process left in the stage.
    pub fn clear_stage(&self) -> io::Result<()> {
        for (name, _) in self.stage_names()? {
            unlink(&self.stage, name.as_c_str())?;
        }
        Ok(())
    }

    /// Removes the files of one upload from the stage.
    pub fn clear_staged(&self, id: &UploadId) -> io::Result<()> {
        let names = self.stage_names()?.into_iter();
        for (name, _) in names.filter(|(_, of)| of == id) {
            unlink(&self.stage, name.as_c_str())?;
        }
        Ok(())
    }

    /// The files in the stage, of all processes: the upload of each, and its status.
    pub fn staged(&self) -> io::Result<Vec<(UploadId, rustix::fs::Stat)>> {
        let mut staged = Vec::new();
        for (name, id) in self.stage_names()? {
            match rustix::fs::statat(&self.stage, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => staged.push((id, stat)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(staged)
    }

    fn stage_names(&self) -> io::Result<Vec<(CString, UploadId)>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.stage)? {
            let entry = entry?;
            if let Some(id) = staged_id(entry.file_name()) {
                names.push((entry.file_name().to_owned(), id));
            }
        }
        Ok(names)
    }

    /// The folder for files that have a name while they wait for their commit.
    pub fn stage(&self) -> &OwnedFd {
        &self.stage
    }

    /// A new file of an upload in the stage, and its name there.
    pub fn create_staged(&self, id: &UploadId) -> io::Result<(File, String)> {
        let name = self.staged_name(id);
        Ok((create_named(&self.stage, &name)?, name))
    }

    /// A new name in the stage, for a file of an upload.
    pub fn staged_name(&self, id: &UploadId) -> String {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        format!("{id}.{number}")
    }

    /// The folder of uploads with this prefix, if it was opened before.
    pub fn known_prefix(&self, prefix: Prefix) -> Option<Arc<Folder>> {
        self.prefixes()[prefix.index()].clone()
    }

    /// The folder of uploads with this prefix, if it exists.
    pub fn prefix(&self, prefix: Prefix) -> io::Result<Option<Arc<Folder>>> {
        if let Some(known) = self.known_prefix(prefix) {
            return Ok(Some(known));
        }
        match rustix::fs::openat(&self.root, prefix.as_str(), DIR, Mode::empty()) {
            Ok(fd) => Ok(Some(self.keep(prefix, fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder of uploads with this prefix; made when it is missing.
    pub fn make_prefix(&self, prefix: Prefix) -> io::Result<Arc<Folder>> {
        if let Some(fd) = self.prefix(prefix)? {
            return Ok(fd);
        }
        let fd = make_dir(&self.root, prefix.as_str())?;
        Ok(self.keep(prefix, fd))
    }

    /// Makes the folders of all uploads, durably, where a file system does not keep the order of
    /// changes: a folder that gets the inode of a file which was removed a moment ago could have
    /// two names after a power cut, and a check of the file system keeps either. With all folders
    /// made beforehand, none is made after a removal.
    pub fn make_all(&self) -> io::Result<()> {
        let mut made = false;
        for prefix in Prefix::all() {
            match rustix::fs::mkdirat(&self.root, prefix.as_str(), DIR_MODE) {
                Ok(()) => made = true,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if made {
            rustix::fs::syncfs(&self.root)?;
            rustix::fs::fsync(&self.root)?;
        }
        Ok(())
    }

    /// Closes a folder that may have been removed or replaced: the next use opens it anew.
    pub fn forget_prefix(&self, prefix: Prefix) {
        self.prefixes()[prefix.index()] = None;
    }

    fn keep(&self, prefix: Prefix, fd: OwnedFd) -> Arc<Folder> {
        let folder = Arc::new(Folder::new(fd));
        let mut prefixes = self.prefixes();
        if prefixes.iter().flatten().count() < self.most_open {
            prefixes[prefix.index()] = Some(Arc::clone(&folder));
        }
        folder
    }

    fn prefixes(&self) -> std::sync::MutexGuard<'_, Vec<Option<Arc<Folder>>>> {
        // A panic cannot leave an element half written.
        self.prefixes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How many folders may be held open: all of them, or a quarter of what the process may open.
fn most_open() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let quarter = limit
        .current
        .map_or(usize::MAX, |limit| (limit / 4) as usize);
    quarter.min(Prefix::COUNT)
}

/// The upload of a file in the stage, by its name; `None` for a foreign file.
fn staged_id(name: &CStr) -> Option<UploadId> {
    let (id, number) = name.to_str().ok()?.split_once('.')?;
    number.parse::<u64>().ok()?;
    id.parse().ok()
}

/// Opens a regular file to be read, and tells its size. `None` when there is none; a symbolic
/// link or a device in its place is an error.
pub fn open_regular(dir: impl AsFd, name: &str) -> io::Result<Option<(File, u64)>> {
    match rustix::fs::openat(dir, name, READ, Mode::empty()) {
        Ok(fd) => regular(fd.into()).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn regular(file: File) -> io::Result<(File, u64)> {
    let stat = rustix::fs::fstat(&file)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        let size = stat.st_size.cast_unsigned();
        Ok((file, size))
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

/// Opens a regular file, and tells its size, if that needs no access to the disk (openat2(2),
/// `RESOLVE_CACHED`). An error says only that [`open_regular`] has to be used.
pub fn open_cached(dir: impl AsFd, name: &str) -> io::Result<(File, u64)> {
    let (flags, resolve) = (READ, ResolveFlags::CACHED | ResolveFlags::NO_SYMLINKS);
    let file = rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)?;
    regular(File::from(file))
}

/// Whether `name` in `dir` is a name of `file`.
pub fn is_at(file: &File, dir: impl AsFd, name: &str) -> io::Result<bool> {
    let open = rustix::fs::fstat(file)?;
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The size of a regular file; `None` when there is none of that name.
pub fn regular_size(dir: impl AsFd, name: &str) -> io::Result<Option<u64>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => {
            Ok(u64::try_from(stat.st_size).ok())
        }
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes a file without a name (open(2), `O_TMPFILE`).
pub fn create_unnamed(dir: impl AsFd) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, ".", flags, FILE_MODE)?.into())
}

/// Makes a file under a name that is not taken.
pub fn create_named(dir: impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, FILE_MODE)?.into())
}

/// Gives an unnamed file a name that is not taken (the recipes of open(2)): by its descriptor, for
/// which kernels before 6.10 demand `CAP_DAC_READ_SEARCH`, else by its path in `/proc`, which
/// takes longer.
pub fn link_unnamed(file: &File, dir: impl AsFd, name: &str) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    static DIRECTLY: AtomicBool = AtomicBool::new(true);
    if DIRECTLY.load(Ordering::Relaxed) {
        match rustix::fs::linkat(file, "", &dir, name, AtFlags::EMPTY_PATH) {
            Ok(()) => return Ok(()),
            // Not allowed, or the folder is gone: the attempt through /proc tells which.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(rustix::fs::CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW)?;
    DIRECTLY.store(false, Ordering::Relaxed);
    Ok(())
}

/// Removes a name; answers whether it was there.
pub fn unlink(dir: impl AsFd, name: impl rustix::path::Arg) -> io::Result<bool> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Replaces a file by another, so that one of both is there after a crash at any moment; `settle`
/// makes the new name durable. Where a file system does not keep the order in which names are
/// given and removed, the old file must keep a name until then: both exchange their names, and
/// only after `settle` the old one loses its last.
pub fn replace(
    from: impl AsFd,
    old: &str,
    (to, new): (&Folder, &str),
    ordered: bool,
    settle: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = |error: Errno| StoreError::change(format!("replacing {new}"), error);
    if !ordered {
        match rustix::fs::renameat_with(&from, old, to, new, RenameFlags::EXCHANGE) {
            Ok(()) => {
                settle()?;
                // Best effort: the stage is cleared later.
                let _ = unlink(from, old);
                return Ok(());
            }
            // A file system without the flag.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    rustix::fs::renameat(from, old, to, new).map_err(failed)?;
    settle()
}

/// Makes a folder and those of its parents that are missing, durably.
fn create_durably(dir: &Path) -> io::Result<()> {
    let missing = dir.ancestors().take_while(|path| !path.exists());
    let missing: Vec<&Path> = missing
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    std::fs::create_dir_all(dir)?;
    for made in missing {
        let above = made.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Opens a folder, and makes it when it is missing.
pub fn make_dir(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, DIR_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::openat(parent, name, DIR, Mode::empty())?)
}
