//! The delete tokens of the uploads that a user has sent, in the user's state folder until the
//! uploads end: a file each, so that commands at the same time have nothing to wait for. Its name
//! says upload and server, so that no server is given the token of another.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::client::{Token, UploadRecord};
use crate::model::{Clock, Timestamp, UploadId};

/// The file whose time says when those of ended uploads were removed last.
const SWEPT: &str = ".swept";
/// How often that is done, and how long a file is kept after the end of its upload.
const DAY: Duration = Duration::from_secs(86_400);
/// The most tokens that stay: the oldest go first. `wharf help upload` says it.
const MAX_TOKENS: usize = 10_000;
/// How many more there may be until they go.
const MAX_SURPLUS: usize = 1000;

/// The folder of the tokens.
#[derive(Debug, Clone)]
pub struct KeptTokens {
    folder: PathBuf,
    most: usize,
}

/// The record that is kept of an upload.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// The server it was sent to: scheme, host, port and base path.
    server: String,
    token: String,
    /// When it ends, as the server wrote it.
    expires_at: Option<String>,
}

/// The token of an upload.
#[derive(Debug, Clone)]
pub struct KeptToken {
    /// The server it was sent to. No other is given the token.
    pub server: String,
    pub token: Token,
}

impl KeptTokens {
    /// Those of this user: in `$XDG_STATE_HOME/wharf`, or `~/.local/state/wharf` (XDG Base Directory
    /// Specification); none where the user has no home.
    pub fn of_user() -> Option<Self> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let state = folder("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let home = || folder("HOME").filter(|path| path.is_absolute());
        let state = state.or_else(|| Some(home()?.join(".local/state")))?;
        Some(Self::new(state.join("wharf/tokens"), MAX_TOKENS))
    }

    fn new(folder: PathBuf, most: usize) -> Self {
        KeptTokens { folder, most }
    }

    /// The folder, for messages.
    pub fn place(&self) -> &Path {
        &self.folder
    }

    /// Keeps the token of an upload that was sent to `server`, in place of what was kept of it.
    ///
    /// # Errors
    /// Why the folder cannot be written to.
    pub fn keep(&self, server: &str, token: &Token, upload: &UploadRecord) -> io::Result<()> {
        let id: UploadId = upload.id.parse().map_err(io::Error::other)?;
        let entry = Entry {
            server: server.to_owned(),
            token: token.reveal().to_owned(),
            expires_at: upload.expires_at.map(|time| time.to_string()),
        };
        let mut text = serde_json::to_vec(&entry)?;
        text.push(b'\n');
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.folder)?;
        // Of another name than any other process gives.
        let random = UploadId::generate().map_err(io::Error::other)?;
        let temporary = self.folder.join(format!(".{random}.new"));
        let written = write_new(&temporary, &text)
            .and_then(|()| std::fs::rename(&temporary, self.path(&id, server)));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written?;
        self.sweep();
        Ok(())
    }

    /// The tokens that are kept of uploads of this id, each of another server.
    pub fn find(&self, id: &str) -> Vec<KeptToken> {
        let Ok(id) = id.parse::<UploadId>() else {
            return Vec::new();
        };
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let entries = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            let rest = name
                .to_str()
                .and_then(|name| name.strip_prefix(id.as_str()));
            rest.is_some_and(|rest| rest.starts_with('@'))
        });
        let read = entries.filter_map(|entry| read(&entry.path()));
        let mut found: Vec<_> = read
            .map(|entry| KeptToken {
                server: entry.server,
                token: Token::new(&entry.token),
            })
            .collect();
        found.sort_by(|a, b| a.server.cmp(&b.server));
        found
    }

    /// Forgets the token of an upload of `server` that is gone.
    pub fn forget(&self, id: &str, server: &str) {
        if let Ok(id) = id.parse() {
            // One that stays is swept away later.
            let _ = std::fs::remove_file(self.path(&id, server));
        }
    }

    /// The file of an upload. A server's name may hold any characters, and be of any length.
    fn path(&self, id: &UploadId, server: &str) -> PathBuf {
        let server = Sha256::digest(server.as_bytes());
        let server = base16ct::lower::encode_string(&server[..16]);
        self.folder.join(format!("{id}@{server}"))
    }

    /// Once a day, or when there are too many, removes what is kept of uploads that have ended, and
    /// then the oldest of what is too much. That it fails is no loss.
    fn sweep(&self) {
        let mark = self.folder.join(SWEPT);
        let entries = || {
            std::fs::read_dir(&self.folder)
                .into_iter()
                .flatten()
                .flatten()
        };
        let recent = age(&mark).is_some_and(|age| age < DAY);
        let many = || entries().count() > self.most.saturating_add(self.most.min(MAX_SURPLUS));
        if (recent && !many()) || File::create(&mark).is_err() {
            return;
        }
        let now = Clock::system().now();
        let mut left: Vec<(SystemTime, PathBuf)> = Vec::new();
        for path in entries().map(|entry| entry.path()) {
            let over = match read(&path) {
                Some(entry) => entry
                    .expires_at
                    .and_then(|text| text.parse::<Timestamp>().ok())
                    .is_some_and(|end| end.after(DAY) < now),
                // A file that a killed process has left.
                None => {
                    path.extension() == Some(OsStr::new("new"))
                        && age(&path).is_some_and(|age| age > DAY)
                }
            };
            if over {
                let _ = std::fs::remove_file(path);
            } else if path != mark {
                let kept = path.metadata().and_then(|metadata| metadata.modified());
                left.push((kept.unwrap_or(SystemTime::UNIX_EPOCH), path));
            }
        }
        left.sort();
        let too_many = left.len().saturating_sub(self.most);
        for (_, path) in &left[..too_many] {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn age(path: &Path) -> Option<Duration> {
    path.metadata().ok()?.modified().ok()?.elapsed().ok()
}

fn read(path: &Path) -> Option<Entry> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes a file that only its owner can read.
fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)?;
    // Before it gets its name: a crash leaves no half of it there.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    fn upload(id: &str, expires_at: Option<&str>) -> UploadRecord {
        UploadRecord::from_json(json!({
            "id": id, "url": "u", "created_at": "2026-01-01T00:00:00Z", "expires_at": expires_at,
        }))
        .unwrap()
    }

    fn id() -> String {
        UploadId::generate().unwrap().to_string()
    }

    fn kept(dir: &tempfile::TempDir, most: usize) -> KeptTokens {
        KeptTokens::new(dir.path().join("a/tokens"), most)
    }

    #[test]
    fn a_token_is_kept_for_its_owner_and_its_server() {
        let dir = tempfile::tempdir().unwrap();
        let kept = kept(&dir, MAX_TOKENS);
        let id = id();
        assert!(kept.find(&id).is_empty());
        // Copies of one store have uploads of the same ids.
        for (server, token) in [("http://a", "first"), ("http://a/w", "second")] {
            kept.keep(server, &Token::new(token), &upload(&id, None))
                .unwrap();
        }
        let said = |kept: &KeptTokens| -> Vec<(String, String)> {
            let found = kept.find(&id).into_iter();
            let found = found.map(|kept| (kept.server, kept.token.reveal().to_owned()));
            found.collect()
        };
        let pair = |server: &str, token: &str| (server.to_owned(), token.to_owned());
        let both = [pair("http://a", "first"), pair("http://a/w", "second")];
        assert_eq!(said(&kept), both);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let file = kept.path(&id.parse().unwrap(), "http://a");
        assert_eq!((mode(&file), mode(kept.place())), (0o600, 0o700));
        for strange in ["../x", "", "x/y", SWEPT] {
            assert!(kept.find(strange).is_empty());
            let record = upload(strange, None);
            let token = Token::new("t");
            assert!(kept.keep("http://a", &token, &record).is_err());
        }
        kept.forget(&id, "http://b");
        kept.forget(&id, "http://a");
        assert_eq!(said(&kept), both[1..]);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let kept = kept(&dir, MAX_TOKENS);
        let ids: Vec<String> = (0..32).map(|_| id()).collect();
        let keep = |server: &str, id: &str| {
            let token = Token::new("t");
            kept.keep(server, &token, &upload(id, None)).unwrap();
        };
        let keep = &keep;
        std::thread::scope(|scope| {
            for id in &ids {
                scope.spawn(move || keep("http://a", id));
                scope.spawn(move || keep("http://b", id));
            }
        });
        assert!(ids.iter().all(|id| kept.find(id).len() == 2));
    }

    #[test]
    fn what_has_ended_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let kept = kept(&dir, MAX_TOKENS);
        let (old, new) = (id(), id());
        let keep = |id: &str, end: &str| {
            let record = upload(id, Some(end));
            kept.keep("http://a", &Token::new("t"), &record).unwrap();
        };
        keep(&new, "9000-01-01T00:00:00.000Z");
        keep(&old, "2020-01-01T00:00:00.000Z");
        assert_eq!(kept.find(&old).len(), 1);
        std::fs::remove_file(kept.place().join(SWEPT)).unwrap();
        keep(&new, "9000-01-01T00:00:00.000Z");
        assert_eq!((kept.find(&old).len(), kept.find(&new).len()), (0, 1));
    }

    /// The token of an upload that never ends does not stay for ever.
    #[test]
    fn the_oldest_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let kept = kept(&dir, 8);
        let ids: Vec<String> = (0..30).map(|_| id()).collect();
        for (second, id) in ids.iter().enumerate() {
            kept.keep("http://a", &Token::new("t"), &upload(id, None))
                .unwrap();
            let file = File::open(kept.path(&id.parse().unwrap(), "http://a")).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second as u64);
            file.set_modified(time).unwrap();
        }
        let left = ids.iter().filter(|id| !kept.find(id).is_empty()).count();
        assert!((8..=17).contains(&left), "{left}");
        assert!(ids[22..].iter().all(|id| !kept.find(id).is_empty()));
    }
}
