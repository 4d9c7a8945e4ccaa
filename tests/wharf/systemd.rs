//! The units for systemd, and wharf's messages to it: readiness, reloads, signs of life.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::s3_crash::Until;
use crate::support::{Form, Setup, WHARF, wait_until};

/// The units, with the program under test, in a folder of their own.
fn units() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["wharf.service", "wharf.socket"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(name);
        let text = std::fs::read_to_string(shipped).unwrap();
        let text = text.replace("/usr/local/bin/wharf", WHARF);
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn analyze(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("systemd-analyze")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

#[test]
fn the_units_are_sound_and_give_little_away() {
    let dir = units();
    let said = analyze(dir.path(), &["verify", "./wharf.service", "./wharf.socket"]);
    let own = said.lines().filter(|line| line.contains("wharf"));
    assert_eq!(own.collect::<Vec<_>>(), [""; 0]);
    // 2.0 of 10 at most.
    let said = analyze(
        dir.path(),
        &[
            "security",
            "--offline=true",
            "--threshold=20",
            "./wharf.service",
        ],
    );
    assert!(said.contains("Overall exposure level"), "{said}");
}

/// The system calls that the unit allows, without the sets they come in.
fn allowed(unit: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for line in unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
    {
        let (taken, names) = match line.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, line),
        };
        for name in names.split_whitespace().flat_map(of_set) {
            match taken {
                true => all.remove(&name),
                false => all.insert(name),
            };
        }
    }
    all
}

fn of_set(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let text = analyze(Path::new("/"), &["syscall-filter", name]);
    let names = text.lines().skip(1).map(str::trim);
    let names = names.filter(|name| !name.is_empty() && !name.starts_with('#'));
    names.flat_map(of_set).collect()
}

#[test]
fn the_unit_allows_what_a_server_does() {
    let unit = std::fs::read_to_string(units().path().join("wharf.service")).unwrap();
    let allowed = allowed(&unit);
    assert!(allowed.len() > 100 && !allowed.contains("mount") && !allowed.contains("ptrace"));
    let server = Setup::new()
        .under(&["strace", "-f", "-q", "-qq", "-o", "calls"])
        .args(&["--default-expires-in", "1s"])
        .start();
    let stored = server.upload(&Form::new().file("f", "a", &[7; 300_000]).text("t", "x"));
    assert_eq!(server.get("/files/a").body.len(), 300_000);
    assert_eq!(server.get("/metrics").status, 200);
    let id = stored["id"].as_str().unwrap();
    wait_until("it is cleaned up", || {
        server.get(&format!("/uploads/{id}")).status == 404
    });
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap();
    let own = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    let calls = server.dir().join("calls");
    kill_process(own, Signal::TERM).unwrap();
    server.says("ended");
    wait_until("all was written", || {
        std::fs::read_to_string(&calls)
            .unwrap()
            .contains(" exit_group(")
    });
    let calls = std::fs::read_to_string(calls).unwrap();
    let name = |line: &str| {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let name = line.split('(').next()?;
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && !name.is_empty() && line.contains('(')).then(|| name.to_owned())
    };
    let made: BTreeSet<String> = calls.lines().filter_map(name).collect();
    assert!(made.len() > 30, "{made:?}");
    // systemd starts the program before it filters.
    let refused: Vec<&String> = made
        .difference(&allowed)
        .filter(|name| *name != "execve")
        .collect();
    assert_eq!(refused, [""; 0]);
}

/// Where systemd would listen for messages.
struct Manager {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Manager { socket, dir }
    }

    fn path(&self) -> String {
        self.dir.path().join("notify").display().to_string()
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let len = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..len].to_vec()).unwrap()
    }
}

#[test]
fn systemd_is_told_what_the_server_does() {
    let manager = Manager::new();
    let server = Setup::new()
        .env("NOTIFY_SOCKET", &manager.path())
        .under(&crate::support::WITHOUT_TERMINAL)
        .start();
    let ready = format!("READY=1\nSTATUS=Serving on http://{}", server.address);
    assert_eq!(manager.next(), ready);
    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    };
    let before = now();
    server.signal(1);
    let reloading = manager.next();
    let lines: Vec<&str> = reloading.lines().collect();
    assert_eq!(lines[0], "RELOADING=1");
    let since: i64 = lines[1]
        .strip_prefix("MONOTONIC_USEC=")
        .unwrap()
        .parse()
        .unwrap();
    assert!((before..=now()).contains(&since));
    assert_eq!(manager.next(), ready);
    let (status, _) = server.stop();
    assert!(status.success());
    assert!(manager.next().starts_with("STOPPING=1\nSTATUS=Ending"));
    // Of a reload that failed the status says why.
    let setup = Setup::new()
        .env("NOTIFY_SOCKET", &manager.path())
        .under(&crate::support::WITHOUT_TERMINAL);
    let settings = setup.folder().join("wharf.toml");
    std::fs::write(&settings, "").unwrap();
    let server = setup.args(&["--config", "wharf.toml"]).start();
    assert!(manager.next().starts_with("READY=1\n"));
    std::fs::write(&settings, "max_files = 0").unwrap();
    server.signal(1);
    assert!(manager.next().starts_with("RELOADING=1\n"));
    let said = manager.next();
    assert!(
        said.starts_with("READY=1\nSTATUS=Serving on http://"),
        "{said}"
    );
    assert!(
        said.contains("the last reload changed nothing: max_files (file wharf.toml, line 1)"),
        "{said}"
    );
}

#[test]
fn the_watchdog_is_fed_while_every_thread_works() {
    let manager = Manager::new();
    let server = Setup::new()
        .env("NOTIFY_SOCKET", &manager.path())
        .env("WATCHDOG_USEC", "2000000")
        .start();
    assert!(manager.next().starts_with("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    // One of the threads that serve connections stands still: a tracer holds it.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let worker = tasks.map(|task| task.unwrap().path()).find(|task| {
        std::fs::read_to_string(task.join("comm"))
            .unwrap()
            .starts_with("wharf-worker")
    });
    let worker = worker
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let mut tracer = Command::new("strace")
        .args([
            "-qq",
            "-e",
            "trace=epoll_wait,epoll_pwait",
            "-e",
            "inject=epoll_wait,epoll_pwait:delay_enter=600000000",
        ])
        .args(["-o", "/dev/null", "-p", &worker])
        .spawn()
        .unwrap();
    server.says("a thread or a listener does not answer");
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    // The messages from before it stood still are read away; a sign of life comes again.
    manager.socket.set_nonblocking(true).unwrap();
    let mut message = [0; 64];
    while manager.socket.recv(&mut message).is_ok() {}
    manager.socket.set_nonblocking(false).unwrap();
    assert_eq!(manager.next(), "WATCHDOG=1");
}

/// Starts the program as systemd does: with `socket` as descriptor 3, under this name.
fn activated(socket: &TcpListener, dir: &Path, name: &str, args: &[&str]) -> Child {
    let socket = OwnedFd::from(socket.try_clone().unwrap());
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$; exec \"$@\"";
    Command::new("sh")
        .args(["-c", script, "sh", WHARF])
        .args(args)
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", name)
        .current_dir(dir)
        .stdin(Stdio::from(socket))
        .stderr(Stdio::from(
            std::fs::File::options()
                .create(true)
                .append(true)
                .open(dir.join("log"))
                .unwrap(),
        ))
        .spawn()
        .unwrap()
}

fn end(mut child: Child) {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// One request on a connection of its own; answers its fault, if it has one.
fn ask(address: SocketAddr) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n") => Ok(()),
        Ok(answer) => Err(format!("{answer:?}")),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn no_connection_is_refused_while_it_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    // systemd keeps it open.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = Until(&stop);
        let clients = [0, 1, 2].map(|_| {
            scope.spawn(|| {
                let (mut asked, mut refused) = (0, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    asked += 1;
                    refused.extend(ask(address).err());
                }
                (asked, refused)
            })
        });
        for _ in 0..4 {
            let server = activated(&socket, dir.path(), "web", &[]);
            for _ in 0..20 {
                ask(address).unwrap();
            }
            end(server);
        }
        // The last of them wait for one more.
        let server = activated(&socket, dir.path(), "web", &[]);
        drop(asking);
        for client in clients {
            let (asked, refused) = client.join().unwrap();
            assert!(asked > 0 && refused.is_empty(), "{refused:?} of {asked}");
        }
        end(server);
    });
}

#[test]
fn sockets_are_taken_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let server = activated(&socket, dir.path(), "web", &["--listen", "fd:web"]);
    ask(address).unwrap();
    end(server);
    // A name that none has is an error which says so.
    let mut server = activated(&socket, dir.path(), "web", &["--listen", "fd:other"]);
    assert_eq!(server.wait().unwrap().code(), Some(1));
    assert!(log().contains(
        "cannot listen on fd:other: no socket was passed to this process under that name"
    ));
    // One for operators is not for clients.
    let server = activated(
        &socket,
        dir.path(),
        "admin",
        &["--listen", "127.0.0.1:0", "--admin-listen", "fd:admin"],
    );
    ask(address).unwrap();
    wait_until("it says so", || {
        log().contains(&format!("listening on http://{address} for operators"))
    });
    end(server);
    // Sockets of another process are none of its own.
    let other = Setup::new()
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "1")
        .start();
    assert_eq!(other.get("/healthz").status, 200);
}

#[test]
fn a_first_connection_starts_it() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut systemd = Command::new("systemd-socket-activate")
        .args(["-l", &free.to_string(), WHARF])
        .current_dir(dir.path())
        .env_remove("NOTIFY_SOCKET")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("it is answered", || ask(free).is_ok());
    // It has become the program.
    let pid = Pid::from_raw(systemd.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(systemd.wait().unwrap().success());
}
