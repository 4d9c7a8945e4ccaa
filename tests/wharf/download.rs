use crate::support::{Form, Response, Server, noise, parts_of};

#[track_caller]
fn parts(response: &Response) -> Vec<(String, Option<String>, Vec<u8>)> {
    assert_eq!(response.status, 200, "{}", response.text());
    let parts = parts_of(response.header("content-type").unwrap(), &response.body);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let part = |(head, body): (wharf::form::PartHead, Vec<u8>)| {
        let file = head
            .file
            .as_ref()
            .and_then(|file| file.as_bytes())
            .map(text);
        (text(&head.name), file, body)
    };
    parts.into_iter().map(part).collect()
}

fn sample() -> Form {
    Form::new()
        .text("name", "tony bai")
        .file("f", "a.txt", b"aaaa")
        .part(
            "Content-Disposition: form-data; name=\"j\"\r\nContent-Type: application/json",
            b"{}",
        )
        .file("f", "dir/b.txt", &noise(300_000, 7))
}

#[test]
fn a_form_comes_back_as_it_came() {
    let server = Server::start();
    let id = server.upload(&sample())["id"].as_str().unwrap().to_owned();
    let response = server.get(&format!("/download/{id}"));
    let file = |name: &str| Some(name.to_owned());
    assert_eq!(
        parts(&response),
        [
            ("name".to_owned(), None, b"tony bai".to_vec()),
            ("f".to_owned(), file("a.txt"), b"aaaa".to_vec()),
            ("j".to_owned(), None, b"{}".to_vec()),
            ("f".to_owned(), file("dir/b.txt"), noise(300_000, 7)),
        ]
    );
    assert!(response.body.ends_with(b"--\r\n"));
    assert_eq!(response.header("accept-ranges"), Some("bytes"));
    assert!(
        response
            .header("cache-control")
            .unwrap()
            .starts_with("private, max-age=")
    );
    assert!(response.header("last-modified").is_some());
    // The same again, to the byte.
    let again = server.get(&format!("/download/{id}"));
    assert_eq!(again.header("etag"), response.header("etag"));
    assert!(again.body == response.body);
    let one = server.get(&format!("/download/{id}/b.txt"));
    assert_eq!(parts(&one).len(), 1);
    let by_name = server.get("/download/a.txt");
    assert_eq!(parts(&by_name)[0].2, b"aaaa");
    assert_eq!(by_name.header("cache-control"), Some("no-cache"));
    assert_eq!(by_name.header("last-modified"), None);
    let several = server.get(&format!("/download?name=b.txt&name={id}&name=a.txt"));
    assert_eq!(parts(&several).len(), 6);
    let missing = server.get("/download?name=a.txt&name=nope.txt");
    assert_eq!(missing.status, 404);
    assert!(
        missing.detail().contains("nope.txt"),
        "{}",
        missing.detail()
    );
    assert_eq!(server.get("/download").status, 400);
}

#[test]
fn text_parts_keep_their_type_and_names_their_bytes() {
    let server = Server::start();
    let odd = "Content-Disposition: form-data; name=\"a%22b\"; filename=\"C:\\dir\\caf\u{e9} %0D.txt\"\r\nContent-Type: x/y";
    let form = Form::new().part(odd, b"1").part(
        "Content-Disposition: form-data; name=t\r\nContent-Type: a/b; c=d",
        b"2",
    );
    let id = server.upload(&form)["id"].as_str().unwrap().to_owned();
    let text = server.get(&format!("/download/{id}")).text();
    assert!(
        text.contains(
            "name=\"a%22b\"; filename=\"C:\\dir\\caf\u{e9} %0D.txt\"\r\nContent-Type: x/y\r\n"
        ),
        "{text}"
    );
    assert!(text.contains("Content-Type: a/b; c=d\r\n"), "{text}");
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::start();
    let id = server.upload(&sample())["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/download/{id}"),
        format!("/files/{id}/a.txt"),
        "/files/b.txt".to_owned(),
    ] {
        let get = server.get(&path);
        let head = server.request("HEAD", &path, &[], b"");
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty());
        for name in [
            "content-length",
            "content-type",
            "etag",
            "last-modified",
            "repr-digest",
        ] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(
            get.header("content-length").unwrap(),
            get.body.len().to_string()
        );
    }
}

#[test]
fn raw_files_do_not_run_here() {
    let server = Server::start();
    for (name, media_type, inline) in [
        ("x.html", "text/html", false),
        ("x.svg", "image/svg+xml", false),
        ("x.xml", "text/xml", false),
        ("x.js", "text/javascript", false),
        ("x.png", "image/png", true),
        ("x.txt", "text/plain", true),
        ("x.md", "text/markdown", true),
        ("x.csv", "text/csv", true),
    ] {
        server.upload(&Form::new().file("f", name, b"<script>alert(1)</script>"));
        for query in ["", "?inline=1"] {
            let response = server.get(&format!("/files/{name}{query}"));
            let shown = inline && !query.is_empty();
            let kind = if shown { "inline" } else { "attachment" };
            let expected = format!("{kind}; filename=\"{name}\"; filename*=UTF-8''{name}");
            assert_eq!(
                response.header("content-disposition"),
                Some(expected.as_str())
            );
            // Text to be read is called plain, or a browser would save it.
            let shown_text = shown && media_type.starts_with("text/");
            let plain = "text/plain; charset=utf-8";
            let expected = if shown_text { plain } else { media_type };
            assert_eq!(response.header("content-type"), Some(expected));
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(
                response.header("content-security-policy"),
                Some("sandbox; default-src 'none'")
            );
            assert_eq!(
                response.header("cross-origin-resource-policy"),
                Some("same-origin")
            );
            assert!(
                response
                    .header("repr-digest")
                    .unwrap()
                    .starts_with("sha-256=:")
            );
        }
    }
}

#[test]
fn ranges_of_both_forms() {
    let server = Server::start();
    let id = server.upload(&sample())["id"].as_str().unwrap().to_owned();
    for path in [format!("/download/{id}"), format!("/files/{id}/b.txt")] {
        let whole = server.get(&path);
        let len = whole.body.len();
        let etag = whole.header("etag").unwrap();
        let ranged = |range: &str, more: &[(&str, &str)]| {
            let mut headers = vec![("Range", range)];
            headers.extend_from_slice(more);
            server.request("GET", &path, &headers, b"")
        };
        for (range, from, to) in [
            ("0-0", 0, 1),
            ("5-", 5, len),
            ("-7", len - 7, len),
            ("100-250000", 100, 250_001),
        ] {
            let part = ranged(&format!("bytes={range}"), &[]);
            assert_eq!(part.status, 206);
            assert_eq!(
                part.header("content-range").unwrap(),
                format!("bytes {from}-{}/{len}", to - 1)
            );
            assert!(part.body == whole.body[from..to], "{range}");
        }
        assert_eq!(ranged("bytes=0-3", &[("If-Range", etag)]).status, 206);
        assert_eq!(
            ranged("bytes=0-3", &[("If-Range", "\"other\"")]).status,
            200
        );
        assert_eq!(ranged("bytes=0-3", &[("If-None-Match", etag)]).status, 304);
        assert_eq!(
            ranged("bytes=0-3", &[("If-Match", "\"other\"")]).status,
            412
        );
        let beyond = ranged(&format!("bytes={len}-"), &[]);
        assert_eq!(beyond.status, 416);
        assert_eq!(
            beyond.header("content-range").unwrap(),
            format!("bytes */{len}")
        );
        for whole in ["bytes=9-3", "bytes=0-4,3-6", "chunks=1-2"] {
            assert_eq!(ranged(whole, &[]).status, 200, "{whole}");
        }
        let several = ranged("bytes=0-9,-5", &[]);
        assert_eq!(several.status, 206);
        let kind = several.header("content-type").unwrap();
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let text = &several.body;
        let expected = [
            format!(
                "--{boundary}\r\nContent-Type: {}\r\nContent-Range: bytes 0-9/{len}\r\n\r\n",
                whole.header("content-type").unwrap()
            )
            .into_bytes(),
            whole.body[..10].to_vec(),
            format!(
                "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: bytes {}-{}/{len}\r\n\r\n",
                whole.header("content-type").unwrap(),
                len - 5,
                len - 1
            )
            .into_bytes(),
            whole.body[len - 5..].to_vec(),
            format!("\r\n--{boundary}--\r\n").into_bytes(),
        ];
        assert!(*text == expected.concat());
    }
}

#[test]
fn a_broken_download_goes_on_after_a_restart() {
    let server = Server::start();
    let id = server.upload(&sample())["id"].as_str().unwrap().to_owned();
    let path = format!("/download/{id}");
    let whole = server.get(&path);
    let (status, setup) = server.stop();
    assert!(status.success());
    let server = setup.start();
    let etag = whole.header("etag").unwrap();
    let rest = server.request(
        "GET",
        &path,
        &[("Range", "bytes=1000-"), ("If-Range", etag)],
        b"",
    );
    assert_eq!(rest.status, 206);
    assert!(rest.body == whole.body[1000..]);
}

#[test]
fn names_resolve_to_the_newest_that_lives() {
    let server = Server::start();
    server.upload(&Form::new().file("f", "caf\u{e9}.txt", b"old"));
    let newer = server.upload(&Form::new().file("f", "cafe\u{301}.txt", b"new"));
    let path = "/files/cafe%CC%81.txt";
    assert_eq!(server.get(path).text(), "new");
    let id = newer["id"].as_str().unwrap();
    let token = format!("Bearer {}", newer["delete_token"].as_str().unwrap());
    let deleted = server.request(
        "DELETE",
        &format!("/uploads/{id}"),
        &[("Authorization", &token)],
        b"",
    );
    assert_eq!(deleted.status, 204);
    assert_eq!(server.get(path).text(), "old");
    assert_eq!(server.get(&format!("/files/{id}/x")).status, 404);
    assert_eq!(server.get(&format!("/uploads/{id}")).status, 404);
}

#[test]
fn the_listing_goes_from_new_to_old() {
    let server = Server::start();
    let ids: Vec<String> = (0..5)
        .map(|i| {
            server.upload(&Form::new().text("i", &i.to_string()))["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut seen = Vec::new();
    let mut path = "/uploads?limit=2".to_owned();
    loop {
        let page = server.get(&path).json();
        seen.extend(
            page["uploads"]
                .as_array()
                .unwrap()
                .iter()
                .map(|u| u["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/uploads?limit=2&after={next}");
    }
    let (mut expected, mut found) = (ids.clone(), seen.clone());
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for bad in ["limit=0", "limit=1001", "limit=x", "after=x"] {
        assert_eq!(server.get(&format!("/uploads?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn damage_is_an_error_and_never_a_short_body() {
    let server = Server::start();
    let json = server.upload(&Form::new().file("a", "a.bin", &noise(1000, 1)).file(
        "b",
        "b.bin",
        &noise(700_000, 2),
    ));
    let id = json["id"].as_str().unwrap();
    let stored = server.store().join(&id[..2]).join(format!("{id}-b.bin"));
    std::fs::OpenOptions::new()
        .write(true)
        .open(&stored)
        .unwrap()
        .set_len(600_000)
        .unwrap();
    let raw = server.get(&format!("/files/{id}/b.bin"));
    assert_eq!((raw.status, raw.code().as_str()), (500, "internal"));
    assert!(raw.detail().starts_with("request "));
    server.says("has 600000 bytes instead of 700000");
    // It is not in the first block, and is found before the head goes out all the same.
    let path = format!("/download/{id}");
    assert_eq!(server.get(&path).status, 500);
    let ranged = |range| {
        server
            .request("GET", &path, &[("Range", range)], b"")
            .status
    };
    assert_eq!(ranged("bytes=500-"), 500);
    assert_eq!(
        ranged("bytes=0-1000"),
        206,
        "nothing of it is in this range"
    );
    std::fs::remove_file(stored).unwrap();
    assert_eq!(server.get(&format!("/files/{id}/b.bin")).status, 500);
    assert_eq!(
        server.get(&format!("/files/{id}/a.bin")).body,
        noise(1000, 1)
    );
    // All of a short form is read before its head goes out.
    let json = server.upload(
        &Form::new()
            .file("a", "a.txt", b"one")
            .file("b", "b.txt", b"two"),
    );
    let id = json["id"].as_str().unwrap();
    std::fs::remove_file(server.store().join(&id[..2]).join(format!("{id}-b.txt"))).unwrap();
    assert_eq!(server.get(&format!("/download/{id}")).status, 500);
}
