//! The file system that a store lies on: whether it is remote, keeps the order of names, is FAT.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

// The numbers of statfs(2).
const EXT: u64 = 0xEF53;
const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683E;
const ZFS: u64 = 0x2FC1_2FC1;
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58F6;
const FAT: [u64; 2] = [0x4D44, 0x2011_BAB0];

/// Those whose files are on a disk of this machine, as far as this kernel can tell: those above, and
/// F2FS, bcachefs, overlays, NTFS, JFS, ReiserFS, HFS+, NILFS, UDF, UFS and eCryptfs. An unknown
/// one is treated as remote.
const LOCAL: [u64; 20] = [
    EXT,
    XFS,
    BTRFS,
    ZFS,
    TMPFS,
    RAMFS,
    FAT[0],
    FAT[1],
    0xF2F5_2010,
    0xCA45_1A4E,
    0x794C_7630,
    0x7366_746E,
    0x3153_464A,
    0x5265_4973,
    0x482B,
    0x3434,
    0x1501_3346,
    0x0001_1954,
    0xF15F,
    0x5346_544E,
];

/// Those that may have to ask another machine, or another program, for each call: NFS, SMB
/// and CIFS, FUSE, Ceph, 9P, AFS (two of them), Coda, OCFS2, GFS2, Lustre, GPFS, BeeGFS, PanFS, and
/// the folders that virtual machines share with their host.
const REMOTE: [u64; 19] = [
    0x6969,
    0x517B,
    0xFE53_4D42,
    0xFF53_4D42,
    0x6573_5546,
    0x00C3_6400,
    0x0102_1997,
    0x5346_414F,
    0x6B41_4653,
    0x7375_7245,
    0x7461_636F,
    0x0116_1970,
    0x0BD0_0BD3,
    0x4750_4653,
    0x1983_0326,
    0xAAD7_AAEA,
    0x786F_4256,
    0x7C7C_6673,
    0xBACB_ACBC,
];

/// The properties of a file system that matter to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    /// Whether each call may have to wait for another machine, or another program.
    pub remote: bool,
    /// Whether a file that was synced before it got its name is whole once its folder is synced,
    /// and whether names in one folder become durable in the order in which they were given and
    /// removed. A journal sees to both, and so do the trees of Btrfs and ZFS; ext2, ext4 without a
    /// journal, and unknown file systems are treated as if they did not.
    pub ordered: bool,
    /// Whether it is FAT or exFAT.
    pub fat: bool,
    /// Whether a folder has the same number after every mount: a journal is known by that of its
    /// own. Overlays and FAT make theirs up.
    pub lasting: bool,
}

impl FileSystem {
    /// The file system that `folder` lies on.
    pub fn of(folder: impl AsFd) -> rustix::io::Result<Self> {
        let kind = rustix::fs::fstatfs(&folder)?.f_type;
        // It has 32 bits on some machines, with a sign.
        #[allow(clippy::unnecessary_cast, reason = "the type differs between machines")]
        let kind = (kind as u64) & 0xFFFF_FFFF;
        let remote = !LOCAL.contains(&kind);
        let ordered = match kind {
            EXT => has_journal(folder.as_fd()),
            XFS | BTRFS | ZFS | TMPFS | RAMFS => true,
            // The other machine answers when it has done the change.
            _ => REMOTE.contains(&kind),
        };
        let fat = FAT.contains(&kind);
        let lasting = [EXT, XFS, BTRFS, ZFS, TMPFS].contains(&kind);
        Ok(FileSystem {
            remote,
            ordered,
            fat,
            lasting,
        })
    }
}

/// Whether a folder of an ext file system has extents. Without them a large file has blocks of numbers
/// of its blocks. Where one was removed and a power cut leaves it, and such a block has the content of
/// another file by then, `e2fsck` corrects the numbers that it sees there.
pub fn has_extents(folder: impl AsFd) -> bool {
    const EXTENTS: u32 = 0x0008_0000;
    rustix::fs::ioctl_getflags(folder).is_ok_and(|flags| flags.bits() & EXTENTS != 0)
}

/// Whether an ext2, ext3 or ext4 has a journal, as its driver shows it. The driver of ext2 shows
/// nothing: no journal.
fn has_journal(folder: BorrowedFd<'_>) -> bool {
    let Ok(stat) = rustix::fs::fstat(folder) else {
        return false;
    };
    let (major, minor) = (
        rustix::fs::major(stat.st_dev),
        rustix::fs::minor(stat.st_dev),
    );
    let device = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}"));
    let device = device
        .ok()
        .and_then(|path| path.file_name().map(Into::into));
    device.is_some_and(|device: std::path::PathBuf| {
        journal_shown(
            &device,
            Path::new("/sys/fs/ext4"),
            Path::new("/proc/fs/jbd2"),
        )
    })
}

/// Whether the drivers' folders show a journal of a device: a process that writes it (0 for one
/// of another container), or `<none>`; kernels before 5.0 have its statistics alone.
fn journal_shown(device: &Path, ext4: &Path, journals: &Path) -> bool {
    if let Ok(task) = std::fs::read_to_string(ext4.join(device).join("journal_task")) {
        return task.trim().parse::<u32>().is_ok();
    }
    let Ok(shown) = std::fs::read_dir(journals) else {
        return false;
    };
    let prefix = format!("{}-", device.display());
    let mut names = shown.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.any(|name| name.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_known_by_what_the_drivers_show() {
        let dir = tempfile::tempdir().unwrap();
        let (ext4, journals) = (dir.path().join("ext4"), dir.path().join("jbd2"));
        let shown = |device: &str| journal_shown(Path::new(device), &ext4, &journals);
        assert!(!shown("sda1"), "no driver shows anything");
        for (device, task) in [("sda1", "412\n"), ("sda2", "<none>\n"), ("sda3", "0\n")] {
            std::fs::create_dir_all(ext4.join(device)).unwrap();
            std::fs::write(ext4.join(device).join("journal_task"), task).unwrap();
        }
        std::fs::create_dir_all(journals.join("sdb1-8")).unwrap();
        let devices = ["sda1", "sda2", "sda3", "sdb1", "sdb"];
        assert_eq!(devices.map(shown), [true, false, true, true, false]);
    }

    #[test]
    fn memory_is_local_and_keeps_the_order() {
        let Ok(memory) = std::fs::File::open("/dev/shm") else {
            return;
        };
        let found = FileSystem::of(&memory).unwrap();
        assert!(found.ordered && !found.remote && !found.fat, "{found:?}");
    }
}
