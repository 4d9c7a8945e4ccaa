//! Settings from their sources, their printed form, and the addresses that the server listens on.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Form, Server, Setup, Wharf, request, wait_until};

/// Starts a program with a descriptor 3 of this kind.
const WITH_DESCRIPTOR: &str = r#"
import os, socket, sys
kind, program = sys.argv[1], sys.argv[2:]
if kind == "tcp":
    it = socket.create_server(("127.0.0.1", 0))
elif kind == "unix":
    it = socket.socket(socket.AF_UNIX)
    it.bind("passed")
    it.listen()
elif kind == "silent":
    it = socket.socket()
elif kind == "udp":
    it = socket.socket(type=socket.SOCK_DGRAM)
elif kind == "file":
    it = open("some file", "w")
if kind == "none":
    os.closerange(3, 10)
else:
    os.dup2(it.fileno(), 3)
    os.set_inheritable(3, True)
os.execv(program[0], program)
"#;

/// The standard output and standard error of a command that ends.
fn said(setup: &Setup, args: &[&str]) -> (bool, [String; 2]) {
    let out = setup.run(args);
    let texts = [out.stdout, out.stderr].map(|text| String::from_utf8(text).unwrap());
    (out.status.success(), texts)
}

/// The settings that `wharf config` prints are settings that a server starts with.
#[test]
fn a_log_filter_that_is_none_is_refused_by_both() {
    for args in [
        &["config"][..],
        &["config", "--json"],
        &["serve", "--port", "0"],
    ] {
        let bad = Setup::new().env("WHARF_LOG", "wharf=loud");
        let (done, [out, err]) = said(&bad, args);
        assert!(!done && out.is_empty(), "{args:?}: {out}");
        assert!(
            err.contains("log: \"wharf=loud\" is no filter"),
            "{args:?}: {err}"
        );
    }
    let good = Setup::new().env("WHARF_LOG", "wharf=debug,info");
    assert!(said(&good, &["config"]).0);
}

#[test]
fn settings_are_printed_with_their_origin() {
    let setup = Setup::new()
        .env("WHARF_MAX_FILES", "7")
        .env("WHARF_ACCESS", "upload:s3cret,admin:ci:s3cret")
        .env("WHARF_SERVICE_HOST", "x");
    let file = setup.folder().join("wharf.toml");
    std::fs::write(&file, "# mine\ns3_redirect = true\n").unwrap();
    let args = [
        "config",
        "--config",
        "wharf.toml",
        "--max-file-size",
        "1GiB",
    ];
    let (ended_well, [text, err]) = said(&setup, &args);
    assert!(ended_well, "{err}");
    for line in [
        "max_file_size = \"1GiB\" # flag --max-file-size",
        "max_files = 7 # environment WHARF_MAX_FILES",
        "access = [\"upload:***\", \"admin:ci:***\"] # environment WHARF_ACCESS",
        "s3_redirect = true # file wharf.toml, line 2",
        "durability = \"strict\" # default",
        "port = 8080 # default",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in {text}");
    }
    assert!(!text.contains("s3cret"));
    let (ended_well, [text, _]) = said(&setup, &[&args[..], &["--json"]].concat());
    assert!(ended_well && !text.contains("s3cret"), "{text}");
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["max_files"]["value"], 7);
    assert_eq!(object["max_files"]["name"], "WHARF_MAX_FILES");
    assert_eq!(object["access"]["value"][1], "admin:ci:***");
    assert_eq!(object["s3_redirect"]["line"], 2);
    assert_eq!(object["durability"]["origin"], "default");
}

#[test]
fn the_defaults_are_a_settings_file() {
    // Whatever is set, or wrong.
    let setup = Setup::new().env("WHARF_MAX_FILES", "many");
    let (ended_well, [defaults, err]) = said(&setup, &["config", "--defaults"]);
    assert!(ended_well && err.is_empty(), "{err}");
    assert!(defaults.contains("\n#max_files = 1000\n"), "{defaults}");
    let setup = Setup::new();
    std::fs::write(setup.folder().join("wharf.toml"), defaults).unwrap();
    let (_, [without, _]) = said(&setup, &["config"]);
    let (_, [with, _]) = said(&setup, &["config", "--config", "wharf.toml"]);
    assert_eq!(with, without);
}

#[test]
fn a_setting_that_is_wrong_is_named_with_what_is_right() {
    let setup = Setup::new().env("WHARF_MAX_FIELS", "1");
    let file = |text: &str| std::fs::write(setup.folder().join("wharf.toml"), text).unwrap();
    file("dir = 'x'\n\nmax_fils = 3\n");
    for (args, reason) in [
        (&["--max-fils", "3"][..], "'--max-files'"),
        (
            &["--config", "wharf.toml"],
            "wharf.toml, line 3: there is no setting \"max_fils\"; did you mean \"max_files\"?",
        ),
        (
            &["--max-file-size", "0"],
            "max_file_size (flag --max-file-size): \"0\" is 0: say none to turn it off",
        ),
        (
            &["--max-file-size", "1.5G"],
            "\"1.5G\" is not a size: write 64KiB",
        ),
        (
            &["--idle-timeout", "12h1d"],
            "the largest unit of a sum is first",
        ),
        (
            &["--default-expires-in", "soon"],
            "write 90s, 15m, 12h, 7d, 2w, a sum such as 1d12h, or plain seconds; never turns it off",
        ),
        (
            &["--port", "1", "--listen", "a:2"],
            "port (flag --port): listen is given there too",
        ),
        (&["--access", "uplaod:s3cret"], "did you mean \"upload\"?"),
    ] {
        let (ended_well, [out, err]) = said(&setup, &[&["config"], args].concat());
        assert!(!ended_well && err.contains(reason), "{args:?}: {err}");
        assert!(
            out.is_empty() && !err.contains("s3cret"),
            "{args:?}: {out}{err}"
        );
    }
    let (ended_well, [_, err]) = said(&setup, &["config"]);
    assert!(
        ended_well && err.contains("WHARF_MAX_FIELS is no setting; did you mean WHARF_MAX_FIELDS?"),
        "{err}"
    );
}

#[test]
fn old_names_are_read_with_a_warning() {
    let setup = Setup::new()
        .env("WHARF_EXPIRE_AFTER", "1d12h")
        .args(&["--max-expire-after", "2w"]);
    let (ended_well, [out, err]) = said(&setup, &["config"]);
    assert!(ended_well, "{err}");
    assert!(
        out.contains("default_expires_in = \"1d12h\" # environment WHARF_EXPIRE_AFTER\n"),
        "{out}"
    );
    assert!(
        out.contains("max_expires_in = \"2w\" # flag --max-expire-after\n"),
        "{out}"
    );
    let warnings = [
        "environment WHARF_EXPIRE_AFTER: expire_after is called default_expires_in now",
        "flag --max-expire-after: max_expire_after is called max_expires_in now",
    ];
    assert!(
        warnings
            .iter()
            .all(|warning| err.matches(warning).count() == 1),
        "{err}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let (_, [offered, _]) = said(&Setup::new(), &["completions", shell]);
        assert!(offered.contains("default-expires-in") && !offered.contains("expire-after"));
    }
    let server = setup.start();
    for warning in warnings {
        server.says(warning);
    }
    let upload = server.upload(&Form::new().file("f", "a", b"x"));
    let time = |key: &str| -> jiff::Timestamp { upload[key].as_str().unwrap().parse().unwrap() };
    let span = time("expires_at").duration_since(time("created_at"));
    assert_eq!(span.as_secs(), 36 * 3600);
}

#[test]
fn a_port_alone_is_for_this_machine_and_a_colon_for_all() {
    let server = Server::with(&["--port", "0"]);
    assert!(server.address.ip().is_loopback());
    let closed = ["--access", "upload:s3cret", "--names", "private"];
    let server = Server::with(&[&closed[..], &["--listen", ":0"]].concat());
    assert!(server.address.ip().is_unspecified(), "{}", server.address);
    // Of IPv4, also where it is one socket of IPv6.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address.port()));
    assert_eq!(request(address, "GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn a_socket_that_was_passed_is_listened_on() {
    let with = |kind: &str| Setup::new().under(&["python3", "-c", WITH_DESCRIPTOR, kind]);
    let server = with("tcp").args(&["--listen", "fd:3"]).start();
    assert_eq!(server.get("/healthz").status, 200);
    assert!(server.stop().0.success());
    for (kind, reason) in [
        (
            "silent",
            "cannot listen on fd:3: it is a socket that does not listen",
        ),
        ("udp", "fd:3: it is a socket of another type"),
        ("file", "some file, and not a stream socket that listens"),
        (
            "none",
            "fd:3: the process was not started with this descriptor",
        ),
    ] {
        let (ended_well, [_, err]) = said(&with(kind), &["--listen", "fd:3"]);
        assert!(!ended_well && err.contains(reason), "{kind}: {err}");
    }
}

#[test]
fn a_unix_socket_that_was_passed_stays_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let wharf = Wharf::under(&["python3", "-c", WITH_DESCRIPTOR, "unix"], dir.path());
    let mut child = wharf.spawn(&["--listen", "fd:3", "--access", "upload:s3cret"]);
    let socket = dir.path().join("passed");
    wait_until("it answers", || answers(&socket));
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(socket.exists());
}

/// Whether a server answers there that it is alive.
fn answers(socket: &Path) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = UnixStream::connect(socket) else {
        return false;
    };
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// The page about settings has a line for each, as the help has it.
#[test]
fn the_page_of_the_settings_has_them_all() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = std::fs::read_to_string(page).unwrap();
    for setting in wharf::config::SETTINGS {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let line = format!("| `{}` | {default} | {} |", setting.key, setting.help);
        assert!(
            page.lines().any(|known| known == line),
            "docs/settings.md lacks this line:\n{line}"
        );
    }
}
