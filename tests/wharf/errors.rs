use crate::support::{Connection, Form, Server, noise};

#[test]
fn broken_bodies_are_refused_with_their_place_and_leave_nothing() {
    let server = Server::start();
    let head = "--B\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\n";
    for (body, said) in [
        (
            "",
            "before the first part, byte 0: the body ends before the close delimiter",
        ),
        ("rubbish", "before the close delimiter"),
        (&format!("{head}data"), "part 1, byte"),
        (
            &format!("{head}data\r\n--B\r\n\r\nx\r\n--B--\r\n"),
            "part 2, byte",
        ),
        (&format!("{head}data\r\n--Bx"), "no delimiter"),
    ] {
        let headers = [("Content-Type", "multipart/form-data; boundary=B")];
        let refused = server.request("POST", "/upload", &headers, body.as_bytes());
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "malformed-form"),
            "{body}"
        );
        assert!(refused.detail().contains(said), "{}", refused.detail());
    }
    assert_eq!(server.files(), [""; 0]);
    assert_eq!(server.staged(), 0);
}

#[test]
fn other_types_are_refused() {
    let server = Server::start();
    for content_type in [
        "text/plain",
        "multipart/mixed; boundary=B",
        "multipart/form-data",
        "multipart/form-data; boundary=",
    ] {
        let refused = server.request("POST", "/upload", &[("Content-Type", content_type)], b"x");
        assert_eq!(refused.status, 415, "{content_type}");
    }
    assert_eq!(server.request("POST", "/upload", &[], b"x").status, 415);
}

#[test]
fn limits_name_their_setting() {
    let server = Server::with(&[
        "--max-file-size",
        "100",
        "--max-request-size",
        "3000",
        "--max-files",
        "2",
        "--max-fields",
        "2",
        "--max-field-size",
        "50",
        "--max-fields-size",
        "120",
    ]);
    let text = |size: usize| "x".repeat(size);
    for (form, setting) in [
        (
            Form::new().file("f", "a", &noise(101, 1)),
            "max_file_size (100)",
        ),
        (
            Form::new()
                .file("f", "a", b"")
                .file("f", "b", b"")
                .file("f", "c", b""),
            "max_files (2)",
        ),
        (
            Form::new().text("a", "").text("b", "").text("c", ""),
            "max_fields (2)",
        ),
        (Form::new().text("a", &text(51)), "max_field_size (50)"),
        (
            Form::new().text(&text(40), &text(50)).text("b", &text(50)),
            "max_fields_size (120)",
        ),
        (
            Form::new().file("f", "a", &noise(4000, 1)),
            "max_request_size (3000)",
        ),
    ] {
        let refused = server.post_to("/upload", &form, &[]);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (413, "limit-exceeded"),
            "{setting}"
        );
        assert!(refused.detail().contains(setting), "{}", refused.detail());
    }
    assert_eq!(
        server
            .request("PUT", "/files/a", &[], &noise(101, 1))
            .status,
        413
    );
    assert_eq!(server.files(), [""; 0]);
    server.upload(
        &Form::new()
            .file("f", "a", &noise(100, 1))
            .text("a", &text(50)),
    );
}

#[test]
fn a_client_that_writes_all_before_it_reads_sees_the_refusal() {
    let server = Server::with(&["--max-request-size", "1MiB"]);
    let script = format!(
        "import http.client\n\
         c = http.client.HTTPConnection('{}')\n\
         c.request('POST', '/upload', b'x' * 20_000_000, {{'Content-Type': 'multipart/form-data; boundary=B'}})\n\
         r = c.getresponse()\n\
         print(r.status, r.getheader('connection'), b'max_request_size (1MiB)' in r.read())\n",
        server.address
    );
    let out = server.run("python3", &["-c", &script]);
    assert_eq!(String::from_utf8_lossy(&out).trim(), "413 close True");
}

#[test]
fn no_continue_is_sent_for_a_body_that_is_refused() {
    let server = Server::with(&["--max-request-size", "1MiB"]);
    let ask = |length: u64| {
        let mut connection = Connection::open(server.address);
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes());
        let response = connection.response(false).unwrap();
        (response.status, connection)
    };
    assert_eq!(ask(2_000_000).0, 413);
    let (status, mut connection) = ask(7);
    assert_eq!(status, 100);
    connection.send(b"--B--\r\n");
    assert_eq!(connection.response(false).unwrap().status, 201);
}

#[test]
fn problems_come_as_the_client_wants_them() {
    let server = Server::start();
    let ask = |accept: &str| {
        server.request(
            "GET",
            "/files/nope",
            &[("Accept", accept), ("X-Request-ID", "my-id.1")],
            b"",
        )
    };
    let problem = ask("*/*");
    assert_eq!(
        problem.header("content-type"),
        Some("application/problem+json")
    );
    let json = problem.json();
    for key in [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_id",
        "error",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["request_id"], "my-id.1");
    assert_eq!(problem.header("x-request-id"), Some("my-id.1"));
    assert_eq!(
        ask("application/json").header("content-type"),
        Some("application/json")
    );
    let page = ask("text/html");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("404") && page.text().contains("my-id.1"));
    crate::support::wait_until("the line is logged", || server.log().contains("my-id.1"));
}

#[test]
fn other_methods_and_places() {
    let server = Server::start();
    let wrong = server.get("/upload");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(server.request("DELETE", "/files/a/b", &[], b"").status, 405);
    assert_eq!(server.get("/nowhere").code(), "no-such-route");
    assert_eq!(server.get("/download/%2e%2e%2fetc%2fpasswd").status, 404);
    let path = server.get("/files/%ff");
    assert_eq!(
        (path.status, path.code().as_str()),
        (400, "malformed-request")
    );
}

#[test]
fn a_long_head_is_read_however_many_connections_there_are() {
    let server = Server::start();
    let long = "%E6%96%87".repeat(70);
    let names: Vec<String> = (0..100).map(|n| format!("&name={n:02}{long}")).collect();
    let path = format!("/download?{}", &names.concat()[1..]);
    assert!((60_000..65_000).contains(&path.len()));
    let asked = server.get(&path);
    assert_eq!(
        (asked.status, asked.code().as_str()),
        (404, "name-not-found")
    );
    // Each has a share of what the buffers of all may hold.
    let open = || Connection::open(server.address);
    let _others: Vec<Connection> = (0..300).map(|_| open()).collect();
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn one_upload_too_many_is_told_to_come_back() {
    let server = Server::with(&["--max-uploads", "1"]);
    let form = Form::new().file("f", "a", b"x");
    let mut first = Connection::announcing(server.address, &form);
    let refused = server.post_to("/upload", &form, &[]);
    assert_eq!(
        (refused.status, refused.header("retry-after").is_some()),
        (503, true)
    );
    first.send(&form.body());
    assert_eq!(first.response(false).unwrap().status, 201);
    server.upload(&form);
}
