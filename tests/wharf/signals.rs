//! Signals: SIGHUP, the limit of file sizes, and settings that are longer than clocks.

use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Form, Server, Setup, Wharf, end_of, noise, wait_until};

const PTY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/wharf/clients/with_pty.py"
);
const HANGUP: i32 = 1;

fn status(server: &Server, secret: &str) -> u16 {
    let bearer = format!("Bearer {secret}");
    let response = server.request("GET", "/status", &[("Authorization", &bearer)], b"");
    response.status
}

#[test]
fn without_a_terminal_a_hangup_has_settings_read_anew() {
    let setup = Setup::new().under(&crate::support::WITHOUT_TERMINAL);
    let dir = tempfile::tempdir().unwrap();
    let [settings, secrets] = ["wharf.toml", "access"].map(|name| dir.path().join(name));
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    let line = format!("access_file = \"{}\"\n", secrets.display());
    write(&settings, &line);
    write(&secrets, "admin:one\n");
    let server = setup
        .args(&["--config", settings.to_str().unwrap()])
        .start();
    assert_eq!((status(&server, "one"), status(&server, "two")), (200, 401));
    let hangups = |count: usize| {
        server.signal(HANGUP);
        wait_until("the settings are read", || {
            server.log().matches("SIGHUP: the settings").count() == count
        });
    };

    // A wrong file changes nothing.
    write(&secrets, "admin:two\nnonsense\n");
    hangups(1);
    server.says("stay as they were: access_file");
    assert_eq!((status(&server, "one"), status(&server, "two")), (200, 401));
    write(&secrets, "admin:two\nupload:up\n");
    write(&settings, &format!("{line}log = 'no=such=filter'\n"));
    hangups(2);
    assert_eq!(status(&server, "one"), 200);

    // A right file counts, for open connections as well.
    write(
        &settings,
        &format!("{line}log = 'wharf=debug,info'\nmax_files = 3\nmin_free = '1MiB'\n"),
    );
    hangups(3);
    server.says("these settings changed, and count from now on: max_files, log");
    server.says("these settings changed, and need a restart: min_free");
    wait_until("the new secret counts", || status(&server, "two") == 200);
    assert_eq!(status(&server, "one"), 401);
    let form = Form::new().file("f", "a", b"x");
    assert_eq!(server.post_to("/upload", &form, &[]).status, 401);
    let up = [("Authorization", "Bearer up")];
    assert_eq!(server.post_to("/upload", &form, &up).status, 201);
    assert!(server.stop().0.success());
}

#[test]
fn the_filter_of_the_log_follows_a_hangup() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("wharf.toml");
    std::fs::write(&settings, "log = 'info'\n").unwrap();
    let server = Setup::new()
        .under(&crate::support::WITHOUT_TERMINAL)
        .args(&["--config", settings.to_str().unwrap()])
        .start();
    server.get("/healthz");
    server.says("/healthz 200");
    std::fs::write(&settings, "log = 'error'\n").unwrap();
    server.signal(HANGUP);
    server.says("SIGHUP: the settings were read anew");
    wait_until("requests are logged no more", || {
        let before = server.log();
        server.get("/readyz");
        server.get("/readyz");
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.log() == before
    });
}

#[test]
fn a_terminal_that_closes_ends_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let program = ["env", "--default-signal=HUP", "python3", PTY];
    let wharf = Wharf::under(&program, dir.path());
    let child = wharf.spawn(&["--listen", "unix:socket", "--access", "upload:secret"]);
    let socket = dir.path().join("socket");
    wait_until("it listens", || UnixStream::connect(&socket).is_ok());
    let id = child.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let pid = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    // A shell and the kernel send one each.
    for _ in 0..2 {
        let _ = kill_process(pid, Signal::HUP);
    }
    let said = end_of(child);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("SIGHUP: ending"), "{said:?}");
    assert!(said.out.contains("ended"), "{said:?}");
}

#[test]
fn a_hangup_that_is_ignored_stays_so() {
    let server = Setup::new().under(&["setsid", "nohup"]).start();
    server.signal(HANGUP);
    server.upload(&Form::new().file("f", "a", b"x"));
    server.says("POST /upload 201");
    assert!(!server.log().contains("SIGHUP"), "{}", server.log());
    assert!(server.stop().0.success());
}

#[test]
fn a_file_past_the_limit_of_the_process_is_no_space() {
    let limit = "--fsize=2000000:2000000";
    let server = Setup::new().under(&["prlimit", limit]).start();
    let large = Form::new().file("f", "large", &noise(3_000_000, 1));
    let refused = server.post_to("/upload", &large, &[]);
    assert_eq!(refused.status, 507, "{}", refused.text());
    let small = server.upload(&Form::new().file("f", "small", b"x"));
    assert_eq!(server.get("/files/small").text(), "x");
    assert!(small["id"].is_string());
    assert!(server.stop().0.success());
}

#[test]
fn settings_may_be_longer_than_clocks() {
    let long = "200000000000000d";
    let names = [
        "--idle-timeout",
        "--shutdown-grace",
        "--stale-after",
        "--lease-ttl",
    ];
    let mut args: Vec<&str> = names.into_iter().flat_map(|name| [name, long]).collect();
    // Times of day end with the year 9999.
    let years = "2900000d";
    args.extend(["--default-expires-in", years, "--max-expires-in", years]);
    let server = Server::with(&args);
    let stored = server.upload(&Form::new().file("f", "a", b"x"));
    assert!(stored["expires_at"].is_string(), "{stored}");
    assert_eq!(server.get("/files/a").text(), "x");
    assert!(!server.log().contains("panic"), "{}", server.log());
    assert!(server.stop().0.success());
}
