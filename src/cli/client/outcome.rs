//! The outcome of a command, its exit code, and its errors.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Output, json_line};
use crate::cli::stderr::say;
use crate::client::ClientError;

/// The outcome of a command. Its errors have been printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Failed,
    /// The arguments contradict each other.
    Usage,
    /// Some of it was done.
    Partly,
    NotAuthorised,
    NotFound,
    /// No network, or a time-out.
    Network,
    Interrupted,
}

impl Output {
    /// Prints the error: in words, or as the problem document that the server gave or would give.
    pub fn failed(self, error: &ClientError) -> Outcome {
        let words = format!("{error}{}", advice(error));
        self.report(&words, || document(error));
        outcome(error)
    }

    /// Prints an error that the server has no part in.
    pub fn failed_here(self, what: &str) -> Outcome {
        self.report(what, || plain_document("failed", what));
        Outcome::Failed
    }

    /// Prints why the arguments contradict each other.
    pub fn usage(self, what: &str) -> Outcome {
        self.report(what, || plain_document("usage", what));
        Outcome::Usage
    }

    /// Prints that it was interrupted, and what that means.
    pub fn interrupted(self, what: &str) -> Outcome {
        self.report(what, || plain_document("interrupted", what));
        Outcome::Interrupted
    }

    /// Tells people something beside the result. Programs that read JSON are not told.
    pub fn note(self, what: &str) {
        if !self.json && !self.quiet {
            say(what);
        }
    }

    fn report(self, words: &str, document: impl FnOnce() -> Value) {
        if self.json {
            // Standard error may be closed.
            let _ = io::stderr().write_all(json_line(&document()).as_bytes());
        } else {
            say(words);
        }
    }
}

/// The remedy for a person at the command line.
fn advice(error: &ClientError) -> &'static str {
    match error {
        ClientError::Exists(_) => " (--force replaces it)",
        ClientError::Directory(_) => ": -r sends it with all that is in it",
        _ => match error.code() {
            Some("missing-secret") => " (wharf reads it from WHARF_TOKEN or --token-file)",
            _ => "",
        },
    }
}

/// The error as a problem document (RFC 9457).
fn document(error: &ClientError) -> Value {
    let code = match error {
        ClientError::Refused(problem) => return problem.to_json(),
        ClientError::Address(_) | ClientError::Setup(_) => "usage",
        ClientError::OverLimit { .. } => "limit-exceeded",
        ClientError::Unreachable { .. } => "unreachable",
        ClientError::Timeout { .. } => "timeout",
        ClientError::Broken { .. } => "connection-broken",
        ClientError::Answer(_) | ClientError::NotAForm(_) | ClientError::Form(_) => {
            "invalid-answer"
        }
        ClientError::Exists(_) | ClientError::NotAFolder(_) => "file-exists",
        ClientError::Changed { .. } | ClientError::ChangedOnServer(_) => "file-changed",
        ClientError::Damaged { .. } => "file-damaged",
        ClientError::SeveralFiles => "several-files",
        _ => "file",
    };
    let mut document = plain_document(code, &error.to_string());
    if let ClientError::OverLimit { setting, limit, .. } = error {
        document["setting"] = json!(setting);
        document["limit"] = json!(limit);
    }
    document
}

fn plain_document(code: &str, detail: &str) -> Value {
    json!({"type": "about:blank", "code": code, "detail": detail})
}

fn outcome(error: &ClientError) -> Outcome {
    match error {
        ClientError::Address(_) | ClientError::Setup(_) => Outcome::Usage,
        _ if error.is_not_found() => Outcome::NotFound,
        ClientError::Refused(problem) => match (error.code(), problem.status) {
            (Some("cross-site"), _) => Outcome::Failed,
            (_, 401 | 403 | 407) => Outcome::NotAuthorised,
            (_, 408 | 504) | (Some("body-incomplete"), _) => Outcome::Network,
            _ => Outcome::Failed,
        },
        ClientError::Unreachable { .. }
        | ClientError::Timeout { .. }
        | ClientError::Broken { .. } => Outcome::Network,
        _ => Outcome::Failed,
    }
}

impl Outcome {
    /// The same, of a command of which some `was_done`.
    pub fn after(self, was_done: bool) -> Self {
        match self {
            Outcome::Done | Outcome::Interrupted => self,
            _ if was_done => Outcome::Partly,
            _ => self,
        }
    }

    /// The first thing that went wrong.
    pub fn or(self, next: Outcome) -> Self {
        if self == Outcome::Done { next } else { self }
    }

    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Usage => 2,
            Outcome::Partly => 3,
            Outcome::NotAuthorised => 4,
            Outcome::NotFound => 5,
            Outcome::Network => 6,
            Outcome::Interrupted => 130,
        })
    }
}
