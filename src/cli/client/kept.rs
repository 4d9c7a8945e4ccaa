//! The delete tokens of the uploads that a user has sent, in the user's state folder until the
//! uploads end: a file each, so that commands at the same time have nothing to wait for.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::{Token, UploadRecord};
use crate::model::{Clock, Timestamp, UploadId};

/// The file whose time says when those of ended uploads were removed last.
const SWEPT: &str = ".swept";
/// How often that is done, and how long a file is kept after the end of its upload.
const DAY: Duration = Duration::from_secs(86_400);

/// The folder of the tokens.
#[derive(Debug, Clone)]
pub struct KeptTokens(PathBuf);

/// What is kept of an upload.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// The server it was sent to.
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
        Some(KeptTokens(state.join("wharf/tokens")))
    }

    /// The folder, for messages.
    pub fn place(&self) -> &Path {
        &self.0
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
        folder.recursive(true).mode(0o700).create(&self.0)?;
        // Of another name than any other process gives.
        let random = UploadId::generate().map_err(io::Error::other)?;
        let temporary = self.0.join(format!(".{random}.new"));
        let written =
            write_new(&temporary, &text).and_then(|()| std::fs::rename(&temporary, self.path(&id)));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written?;
        self.sweep();
        Ok(())
    }

    /// The token that is kept of an upload.
    pub fn find(&self, id: &str) -> Option<KeptToken> {
        let entry = read(&self.path(&id.parse().ok()?))?;
        Some(KeptToken {
            server: entry.server,
            token: Token::new(&entry.token),
        })
    }

    /// Forgets the token of an upload that is gone.
    pub fn forget(&self, id: &str) {
        if let Ok(id) = id.parse() {
            // One that stays is swept away later.
            let _ = std::fs::remove_file(self.path(&id));
        }
    }

    fn path(&self, id: &UploadId) -> PathBuf {
        self.0.join(id.as_str())
    }

    /// Once a day, removes what is kept of uploads that have ended. That it fails is no loss.
    fn sweep(&self) {
        let mark = self.0.join(SWEPT);
        let age = |path: &Path| path.metadata().ok()?.modified().ok()?.elapsed().ok();
        if age(&mark).is_some_and(|age| age < DAY) || File::create(&mark).is_err() {
            return;
        }
        let now = Clock::system().now();
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let over = match read(&path) {
                Some(entry) => entry
                    .expires_at
                    .and_then(|text| text.parse::<Timestamp>().ok())
                    .is_some_and(|end| end.after(DAY) < now),
                // What a process that was killed has left.
                None => {
                    path.extension().is_some_and(|extension| extension == "new")
                        && age(&path).is_some_and(|age| age > DAY)
                }
            };
            if over {
                let _ = std::fs::remove_file(path);
            }
        }
    }
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

    #[test]
    fn a_token_is_kept_for_its_owner_and_its_server() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptTokens(dir.path().join("a/tokens"));
        let id = id();
        assert!(kept.find(&id).is_none());
        let token = Token::new("hush");
        kept.keep("http://a", &token, &upload(&id, None)).unwrap();
        let found = kept.find(&id).unwrap();
        assert_eq!((found.server.as_str(), &found.token), ("http://a", &token));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&kept.0.join(&id)), 0o600);
        assert_eq!(mode(&kept.0), 0o700);
        for strange in ["../x", "", "x/y", SWEPT] {
            assert!(kept.find(strange).is_none());
            let record = upload(strange, None);
            assert!(kept.keep("http://a", &token, &record).is_err());
        }
        kept.forget(&id);
        assert!(kept.find(&id).is_none());
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptTokens(dir.path().to_owned());
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
        assert!(ids.iter().all(|id| kept.find(id).is_some()));
    }

    #[test]
    fn what_has_ended_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptTokens(dir.path().to_owned());
        let (old, new) = (id(), id());
        let keep = |id: &str, end: &str| {
            let record = upload(id, Some(end));
            kept.keep("http://a", &Token::new("t"), &record).unwrap();
        };
        keep(&new, "9000-01-01T00:00:00.000Z");
        keep(&old, "2020-01-01T00:00:00.000Z");
        assert!(kept.find(&old).is_some());
        std::fs::remove_file(dir.path().join(SWEPT)).unwrap();
        keep(&new, "9000-01-01T00:00:00.000Z");
        assert!(kept.find(&old).is_none() && kept.find(&new).is_some());
    }
}
