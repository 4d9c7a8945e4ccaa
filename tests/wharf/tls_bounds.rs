//! The memory, connections and time that clients with TLS can take of a server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Server, Setup, certificate, noise, wait_until};

/// The beginning of a ClientHello (RFC 8446 section 4.1.2) that is said to be longer.
const HALF: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half of a hello";
/// A whole record of the same message, which is said to have as much as one can have.
const ROOM: usize = 16 * 1024;

fn server(args: &[&str]) -> Server {
    let setup = Setup::new();
    certificate(setup.folder(), "own", "DNS:localhost", "now", 90);
    setup
        .args(&["--tls-cert", "own.pem", "--tls-key", "own.key"])
        .args(args)
        .start()
}

fn is_alive(server: &Server) -> bool {
    let url = format!("https://localhost:{}/healthz", server.address.port());
    server.curl(&["--cacert", "own.pem", &url]) == b"ok\n"
}

#[test]
fn a_thousand_half_handshakes_take_little_and_end() {
    let server = server(&["--log", "wharf=debug,info"]);
    assert!(is_alive(&server));
    let rest = server.anonymous();
    // Handshake, 64 KiB of hello announced, of which a record of 16 KiB comes.
    let len = (ROOM - 4).to_be_bytes();
    let mut hello = vec![22, 3, 1, len[6], len[7], 1, 0, 0xff, 0xf0];
    hello.resize(5 + ROOM - 4, 0);
    let mut half: Vec<TcpStream> = (0..1000)
        .map(|number| {
            let mut one = TcpStream::connect(server.address).unwrap();
            let part = if number % 2 == 0 { HALF } else { &hello };
            one.write_all(part).unwrap();
            one
        })
        .collect();
    assert!(is_alive(&server), "others are served");
    let (_, most) = server.memory();
    let anonymous = server.anonymous();
    assert!(
        anonymous < rest + (48 << 10),
        "{rest} KiB, then {anonymous} KiB of {most}"
    );
    // Each ends when a head that is not finished would.
    for one in &mut half {
        one.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut rest = Vec::new();
        let ended = one.read_to_end(&mut rest);
        assert!(
            ended.is_ok()
                || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    server.says("a handshake failed");
}

#[test]
fn half_a_handshake_gives_way() {
    let server = server(&["--max-connections", "20"]);
    let half = || {
        let mut one = TcpStream::connect(server.address).unwrap();
        one.write_all(HALF).unwrap();
        one
    };
    let mut held: Vec<TcpStream> = (0..20).map(|_| half()).collect();
    for _ in 0..5 {
        assert!(is_alive(&server));
        held.push(half());
    }
}

/// Begins a download of which nothing is read, or so many bytes a second.
fn reader(server: &Server, rate: Option<&str>) -> std::process::Child {
    let url = format!("https://localhost:{}/files/big.bin", server.address.port());
    let mut command = Command::new("curl");
    command.args(["-sS", "--http1.1", "--cacert", "own.pem", "-o", "slow.bin"]);
    if let Some(rate) = rate {
        command.args(["--limit-rate", rate]);
    }
    command
        .arg(url)
        .current_dir(server.dir())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_reader_that_takes_nothing_is_dropped_and_a_slow_one_is_not() {
    let server = server(&["--idle-timeout", "2s"]);
    let content = noise(24 << 20, 8);
    std::fs::write(server.dir().join("big.bin"), &content).unwrap();
    let port = server.address.port();
    let upload = format!("https://localhost:{port}/upload");
    server.curl(&["--cacert", "own.pem", "-F", "f=@big.bin", &upload]);
    let mut stopped = reader(&server, None);
    // It stops after some of it has come.
    wait_until("it reads", || {
        let read = std::fs::metadata(server.dir().join("slow.bin"));
        read.is_ok_and(|read| read.len() > 0)
    });
    let pid = rustix::process::Pid::from_raw(stopped.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let whole = || {
        std::fs::metadata(server.dir().join("slow.bin"))
            .unwrap()
            .len()
            == 24 << 20
    };
    if !whole() {
        server.says("broken off");
    }
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    stopped.wait().unwrap();
    let slow = reader(&server, Some("3M")).wait_with_output().unwrap();
    assert!(slow.status.success(), "{slow:?}");
    assert!(std::fs::read(server.dir().join("slow.bin")).unwrap() == content);
}

#[test]
fn idle_connections_do_not_keep_a_server_from_ending() {
    let server = server(&[]);
    let address = server.address.to_string();
    let mut idle = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdin = idle.stdin.as_mut().unwrap();
    stdin
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = [0; 12];
    idle.stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut answer)
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let half = TcpStream::connect(server.address).unwrap();
    assert!(server.stop().0.success());
    drop(half);
    let _ = idle.kill();
    idle.wait().unwrap();
}
