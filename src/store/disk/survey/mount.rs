//! Where a file system is mounted, and how (proc_pid_mountinfo(5)).

use std::path::{Path, PathBuf};

/// The mount that a path lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The folder it is mounted on.
    pub at: PathBuf,
    /// The file system: `ext4`, `nfs4`, `overlay`.
    pub kind: String,
    /// The options of the mount and of the file system.
    pub options: Vec<String>,
}

impl Mount {
    /// That of `path`; `None` where the system does not say.
    pub fn of(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let list = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::find(&list, &path)
    }

    /// Whether it has this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }

    fn find(list: &str, path: &Path) -> Option<Self> {
        let mounts = list.lines().filter_map(Self::read);
        let above = mounts.filter(|mount| path.starts_with(&mount.at));
        // Of two on one folder the last is seen.
        above.max_by_key(|mount| mount.at.components().count())
    }

    fn read(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(4);
        let at = unescaped(mount.next()?);
        let mut options: Vec<String> = mount.next()?.split(',').map(str::to_owned).collect();
        let mut file_system = file_system.split(' ');
        let kind = file_system.next()?.to_owned();
        let more = file_system.nth(1).unwrap_or_default().split(',');
        options.extend(more.map(str::to_owned));
        Some(Mount {
            at: at.into(),
            kind,
            options,
        })
    }
}

/// A path without the escapes for white space and backslashes.
fn unescaped(path: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (escape, meant)| {
        path.replace(escape, meant)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_is_found() {
        let list = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,data=ordered
40 22 0:44 / /srv/up\\040load rw,noatime - nfs4 host:/x rw,vers=4.2,lookupcache=none
41 22 0:45 / /srv rw - xfs /dev/sdb rw
42 41 0:46 / /srv rw - tmpfs tmpfs rw,size=1k
";
        let found = |path: &str| Mount::find(list, Path::new(path)).unwrap();
        assert_eq!(found("/home").kind, "ext4");
        assert!(found("/home").has("data=ordered"));
        assert_eq!(found("/srv/other").kind, "tmpfs");
        assert_eq!(found("/srv/uploads").kind, "tmpfs");
        let nfs = found("/srv/up load/a");
        assert_eq!(
            (nfs.kind.as_str(), nfs.at.to_str()),
            ("nfs4", Some("/srv/up load"))
        );
        assert!(nfs.has("noatime") && nfs.has("lookupcache=none") && !nfs.has("lookupcache"));
    }
}
