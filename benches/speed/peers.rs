//! The peers, each with the settings that its documentation recommends where speed counts: no log
//! of requests, temporary files on the file system of the files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::content::Intake;
use super::contestant::{Contestant, Kind};
use super::server::Place;

/// A form as most servers take it.
pub const FORM: Intake = Intake::Form {
    path: "/upload",
    field: "file",
    before: None,
};

/// Those that take files and are installed.
pub fn uploads() -> Vec<Contestant> {
    let mut all = nginx_with("nginx PUT", true);
    all.extend(peer("Go ParseMultipartForm", "bin/go-parse", go, FORM));
    all.extend(peer("Go MultipartReader", "bin/go-stream", go, FORM));
    all.extend(others());
    all
}

/// Those that give files and are installed.
pub fn downloads() -> Vec<Contestant> {
    let mut all = nginx_with("nginx", true);
    all.extend(nginx_with("nginx, no sendfile", false));
    all.extend(peer("Go", "bin/go-parse", go, FORM));
    all.extend(others());
    all
}

fn others() -> impl Iterator<Item = Contestant> {
    let miniserve_form = Intake::Form {
        path: "/upload?path=/",
        field: "path",
        before: None,
    };
    let copyparty_form = Intake::Form {
        path: "/?j",
        field: "f",
        before: Some(("act", "bput")),
    };
    [
        peer("dufs", "bin/dufs", dufs, Intake::Put("/")),
        peer("miniserve", "bin/miniserve", miniserve, miniserve_form),
        peer("copyparty", "venv/bin/copyparty", copyparty, copyparty_form),
    ]
    .into_iter()
    .flatten()
}

/// One that `./bench` installed, unless it did not.
fn peer(
    label: &str,
    program: &str,
    arguments: fn(&Place) -> Vec<OsString>,
    intake: Intake,
) -> Option<Contestant> {
    let program = installed(program)?;
    let kind = Kind::Peer {
        program,
        arguments,
        intake,
    };
    Some(Contestant::new(label, kind))
}

/// A program in the folder of `./bench`.
pub fn installed(program: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WHARF_BENCH_PEERS")?;
    let program = Path::new(&folder).join(program);
    program.exists().then_some(program)
}

/// Whether Info-ZIP's `zip` is installed, which makes archives as it reads.
pub fn zip_is_there() -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join("zip").exists())
}

/// Debian's nginx, which is not in the path of every user.
pub fn nginx_program() -> Option<&'static Path> {
    let path = Path::new("/usr/sbin/nginx");
    path.exists().then_some(path)
}

fn go(place: &Place) -> Vec<OsString> {
    vec![place.address.to_string().into(), place.files.clone().into()]
}

fn dufs(place: &Place) -> Vec<OsString> {
    let mut arguments = words("--bind 127.0.0.1 --allow-upload --log-format");
    arguments.extend([
        "".into(),
        "--port".into(),
        place.address.port().to_string().into(),
        place.files.clone().into(),
    ]);
    arguments
}

fn miniserve(place: &Place) -> Vec<OsString> {
    let mut arguments = words("--interfaces 127.0.0.1 --port");
    arguments.extend([
        place.address.port().to_string().into(),
        place.files.clone().into(),
        "--upload-files".into(),
    ]);
    arguments
}

fn copyparty(place: &Place) -> Vec<OsString> {
    let mut arguments = words("-i 127.0.0.1 -q --http-only --no-thumb -nc 20000 -p");
    arguments.extend([
        place.address.port().to_string().into(),
        "-v".into(),
        format!("{}::rw", place.files.display()).into(),
    ]);
    arguments
}

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

fn nginx_with(label: &str, sendfile: bool) -> Vec<Contestant> {
    let present = nginx_program().map(|_| Contestant::new(label, Kind::Nginx { sendfile }));
    present.into_iter().collect()
}

/// nginx, and the settings that it reads from a file.
pub fn nginx(place: &Place, sendfile: bool) -> Result<Vec<OsString>> {
    // Workers of root's server are another user, who may not write here.
    let user = match rustix::process::geteuid().is_root() {
        true => "user root;",
        false => "",
    };
    let settings = format!(
        "{user}
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid {scratch}/pid;
error_log stderr error;
events {{ worker_connections 12000; }}
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
    let program = nginx_program().unwrap_or(Path::new("nginx"));
    let mut command = vec![program.into()];
    command.extend(words("-e stderr -p"));
    command.extend([place.scratch.clone().into(), "-c".into(), file.into()]);
    Ok(command)
}
