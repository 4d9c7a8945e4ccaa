//! Where things are: by which addresses, and where other addresses lead.

use serde_json::json;

use crate::support::{Browser, Form, Response, Server, wait_until};

const BROWSER: [(&str, &str); 2] = [
    ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("Sec-Fetch-Mode", "navigate"),
];

/// An upload, and its id.
fn stored(server: &Server, path: &str, form: &Form) -> String {
    let stored = server.post_to(path, form, &[]);
    assert_eq!(stored.status, 201, "{}", stored.text());
    stored.json()["id"].as_str().unwrap().to_owned()
}

fn leads(answer: &Response) -> (u16, String) {
    let place = answer.header("location").unwrap_or_default();
    (answer.status, place.to_owned())
}

#[test]
fn a_download_says_which_upload_it_is_of() {
    let server = Server::with(&["--base-path", "/w"]);
    let id = stored(
        &server,
        "/w/upload",
        &Form::new().file("f", "a b.txt", b"a"),
    );
    let record = format!("</w/uploads/{id}>; rel=\"describedby\"");
    for (path, location) in [
        (
            "/w/files/a%20b.txt".to_owned(),
            Some(format!("/w/files/{id}/a%20b.txt")),
        ),
        (
            "/w/download/a%20b.txt".to_owned(),
            Some(format!("/w/download/{id}/a%20b.txt")),
        ),
        (format!("/w/files/{id}/a%20b.txt"), None),
        (format!("/w/download/{id}/a%20b.txt"), None),
        (format!("/w/download/{id}"), None),
        (format!("/w/download?name={id}"), None),
        (
            "/w/download?name=a%20b.txt".to_owned(),
            Some(format!("/w/download/{id}/a%20b.txt")),
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = server.request(method, &path, &[], b"");
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("link"), Some(record.as_str()), "{path}");
            assert_eq!(
                answer.header("content-location"),
                location.as_deref(),
                "{path}"
            );
            let tag = [("If-None-Match", answer.header("etag").unwrap())];
            let known = server.request(method, &path, &tag, b"");
            assert_eq!(known.status, 304);
            assert_eq!(
                known.header("content-location"),
                location.as_deref(),
                "{path}"
            );
        }
        let form = path.contains("/download");
        let saved = server.get(&path);
        let disposition = saved.header("content-disposition").unwrap();
        let name = format!("attachment; filename=\"{id}.form\"");
        assert_eq!(disposition == name, form, "{disposition}");
    }
    let named = format!("upload_id={id}");
    for path in ["/w/files/a%20b.txt", "/w/download/a%20b.txt"] {
        wait_until("the log names the upload", || {
            let log = server.log();
            let mut lines = log
                .lines()
                .filter(|line| line.contains(&format!("GET {path} 200")));
            lines.next().is_some_and(|line| line.contains(&named))
        });
    }
}

#[test]
fn people_are_led_to_what_they_can_look_at() {
    let server = Server::start();
    let one = Form::new().text("t", "x").file("f", "one.txt", b"1");
    let one = stored(&server, "/upload?max_downloads=1", &one);
    let two = Form::new()
        .file("f", "a.txt", b"a")
        .file("f", "b.txt", b"b");
    let two = stored(&server, "/upload", &two);
    let people = |path: &str| leads(&server.request("GET", path, &BROWSER, b""));
    let (file, page) = (format!("/files/{one}/one.txt"), format!("/uploads/{two}"));
    assert_eq!(people(&format!("/download/{one}")), (303, file.clone()));
    assert_eq!(
        people(&format!("/download/{one}/one.txt")),
        (303, file.clone())
    );
    assert_eq!(people(&format!("/download/{two}")), (303, page.clone()));
    let named = server.request("GET", "/download/a.txt", &BROWSER, b"");
    assert_eq!(leads(&named), (303, format!("/files/{two}/a.txt")));
    let place = format!("/download/{two}/a.txt");
    assert_eq!(named.header("content-location"), Some(place.as_str()));
    let record = format!("</uploads/{two}>; rel=\"describedby\"");
    assert_eq!(named.header("link"), Some(record.as_str()));
    for fields in [&[][..], &BROWSER[..]] {
        let raw = |path: String| leads(&server.request("GET", &path, fields, b""));
        assert_eq!(raw(format!("/files/{one}")), (303, file.clone()));
        let inline = format!("/files/{one}?inline=1");
        assert_eq!(raw(inline), (303, format!("{file}?inline=1")));
        assert_eq!(raw(format!("/files/{two}")), (303, page.clone()));
    }
    // A script or a program gets the form, and so does a person who asks for it.
    let script = [BROWSER[0], ("Sec-Fetch-Mode", "cors")];
    let path = format!("/download/{two}");
    assert_eq!(server.request("GET", &path, &script, b"").status, 200);
    let form = server.get(&path);
    assert_eq!(
        (form.status, form.header("vary")),
        (200, Some("Accept, Sec-Fetch-Mode"))
    );
    let saved = server.request("GET", &format!("{path}?form=1"), &BROWSER, b"");
    assert_eq!(saved.status, 200);
    // None of that has taken the only use.
    assert_eq!(server.get(&file).text(), "1");
    assert_eq!(people(&format!("/download/{one}")).0, 404);
    let gone = server.get(&format!("/files/{one}"));
    assert_eq!(
        (gone.status, gone.code()),
        (404, "upload-not-found".to_owned())
    );
}

#[test]
fn ids_as_people_write_them_lead_to_their_own() {
    let server = Server::start();
    let upload = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let id = upload["id"].as_str().unwrap();
    let written = id.to_uppercase().replace('1', "I").replace('0', "O");
    for (path, query) in [
        ("/uploads/ID", ""),
        ("/files/ID", ""),
        ("/files/ID/a.txt", "?inline=1"),
        ("/download/ID", ""),
        ("/download/ID/a.txt", "?x=/y"),
    ] {
        let asked = server.get(&format!("{}{query}", path.replace("ID", &written)));
        let place = format!("{}{query}", path.replace("ID", id));
        assert_eq!(leads(&asked), (308, place));
    }
    for query in ["name=ID", "name=a.txt&name=ID"] {
        let asked = server.get(&format!("/download?{}", query.replace("ID", &written)));
        let place = format!("/download?{}", query.replace("ID", id));
        assert_eq!(leads(&asked), (308, place));
    }
    let delete = server.request("DELETE", &format!("/uploads/{written}"), &[], b"");
    assert_eq!(leads(&delete), (308, format!("/uploads/{id}")));
    // A name may look so, and is one where no upload has that id.
    let name = "Z".to_owned() + &"A".repeat(25);
    let other = "0".to_owned() + &"A".repeat(25);
    for name in [&name, &other] {
        let path = format!("/files/{name}");
        assert_eq!(server.request("PUT", &path, &[], b"x").status, 201);
        assert_eq!(server.get(&path).text(), "x");
    }
}

#[test]
fn a_put_stores_in_folders_and_only_where_nothing_is() {
    let server = Server::start();
    let put = |path: &str, fields: &[(&str, &str)]| server.request("PUT", path, fields, b"x");
    let stored = put("/files/a.txt?path=dir/sub", &[]);
    assert_eq!(stored.status, 201, "{}", stored.text());
    let json = stored.json();
    let id = json["id"].as_str().unwrap();
    assert_eq!(json["name"], "a.txt");
    let place = format!("/uploads/{id}");
    assert_eq!(stored.header("content-location"), Some(place.as_str()));
    let form = server.get(&format!("/download/{id}")).text();
    assert!(form.contains("filename=\"dir/sub/a.txt\""), "{form}");
    let long = format!("/files/a.txt?path={}", "x".repeat(2000));
    for path in [
        "/files/a?path=../b",
        "/files/a?path=a//b",
        "/files/a?path=a%5Cb",
        &long,
    ] {
        let refused = put(path, &[]);
        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid-parameter".to_owned()),
            "{path}"
        );
    }
    let post = server.request("POST", "/files?name=c.txt&path=d", &[], b"x");
    assert_eq!(post.status, 201);
    assert!(post.header("content-location").is_some());

    let none = [("If-None-Match", "*")];
    let there = put("/files/a.txt", &none);
    assert_eq!(
        (there.status, there.code()),
        (412, "precondition-failed".to_owned())
    );
    assert_eq!(put("/files/new.txt", &none).status, 201);
    let tag = server
        .get("/files/a.txt")
        .header("etag")
        .unwrap()
        .to_owned();
    assert_eq!(put("/files/a.txt", &[("If-Match", &tag)]).status, 201);
    assert_eq!(put("/files/a.txt", &[("If-Match", &tag)]).status, 412);
    assert_eq!(put("/files/nothing", &[("If-Match", "*")]).status, 412);
    // Where names lead nowhere, nothing is there.
    let private = Server::with(&["--names", "private"]);
    for _ in 0..2 {
        let stored = private.request("PUT", "/files/a.txt", &none, b"x");
        assert_eq!(stored.status, 201);
    }
    // A client that may not read is not told which names there are.
    let closed = Server::with(&["--access", "download:read", "--access", "upload:write"]);
    let upload = ("Authorization", "Bearer write");
    let blind = closed.request("PUT", "/files/a.txt", &[upload, none[0]], b"x");
    assert_eq!(
        (blind.status, blind.code()),
        (403, "missing-scope".to_owned())
    );
    assert_eq!(
        closed
            .request("PUT", "/files/a.txt", &[upload], b"x")
            .status,
        201
    );
}

#[test]
fn the_server_says_what_it_is() {
    let json = [("Accept", "application/json")];
    let server = Server::with(&[
        "--access",
        "upload:up",
        "--max-file-size",
        "1MiB",
        "--max-expires-in",
        "1d",
        "--digest",
        "none",
    ]);
    let about = server.request("GET", "/", &json, b"");
    assert_eq!(about.header("content-type"), Some("application/json"));
    let about = about.json();
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["url"], server.url("/"));
    assert_eq!(about["limits"]["max_file_size"], 1 << 20);
    assert_eq!(about["limits"]["max_expires_in"], 86_400);
    assert!(about["limits"]["max_request_size"].is_null());
    assert_eq!(about["features"], json!(["names"]));
    let needs = json!({"upload": true, "download": false, "list": false, "admin": true});
    assert_eq!(about["needs_secret"], needs);
    assert_eq!(about["scopes"], json!(["download", "list"]));
    for (secret, scopes) in [
        ("Bearer up", json!(["upload", "download", "list"])),
        ("Bearer wrong", json!(["download", "list"])),
    ] {
        let fields = [json[0], ("Authorization", secret)];
        let about = server.request("GET", "/", &fields, b"").json();
        assert_eq!(about["scopes"], scopes, "{secret}");
    }
    let others = Server::with(&["--open", "--default-expires-in", "never"]);
    let elsewhere = [json[0], ("Host", "files.example:80")];
    let about = others.request("GET", "/", &elsewhere, b"").json();
    assert_eq!(about["features"], json!(["digests"]));
    assert_eq!(about["needs_secret"]["list"], true);
    for accept in ["*/*", "text/html", "text/html, application/json"] {
        let page = server.request("GET", "/", &[("Accept", accept)], b"");
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html"),
            "{accept}"
        );
        assert_eq!(page.header("vary"), Some("Accept"));
    }
}

#[test]
fn operators_have_a_place_of_their_own_and_others_are_kept() {
    let server = Server::with(&["--access", "admin:root", "--base-path", "/w"]);
    server.request(
        "PUT",
        "/w/files/a.txt",
        &[("Authorization", "Bearer root")],
        b"x",
    );
    let admin = [("Authorization", "Bearer root")];
    let state = || {
        let shown = server.request("GET", "/w/admin/reindex", &admin, b"");
        assert_eq!(shown.status, 200, "{}", shown.text());
        shown.json()
    };
    assert_eq!(
        state(),
        json!({"run": null, "state": "none", "uploads": null, "forgotten": null, "damaged": null})
    );
    let begun = server.request("POST", "/w/admin/reindex", &admin, b"");
    assert_eq!(leads(&begun), (202, "/w/admin/reindex".to_owned()));
    let run = begun.json()["run"].clone();
    wait_until("it has ended", || state()["state"] == "done");
    assert_eq!(
        state(),
        json!({"run": run, "state": "done", "uploads": 1, "forgotten": 0, "damaged": 0})
    );
    assert_eq!(server.get("/w/admin/reindex").status, 401);
    for first in [
        "reindex",
        "admin",
        "-/x",
        ".well-known/x",
        "archive/x",
        "resume",
        "tus",
        "links",
        "u/x",
    ] {
        let answer = server.request("GET", &format!("/w/{first}"), &admin, b"");
        assert_eq!(
            (answer.status, answer.code()),
            (404, "no-such-route".to_owned()),
            "{first}"
        );
    }
}

/// A browser's reading of the links of a page and of an address that a person opens.
#[test]
fn a_browser_saves_the_form_of_a_page_and_looks_at_an_upload() {
    let server = Server::start();
    let two = Form::new()
        .file("f", "a.txt", b"a")
        .file("f", "b.txt", b"b");
    let id = stored(&server, "/upload", &two);
    let browser = Browser::start();
    let downloads = browser.downloads();
    browser.open_ready(&server.url(&format!("/download/{id}")));
    let place = browser.run("return location.pathname");
    assert_eq!(place, format!("/uploads/{id}"));
    // The sender's view is asked for.
    browser.click("#claim a");
    browser.click(&format!("a[download='{id}.form']"));
    let saved = downloads.join(format!("{id}.form"));
    wait_until("the form is saved", || saved.exists());
    let saved = std::fs::read_to_string(saved).unwrap();
    assert!(saved.starts_with("--wharf-"), "{saved}");
}
