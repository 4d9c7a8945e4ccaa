use std::process::Command;

use crate::support::{Connection, Form, Nginx, Server, Setup, noise, wait_until};

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let server = Server::start();
    let second = Setup::new()
        .store(&server.store())
        .run(&["--listen", "127.0.0.1:0"]);
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        said.contains("another wharf serves") && said.contains(".wharf/lock"),
        "{said}"
    );
    server.upload(&Form::new());
}

#[test]
fn health_status_and_metrics() {
    let server = Server::start();
    server.upload(&Form::new().file("f", "a", &noise(1234, 1)));
    assert_eq!(server.get("/healthz").text(), "ok\n");
    assert_eq!(server.get("/readyz").status, 200);
    let status = server.get("/status").json();
    assert_eq!(
        (&status["role"], &status["epoch"], &status["uploads"]),
        (&"leader".into(), &0.into(), &1.into())
    );
    assert!(
        status["instance"]
            .as_str()
            .unwrap()
            .ends_with(&format!("-{}", server.pid()))
    );
    let metrics = server.get("/metrics").text();
    for line in [
        "wharf_store_uploads 1",
        "wharf_store_bytes 8192",
        "wharf_http_requests_total{method=\"POST\",route=\"/upload\",status=\"201\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn the_index_can_be_lost() {
    let server = Server::start();
    for i in 0..50 {
        server.upload(&Form::new().file("f", &format!("{i}.txt"), b"x"));
    }
    for damage in ["missing", "rubbish"] {
        let index = server.store().join(".wharf/catalog.redb");
        assert!(index.exists(), "{damage}");
    }
    let setup = server.kill();
    let server = setup.start();
    wait_until("the index is compared", || {
        server.get("/files/49.txt").status == 200
    });
    let index = server.store().join(".wharf/catalog.redb");
    let (_, setup) = server.stop();
    std::fs::write(&index, noise(100_000, 5)).unwrap();
    let server = setup.start();
    wait_until("the index is made anew", || {
        server.get("/files/49.txt").status == 200
    });
    let (_, setup) = server.stop();
    std::fs::remove_file(&index).unwrap();
    let out = setup.run(&["reindex"]);
    assert_eq!(
        String::from_utf8_lossy(&out.stdout),
        "50 uploads indexed, 0 damaged\n"
    );
    let server = setup.start();
    assert_eq!(server.get("/files/0.txt").status, 200);
    assert!(!server.log().contains("comparing"), "{}", server.log());
    let refused = Setup::new().store(&server.store()).run(&["reindex"]);
    assert!(!refused.status.success(), "not while a server runs");
}

#[test]
fn a_manifest_removed_by_hand_is_forgotten() {
    let server = Server::start();
    let old = server.upload(&Form::new().file("f", "a.txt", b"old"));
    let new = server.upload(&Form::new().file("f", "a.txt", b"new"));
    let (_, setup) = server.stop();
    let server = setup.start();
    let id = new["id"].as_str().unwrap();
    std::fs::remove_file(server.store().join(&id[..2]).join(format!("{id}.json"))).unwrap();
    assert_eq!(server.get("/files/a.txt").text(), "old");
    assert_eq!(
        server.get("/uploads").json()["uploads"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(server.get("/status").json()["uploads"], 1);
    assert_eq!(
        server
            .get(&format!("/uploads/{}", old["id"].as_str().unwrap()))
            .status,
        200
    );
}

#[test]
fn the_end_waits_for_transfers() {
    let mut server = Server::start();
    let form = Form::new().file("f", "a.txt", &noise(100_000, 1));
    let body = form.body();
    let mut connection = Connection::open(server.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type(),
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(&body[..50_000]);
    wait_until("the upload is under way", || {
        server
            .get("/metrics")
            .text()
            .contains("wharf_uploads_in_progress 1")
    });
    server.signal(15);
    wait_until("no new connections", || {
        std::net::TcpStream::connect(server.address).is_err()
    });
    connection.send(&body[50_000..]);
    assert_eq!(connection.response(false).unwrap().status, 201);
    assert!(server.wait().success());
    assert_eq!(server.files().len(), 2);
}

#[test]
fn after_the_grace_transfers_are_cut_off() {
    let mut server = Server::with(&["--shutdown-grace", "1s"]);
    let mut connection = Connection::open(server.address);
    connection.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000\r\n\r\n--B\r\n");
    wait_until("the upload is under way", || {
        server
            .get("/metrics")
            .text()
            .contains("wharf_uploads_in_progress 1")
    });
    server.signal(15);
    assert!(server.wait().success());
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::start();
    let mut connection = Connection::open(server.address);
    connection.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000\r\n\r\n--B\r\n");
    wait_until("the upload is under way", || {
        server
            .get("/metrics")
            .text()
            .contains("wharf_uploads_in_progress 1")
    });
    server.signal(2);
    wait_until("the first is taken", || {
        server.log().contains("SIGINT: ending")
    });
    server.signal(2);
    assert!(!server.wait().success());
}

#[test]
fn unix_sockets_are_listened_on() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("wharf.sock");
    let address = format!("unix:{}", socket.display());
    let listen = ["--listen", "127.0.0.1:0", "--listen", &address];
    let setup = || Setup::new().for_everybody().args(&listen);
    let server = setup().start();
    wait_until("the socket is there", || socket.exists());
    let out = Command::new("curl")
        .args(["-sS", "--unix-socket"])
        .arg(&socket)
        .args([
            "-H",
            "X-Forwarded-Proto: https",
            "-F",
            "f=x",
            "http://here/upload",
        ])
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(
        json["form_url"]
            .as_str()
            .unwrap()
            .starts_with("https://here/download/")
    );
    let _ = server.kill();
    assert!(socket.exists(), "a killed server leaves its socket");
    let server = setup().start();
    let (status, _) = server.stop();
    assert!(status.success() && !socket.exists());
}

#[test]
fn cleartext_http_2() {
    let server = Server::start();
    std::fs::write(server.dir().join("big.bin"), noise(3_000_000, 9)).unwrap();
    let out = server.curl(&[
        "--http2-prior-knowledge",
        "-F",
        "f=@big.bin",
        "-w",
        "%{http_version} %{http_code}",
        "-o",
        "/dev/null",
        &server.url("/upload"),
    ]);
    assert_eq!(String::from_utf8_lossy(&out), "2 201");
    let back = server.curl(&["--http2-prior-knowledge", &server.url("/files/big.bin")]);
    assert!(back == noise(3_000_000, 9));
    // The answer to a HEAD has no body, an error's neither (curl ends with 92).
    let head = server.curl(&["--http2-prior-knowledge", "-I", &server.url("/files/none")]);
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/2 404"), "{head}");
    let length = head
        .lines()
        .find(|line| line.starts_with("content-length: "));
    assert_ne!(length, Some("content-length: 0"), "{head}");
    assert!(length.is_some(), "{head}");
}

#[test]
fn the_end_does_not_wait_for_connections_without_a_request() {
    let mut server = Server::with(&["--shutdown-grace", "1000s"]);
    let _silent = Connection::open(server.address);
    let mut idle = Connection::open(server.address);
    idle.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(idle.response(false).unwrap().status, 200);
    let mut begun = Connection::open(server.address);
    begun.send(b"GET /heal");
    server.signal(15);
    assert!(server.wait().success());
}

#[test]
fn a_running_server_compares_its_index_for_an_admin() {
    let server = Server::with(&["--access", "admin:root", "--base-path", "/w"]);
    for name in ["a.txt", "b.txt"] {
        let stored = server.post_to("/w/upload", &Form::new().file("f", name, b"x"), &[]);
        assert_eq!(stored.status, 201);
    }
    let gone = server
        .files()
        .into_iter()
        .find(|file| file.ends_with("-a.txt"))
        .unwrap();
    let folder = server.store().join(&gone[..2]);
    std::fs::remove_file(folder.join(format!("{}.json", &gone[..26]))).unwrap();
    let ask = |token: &str, url: &str| {
        let out = Setup::new()
            .env("WHARF_TOKEN", token)
            .run(&["reindex", "--to", url]);
        let text = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8(text).unwrap())
    };
    let url = server.url("/w/");
    let (code, said) = ask("root", &url);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "1 uploads indexed, 0 damaged\n")
    );
    server.says("forgotten=1");
    let (code, said) = ask("nope", &url);
    assert_eq!(code, Some(4));
    assert!(said.contains("401"), "{said}");
    assert_eq!(ask("root", "http://127.0.0.1:1").0, Some(6));
    assert_eq!(ask("root", "ftp://files.example").0, Some(2));
}

/// A balancer asks one instance to compare, and another how far it is: what that one found earlier is
/// no answer.
#[test]
fn a_comparison_is_waited_for_behind_a_balancer() {
    let servers = [(); 2].map(|()| Server::with(&["--access", "admin:root"]));
    let compared = |url: &str| {
        let setup = Setup::new().env("WHARF_TOKEN", "root");
        let out = setup.run(&["reindex", "--server", url]);
        let text = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8(text).unwrap())
    };
    let root = [("Authorization", "Bearer root")];
    let mut runs = Vec::new();
    for server in &servers {
        let idle = server.request("GET", "/admin/reindex", &root, b"").json();
        assert!(idle["run"].is_null() && idle["state"] == "none", "{idle}");
        let one = (Some(0), "0 uploads indexed, 0 damaged\n".to_owned());
        assert_eq!(compared(&server.url("")), one);
        let done = server.request("GET", "/admin/reindex", &root, b"").json();
        runs.push(done["run"].as_str().unwrap().to_owned());
        server.post_to("/upload", &Form::new().file("f", "a", b"x"), &root);
    }
    assert_ne!(runs[0], runs[1]);
    let balancer = Nginx::before(&servers.each_ref());
    for _ in 0..3 {
        let one = (Some(0), "1 uploads indexed, 0 damaged\n".to_owned());
        assert_eq!(compared(&format!("http://{}", balancer.address)), one);
    }
}

/// A balancer that asks the one always and the other never again.
#[test]
fn another_instance_that_answers_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut run = "one";
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 8192]);
            let body = format!("{{\"run\":\"{run}\",\"state\":\"running\"}}");
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length";
            let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            run = "two";
        }
    });
    let out = Setup::new().run(&["reindex", "--server", &url]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("other instances answer") && said.contains(&url),
        "{said}"
    );
}
