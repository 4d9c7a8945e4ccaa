//! Records: their versions, their changes, and their end.

use serde_json::{Value, json};

use crate::support::{Fleet, Form, Redis, Response, Server};

fn form() -> Form {
    Form::new()
        .file("f", "a.txt", b"a")
        .file("f", "b.txt", b"b")
}

/// An upload, and its owner's request.
struct Owned<'a> {
    server: &'a Server,
    path: String,
    bearer: String,
}

impl<'a> Owned<'a> {
    fn of(server: &'a Server, created: &Value) -> Self {
        Owned {
            server,
            path: format!("/uploads/{}", created["id"].as_str().unwrap()),
            bearer: format!("Bearer {}", created["delete_token"].as_str().unwrap()),
        }
    }

    fn ask(&self, method: &str, fields: &[(&str, &str)], body: &str) -> Response {
        let mut all = vec![("Authorization", self.bearer.as_str())];
        all.extend_from_slice(fields);
        self.server
            .request(method, &self.path, &all, body.as_bytes())
    }

    fn patch(&self, body: &Value) -> Response {
        self.ask("PATCH", &[], &body.to_string())
    }

    /// The entity tag of its record.
    fn tag(&self) -> String {
        let record = self.server.get(&self.path);
        record.header("etag").unwrap().to_owned()
    }
}

#[test]
fn a_record_is_read_and_changed_in_the_version_that_is_meant() {
    let server = Server::start();
    let stored = server.post_to("/upload", &form(), &[]);
    assert_eq!(stored.header("etag"), Some("\"1\""));
    let upload = Owned::of(&server, &stored.json());
    let get = |field: &str, value: &str| {
        let answer = server.request("GET", &upload.path, &[(field, value)], b"");
        (answer.status, answer.header("etag").map(str::to_owned))
    };
    let one = Some("\"1\"".to_owned());
    assert_eq!(get("If-None-Match", "\"1\""), (304, one.clone()));
    assert_eq!(get("If-None-Match", "W/\"1\", \"x\""), (304, one.clone()));
    assert_eq!(get("If-None-Match", "\"2\""), (200, one.clone()));
    assert_eq!(get("If-Match", "\"1\""), (200, one.clone()));
    assert_eq!(get("If-Match", "\"2\""), (412, one));
    let page = [("Accept", "text/html"), ("If-None-Match", "\"1\"")];
    let page = server.request("GET", &upload.path, &page, b"");
    assert_eq!((page.status, page.header("etag")), (200, None), "a page");

    let longer = r#"{"expires_in":"2h"}"#;
    let changed = upload.ask("PATCH", &[("If-Match", "\"1\"")], longer);
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.header("etag"), Some("\"2\""));
    let late = upload.ask("PATCH", &[("If-Match", "\"1\"")], longer);
    assert_eq!(
        (late.status, late.code()),
        (412, "precondition-failed".to_owned())
    );
    assert_eq!(late.header("etag"), Some("\"2\""));
    for fields in [
        [("If-None-Match", "*")],
        [("If-None-Match", "\"2\"")],
        [("If-Match", "W/\"2\"")],
    ] {
        assert_eq!(
            upload.ask("PATCH", &fields, longer).status,
            412,
            "{fields:?}"
        );
        assert_eq!(upload.ask("DELETE", &fields, "").status, 412, "{fields:?}");
    }
    // A download that counts is a change like any other.
    assert_eq!(upload.patch(&json!({"max_downloads": 3})).status, 200);
    let tag = upload.tag();
    let id = upload.path.strip_prefix("/uploads/").unwrap();
    assert_eq!(server.get(&format!("/files/{id}/a.txt")).status, 200);
    assert_eq!(upload.ask("DELETE", &[("If-Match", &tag)], "").status, 412);
    let tag = upload.tag();
    assert_eq!(upload.ask("DELETE", &[("If-Match", &tag)], "").status, 204);
    assert_eq!(server.get(&upload.path).status, 404);
}

/// Of two that change one version at once, one has come too late.
#[test]
fn the_look_and_the_change_are_one_step() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 2, &[]);
    let servers = &fleet.servers;
    let created = servers[0].upload(&form());
    for round in 0..8 {
        let tag = Owned::of(&servers[0], &created).tag();
        let asked = std::thread::scope(|scope| {
            let ask = |i: usize| {
                let (server, created, tag) = (&servers[i % 2], &created, &tag);
                let body = json!({"title": format!("{round} by {i}")}).to_string();
                let upload = Owned::of(server, created);
                scope.spawn(move || upload.ask("PATCH", &[("If-Match", tag)], &body))
            };
            let asked: Vec<_> = (0..6).map(ask).collect();
            asked
                .into_iter()
                .map(|it| it.join().unwrap())
                .collect::<Vec<_>>()
        });
        let mut done = asked.iter().filter(|answer| answer.status == 200);
        let (done, none) = (done.next().unwrap(), done.next());
        assert!(none.is_none(), "{asked:?}");
        assert!(asked.iter().all(|it| [200, 412].contains(&it.status)));
        let record = servers[0].get(&Owned::of(&servers[0], &created).path);
        assert_eq!(record.json()["title"], done.json()["title"]);
        assert_eq!(record.header("etag"), done.header("etag"));
    }
}

#[test]
fn a_change_is_a_merge_patch() {
    let server = Server::start();
    let created = server.post_to("/upload?expires_in=1h&title=One", &form(), &[]);
    let upload = Owned::of(&server, &created.json());
    let nothing = upload.patch(&json!({}));
    assert_eq!(
        (nothing.status, nothing.header("etag")),
        (200, Some("\"1\""))
    );
    let all = json!({"expires_at": "2100-01-01T00:00:00Z", "max_downloads": 3, "title": " Two "});
    let changed = upload.patch(&all).json();
    assert_eq!(changed["expires_at"], "2100-01-01T00:00:00.000Z");
    assert_eq!(changed["max_downloads"], 3);
    assert_eq!(changed["downloads_left"], 3);
    assert_eq!(changed["title"], "Two");
    let gone = json!({"expires_in": null, "max_downloads": null, "title": null});
    let changed = upload.patch(&gone).json();
    for member in ["expires_at", "max_downloads", "downloads_left", "title"] {
        assert!(changed[member].is_null(), "{member}: {changed}");
    }
    for (body, code) in [
        (json!({"password": "x"}), "unknown-option"),
        (json!({"max_downloads": 0}), "invalid-option"),
        (json!({"max_downloads": 1.5}), "invalid-option"),
        (json!({"max_downloads": "1"}), "invalid-option"),
        (
            json!({"expires_at": "1999-01-01T00:00:00Z"}),
            "invalid-option",
        ),
        (
            json!({"expires_at": null, "expires_in": "1h"}),
            "invalid-option",
        ),
        (json!({"title": "x".repeat(300)}), "invalid-option"),
        (json!([]), "invalid-json"),
    ] {
        let refused = upload.patch(&body);
        assert_eq!(
            (refused.status, refused.code()),
            (400, code.to_owned()),
            "{body}"
        );
    }
    for media_type in [
        "application/json; charset=utf-8",
        "Application/Merge-Patch+JSON",
    ] {
        let taken = upload.ask("PATCH", &[("Content-Type", media_type)], "{}");
        assert_eq!(taken.status, 200, "{media_type}");
    }
    for media_type in [
        "application/json-patch+json",
        "application/x-www-form-urlencoded",
    ] {
        let refused = upload.ask("PATCH", &[("Content-Type", media_type)], "{}");
        assert_eq!(refused.status, 415, "{media_type}");
        let accepted = "application/merge-patch+json, application/json";
        assert_eq!(refused.header("accept-patch"), Some(accepted));
    }
    let bounded = Server::with(&["--max-expires-in", "1d"]);
    let upload = Owned::of(&bounded, &bounded.upload(&form()));
    for body in [json!({"expires_in": null}), json!({"expires_at": null})] {
        let refused = upload.patch(&body);
        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid-option".to_owned())
        );
        assert_eq!(refused.json()["setting"], "max_expires_in");
    }
}

/// The answers of the names and lists of `server` on the upload.
fn found(server: &Server, id: &str) -> (u16, bool) {
    let listed = server.get("/uploads").json();
    let listed = listed["uploads"].as_array().unwrap().clone();
    let named = server.get("/files/a.txt").status;
    (named, listed.iter().any(|it| it["id"] == id))
}

fn limits_move(server: &Server, other: &Server) {
    let created = server.upload(&form());
    let id = created["id"].as_str().unwrap();
    let upload = Owned::of(server, &created);
    let file = format!("/files/{id}/a.txt");
    assert_eq!(found(other, id), (200, true));
    for _ in 0..2 {
        assert_eq!(upload.patch(&json!({"max_downloads": 2})).status, 200);
        assert_eq!(found(other, id), (404, false));
        assert_eq!(found(server, id), (404, false));
        assert_eq!(other.get(&file).status, 200);
        // As many downloads are used: it would be over, with b.txt as well.
        assert_eq!(other.get(&format!("/files/{id}/b.txt")).status, 200);
        let refused = upload.patch(&json!({"max_downloads": 1}));
        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid-option".to_owned())
        );
        assert_eq!(
            upload.patch(&json!({"max_downloads": 3})).json()["downloads_left"],
            2
        );
        assert_eq!(upload.patch(&json!({"max_downloads": null})).status, 200);
        assert_eq!(found(other, id), (200, true));
        assert_eq!(found(server, id), (200, true));
    }
    assert_eq!(upload.ask("DELETE", &[], "").status, 204);
    assert_eq!(found(other, id), (404, false));
}

#[test]
fn a_limit_moves_an_upload_out_of_names_and_lists_and_back() {
    let server = Server::start();
    limits_move(&server, &server);
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 2, &[]);
    limits_move(&fleet.servers[0], &fleet.servers[1]);
}

#[test]
fn a_deletion_is_said_to_be_done_while_something_is_left_of_the_upload() {
    let server = Server::start();
    let upload = Owned::of(&server, &server.upload(&form()));
    assert_eq!(upload.ask("DELETE", &[], "").status, 204);
    let again = upload.ask("DELETE", &[], "");
    assert_eq!(
        (again.status, again.code()),
        (404, "upload-not-found".to_owned())
    );
    let option = server.request("DELETE", "/uploads/x?expires_in=1h", &[], b"");
    assert_eq!(
        (option.status, option.code()),
        (400, "unknown-option".to_owned())
    );
    // Several instances keep a tombstone.
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 2, &[]);
    let (one, two) = (&fleet.servers[0], &fleet.servers[1]);
    let created = one.upload(&form());
    let upload = Owned::of(two, &created);
    let other = Owned::of(two, &one.upload(&form()));
    assert_eq!(Owned::of(one, &created).ask("DELETE", &[], "").status, 204);
    assert_eq!(upload.ask("DELETE", &[], "").status, 204);
    assert_eq!(
        upload.ask("DELETE", &[("If-Match", "\"1\"")], "").status,
        204
    );
    let wrong = two.request(
        "DELETE",
        &upload.path,
        &[("Authorization", &other.bearer)],
        b"",
    );
    assert_eq!(wrong.status, 404);
    assert_eq!(upload.patch(&json!({"title": "x"})).status, 404);
}
