//! Where downloaded files lie, and what is set of them, against a server and a user who work against it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, SystemTime};

use crate::support::{Wharf, end_of, entries, wait_until};

const LONG_AGO: &str = "Sat, 29 Oct 1994 19:43:31 GMT";

/// A server that answers one request with a form of these files, and sends all behind the first when
/// it is told to.
fn in_two_steps(names: &[&str]) -> (String, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let parts: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"; \
                 modification-date=\"{LONG_AGO}\"; mode=4777\r\nLast-Modified: {LONG_AGO}\r\n\r\n{name}\r\n"
            )
        })
        .collect();
    let form = parts.concat() + "--B--\r\n";
    // With it the first file is whole.
    let first = parts[0].len() + "--B\r\n".len();
    let (go_on, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 8192]).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nLast-Modified: {LONG_AGO}\r\n\
             Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n\r\n",
            form.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&form.as_bytes()[..first]).unwrap();
        let _ = told.recv();
        let _ = stream.write_all(&form.as_bytes()[first..]);
    });
    (url, go_on)
}

#[test]
fn a_link_that_is_made_meanwhile_leads_nothing_outside() {
    let root = tempfile::tempdir().unwrap();
    let (out, outside) = (root.path().join("out"), root.path().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    let (url, go_on) = in_two_steps(&["d/one", "d/two", "d/in/three", "e/four", "five"]);
    let wharf = Wharf::at(root.path()).env("WHARF_URL", &url);
    let child = wharf.spawn(&["get", "x", "-d", "out", "--force", "--retries", "0"]);
    wait_until("the first is there", || out.join("d/one").exists());
    std::fs::rename(out.join("d"), root.path().join("moved")).unwrap();
    symlink(&outside, out.join("d")).unwrap();
    symlink(&outside, out.join("e")).unwrap();
    symlink(outside.join("five"), out.join("five")).unwrap();
    go_on.send(()).unwrap();
    let said = end_of(child);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("out/e is a link or a file"), "{said:?}");
    assert_eq!(entries(&outside), [""; 0]);
    // The folder that was opened is the one that is written into; a link to a file is replaced.
    assert_eq!(entries(&root.path().join("moved")), ["in", "one", "two"]);
    assert!(!out.join("five").is_symlink());
    assert_eq!(std::fs::read(out.join("five")).unwrap(), b"five");
}

#[test]
fn no_mode_and_no_time_is_the_servers_to_say() {
    let root = tempfile::tempdir().unwrap();
    let (url, go_on) = in_two_steps(&["run.sh", "bin/tool"]);
    go_on.send(()).unwrap();
    let began = SystemTime::now() - Duration::from_secs(10);
    let wharf = Wharf::at(root.path()).env("WHARF_URL", &url);
    wharf.done(&["get", "x", "-d", "out", "--retries", "0"]);
    // What this process makes has the mode that the umask leaves.
    std::fs::write(root.path().join("own"), "own").unwrap();
    let own = root.path().join("own").metadata().unwrap().permissions();
    for name in ["run.sh", "bin/tool"] {
        let found = root.path().join("out").join(name).metadata().unwrap();
        assert_eq!(found.permissions().mode(), own.mode(), "{name}");
        assert!(found.modified().unwrap() > began, "{name}");
    }
}
