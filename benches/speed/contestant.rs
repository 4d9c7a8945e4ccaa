//! The contestants: the limits, wharf in its modes, and the peers.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use super::content::Intake;
use super::peers;
use super::server::Place;

/// A program that takes part.
#[derive(Clone)]
pub enum Kind {
    /// The limit of uploads.
    Sink {
        fsync: bool,
    },
    /// The limit of downloads.
    Source {
        sendfile: bool,
    },
    Wharf(Wharf),
    Nginx {
        sendfile: bool,
    },
    /// A program that needs no more than arguments.
    Peer {
        program: PathBuf,
        arguments: fn(&Place) -> Vec<OsString>,
        intake: Intake,
    },
}

/// wharf, in one of its modes.
#[derive(Clone)]
pub struct Wharf {
    pub binary: PathBuf,
    pub strict: bool,
    pub digest: bool,
    /// Downloads as a form, not raw.
    pub form: bool,
    /// The way of downloads, where it is not the default; older builds have but one.
    pub sendfile: Option<&'static str>,
}

impl Wharf {
    /// Its default mode.
    pub fn new(binary: PathBuf) -> Self {
        Wharf {
            binary,
            strict: true,
            digest: true,
            form: false,
            sendfile: None,
        }
    }
}

/// One row of a table.
#[derive(Clone)]
pub struct Contestant {
    pub label: String,
    pub kind: Kind,
}

impl Contestant {
    pub fn new(label: impl Into<String>, kind: Kind) -> Self {
        let label = label.into();
        Contestant { label, kind }
    }

    pub fn is_limit(&self) -> bool {
        matches!(self.kind, Kind::Sink { .. } | Kind::Source { .. })
    }

    pub fn is_wharf(&self) -> bool {
        matches!(self.kind, Kind::Wharf(_))
    }

    /// Whether what it answers is on stable storage.
    pub fn is_synced(&self) -> bool {
        match &self.kind {
            Kind::Wharf(wharf) => wharf.strict,
            Kind::Sink { fsync } => *fsync,
            _ => false,
        }
    }

    /// How it takes files.
    pub fn intake(&self) -> Intake {
        match self.kind {
            Kind::Sink { .. } | Kind::Source { .. } => Intake::Bare,
            Kind::Nginx { .. } => Intake::Put("/"),
            Kind::Wharf(_) => peers::FORM,
            Kind::Peer { intake, .. } => intake,
        }
    }

    /// The path under which it gives a file.
    pub fn path(&self, name: &str) -> String {
        match &self.kind {
            Kind::Wharf(wharf) if wharf.form => format!("/download/{name}"),
            Kind::Wharf(_) => format!("/files/{name}"),
            _ => format!("/{name}"),
        }
    }

    /// The path of a request that shows that it serves.
    pub fn readiness(&self) -> &'static str {
        match &self.kind {
            Kind::Wharf(_) => "/readyz",
            _ => "/file-0.bin",
        }
    }

    /// The program and its arguments.
    pub fn command(&self, place: &Place) -> Result<Vec<OsString>> {
        let own = |name: &str, how: &str| -> Result<Vec<OsString>> {
            Ok(vec![
                std::env::current_exe()?.into(),
                format!("--program={name}").into(),
                place.address.to_string().into(),
                place.files.clone().into(),
                how.into(),
            ])
        };
        match &self.kind {
            Kind::Sink { fsync: true } => own("sink", "fsync"),
            Kind::Sink { fsync: false } => own("sink", "relaxed"),
            Kind::Source { sendfile: true } => own("source", "sendfile"),
            Kind::Source { sendfile: false } => own("source", "read"),
            Kind::Wharf(wharf) => Ok(wharf.command(place)),
            Kind::Nginx { sendfile } => peers::nginx(place, *sendfile),
            Kind::Peer {
                program, arguments, ..
            } => {
                let mut command = vec![program.clone().into()];
                command.extend(arguments(place));
                Ok(command)
            }
        }
    }
}

impl Wharf {
    /// The program and its arguments.
    pub fn command(&self, place: &Place) -> Vec<OsString> {
        let durability = if self.strict { "strict" } else { "relaxed" };
        let digest = if self.digest { "sha-256" } else { "none" };
        let mut command = vec![self.binary.clone().into(), "--dir".into()];
        command.push(place.files.clone().into());
        // No line for each request, as with the others.
        for (flag, value) in [
            ("--listen", place.address.to_string().as_str()),
            ("--durability", durability),
            ("--digest", digest),
            ("--log", "warn"),
            ("--max-connections", "20000"),
        ] {
            command.extend([flag.into(), value.into()]);
        }
        if let Some(way) = self.sendfile {
            command.extend(["--sendfile".into(), way.into()]);
        }
        command
    }
}
