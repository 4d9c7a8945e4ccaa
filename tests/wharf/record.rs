//! The record of an upload: the same object wherever it is shown, and what a client is told in the
//! head.

use serde_json::{Value, json};

use crate::support::{Form, Server, Setup, sha256};

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

fn owner(created: &Value) -> String {
    format!("Bearer {}", created["delete_token"].as_str().unwrap())
}

fn two() -> Form {
    Form::new()
        .file("f", "a.txt", b"12")
        .file("f", "b.txt", b"345")
        .text("t", "one")
        .text("u", "x")
        .text("t", "two")
}

#[test]
fn an_upload_is_the_same_object_wherever_it_is_shown() {
    let server = Server::start();
    let one = Form::new().file("f", "a b.txt", b"one");
    for form in [one, two(), Form::new().text("t", "x"), Form::new()] {
        let path = "/upload?expires_in=1h&title=A%20title";
        let created = server.post_to(path, &form, &[]).json();
        let path = format!("/uploads/{}", id(&created));
        let shown = server.get(&path).json();
        let mut told = created.clone();
        let members = told.as_object_mut().unwrap();
        let token = members.shift_remove("delete_token").unwrap();
        let key = members.shift_remove("manage_key").unwrap();
        assert_eq!(key, format!("{}.{}", id(&shown), token.as_str().unwrap()));
        assert_eq!(told.to_string(), shown.to_string());
        let owner = owner(&created);
        let headers = [
            ("Authorization", owner.as_str()),
            ("Content-Type", "application/json"),
        ];
        let patched = server.request("PATCH", &path, &headers, br#"{"expires_in":"never"}"#);
        let mut later = shown.clone();
        later["expires_at"] = Value::Null;
        assert_eq!(patched.json().to_string(), later.to_string());
        // The index knows less.
        let listed = server.get("/uploads?limit=1").json();
        let listed = listed["uploads"][0].as_object().unwrap();
        assert_eq!(listed["id"], later["id"]);
        for (member, value) in listed {
            assert_eq!(*value, later[member], "{member}");
        }
    }
}

#[test]
fn what_is_one_files_is_said_of_an_upload_with_exactly_one() {
    let server = Server::start();
    let one = server.upload(&Form::new().text("t", "x").file("f", "a b.txt", b"one"));
    let (upload, id) = (server.url(&format!("/uploads/{}", id(&one))), id(&one));
    let raw = server.url(&format!("/files/{id}/a%20b.txt"));
    assert_eq!(
        (&one["url"], &one["files"][0]["url"]),
        (&json!(raw), &json!(raw))
    );
    assert_eq!(one["upload_url"], upload);
    assert_eq!(one["form_url"], server.url(&format!("/download/{id}")));
    let archive = server.url(&format!("/archive/{id}.zip"));
    assert_eq!(one["archive_url"], archive);
    assert_eq!(
        (&one["name"], &one["type"]),
        (&json!("a b.txt"), &json!("text/plain"))
    );
    assert_eq!(one["sha256"], sha256(b"one"));
    assert_eq!((&one["size"], &one["file_count"]), (&json!(3), &json!(1)));
    assert_eq!(one["protected"], false);
    let two = server.upload(&two());
    assert_eq!((&two["size"], &two["file_count"]), (&json!(5), &json!(2)));
    assert_eq!(
        two["fields"].to_string(),
        r#"{"t":["one","two"],"u":["x"]}"#
    );
    let none = server.upload(&Form::new());
    assert_eq!((&none["size"], &none["file_count"]), (&json!(0), &json!(0)));
    for record in [two, none] {
        assert_eq!(record["url"], record["upload_url"]);
        for member in ["name", "type", "sha256"] {
            assert_eq!(record[member], Value::Null, "{member}");
        }
    }
}

#[test]
fn long_names_and_texts_are_all_there() {
    let server = Server::with(&["--max-fields-size", "4MiB", "--max-field-size", "2MiB"]);
    let name = "\u{1}\u{e9}%22".repeat(1300);
    let value = "\u{1}\"\u{4e2d}\\".repeat(200_000);
    let form = (0..100).fold(Form::new(), |form, i| {
        form.file(&name, &format!("{i}.txt"), b"1")
    });
    let form = form
        .text("short", "")
        .text("long", &value)
        .text("short", "s");
    let created = server.post_to("/upload", &form, &[]);
    assert!(created.whole && created.status == 201);
    let (length, told) = (created.body.len(), created.json());
    let path = format!("/uploads/{}", id(&told));
    let answer = server.get(&path);
    assert!(answer.whole && length > answer.body.len());
    assert!(answer.body.len() > 3_000_000, "{}", answer.body.len());
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    let head = server.request("HEAD", &path, &[], b"");
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    let record = answer.json();
    for record in [&record, &told] {
        let files = record["files"].as_array().unwrap();
        let shown = name.replace("%22", "\"");
        assert_eq!(files.len(), 100);
        assert!(files.iter().all(|file| file["field"] == shown.as_str()));
        assert!(record["fields"]["long"] == json!([value]));
        assert_eq!(record["fields"]["short"], json!(["", "s"]));
    }
}

#[test]
fn scripts_get_the_share_link_alone() {
    let server = Setup::new()
        .args(&["--public-url", "https://files.example", "--base-path", "/w"])
        .for_everybody()
        .start();
    let plain = ("Accept", "text/plain");
    let created = server.post_to("/w/upload", &two(), &[plain]);
    assert_eq!(created.status, 201);
    let link = created.text();
    let location = created.header("location").unwrap();
    let id = location.rsplit('/').next().unwrap();
    assert_eq!(link, format!("https://files.example/w/uploads/{id}\n"));
    assert_eq!(
        created.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(created.header("wharf-delete-token").is_some());
    let shown = server.request("GET", &format!("/w/uploads/{id}"), &[plain], b"");
    assert_eq!((shown.status, shown.text()), (200, link));
    assert_eq!(shown.header("vary"), Some("Accept"));
    // axios sends this, and means JSON.
    let axios = [("Accept", "application/json, text/plain, */*")];
    let shown = server.request("GET", &format!("/w/uploads/{id}"), &axios, b"");
    assert_eq!(shown.json()["id"], id);
}

#[test]
fn the_head_of_a_201_says_what_the_body_says() {
    let server = Server::with(&["--base-path", "/w"]);
    let minimal = ("Prefer", "respond-async, return=minimal");
    let form = |headers: &[(&str, &str)]| server.post_to("/w/upload", &two(), headers);
    let put = |headers: &[(&str, &str)]| server.request("PUT", "/w/files/a.txt", headers, b"a");
    let pond = server.post_to("/w/compat/filepond", &two(), &[]);
    let several = [
        form(&[]),
        form(&[minimal]),
        form(&[("Accept", "text/plain")]),
        pond,
    ];
    let one = [put(&[]), put(&[minimal])];
    for (answers, place) in [(&several[..], "download/ID"), (&one[..], "files/ID/a.txt")] {
        for answer in answers {
            assert_eq!(answer.status, 201, "{}", answer.text());
            let location = answer.header("location").unwrap();
            let id = location.strip_prefix("/w/uploads/").unwrap();
            let link = format!("</w/{}>; rel=\"alternate\"", place.replace("ID", id));
            assert_eq!(answer.header("link"), Some(link.as_str()));
            let token = answer.header("wharf-delete-token").unwrap();
            let owner = format!("Bearer {token}");
            let headers = [("Authorization", owner.as_str())];
            let gone = server.request("DELETE", location, &headers, b"");
            assert_eq!(gone.status, 204);
        }
    }
    for answer in [&several[1], &one[1]] {
        assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
        assert_eq!(answer.header("content-length"), Some("0"));
        assert_eq!(answer.header("content-type"), None);
    }
    assert_eq!(several[0].header("preference-applied"), None);
}

#[test]
fn a_change_can_be_answered_without_a_body() {
    let server = Server::start();
    let created = server.upload(&two());
    let (path, owner) = (format!("/uploads/{}", id(&created)), owner(&created));
    let headers = [
        ("Authorization", owner.as_str()),
        ("Content-Type", "application/json"),
        ("Prefer", "return=minimal"),
    ];
    let changed = server.request("PATCH", &path, &headers, br#"{"expires_in":"1h"}"#);
    assert_eq!((changed.status, changed.body.len()), (204, 0));
    assert_eq!(changed.header("preference-applied"), Some("return=minimal"));
    assert!(server.get(&path).json()["expires_at"].is_string());
}

#[test]
fn json_ends_with_a_line() {
    let server = Server::with(&["--access", "admin:root"]);
    let admin = [
        ("Authorization", "Bearer root"),
        ("Accept", "application/json"),
    ];
    let created = server.post_to("/upload", &two(), &admin);
    let path = format!("/uploads/{}", id(&created.json()));
    let mut answers = vec![created];
    for path in [
        path.as_str(),
        "/uploads",
        "/uploads?limit=1",
        "/status",
        "/openapi.json",
        "/postman.json",
        "/problems",
        "/problems/no-such-route",
        "/nothing",
    ] {
        answers.push(server.request("GET", path, &admin, b""));
    }
    answers.push(server.request("POST", "/reindex", &admin, b""));
    for answer in answers {
        answer.json();
        let text = answer.text();
        assert!(text.ends_with("}\n") && !text.ends_with("\n\n"), "{text}");
    }
}

/// A file that is used up has no link on the page, and neither have the ways to get all at once.
#[test]
fn the_page_leads_to_nothing_that_is_used_up() {
    let server = Server::start();
    let created = server
        .post_to("/upload?max_downloads=1", &two(), &[])
        .json();
    let id = id(&created);
    let page = || {
        let html = [("Accept", "text/html")];
        let page = server.request("GET", &format!("/uploads/{id}"), &html, b"");
        page.text().replace("&#x2f;", "/")
    };
    let (used, left) = (format!("/files/{id}/a.txt"), format!("/files/{id}/b.txt"));
    let form = format!("/download/{id}");
    let before = page();
    for link in [&used, &left, &form] {
        assert!(before.contains(&format!("href=\"{link}\"")), "{before}");
    }
    assert!(before.contains(&format!("/archive/{id}.zip")));
    assert_eq!(server.get(&used).status, 200);
    let after = page();
    assert!(after.contains(&format!("href=\"{left}\"")), "{after}");
    assert!(!after.contains(&used) && !after.contains(&form), "{after}");
    assert!(after.contains("a.txt") && after.contains("all its downloads are used"));
    assert!(!after.contains("/archive/"));
}

#[test]
fn the_page_shows_the_beginning_of_a_long_text() {
    let server = Server::with(&["--max-field-size", "1MiB"]);
    let created = server.upload(&Form::new().text("t", &"<".repeat(900_000)));
    let html = [("Accept", "text/html")];
    let page = server.request("GET", &format!("/uploads/{}", id(&created)), &html, b"");
    assert!(page.body.len() < 500_000, "{}", page.body.len());
    assert!(page.text().contains("Only the beginning of the text"));
}
