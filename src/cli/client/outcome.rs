//! The outcome of a command, and its exit code.

use std::process::ExitCode;

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

impl Outcome {
    /// Prints the error.
    pub fn failed(what: &str) -> Self {
        say(what);
        Outcome::Failed
    }

    /// Prints why the arguments contradict each other.
    pub fn usage(what: &str) -> Self {
        say(what);
        Outcome::Usage
    }

    /// Prints the error.
    pub fn of(error: &ClientError) -> Self {
        say(&error.to_string());
        match error {
            ClientError::Address(_) | ClientError::Setup(_) => Outcome::Usage,
            _ if error.is_not_found() => Outcome::NotFound,
            ClientError::Refused { status, .. } => match (error.code(), status.as_u16()) {
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

    /// The same, of a command of which some `was_done`.
    pub fn after(self, was_done: bool) -> Self {
        match self {
            Outcome::Done | Outcome::Interrupted => self,
            _ if was_done => Outcome::Partly,
            _ => self,
        }
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
