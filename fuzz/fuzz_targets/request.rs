//! Any bytes on a connection are answered or dropped: never a panic, never an error of the server's
//! own, never a connection that hangs.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown as Half, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use wharf::config::{Config, GivenSettings, Loaded, Profiles};
use wharf::http::server::{Listener, listen_tcp};
use wharf::shutdown::Shutdown;

/// The address of a server of this process, on a store of its own.
fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder").keep();
        let flag = |key: &str, value: &str| (key.to_owned(), vec![value.to_owned()]);
        let given = GivenSettings {
            flags: vec![
                flag("dir", dir.to_str().expect("a path of text")),
                flag("default_expires_in", "1s"),
                flag("idle_timeout", "1s"),
                flag("durability", "relaxed"),
            ],
            ..GivenSettings::default()
        };
        let loaded = Loaded::from(given).expect("these are settings");
        let config = Config::new(&loaded, "", &Profiles::default(), "fuzz".to_owned());
        let config = config.expect("these are values");
        let (told, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let app = wharf::app::build(config.app).await.expect("a store");
                let listener = listen_tcp(([127, 0, 0, 1], 0).into()).await;
                let listener = listener.expect("an address");
                let Listener::Tcp(tcp) = &listener else {
                    unreachable!("it is TCP");
                };
                told.send(tcp.local_addr().expect("it has one")).expect("it is waited for");
                app.run(vec![listener], Shutdown::default()).await
            })
        });
        let address = address.recv().expect("the server starts");
        keep(address);
        address
    })
}

/// Stores `kept.txt`, which requests can ask for all the time.
fn keep(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = "PUT /files/kept.txt?expires_in=never HTTP/1.1\r\nHost: localhost\r\n\
                   Connection: close\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz";
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

fuzz_target!(|input: &[u8]| {
    let Ok(mut stream) = TcpStream::connect(address()) else {
        return;
    };
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a socket");
    // The server may have refused before all was sent.
    let _ = stream.write_all(input);
    let _ = stream.shutdown(Half::Write);
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    if let Err(error) = &ended {
        let late = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!late, "the connection hangs");
    }
    let status = answer.get(9..12).filter(|_| answer.starts_with(b"HTTP/1."));
    assert_ne!(status, Some(&b"500"[..]), "{}", String::from_utf8_lossy(&answer));
});
