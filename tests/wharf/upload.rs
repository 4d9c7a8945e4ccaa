use crate::support::{Connection, Form, Server, Setup, noise, sha256};

#[test]
fn the_command_of_the_readme_stores_a_form() {
    let server = Server::start();
    std::fs::write(server.dir().join("part1.txt"), "hello from part1\n").unwrap();
    std::fs::write(server.dir().join("part3.json"), "{\"a\":1}\n").unwrap();
    let url = server.url("/upload");
    let out = server.curl(&[
        "--location",
        "--request",
        "POST",
        &url,
        "--form",
        "name=\"tony bai\"",
        "--form",
        "age=\"23\"",
        "--form",
        "file1=@\"part1.txt\"",
        "--form",
        "file3=@\"part3.json\"",
        "-w",
        "%{http_code} %header{location}",
    ]);
    let out = String::from_utf8(out).unwrap();
    let (json, written) = out.rsplit_once('}').unwrap();
    let json: serde_json::Value = serde_json::from_str(&format!("{json}}}")).unwrap();
    let id = json["id"].as_str().unwrap();
    assert_eq!(written.trim(), format!("201 /uploads/{id}"));
    assert_eq!(
        json["fields"],
        serde_json::json!({"name": ["tony bai"], "age": ["23"]})
    );
    assert_eq!(json["url"], server.url(&format!("/uploads/{id}")));
    assert_eq!(
        json["files"][0]["url"],
        server.url(&format!("/files/{id}/part1.txt"))
    );
    assert_eq!(json["files"][0]["name"], "part1.txt");
    assert_eq!(json["files"][0]["sha256"], sha256(b"hello from part1\n"));
    assert_eq!(json["files"][1]["field"], "file3");
    assert_eq!(json["expires_at"], serde_json::Value::Null);
    assert!(json["delete_token"].as_str().unwrap().len() >= 22);
    assert_eq!(
        server.files(),
        [
            format!("{id}-part1.txt"),
            format!("{id}-part3.json"),
            format!("{id}.json")
        ]
    );
    let stored = server
        .store()
        .join(&id[..2])
        .join(format!("{id}-part1.txt"));
    assert_eq!(std::fs::read(stored).unwrap(), b"hello from part1\n");
    crate::support::wait_until("the line is logged", || {
        server.log().contains("POST /upload 201")
    });
}

#[test]
fn forms_without_files_or_without_anything_are_uploads() {
    let server = Server::start();
    let json = server.upload(&Form::new().text("a", "1").text("a", "2"));
    assert_eq!(json["fields"]["a"], serde_json::json!(["1", "2"]));
    assert_eq!(json["name"], serde_json::Value::Null);
    let json = server.upload(&Form::new());
    assert_eq!(json["files"], serde_json::json!([]));
    assert!(json["url"].as_str().unwrap().contains("/uploads/"));
}

#[test]
fn empty_file_inputs_are_skipped_and_empty_files_are_not() {
    let server = Server::start();
    let json = server.upload(
        &Form::new()
            .file("a", "", b"")
            .file("b", "empty.txt", b"")
            .file("c", "", b"x"),
    );
    let names: Vec<&str> = json["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["empty.txt", "file"]);
    assert_eq!(json["files"][0]["size"], 0);
    assert_eq!(json["files"][0]["sha256"], sha256(b""));
}

#[test]
fn files_of_every_size_come_back_whole() {
    for durability in ["strict", "relaxed"] {
        let server = Server::with(&["--durability", durability]);
        // Around the bounds of the gathering buffer and of the frames.
        let sizes = [
            0, 1, 4096, 65_536, 262_143, 262_144, 262_145, 300_000, 5_000_000,
        ];
        let files: Vec<Vec<u8>> = sizes.iter().map(|&size| noise(size, size as u64)).collect();
        let mut form = Form::new();
        for (i, file) in files.iter().enumerate() {
            form = form.file("f", &format!("{i}.bin"), file);
        }
        let json = server.upload(&form);
        for (i, file) in files.iter().enumerate() {
            let stored = &json["files"][i];
            assert_eq!(stored["size"], file.len());
            assert_eq!(stored["sha256"], sha256(file));
            let path = stored["url"]
                .as_str()
                .unwrap()
                .split_once(&server.address.to_string())
                .unwrap()
                .1
                .to_owned();
            assert!(server.get(&path).body == *file, "{i}");
        }
        assert_eq!(server.staged(), 0);
    }
}

#[test]
fn beyond_the_budget_of_descriptors_files_wait_in_the_stage() {
    let server = Setup::new().open_files(256).start();
    let mut form = Form::new();
    for i in 0..400 {
        form = form.file("f", &format!("{i}.bin"), &noise(3000, i));
    }
    let json = server.upload(&form);
    let id = json["id"].as_str().unwrap();
    assert_eq!(json["files"].as_array().unwrap().len(), 400);
    for i in [0, 1, 399] {
        assert_eq!(
            server.get(&format!("/files/{id}/{i}.bin")).body,
            noise(3000, i)
        );
    }
    assert_eq!(server.staged(), 0);
    assert_eq!(server.files().len(), 401);
}

#[test]
fn nothing_is_overwritten() {
    let server = Server::start();
    let first = server.upload(&Form::new().file("f", "a.txt", b"first"));
    let second = server.upload(&Form::new().file("f", "a.txt", b"second"));
    assert_eq!(server.get("/files/a.txt").text(), "second");
    for (json, content) in [(first, "first"), (second, "second")] {
        assert_eq!(
            server
                .get(&format!("/files/{}/a.txt", json["id"].as_str().unwrap()))
                .text(),
            content
        );
    }
}

#[test]
fn a_body_of_single_bytes_is_the_same_form() {
    let server = Server::start();
    let form = Form::new()
        .text("a", "1")
        .file("f", "b.txt", b"\r\n--wharf\r\n");
    let body = form.body();
    let mut connection = Connection::open(server.address);
    connection.stream().set_nodelay(true).unwrap();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        form.content_type()
    );
    connection.send(head.as_bytes());
    for byte in &body {
        connection.send(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    connection.send(b"0\r\n\r\n");
    let response = connection.response(false).unwrap();
    assert_eq!(response.status, 201, "{}", response.text());
    let id = response.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        server.get(&format!("/files/{id}/b.txt")).body,
        b"\r\n--wharf\r\n"
    );
}

#[test]
fn put_stores_one_file() {
    let server = Server::start();
    std::fs::write(server.dir().join("a b.txt"), "put\n").unwrap();
    let out = server.curl(&["-T", "a b.txt", &server.url("/files/?max_downloads=2")]);
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["name"], "a b.txt");
    assert_eq!(json["max_downloads"], 2);
    let url = json["url"].as_str().unwrap();
    assert!(url.ends_with("/a%20b.txt"));
    assert_eq!(server.curl(&[url]), b"put\n");
    // An upload with limited downloads is no answer to a name.
    assert_eq!(server.get("/files/a%20b.txt").status, 404);
    let partial = server.request(
        "PUT",
        "/files/x",
        &[("Content-Range", "bytes 0-1/5")],
        b"ab",
    );
    assert_eq!(partial.status, 400);
}

#[test]
fn digests_are_checked() {
    let server = Server::start();
    let right = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"; // of "hello"
    let part = |digest: &str| {
        let head =
            format!("Content-Disposition: form-data; name=f; filename=a\r\nRepr-Digest: {digest}");
        Form::new().part(&head, b"hello")
    };
    server.upload(&part(right));
    let stored = server.files().len();
    let wrong = server.post_to("/upload", &part(&right.replace("LPJN", "LPJO")), &[]);
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (400, "digest-mismatch")
    );
    assert!(wrong.detail().starts_with("part 1: "), "{}", wrong.detail());
    let rubbish = server.post_to("/upload", &part("sha-256=nonsense"), &[]);
    assert_eq!(
        (rubbish.status, rubbish.code().as_str()),
        (400, "invalid-digest")
    );
    let put =
        |digest: &str| server.request("PUT", "/files/a", &[("Content-Digest", digest)], b"hello");
    assert_eq!(put(right).status, 201);
    assert_eq!(put(&right.replace("LPJN", "LPJO")).status, 400);
    assert_eq!(server.files().len(), stored + 2);
}

#[test]
fn a_plain_form_gets_a_page_that_can_delete() {
    let server = Server::start();
    let page = server.get("/");
    assert!(page.text().contains("enctype=\"multipart/form-data\""));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'self'")
    );
    let html = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let response = server.post_to(
        "/upload",
        &Form::new().file("f", "&lt;b.txt", b"x").text("n", "<i>"),
        &[html],
    );
    assert_eq!(response.status, 303);
    assert_eq!(response.header("vary"), Some("Accept"));
    let location = response.header("location").unwrap().to_owned();
    let cookie = response.header("set-cookie").unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly")
            && cookie.contains("SameSite=Strict")
            && cookie.contains(&location)
    );
    let cookie = cookie.split(';').next().unwrap();
    let stranger = server.request("GET", &location, &[html], b"");
    assert!(stranger.text().contains("&amp;lt;b.txt") && !stranger.text().contains("<i>"));
    // A reader that has not stored it is asked for the token.
    assert!(stranger.text().contains("name=\"token\""));
    let owner = server.request("GET", &location, &[html, ("Cookie", cookie)], b"");
    assert!(owner.text().contains("method=\"post\" action"));
    assert!(!owner.text().contains("name=\"token\""));
    assert_eq!(owner.header("cache-control"), Some("no-store"));
    let delete = format!("{location}/delete");
    assert_eq!(server.request("POST", &delete, &[], b"").status, 401);
    // A browser that was asked for a password gives it with everything.
    let password = ("Authorization", "Basic OnBhc3N3b3Jk");
    let refused = server.request("POST", &delete, &[password], b"");
    assert_eq!(refused.status, 404);
    assert_eq!(
        server
            .request("POST", &delete, &[password, ("Cookie", cookie)], b"")
            .status,
        200
    );
    assert_eq!(server.files(), [""; 0]);
}
