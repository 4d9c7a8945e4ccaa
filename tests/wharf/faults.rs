//! Errors of the disk, injected into the system calls of the real server by strace(1).

use std::process::{Child, Command, Stdio};

use crate::support::{Form, Server, Setup, noise, wait_until};

/// A tracer that makes system calls fail or take long, until it is dropped.
pub struct Fault(Child);

impl Fault {
    pub fn inject(server: &Server, calls: &str, errno: &str) -> Self {
        Self::trace(server, calls, &format!("error={errno}"))
    }

    /// Every call waits for so many seconds before it does what it does.
    pub fn delay(server: &Server, calls: &str, seconds: u64) -> Self {
        Self::trace(server, calls, &format!("delay_enter={seconds}s"))
    }

    fn trace(server: &Server, calls: &str, fault: &str) -> Self {
        let fault = format!("inject={calls}:{fault}");
        Self::attach(server, calls, &["-e", &fault, "-o", "/dev/null"])
    }

    /// None: writes every call to this file, with its thread first, and the paths of descriptors.
    pub fn none(server: &Server, calls: &str, to: &std::path::Path) -> Self {
        Self::attach(server, calls, &["-y", "-o", to.to_str().unwrap()])
    }

    fn attach(server: &Server, calls: &str, args: &[&str]) -> Self {
        let mut child = Command::new("strace")
            .args(["-f", "-p", &server.pid().to_string()])
            .args(["-e", &format!("trace={calls}")])
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let tracer = |task: &std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0")
        };
        wait_until("every thread is traced", || {
            assert!(child.try_wait().unwrap().is_none(), "strace can attach");
            let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
            tasks.filter_map(Result::ok).all(|task| tracer(&task))
        });
        Fault(child)
    }
}

impl Fault {
    /// Lets go of a server that has ended: the thread that is held keeps it from being reaped.
    pub fn let_go_of_the_dead(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // SIGTERM has strace detach; killed, it would take the server with it.
        let pid = rustix::process::Pid::from_raw(self.0.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

fn small() -> Form {
    Form::new().file("f", "a.txt", b"small").text("t", "x")
}

fn large() -> Form {
    let mut form = Form::new().file("f", "large.bin", &noise(1_000_000, 1));
    for i in 0..20 {
        form = form.file("g", &format!("{i}.txt"), b"x");
    }
    form
}

#[test]
fn errors_of_every_step_store_nothing_and_pass() {
    let server = Server::start();
    server.upload(&small());
    let before = server.files();
    for (calls, errno, status) in [
        ("pwrite64", "ENOSPC", 507),
        ("pwrite64", "EIO", 503),
        ("pwrite64", "EDQUOT", 507),
        ("linkat", "ENOSPC", 507),
        ("linkat", "EIO", 503),
        ("fsync,syncfs", "ENOSPC", 507),
    ] {
        for form in [small(), large()] {
            let fault = Fault::inject(&server, calls, errno);
            let refused = server.post_to("/upload", &form, &[]);
            assert_eq!(
                refused.status,
                status,
                "{calls} {errno}: {}",
                refused.text()
            );
            drop(fault);
            assert_eq!(server.files(), before, "{calls} {errno}");
        }
        wait_until("it is ready again", || server.get("/readyz").status == 200);
    }
    assert_eq!(server.staged(), 0);
    server.upload(&large());
}

#[test]
fn a_disk_that_fails_to_sync_ends_readiness_until_a_restart() {
    for form in [small(), large()] {
        let server = Server::start();
        let fault = Fault::inject(&server, "fsync,syncfs", "EIO");
        let refused = server.post_to("/upload", &form, &[]);
        assert_eq!(refused.status, 500, "{}", refused.text());
        drop(fault);
        assert_eq!(server.files(), [""; 0]);
        let unready = server.get("/readyz");
        assert_eq!(unready.status, 503);
        // The reason may hold what strangers are not told: it is in the log.
        assert_eq!(unready.detail(), "the storage cannot store now");
        server.says("not ready reason=");
        assert!(server.log().contains("EIO"), "{}", server.log());
        let (_, setup) = server.stop();
        let server = setup.start();
        assert_eq!(server.get("/readyz").status, 200);
        server.upload(&form);
    }
}

#[test]
fn a_manifest_that_cannot_be_replaced_stays() {
    let server = Server::start();
    let json = server.upload(&small());
    let path = format!("/uploads/{}", json["id"].as_str().unwrap());
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let patch = || {
        server.request(
            "PATCH",
            &path,
            &[("Authorization", &token)],
            b"{\"expires_in\":\"1h\"}",
        )
    };
    let fault = Fault::inject(&server, "renameat,renameat2", "EIO");
    assert_eq!(patch().status, 503);
    drop(fault);
    assert_eq!(
        server.get(&path).json()["expires_at"],
        serde_json::Value::Null
    );
    assert_eq!(server.staged(), 0);
    assert_eq!(patch().status, 200);
    let fault = Fault::inject(&server, "unlinkat", "EIO");
    let delete = || {
        server
            .request("DELETE", &path, &[("Authorization", &token)], b"")
            .status
    };
    assert_eq!(delete(), 503);
    drop(fault);
    assert_eq!(server.get(&path).status, 200);
    assert_eq!(delete(), 204);
}

#[test]
fn without_unnamed_files_uploads_wait_in_the_stage() {
    let server = Setup::new()
        .under(&[
            "strace",
            "-D",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=linkat",
            "-e",
            "inject=linkat:error=EOPNOTSUPP",
        ])
        .start();
    server.says("the file system has no hard links");
    server.upload(&small());
    let json = server.upload(&large());
    let id = json["id"].as_str().unwrap();
    assert_eq!(
        server.get(&format!("/files/{id}/large.bin")).body,
        noise(1_000_000, 1)
    );
    assert_eq!((server.files().len(), server.staged()), (24, 0));
    // One that is cut off leaves the stage as it was.
    let body = large().body();
    let mut connection = crate::support::Connection::open(server.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        large().content_type(),
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(&body[..900_000]);
    wait_until("it waits in the stage", || server.staged() == 1);
    drop(connection);
    wait_until("it is removed", || server.staged() == 0);
}

/// A tracer that writes down the system calls of these names, with the paths of what they sync.
fn traced(log: &std::path::Path, calls: &str) -> Setup {
    let (calls, log) = (format!("trace={calls}"), log.to_str().unwrap());
    Setup::new().under(&["strace", "-D", "-f", "-y", "-o", log, "-e", &calls])
}

#[test]
fn a_new_store_is_known_to_the_folder_that_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let held = dir.path().join("made");
    let server = traced(&log, "fsync").store(&held.join("upload")).start();
    server.upload(&small());
    let synced = std::fs::read_to_string(&log).unwrap();
    for folder in [dir.path(), &held] {
        let line = format!("<{}>)", folder.display());
        assert!(synced.contains(&line), "{line} in {synced}");
    }
}

#[test]
fn relaxed_replaces_only_by_what_is_synced_and_ends_with_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let setup = traced(&log, "fsync,syncfs,rename,renameat,renameat2");
    let server = setup.args(&["--durability", "relaxed"]).start();
    let json = server.upload(&small());
    let path = format!("/uploads/{}", json["id"].as_str().unwrap());
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let body = b"{\"expires_in\":\"1h\"}";
    let prolonged = server.request("PATCH", &path, &[("Authorization", &token)], body);
    assert_eq!(prolonged.status, 200);
    assert!(server.stop().0.success());
    wait_until("the tracer has written all", || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("exited with")
    });
    let calls = std::fs::read_to_string(&log).unwrap();
    // The first that names the upload: at the start it is tried how files can get their names.
    let record = format!("{}.json", json["id"].as_str().unwrap());
    let replaces = |line: &&str| line.contains("rename") && line.contains(&record);
    let replaced = calls.lines().find(replaces);
    let replaced = replaced.expect("the manifest is replaced");
    let renamed = calls.find(replaced).unwrap();
    let synced = calls.find("/.wharf/stage/").expect("the new one is synced");
    assert!(synced < renamed, "{calls}");
    let last = calls.rfind("syncfs(");
    assert!(last.is_some_and(|last| last > renamed), "{calls}");
}

#[test]
fn an_end_whose_last_sync_fails_leaves_the_index_to_be_compared() {
    let dir = tempfile::tempdir().unwrap();
    let setup = || Setup::new().store(dir.path());
    let mut server = setup().args(&["--durability", "relaxed"]).start();
    server.upload(&small());
    let fault = Fault::inject(&server, "syncfs", "EIO");
    server.signal(15);
    assert!(server.wait().success());
    drop(fault);
    server.says("the next start compares the index");
    drop(server);
    let server = setup().start();
    server.says("the index is complete");
    assert_eq!(server.get("/files/a.txt").status, 200);
}

#[test]
fn a_store_that_cannot_be_written_to_is_not_ready_until_one_upload_succeeds() {
    let server = Server::start();
    let id = server.upload(&small())["id"].as_str().unwrap().to_owned();
    for (calls, errno) in [
        ("openat", "EROFS"),
        ("pwrite64", "EIO"),
        ("linkat", "EACCES"),
    ] {
        for form in [small(), large()] {
            let fault = Fault::inject(&server, calls, errno);
            let refused = server.post_to("/upload", &form, &[]);
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (503, "storage-unavailable")
            );
            assert!(refused.header("retry-after").is_some());
            let unready = server.get("/readyz");
            assert_eq!(unready.status, 503, "{calls} {errno}");
            drop(fault);
            // Stored uploads are read as ever.
            assert_eq!(server.get(&format!("/files/{id}/a.txt")).body, b"small");
            // One upload that succeeds ends it, and so does a look of its own.
            if form.body().len() < 1000 {
                server.upload(&form);
                assert_eq!(server.get("/readyz").status, 200);
            } else {
                wait_until("it is ready", || server.get("/readyz").status == 200);
            }
        }
    }
    server.says("uploads can be stored again");
}

#[test]
fn a_file_beyond_the_limit_of_the_file_system_is_507() {
    let server = Server::start();
    let fault = Fault::inject(&server, "pwrite64", "EFBIG");
    assert_eq!(server.post_to("/upload", &large(), &[]).status, 507);
    drop(fault);
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn without_a_descriptor_left_it_is_503_and_passes() {
    let server = Server::start();
    let id = server.upload(&large())["id"].as_str().unwrap().to_owned();
    let fault = Fault::inject(&server, "openat", "EMFILE");
    for form in [small(), large()] {
        let refused = server.post_to("/upload", &form, &[]);
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(server.get("/readyz").status, 200);
    drop(fault);
    server.upload(&large());
    assert_eq!(server.get(&format!("/files/{id}/large.bin")).status, 200);
}
