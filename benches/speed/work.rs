//! Where the servers store: one folder on one file system. Nothing small in it is deleted before
//! the end, because deletions slow the creations that follow them.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::content;

/// Files of this size and above are removed at once: they are few, and would fill the disk.
const LARGE: u64 = 1 << 20;

/// The beginning of the name of a run's folder, in front of the number of its process.
const PREFIX: &str = "speed-";

/// The folder of a run.
pub struct Work {
    dir: tempfile::TempDir,
    retired: std::cell::Cell<usize>,
}

impl Work {
    pub fn new() -> Result<Self> {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        sweep(place)?;
        let prefix = format!("{PREFIX}{}-", std::process::id());
        Ok(Work {
            dir: tempfile::Builder::new().prefix(&prefix).tempdir_in(place)?,
            retired: 0.into(),
        })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A folder for a server; no other has it.
    pub fn folder(&self) -> PathBuf {
        self.path().join("now")
    }

    /// A file of `size` bytes to send or to link to, made when it is first asked for.
    pub fn original(&self, number: u64, size: u64) -> Result<PathBuf> {
        let folder = self.path().join(format!("original-{size}"));
        let path = folder.join(number.to_string());
        if !path.exists() {
            std::fs::create_dir_all(folder)?;
            write(&path, size)?;
        }
        Ok(path)
    }

    /// Puts the folder of a server aside, and has all of it written, so that the next one begins
    /// on a quiet disk.
    pub fn retire(&self) -> Result<()> {
        let folder = self.folder();
        if !folder.exists() {
            return Ok(());
        }
        remove_large(&folder)?;
        let number = self.retired.get();
        self.retired.set(number + 1);
        std::fs::rename(folder, self.path().join(format!("old-{number}")))?;
        self.settle()
    }

    /// Removes what is large in the folders of a case.
    pub fn clear(&self, case: &str) -> Result<()> {
        for entry in std::fs::read_dir(self.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(case) {
                remove_large(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Waits until the disk has everything.
    pub fn settle(&self) -> Result<()> {
        let dir = std::fs::File::open(self.path())?;
        rustix::fs::syncfs(dir).context("syncfs")
    }

    /// Has the kernel take the memory that the content of `bytes` of files will need as page
    /// cache: a virtual machine may have given it back to its host.
    pub fn touch(&self, bytes: u64) -> Result<()> {
        let path = self.path().join("touch");
        write(&path, bytes)?;
        std::fs::remove_file(&path)?;
        Ok(())
    }
}

/// Removes what runs left behind that were broken off.
fn sweep(place: &Path) -> Result<()> {
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|name| name.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn write(path: &Path, size: u64) -> Result<()> {
    let mut file = std::fs::File::create(path)?;
    for piece in content::pieces(size) {
        file.write_all(piece)?;
    }
    Ok(())
}

fn remove_large(folder: &Path) -> Result<()> {
    for file in files(folder)? {
        if file.metadata().is_ok_and(|data| data.len() >= LARGE) {
            std::fs::remove_file(&file)?;
        }
    }
    Ok(())
}

/// All files below a folder.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// How many files of `size` bytes below a folder have the content that such a file should have.
pub fn intact(folder: &Path, size: u64) -> Result<u64> {
    let expected = content::digest(size);
    let mut intact = 0;
    for file in files(folder)? {
        if file.metadata()?.len() == size {
            let mut file = std::fs::File::open(&file)?;
            let mut hash = Sha256::new();
            let mut block = vec![0; 64 * 1024];
            loop {
                match file.read(&mut block)? {
                    0 => break,
                    read => hash.update(&block[..read]),
                }
            }
            intact += u64::from(hash.finalize()[..] == expected);
        }
    }
    Ok(intact)
}
