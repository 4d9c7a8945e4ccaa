//! Settings that are read anew: the changes, the settings that a request under way keeps, and the
//! refusals.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::s3_crash::Until;
use crate::support::{Connection, Form, Server, Setup, noise, wait_until};

const HANGUP: i32 = 1;

/// A server without a terminal, whose settings are in a file.
struct Reloaded {
    server: Server,
    settings: PathBuf,
    reloads: std::cell::Cell<usize>,
}

impl Reloaded {
    fn start(settings: &str) -> Self {
        let setup = Setup::new().under(&crate::support::WITHOUT_TERMINAL);
        let path = setup.folder().join("wharf.toml");
        std::fs::write(&path, settings).unwrap();
        Reloaded {
            server: setup.args(&["--config", "wharf.toml"]).start(),
            settings: path,
            reloads: std::cell::Cell::new(0),
        }
    }

    /// Reads these settings in the place of the others; answers what the log says of it.
    fn reload(&self, settings: &str) -> String {
        std::fs::write(&self.settings, settings).unwrap();
        let before = self.server.log().len();
        self.server.signal(HANGUP);
        self.reloads.set(self.reloads.get() + 1);
        wait_until("the settings are read", || {
            self.server.log().matches("SIGHUP: the settings").count() == self.reloads.get()
        });
        // The lines behind that one are written at once, and answered requests come after it.
        self.server.get("/healthz");
        wait_until("the log has more", || {
            self.server.log()[before..].contains("/healthz 200")
        });
        self.server.log()[before..].to_owned()
    }
}

#[test]
fn what_can_change_counts_from_the_next_request_on() {
    let reloaded = Reloaded::start("");
    let server = &reloaded.server;
    let form = Form::new().file("f", "a.txt", b"hello");
    let stored = server.upload(&form);
    assert!(stored["expires_at"].is_null());
    assert_eq!(server.get("/files/a.txt").status, 200);
    // A connection that is there before.
    let mut kept = Connection::open(server.address);
    let ask = |connection: &mut Connection, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.send(head.as_bytes());
        connection.response(false).unwrap()
    };
    assert_eq!(ask(&mut kept, "/healthz").status, 200);
    let said = reloaded.reload(
        "names = 'private'\nmax_file_size = 4\ndefault_expires_in = '1h'\nmax_expires_in = '1d'\n\
         cors_origin = ['https://a.example']\nbase_path = '/base'\naccess = ['list:l']\nhsts = '1d'\n",
    );
    assert!(said.contains("count from now on: base_path, cors_origin, hsts, names, default_expires_in, max_expires_in, max_file_size, access"), "{said}");
    assert!(!said.contains("need a restart"), "{said}");
    assert_eq!(
        ask(&mut kept, "/files/a.txt").status,
        404,
        "nothing is beside the base path"
    );
    assert_eq!(ask(&mut kept, "/base/files/a.txt").status, 404, "no names");
    assert_eq!(server.get("/base/uploads").status, 401);
    let refused = server.post_to("/base/upload", &form, &[]);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (413, "limit-exceeded")
    );
    let small = server.post_to("/base/upload", &Form::new().file("f", "b", b"x"), &[]);
    assert_eq!(small.status, 201, "{}", small.text());
    assert!(small.json()["expires_at"].is_string());
    let origin = [("Origin", "https://a.example")];
    let allowed = server.request("GET", "/base/healthz", &origin, b"");
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    // All the way back.
    reloaded.reload("");
    assert_eq!(ask(&mut kept, "/files/a.txt").text(), "hello");
    assert!(server.upload(&form)["expires_at"].is_null());
}

#[test]
fn a_request_under_way_keeps_what_it_began_with() {
    let reloaded = Reloaded::start("max_uploads = 2\n");
    let server = &reloaded.server;
    let form = Form::new().file("f", "large.bin", &noise(1 << 20, 5));
    let mut under_way = Connection::announcing(server.address, &form);
    let body = form.body();
    under_way.send(&body[..100_000]);
    reloaded.reload("max_file_size = '1KiB'\nmax_uploads = 1\naccess = ['upload:u']\n");
    let u = [("Authorization", "Bearer u")];
    let small = Form::new().file("f", "s", b"x");
    assert_eq!(
        server.post_to("/upload", &small, &u).status,
        503,
        "it takes the only place"
    );
    under_way.send(&body[100_000..]);
    assert_eq!(under_way.response(false).unwrap().status, 201);
    wait_until("its place is free", || {
        server.post_to("/upload", &small, &u).status == 201
    });
    assert_eq!(server.post_to("/upload", &form, &u).status, 413);
    assert_eq!(server.post_to("/upload", &small, &[]).status, 401);
}

#[test]
fn a_wrong_file_changes_nothing_and_is_named_with_its_line() {
    let reloaded = Reloaded::start("names = 'private'\n");
    let server = &reloaded.server;
    for (settings, said) in [
        (
            "names = 'auto'\nmax_files = 0\n",
            "max_files (file wharf.toml, line 2): \"0\" is not a whole number above 0",
        ),
        (
            "names = 'auto'\nmax_filez = 3\n",
            "wharf.toml, line 2: there is no setting \"max_filez\"; did you mean \"max_files\"?",
        ),
        ("names = 'auto'\n[[[\n", "wharf.toml: "),
        (
            "names = 'auto'\naccess_file = 'none.txt'\n",
            "access_file: cannot read none.txt",
        ),
        // It would be open to others, and no setting says which clients may upload.
        (
            "names = 'auto'\npublic_url = 'https://files.example'\n",
            "nothing says who may upload",
        ),
    ] {
        let log = reloaded.reload(settings);
        assert!(log.contains("stay as they were"), "{log}");
        assert!(log.contains(said), "{said}: {log}");
        let about = server.request("GET", "/", &[("Accept", "application/json")], b"");
        let features = about.json()["features"].to_string();
        assert!(!features.contains("names"), "{features}");
    }
    std::fs::remove_file(&reloaded.settings).unwrap();
    server.signal(HANGUP);
    server.says("cannot read the settings in wharf.toml");
    // A pipe in its place holds no reload up.
    let made = std::process::Command::new("mkfifo")
        .arg(&reloaded.settings)
        .status();
    assert!(made.unwrap().success());
    server.signal(HANGUP);
    server.says("it is a pipe that no process writes to");
    std::fs::remove_file(&reloaded.settings).unwrap();
    std::fs::write(&reloaded.settings, "names = 'auto'\n").unwrap();
    server.signal(HANGUP);
    server.says("SIGHUP: the settings were read anew");
    assert!(server.get("/healthz").status == 200);
}

#[test]
fn what_needs_a_restart_is_named_until_it_is_as_it_was() {
    let reloaded = Reloaded::start("");
    let said = reloaded.reload("dir = 'elsewhere'\nmin_free = '1MiB'\nmax_files = 5\n");
    assert!(said.contains("need a restart: dir, min_free\n"), "{said}");
    assert!(said.contains("count from now on: max_files\n"), "{said}");
    let said = reloaded.reload("dir = 'elsewhere'\nmax_files = 5\ntls_cert = 'none.pem'\n");
    assert!(said.contains("need a restart: tls_cert, dir\n"), "{said}");
    assert!(!said.contains("count from now on"), "{said}");
    reloaded.server.upload(&Form::new().file("f", "a", b"x"));
    assert!(!reloaded.server.dir().join("elsewhere").exists());
    let said = reloaded.reload("max_files = 5\n");
    assert!(
        !said.contains("need a restart") && !said.contains("from now on"),
        "{said}"
    );
}

#[test]
fn many_reloads_at_once_are_one_after_the_other() {
    let reloaded = Reloaded::start("");
    let server = &reloaded.server;
    let form = Form::new().file("f", "a", b"x");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A failure below ends the clients too: the scope waits for them.
        let posting = Until(&stop);
        let clients = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(server.post_to("/upload", &form, &[]).status, 201);
                    asked += 1;
                }
                asked
            })
        });
        for number in 0..50 {
            let text = format!("max_files = {}\n", number + 1);
            let new = server.dir().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &reloaded.settings).unwrap();
            server.signal(HANGUP);
        }
        // The last one counts, however many signals became one.
        let limits = || {
            let about = server.request("GET", "/", &[("Accept", "application/json")], b"");
            about.json()["limits"]["max_files"].clone()
        };
        wait_until("the last settings count", || limits() == 50);
        drop(posting);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
