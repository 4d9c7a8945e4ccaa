//! Forms as other programs write them, byte by byte, and how they are stored.

use serde_json::Value;

use crate::support::{Form, Response, Server, parts_of};

/// Sends these bytes under this `Content-Type`.
fn send(server: &Server, content_type: &str, body: &[u8]) -> Response {
    let fields = [("Content-Type", content_type)];
    server.request("POST", "/upload", &fields, body)
}

#[track_caller]
fn stored(server: &Server, content_type: &str, body: &str) -> Value {
    let response = send(server, content_type, body.as_bytes());
    assert_eq!(response.status, 201, "{}", response.text());
    response.json()
}

#[track_caller]
fn refused(server: &Server, body: &str, why: &str) {
    let response = send(server, "multipart/form-data; boundary=B", body.as_bytes());
    assert_eq!(response.status, 400, "{body:?}: {}", response.text());
    let detail = response.detail();
    assert!(detail.contains(why), "{body:?}: {detail}");
}

/// The form as it is given back.
fn given_back(server: &Server, upload: &Value) -> String {
    server
        .get(&format!("/download/{}", upload["id"].as_str().unwrap()))
        .text()
}

#[test]
fn names_that_are_not_ascii_of_dotnet_powershell_and_spring() {
    let server = Server::start();
    let dotnet = "--0a1f\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Disposition: form-data; name=file; filename=\"=?utf-8?B?w7ZmZmVudGxpY2gudHh0?=\"; \
        filename*=utf-8''%C3%B6ffentlich.txt\r\n\r\nx\r\n--0a1f--\r\n";
    let powershell = "--0a1f\r\nContent-Disposition: form-data; name=file; \
        filename=\"=?utf-8?B?w7ZmZmVudGxpY2gudHh0?=\"\r\n\
        Content-Type: application/octet-stream\r\n\r\nx\r\n--0a1f--\r\n";
    let spring = "--0a1f\r\nContent-Disposition: form-data; name=\"file\"; \
        filename=\"=?UTF-8?Q?=C3=B6ffentlich.txt?=\"; filename*=UTF-8''%C3%B6ffentlich.txt\r\n\
        Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx\r\n--0a1f--\r\n";
    for (body, content_type, line) in [
        (
            dotnet,
            "multipart/form-data; boundary=\"0a1f\"",
            "name=\"file\"; filename=\"=?utf-8?B?w7ZmZmVudGxpY2gudHh0?=\"; filename*=utf-8''%C3%B6ffentlich.txt\r\n",
        ),
        (
            powershell,
            "multipart/form-data; boundary=\"0a1f\"",
            "name=\"file\"; filename=\"=?utf-8?B?w7ZmZmVudGxpY2gudHh0?=\"\r\n",
        ),
        (
            spring,
            "multipart/form-data;charset=UTF-8;boundary=0a1f",
            "name=\"file\"; filename=\"=?UTF-8?Q?=C3=B6ffentlich.txt?=\"; filename*=UTF-8''%C3%B6ffentlich.txt\r\n",
        ),
    ] {
        let upload = stored(&server, content_type, body);
        assert_eq!(upload["name"], "öffentlich.txt", "{body}");
        assert!(
            upload["type"].as_str().unwrap().starts_with("text/plain"),
            "{upload}"
        );
        // It goes out as it came, and comes in again as the same.
        let back = server.get(&format!("/download/{}", upload["id"].as_str().unwrap()));
        assert!(back.text().contains(line), "{}", back.text());
        let again = stored(&server, back.header("content-type").unwrap(), &back.text());
        assert_eq!(again["name"], "öffentlich.txt", "{body}");
    }
}

#[test]
fn the_android_snippet_retrofit_and_indy() {
    let server = Server::start();
    let android = "--*****\r\nContent-Disposition: form-data; name=\"uploaded_file\";\
        filename=\"photo.jpg\"\r\n\r\njpeg\r\n--*****--\r\n";
    let upload = stored(&server, "multipart/form-data;boundary=*****", android);
    assert_eq!(
        (&upload["name"], &upload["type"]),
        (&"photo.jpg".into(), &"image/jpeg".into())
    );
    let okhttp = "multipart/form-data; boundary=9f3c0c4e-1d2b-4f6e-8a77-0b6f2f0f2a11";
    let retrofit = "--9f3c0c4e-1d2b-4f6e-8a77-0b6f2f0f2a11\r\n\
        Content-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\
        Content-Transfer-Encoding: 8-bit\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\n\
        png\r\n--9f3c0c4e-1d2b-4f6e-8a77-0b6f2f0f2a11--\r\n";
    assert_eq!(stored(&server, okhttp, retrofit)["size"], 3);
    let indy = "----------112233445566778\r\nContent-Disposition: form-data; name=\"note\"\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\
        \r\nGr=C3=BC=C3=9Fe, a=3Db; this line is as long as a line of quoted-printable text=\r\n \
        may be\r\n----------112233445566778\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
        Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n\
        a=3Db\r\n----------112233445566778--\r\n";
    let upload = stored(
        &server,
        "multipart/form-data; boundary=--------112233445566778",
        indy,
    );
    let note = "Grüße, a=b; this line is as long as a line of quoted-printable text may be";
    assert_eq!(upload["fields"]["note"][0], note);
    assert_eq!(upload["size"], 5);
    assert!(given_back(&server, &upload).contains(note));
    let head = "--B\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Disposition: form-data; name=a";
    refused(
        &server,
        &format!("{head}; filename=b\r\n\r\nx\r\n--B--"),
        "quoted-printable",
    );
    refused(
        &server,
        &format!("{head}\r\n\r\na=b\r\n--B--"),
        "quoted-printable text",
    );
    let gzip = "--B\r\nContent-Disposition: form-data; name=a; filename=b\r\n\
        Content-Encoding: gzip\r\n\r\nx\r\n--B--";
    refused(&server, gzip, "Content-Encoding gzip");
}

#[test]
fn what_would_be_dropped_with_a_success_is_refused() {
    let server = Server::start();
    let form =
        "--B\r\nContent-Disposition: form-data; name=f; filename=a.txt\r\n\r\nx\r\n--B--\r\n";
    for before in ["\n", "\u{feff}", "x"] {
        refused(
            &server,
            &format!("{before}{form}"),
            "not at the start of a line",
        );
    }
    refused(&server, &form[1..], "begins like a delimiter");
    refused(
        &server,
        &format!("--B--\r\n{form}"),
        "after the close delimiter",
    );
    refused(&server, &form.replace("--B", "--C"), "another boundary");
    assert_eq!(server.files(), Vec::<String>::new());
    // Many programs end a form like this.
    stored(
        &server,
        "multipart/form-data; boundary=B",
        &form.replace("--B--\r\n", "--B--\n"),
    );
}

#[test]
fn several_files_in_one_part_of_curl() {
    let server = Server::start();
    std::fs::write(server.dir().join("a.txt"), "a").unwrap();
    std::fs::write(server.dir().join("b.txt"), "b").unwrap();
    let out = server.curl(&["-F", "f=@a.txt,b.txt", &server.url("/upload")]);
    let problem: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(problem["status"], 400, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("give each file a part of its own"),
        "{detail}"
    );
    assert_eq!(server.files(), Vec::<String>::new());
    // With a name of its own it is a file like any other.
    let mixed = Form::new().part(
        "Content-Disposition: form-data; name=f; filename=a.eml\r\nContent-Type: multipart/mixed; boundary=x",
        b"--x--",
    );
    assert_eq!(server.upload(&mixed)["type"], "multipart/mixed; boundary=x");
}

#[test]
fn types_of_parts_are_kept_as_they_came_and_guessed_where_they_say_nothing() {
    let server = Server::start();
    let part = |name: &str, header: &str| {
        let separated = if header.is_empty() { "" } else { "\r\n" };
        format!(
            "Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"{separated}{header}"
        )
    };
    let cases = [
        (
            "a.bin",
            "Content-Type: text/plain; x=\"a\\\"b\"",
            "text/plain; x=\"a\\\"b\"",
        ),
        (
            "b.bin",
            "Content-Type: text/plain ; charset=utf-8",
            "text/plain ; charset=utf-8",
        ),
        (
            "c.png",
            "Content-Type: application/octet-stream",
            "image/png",
        ),
        (
            "d.jsonl",
            "Content-Type: application/octet-stream",
            "application/jsonl",
        ),
        ("e.json", "", "application/json"),
        ("f.csv", "Content-Type: csv", "text/csv"),
        ("g.css", "Content-Type: */*", "text/css"),
        (
            "h",
            "Content-Type: application/octet-stream",
            "application/octet-stream",
        ),
    ];
    let form = cases.iter().fold(Form::new(), |form, (name, header, _)| {
        form.part(&part(name, header), b"{}")
    });
    let upload = server.upload(&form);
    let back = server.get(&format!("/download/{}", upload["id"].as_str().unwrap()));
    let parts = parts_of(back.header("content-type").unwrap(), &back.body);
    for (i, (name, header, served)) in cases.iter().enumerate() {
        let file = &upload["files"][i];
        assert_eq!(file["type"], *served, "{name}");
        let path = &file["url"].as_str().unwrap()[server.url("").len()..];
        assert_eq!(
            server.get(path).header("content-type"),
            Some(*served),
            "{name}"
        );
        let came = header.strip_prefix("Content-Type: ").map(str::as_bytes);
        assert_eq!(parts[i].0.content_type.as_deref(), came, "{name}");
    }
    let page = server.request(
        "GET",
        &format!("/uploads/{}", upload["id"].as_str().unwrap()),
        &[("Accept", "text/html")],
        b"",
    );
    assert!(page.text().contains("c.png?inline=1"), "{}", page.text());
    // A raw body came without a part: a type in its head that is none is none here either.
    let octets = [("Content-Type", "application/octet-stream")];
    let raw = server.request("PUT", "/files/a.md", &octets, b"# a").json();
    assert_eq!(raw["type"], "text/markdown");
}

#[test]
fn a_store_of_an_older_version_keeps_its_names_and_gets_types() {
    let server = Server::start();
    let upload = server.upload(&Form::new().file("f", "old.png", b"old"));
    let id = upload["id"].as_str().unwrap().to_owned();
    let (_, setup) = server.stop();
    let server = {
        // The output of 7d560c9: characters that are replaced today, and the type as it came.
        let old = "a:b\u{200b}<c>.png";
        let folder = setup.folder().join("upload").join(&id[..2]);
        let manifest = folder.join(format!("{id}.json"));
        let json = std::fs::read_to_string(&manifest).unwrap();
        let mut json: Value = serde_json::from_str(&json).unwrap();
        let file = json["parts"][0].as_object_mut().unwrap();
        file.remove("given_type");
        file["name"] = old.into();
        file["original"] = old.into();
        file["media_type"] = "application/octet-stream".into();
        std::fs::write(&manifest, json.to_string()).unwrap();
        let named = |name: &str| folder.join(format!("{id}-{name}"));
        std::fs::rename(named("old.png"), named(old)).unwrap();
        std::fs::remove_file(setup.folder().join("upload/.wharf/catalog.redb")).unwrap();
        setup.start()
    };
    let address = "a%3Ab%E2%80%8B%3Cc%3E.png";
    crate::support::wait_until("the index is complete", || {
        server.get(&format!("/files/{address}")).status == 200
    });
    let by_id = server.get(&format!("/files/{id}/{address}"));
    assert_eq!(
        (by_id.text(), by_id.header("content-type")),
        ("old".to_owned(), Some("image/png"))
    );
    // A file that came under that name since has the name that is given today, and is the newest.
    let put = server
        .request("PUT", &format!("/files/{address}"), &[], b"new")
        .json();
    assert_eq!(put["name"], "a_b_c_.png");
    assert_eq!(server.get(&format!("/files/{address}")).text(), "new");
    assert_eq!(server.get("/files/a_b_c_.png").text(), "new");
    assert_eq!(server.get(&format!("/files/{id}/{address}")).text(), "old");
}

/// A proxy that adds `Referrer-Policy: no-referrer` has browsers send `Origin: null`, and over plain
/// HTTP nothing else says where a form comes from.
#[test]
fn the_form_of_the_page_is_known_by_its_field() {
    let server = Server::start();
    let page = server.get("/");
    let set = page.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
    let cookie = ("Cookie", set.split(';').next().unwrap());
    let text = page.text();
    let (_, field) = text.split_once("name=\"wharf_form\" value=\"").unwrap();
    let token = field.split('"').next().unwrap();
    let send = |field: &str, headers: &[(&str, &str)]| {
        let form = match field {
            "" => Form::new(),
            field => Form::new().text("wharf_form", field),
        };
        let form = form.file("file", "a.txt", b"a").text("note", "x");
        server.post_to("/upload", &form, headers)
    };
    let null = ("Origin", "null");
    let stored = send(token, &[null, cookie]);
    assert_eq!(stored.status, 201, "{}", stored.text());
    assert_eq!(
        stored.json()["fields"],
        serde_json::json!({ "note": ["x"] })
    );
    let (foreign, site) = (
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    );
    for (field, headers) in [
        ("", &[null, cookie][..]),
        ("another-one-of-that-length", &[null, cookie]),
        (token, &[null]),
        (token, &[null, cookie, site]),
        (token, &[foreign, cookie]),
    ] {
        let refused = send(field, headers);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "cross-site")
        );
    }
    let text = Form::new().text("note", "x");
    assert_eq!(
        server.post_to("/upload", &text, &[null, cookie]).status,
        403
    );
    assert_eq!(server.files().len(), 2);
    // Where the head says enough, the field is not asked for, and not kept.
    let own = ("Origin", &*server.url(""));
    assert_eq!(send("", &[own]).status, 201);
    // The browser keeps its cookie, and the page repeats it.
    let again = server.request("GET", "/", &[cookie], b"");
    assert_eq!(again.header("set-cookie"), None);
    assert!(again.text().contains(token));
}

/// The same for the form of an upload's page, which deletes and prolongs without JavaScript.
#[test]
fn the_form_of_an_uploads_page_is_known_by_its_field() {
    let server = Server::start();
    let stored = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let path = format!("/uploads/{}", stored["id"].as_str().unwrap());
    let html = ("Accept", "text/html");
    let page = server.request("GET", &path, &[html], b"");
    let set = page.header("set-cookie").unwrap();
    let cookie = set.split(';').next().unwrap();
    let text = page.text();
    let (_, field) = text.split_once("name=\"wharf_form\" value=\"").unwrap();
    let token = field.split('"').next().unwrap();
    let owner = format!("token={}", stored["delete_token"].as_str().unwrap());
    let post = |what: &str, proof: &str, headers: &[(&str, &str)]| {
        let body = format!("{owner}&wharf_expires_in=1h{proof}");
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let headers = [&[kind, html], headers].concat();
        server.request("POST", &format!("{path}/{what}"), &headers, body.as_bytes())
    };
    let (null, cookie) = (("Origin", "null"), ("Cookie", cookie));
    let proof = format!("&wharf_form={token}");
    let site = ("Sec-Fetch-Site", "cross-site");
    for what in ["prolong", "delete"] {
        for (proof, headers) in [
            ("", &[null, cookie][..]),
            ("&wharf_form=another-one-of-that-length", &[null, cookie]),
            (&proof, &[null]),
            (&proof, &[null, cookie, site]),
            (&proof, &[("Origin", "http://evil.example"), cookie]),
        ] {
            assert_eq!(post(what, proof, headers).status, 403, "{what} {headers:?}");
        }
    }
    assert_eq!(post("prolong", &proof, &[null, cookie]).status, 303);
    assert!(server.get(&path).json()["expires_at"].is_string());
    assert_eq!(post("delete", &proof, &[null, cookie]).status, 200);
    assert_eq!(server.get(&path).status, 404);
}
