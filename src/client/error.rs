//! The errors of a client.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Problem;
use crate::form::{ContentTypeError, DecodeError};
use crate::model::plain;
use crate::model::units::format_size;

/// Why something asked of a server, or of the disk beside it, was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's address cannot be used. It is not shown where it may hold a secret.
    #[error("{0}")]
    Address(String),
    /// A part of the client's setup cannot be used: a certificate, a token, a media type.
    #[error("{0}")]
    Setup(String),
    /// No server answers at the address.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// The server.
        server: String,
        /// The first cause.
        reason: String,
    },
    /// The server went silent.
    #[error("{server} has not answered for {}", crate::model::units::format_duration(*.after))]
    Timeout {
        /// The server.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke before the end.
    #[error("the connection to {server} broke: {reason}")]
    Broken {
        /// The server.
        server: String,
        /// The first cause.
        reason: String,
    },
    /// The server refused.
    #[error("the server answers {0}")]
    Refused(Box<Problem>),
    /// The form is more than the server says that it takes: nothing was sent.
    #[error("{server} takes no more than {}, and {}: nothing was sent", most(.setting, *.limit), needed(.setting, *.found, .file.as_deref()))]
    OverLimit {
        /// The server.
        server: String,
        /// Its setting.
        setting: &'static str,
        /// The value of that: bytes, files or fields.
        limit: u64,
        /// What the form has of it.
        found: u64,
        /// The file that it is about, where it is about one.
        file: Option<String>,
    },
    /// The server's answer is not of the kind that was asked for.
    #[error("the server's answer cannot be used: {0}")]
    Answer(String),
    /// The answer is no form.
    #[error("the server's answer is no form: {0}")]
    NotAForm(#[from] ContentTypeError),
    /// The form that came breaks the grammar.
    #[error("the server's form is broken: {0}")]
    Form(#[from] DecodeError),
    /// A local file cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A directory was given as a file.
    #[error("{path} is a directory", path = .0.display())]
    Directory(PathBuf),
    /// Something in a folder cannot be read, so that nothing of it was sent.
    #[error("cannot be read: {}: {error}", few(.paths))]
    Unreadable {
        /// All of it, in its order.
        paths: Vec<PathBuf>,
        /// The error of the first.
        error: io::Error,
    },
    /// The path of a folder for files is a symbolic link or no folder at all.
    #[error("{path} is a link or a file: what is to lie in it is not written", path = .0.display())]
    NotAFolder(PathBuf),
    /// The path of one file is a directory, or ends as one.
    #[error("{path} is no path of a file", path = .0.display())]
    NotAFile(PathBuf),
    /// A file changed while it was being read, so that nothing was uploaded.
    #[error("{path} changed while it was being read: {how}", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The difference.
        how: String,
    },
    /// A file of that name is there already.
    #[error("{path} exists already", path = .0.display())]
    Exists(PathBuf),
    /// A file did not arrive as the server has it, and was dropped.
    #[error("{name} arrived damaged: {how}")]
    Damaged {
        /// Its name.
        name: String,
        /// The difference.
        how: String,
    },
    /// One writer can take one file only.
    #[error(
        "there is more than one file in the form, and one can be written here: name it as ID/FILE"
    )]
    SeveralFiles,
    /// A file was partly written out, and has changed on the server since.
    #[error("it changed on the server after {0} bytes were written out")]
    ChangedOnServer(u64),
}

impl ClientError {
    /// An error about a local file.
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        ClientError::File { path, error }
    }

    /// The error of a request, without the URL, which may hold secrets.
    pub(super) fn request(server: &str, error: reqwest::Error) -> Self {
        let (server, connect) = (server.to_owned(), error.is_connect());
        let reason = root_cause(&error);
        if connect {
            ClientError::Unreachable { server, reason }
        } else {
            ClientError::Broken { server, reason }
        }
    }

    /// The server's refusal, if it is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ClientError::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// The code of the server's refusal, where it is wharf.
    pub fn code(&self) -> Option<&str> {
        self.problem()?.code.as_deref()
    }

    /// Whether the server has nothing of what was asked for. An address that is none of wharf's is
    /// something else: the server's own address is wrong then.
    pub fn is_not_found(&self) -> bool {
        match (self, self.code()) {
            (_, Some(code)) => {
                ["upload-not-found", "file-not-found", "name-not-found"].contains(&code)
            }
            (ClientError::Refused(problem), None) => matches!(problem.status, 404 | 410),
            _ => false,
        }
    }

    /// Whether the same request may succeed when it is sent again: the network failed, or the
    /// server says that it cannot for now.
    pub fn is_transient(&self) -> bool {
        match self {
            ClientError::Unreachable { .. }
            | ClientError::Timeout { .. }
            | ClientError::Broken { .. } => true,
            ClientError::Refused(problem) => matches!(problem.status, 409 | 429 | 502..=504),
            _ => false,
        }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        ClientError::Refused(Box::new(problem))
    }
}

/// What a setting allows, in words.
fn most(setting: &str, limit: u64) -> String {
    let what = match setting {
        "max_files" => format!("{limit} files"),
        "max_fields" => format!("{limit} text fields"),
        "max_field_size" => format!("{} in a text field", bytes(limit)),
        "max_fields_size" => format!("{} of names and text fields", bytes(limit)),
        "max_file_size" => format!("{} in a file", bytes(limit)),
        _ => bytes(limit),
    };
    format!("{what} in one upload ({setting})")
}

/// What a form has of it.
fn needed(setting: &str, found: u64, file: Option<&str>) -> String {
    match (setting, file) {
        ("max_files" | "max_fields", _) => format!("these are {found}"),
        (_, Some(file)) => format!("{} has {}", plain(file), bytes(found)),
        (_, None) => format!("this is {}", bytes(found)),
    }
}

/// A size in words.
fn bytes(size: u64) -> String {
    let text = format_size(size);
    match text.ends_with('B') {
        true => text,
        false => format!("{text} bytes"),
    }
}

/// The first of many paths, and how many more there are.
fn few(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = paths
        .iter()
        .take(SHOWN)
        .map(|path| path.display().to_string())
        .collect();
    let more = paths.len() - shown.len();
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// The end of the chain of sources, which names the cause; those before it name the operation.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.to_string() {
        // The words of rustls for bytes that are of no TLS record.
        told if told.contains("InvalidContentType") => {
            "it does not speak TLS on that port (http:// is without)".to_owned()
        }
        told => told,
    }
}

/// The beginning of a text that another program chose: as much as fits on some lines.
pub(super) fn beginning(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
