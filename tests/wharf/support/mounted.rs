//! File systems: how they are made and mounted, here and after a power cut.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{RecordingDisk, say};

/// A file system: what it is called here, its name for mount(8), and the program that makes it.
pub struct Kind {
    pub label: &'static str,
    pub name: &'static str,
    pub make: &'static [&'static str],
    /// Whether it has to be checked before it is mounted after a cut.
    pub check: bool,
}

pub const EXT4: Kind = Kind {
    label: "ext4",
    name: "ext4",
    make: &["mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-J", "size=8"],
    check: false,
};
pub const EXT4_WITHOUT_JOURNAL: Kind = Kind {
    label: "ext4 without a journal",
    name: "ext4",
    make: &[
        "mkfs.ext4",
        "-q",
        "-F",
        "-E",
        "nodiscard",
        "-O",
        "^has_journal",
    ],
    check: true,
};
pub const EXT2: Kind = Kind {
    label: "ext2",
    name: "ext2",
    make: &["mkfs.ext2", "-q", "-F", "-E", "nodiscard"],
    check: true,
};
pub const XFS: Kind = Kind {
    label: "XFS",
    name: "xfs",
    make: &["mkfs.xfs", "-q", "-f", "-K"],
    check: false,
};
pub const BTRFS: Kind = Kind {
    label: "Btrfs",
    name: "btrfs",
    make: &["mkfs.btrfs", "-q", "-f", "-K"],
    check: false,
};

impl Kind {
    pub fn make(&self, disk: &Path) {
        let mut make = Command::new(self.make[0]);
        let made = make.args(&self.make[1..]).arg(disk).output().unwrap();
        assert!(made.status.success(), "{}: {made:?}", self.make[0]);
    }

    /// Why it cannot be cut here, if that is so.
    fn missing(&self, size: u64) -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("not root".to_owned());
        }
        let found = Command::new(self.make[0]).arg("-V").output();
        if found.is_err() {
            return Some(format!("no {}", self.make[0]));
        }
        let disk = match RecordingDisk::new(size) {
            Ok(disk) => disk,
            Err(error) => return Some(format!("no FUSE: {error}")),
        };
        self.make(&disk.path());
        Mounted::new(self.name, "", &disk.path()).err()
    }

    /// Mounts what a cut has left, as the start of a machine does: the ext family is checked before
    /// if it has to be, or cannot be mounted.
    pub fn after_cut(&self, image: &Path) -> Mounted {
        let check = || {
            let mut check = Command::new("e2fsck");
            drop(check.args(["-f", "-y"]).arg(image).output().unwrap());
        };
        if self.check {
            check();
        }
        let mut mounted = Mounted::new(self.name, "", image);
        if mounted.is_err() && self.name.starts_with("ext") {
            check();
            mounted = Mounted::new(self.name, "", image);
        }
        mounted.unwrap_or_else(|why| panic!("{} cannot be mounted: {why}", self.label))
    }

    /// Whether a disk of this file system with `size` bytes can be cut here. It prints the programs
    /// that are missing.
    pub fn is_possible(&self, size: u64) -> bool {
        match self.missing(size) {
            None => true,
            Some(why) => {
                say(&format!(
                    "skipped: power cuts of {}: {}",
                    self.label,
                    why.trim()
                ));
                false
            }
        }
    }
}

/// A file system on an image or a disk, unmounted at the end.
pub struct Mounted {
    pub path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Mounted {
    /// Through a loop device. `Err` says why not.
    pub fn new(kind: &str, options: &str, image: &Path) -> Result<Self, String> {
        let options = ["loop", options].join(",");
        Self::mount(kind, options.trim_end_matches(','), image)
    }

    /// One of `size` bytes in memory. `Err` says why not.
    pub fn in_memory(size: u64) -> Result<Self, String> {
        let options = format!("size={size},mode=777");
        Self::mount("tmpfs", &options, Path::new("tmpfs"))
    }

    fn mount(kind: &str, options: &str, source: &Path) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let mount = super::as_root("mount")
            .args(["-t", kind, "-o", options])
            .args([source, dir.path()])
            .output()
            .unwrap();
        if !mount.status.success() {
            return Err(String::from_utf8_lossy(&mount.stderr).into_owned());
        }
        Ok(Mounted {
            path: dir.path().to_owned(),
            _dir: dir,
        })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let umount = |args: &[&str]| {
            let mut command = super::as_root("umount");
            command.args(args).arg(&self.path);
            command.output().is_ok_and(|output| output.status.success())
        };
        if !umount(&[]) {
            umount(&["-l"]);
        }
    }
}
