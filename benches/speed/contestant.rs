//! Who takes part: the limits, wharf in its modes, and the peers, each with how it is started, how
//! it takes files and where it gives them.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use super::content::Intake;
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
    /// A server of a page of Go, with the standard library.
    Go(PathBuf),
}

/// wharf, in one of its modes.
#[derive(Clone)]
pub struct Wharf {
    pub binary: PathBuf,
    pub strict: bool,
    pub digest: bool,
    /// Downloads as a form, not raw.
    pub form: bool,
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
            Kind::Wharf(_) | Kind::Go(_) => Intake::Form {
                path: "/upload",
                field: "file",
                before: None,
            },
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

    /// The program and its arguments.
    pub fn command(&self, place: &Place) -> Result<Vec<OsString>> {
        let address = place.address.to_string().into();
        let files = place.files.clone().into_os_string();
        let own = |name: &str, how: &str| -> Result<Vec<OsString>> {
            let program = std::env::current_exe()?.into_os_string();
            let name = format!("--program={name}").into();
            Ok(vec![program, name, address, files.clone(), how.into()])
        };
        match &self.kind {
            Kind::Sink { fsync: true } => own("sink", "fsync"),
            Kind::Sink { fsync: false } => own("sink", "relaxed"),
            Kind::Source { sendfile: true } => own("source", "sendfile"),
            Kind::Source { sendfile: false } => own("source", "read"),
            Kind::Wharf(wharf) => Ok(vec![
                wharf.binary.clone().into(),
                "--listen".into(),
                place.address.to_string().into(),
                "--dir".into(),
                files,
                "--durability".into(),
                if wharf.strict { "strict" } else { "relaxed" }.into(),
                "--digest".into(),
                if wharf.digest { "sha-256" } else { "none" }.into(),
                "--log".into(),
                "warn".into(),
                "--max-connections".into(),
                "20000".into(),
            ]),
            Kind::Nginx { sendfile } => nginx(place, *sendfile),
            Kind::Go(program) => Ok(vec![
                program.clone().into(),
                place.address.to_string().into(),
                files,
            ]),
        }
    }
}

fn nginx(place: &Place, sendfile: bool) -> Result<Vec<OsString>> {
    // Workers of root's server are another user, who may not write here.
    let user = match rustix::process::geteuid().is_root() {
        true => "user root;",
        false => "",
    };
    let settings = format!(
        "{user}
daemon off;
worker_processes auto;
pid {scratch}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile {sendfile};
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000;
    open_file_cache max=10000;
    client_body_temp_path {scratch}/body;
    client_body_buffer_size 1m;
    client_max_body_size 0;
    server {{
        listen {address} backlog=4096;
        root {files};
        location / {{ dav_methods PUT; }}
    }}
}}
",
        scratch = place.scratch.display(),
        address = place.address,
        files = place.files.display(),
        sendfile = if sendfile { "on" } else { "off" },
    );
    let file = place.scratch.join("nginx.conf");
    std::fs::write(&file, settings)?;
    Ok(vec![
        "nginx".into(),
        "-e".into(),
        "stderr".into(),
        "-p".into(),
        place.scratch.clone().into(),
        "-c".into(),
        file.into(),
    ])
}
