//! A directory that another program gives out (FUSE, by bindfs(1)), and which hangs while that is
//! stopped, as an NFS is whose server is away.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{say, wait_until};

pub struct Far {
    program: Child,
    /// Where it is mounted.
    pub path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Far {
    /// `None`, and a line that says why, where there is no FUSE.
    pub fn mount() -> Option<Self> {
        if let Err(error) = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
        {
            say(&format!("skipped: no FUSE: {error}"));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (near, path) = (dir.path().join("near"), dir.path().join("far"));
        for folder in [&near, &path] {
            std::fs::create_dir(folder).unwrap();
        }
        let mut program = Command::new("bindfs")
            .arg("-f")
            .args([&near, &path])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("it is mounted", || {
            assert!(program.try_wait().unwrap().is_none(), "bindfs goes on");
            let of = |path| rustix::fs::stat(path).unwrap().st_dev;
            of(&path) != of(&near)
        });
        Some(Far {
            program,
            path,
            _dir: dir,
        })
    }

    /// It answers nothing from now on.
    pub fn stand_still(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// It answers again.
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.program.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // Killed it fails all that waits for it, and nothing hangs any more.
        let _ = self.program.kill();
        let _ = self.program.wait();
        let unmount = super::as_root("umount").arg("-l").arg(&self.path).status();
        drop(unmount);
    }
}
