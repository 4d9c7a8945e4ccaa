//! A look at a directory before it is served: what its file system promises. It leaves nothing
//! behind, and does not disturb a server that has the directory.

mod mount;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::filesystem::FileSystem;
use super::layout::{Layout, create_named};
use super::staging::placement::Placement;
use crate::model::{Clock, Timestamp, UploadId};
use crate::store::names::PRIVATE;

pub use mount::Mount;

/// How often a file is synced, to tell how long that takes.
const SYNCS: usize = 5;
/// The longest name that a stored file has: an id, a dash and 200 bytes.
pub const LONGEST_NAME: u64 = 26 + 1 + 200;
/// Bytes of the file that is synced.
const SYNCED: usize = 4096;

/// The process that holds a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// No process of this machine.
    Nobody,
    /// A server that has it for itself.
    Alone,
    /// Servers that share it.
    Shared,
}

/// The findings.
#[derive(Debug)]
pub struct DiskSurvey {
    /// Whether the directory is there.
    pub exists: bool,
    /// Where its file system is mounted; `None` where the system does not say.
    pub mount: Option<Mount>,
    /// Whether each call may have to wait for another machine, or another program.
    pub remote: bool,
    /// Whether names in one folder become durable in the order in which they were given.
    pub ordered: bool,
    /// Whether it is FAT or exFAT.
    pub fat: bool,
    /// Whether files can be made without a name, and linked later.
    pub unnamed: bool,
    /// Whether there are hard links.
    pub links: bool,
    /// Whether names may have characters beyond ASCII.
    pub wide: bool,
    /// Whether several servers can share it.
    pub shareable: bool,
    /// Whether `a` and `A` are two names.
    pub case_sensitive: bool,
    /// The most bytes of a name.
    pub longest_name: u64,
    /// Bytes that can still be written.
    pub free: u64,
    /// Files that can still be made; `None` where the file system has no such limit.
    pub free_files: Option<u64>,
    /// How long it takes to have a small file on stable storage: the median.
    pub sync: Duration,
    /// How far the clock of the file system is from this machine's.
    pub skew: Duration,
    /// The process that serves it now.
    pub holder: Holder,
    /// The first folder of uploads that this user cannot write to.
    pub closed_folder: Option<String>,
}

/// A folder of the survey's own; it goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(above: &Path) -> io::Result<Self> {
        let id = UploadId::generate().map_err(io::Error::other)?;
        let path = above.join(format!(".wharf-doctor-{id}"));
        std::fs::create_dir(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: a file that cannot be removed could hardly have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Looks at `dir`, or where it would be made. Blocks.
///
/// # Errors
/// Nothing can be written there.
pub fn survey(dir: &Path) -> io::Result<DiskSurvey> {
    let dir = std::path::absolute(dir)?;
    let looked_at = existing(&dir);
    let exists = looked_at == dir;
    let scratch = Scratch::new(&looked_at)?;
    let layout = Layout::open(&scratch.0)?;
    let root = layout.root()?;
    let file_system = FileSystem::of(&root)?;
    let placement = Placement::probe(&layout, true)?.unwrap_or_default();
    let stat = rustix::fs::fstatvfs(&root)?;
    Ok(DiskSurvey {
        mount: Mount::of(&looked_at),
        remote: file_system.remote,
        ordered: file_system.ordered,
        fat: file_system.fat,
        unnamed: placement.unnamed,
        links: placement.links,
        wide: placement.wide,
        shareable: Placement::probe(&layout, false)?.is_some(),
        case_sensitive: is_case_sensitive(&root, &scratch.0)?,
        longest_name: stat.f_namemax,
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        // One that makes them as they are needed says 0.
        free_files: (stat.f_files > 0).then_some(stat.f_favail),
        sync: time_to_sync(&scratch.0)?,
        skew: skew(&scratch.0)?,
        holder: holder(&dir),
        closed_folder: exists.then(|| layout_of(&dir)).flatten(),
        exists,
    })
}

/// The nearest folder that is there: itself, or above it.
fn existing(dir: &Path) -> PathBuf {
    let mut found = dir.ancestors().filter(|path| path.exists());
    found.next().unwrap_or(Path::new("/")).to_owned()
}

fn layout_of(dir: &Path) -> Option<String> {
    let root = File::open(dir).ok()?;
    super::probe::closed_folder(&root).map(|(prefix, error)| format!("{prefix}: {error}"))
}

fn is_case_sensitive(root: &std::os::fd::OwnedFd, dir: &Path) -> io::Result<bool> {
    drop(create_named(root, "case")?);
    Ok(!dir.join("CASE").exists())
}

/// As a commit does it: the content, then the name.
fn time_to_sync(dir: &Path) -> io::Result<Duration> {
    let folder = File::open(dir)?;
    let mut times = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        let begin = Instant::now();
        let mut file = File::create_new(dir.join(format!("sync-{number}")))?;
        file.write_all(&[0; SYNCED])?;
        file.sync_data()?;
        folder.sync_all()?;
        times.push(begin.elapsed());
    }
    times.sort();
    Ok(times[SYNCS / 2])
}

/// A file that is written now says by its time what the file system takes now for.
fn skew(dir: &Path) -> io::Result<Duration> {
    let clock = Clock::system();
    let before = clock.now();
    let file = File::create_new(dir.join("clock"))?;
    file.sync_all()?;
    let written = Timestamp::from(file.metadata()?.modified()?);
    let after = clock.now();
    Ok(before.since(written).max(written.since(after)))
}

/// The process that has the lock of the directory, as the system lists locks (proc_locks(5)): to
/// try it would keep a server from it that starts just then.
fn holder(dir: &Path) -> Holder {
    let Ok(stat) = rustix::fs::stat(dir.join(PRIVATE).join("lock")) else {
        return Holder::Nobody;
    };
    let file = format!(
        "{:02x}:{:02x}:{}",
        rustix::fs::major(stat.st_dev),
        rustix::fs::minor(stat.st_dev),
        stat.st_ino
    );
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut held = locks.lines().filter(|line| {
        let mut words = line.split_whitespace();
        words.any(|word| word == file) && line.contains("FLOCK")
    });
    match held.next() {
        None => Holder::Nobody,
        Some(line) if line.contains(" WRITE ") => Holder::Alone,
        Some(_) => Holder::Shared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("a/b");
        let found = survey(&missing).unwrap();
        assert!(!found.exists && found.shareable && found.case_sensitive);
        assert!(found.longest_name >= LONGEST_NAME && found.free > 0);
        assert!(found.mount.is_some() && found.holder == Holder::Nobody);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn it_says_who_holds_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        for (shared, holder) in [(true, Holder::Shared), (false, Holder::Alone)] {
            let _lock = layout.lock(shared).unwrap().unwrap();
            assert_eq!(survey(dir.path()).unwrap().holder, holder);
        }
        assert_eq!(survey(dir.path()).unwrap().holder, Holder::Nobody);
    }
}
