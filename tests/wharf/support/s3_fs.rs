//! A second S3 server of other authors (s3s-fs, in Rust): a bucket is a folder, and every
//! signature is checked, those in addresses too. `./test soak` installs it. Used by the tests of
//! the binary and by those beside the code.
//!
//! Like moto it tests the condition of a PUT and then writes, without a lock; and it does not list
//! unfinished multipart uploads.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server with one bucket; it ends with the value.
pub struct S3Fs {
    child: Child,
    _log: BufReader<ChildStdout>,
    url: String,
    dir: tempfile::TempDir,
}

impl S3Fs {
    pub const BUCKET: &str = "bucket";
    pub const KEY: &str = "key";
    pub const SECRET: &str = "secret+/=";

    /// Where `./test soak` has put the program. Where it could not, what needs it is skipped, and
    /// that is said.
    pub fn program() -> Option<PathBuf> {
        let program = std::env::var_os("WHARF_TEST_S3S_FS").map(PathBuf::from);
        if program.is_none() {
            // Not by a macro: the runner keeps the output of those.
            let said =
                "skipped: what needs s3s-fs: ./test soak builds it, WHARF_TEST_S3S_FS names it";
            let _ = writeln!(std::io::stderr(), "{said}");
        }
        program
    }

    /// One of its own.
    pub fn start(program: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(Self::BUCKET)).unwrap();
        let mut child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .args(["--access-key", Self::KEY, "--secret-key", Self::SECRET])
            .arg(dir.path())
            .env("RUST_LOG", "s3s_fs=info")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let url = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some((_, address)) = line.split_once("running at http://") {
                break format!("http://{}", address.split([',', '\n']).next().unwrap());
            }
        };
        S3Fs {
            child,
            _log: log,
            url,
            dir,
        }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// All keys, sorted, but for those of wharf's own.
    pub fn keys(&self) -> Vec<String> {
        let root = self.dir.path().join(Self::BUCKET);
        let (mut keys, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(key) = path.strip_prefix(&root) {
                    keys.push(key.to_str().unwrap().to_owned());
                }
            }
        }
        keys.retain(|key| !key.contains(".wharf/"));
        keys.sort();
        keys
    }

    /// How many parts lie about of files that were begun and not ended.
    pub fn parts(&self) -> usize {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".part-")).count()
    }
}

impl Drop for S3Fs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
