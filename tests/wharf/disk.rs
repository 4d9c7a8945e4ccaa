use std::path::{Path, PathBuf};

use crate::support::{Form, Setup, as_root, noise, wait_until};

/// A small file system of its own, unmounted at the end.
pub struct SmallDisk(pub PathBuf, tempfile::TempDir);

impl SmallDisk {
    pub fn new(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let mounted = as_root("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "wharf-test"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(mounted.success(), "a small file system can be mounted");
        SmallDisk(path, dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = as_root("umount").arg("-l").arg(&self.0).status();
        let _ = self.1.path();
    }
}

fn used(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = SmallDisk::new("24m");
    let server = Setup::new()
        .store(&disk.0.join("upload"))
        .args(&["--min-free", "none"])
        .start();
    let form = |mib: usize| {
        Form::new()
            .file("f", "a.bin", &noise(mib << 20, 1))
            .file("g", "b.bin", b"small")
    };
    server.upload(&form(1));
    let before = used(&disk.0);
    for _ in 0..3 {
        let refused = server.post_to("/upload", &form(40), &[]);
        assert_eq!((refused.status, refused.code().as_str()), (507, "no-space"));
    }
    assert_eq!(server.files().len(), 3);
    wait_until("the room is given back", || {
        used(&disk.0) <= before + (1 << 20)
    });
    assert_eq!(server.get("/readyz").status, 200);
    server.upload(&form(2));
    server.says("No space left on device");
}

#[test]
fn the_reserve_is_kept() {
    let disk = SmallDisk::new("40m");
    let server = Setup::new()
        .store(&disk.0.join("upload"))
        .args(&["--min-free", "30MiB"])
        .start();
    let form = |mib: usize| Form::new().file("f", "a.bin", &noise(mib << 20, 1));
    let refused = server.post_to("/upload", &form(20), &[]);
    assert_eq!(refused.status, 507);
    server.says("min_free keeps 31457280");
    server.upload(&form(2));
    drop(server);
}

#[test]
fn a_folder_that_is_gone_or_of_another_user_costs_readiness() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("upload");
    let server = Setup::new().store(&store).start();
    server.upload(&Form::new().file("f", "a.txt", b"x"));
    std::fs::remove_dir_all(&store).unwrap();
    let refused = server.post_to("/upload", &Form::new().file("f", "a.txt", b"x"), &[]);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(server.get("/readyz").status, 503);
}
