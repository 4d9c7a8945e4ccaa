//! The options of clients: where they are given, their names, and the refusals.

use serde_json::{Value, json};

use crate::support::{Form, Response, Server, request};

fn form() -> Form {
    Form::new().file("f", "a.txt", b"content")
}

/// A time of RFC 3339, so many seconds from now.
fn in_seconds(seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(now + seconds)
        .unwrap()
        .to_string()
}

#[track_caller]
fn stored(response: &Response) -> Value {
    assert_eq!(response.status, 201, "{}", response.text());
    response.json()
}

#[track_caller]
fn refused(response: &Response, code: &str, members: Value) {
    assert_eq!(response.status, 400, "{}", response.text());
    let json = response.json();
    assert_eq!(json["code"], code, "{json}");
    for (name, value) in members.as_object().unwrap() {
        match name.as_str() {
            "detail" => {
                let detail = json["detail"].as_str().unwrap();
                assert!(detail.contains(value.as_str().unwrap()), "{detail}");
            }
            name => assert_eq!(json[name], *value, "{json}"),
        }
    }
}

#[test]
fn the_query_wins_over_headers_and_these_over_fields() {
    let server = Server::start();
    let fields = form()
        .text("wharf_max_downloads", "3")
        .text("wharf_title", "in a field")
        .text("wharf_expires_in", "")
        .text("max_downloads", "mine");
    let json = stored(&server.post_to("/upload", &fields, &[]));
    assert_eq!(
        (&json["max_downloads"], &json["title"]),
        (&json!(3), &json!("in a field"))
    );
    assert_eq!(json["fields"], json!({"max_downloads": ["mine"]}));
    assert!(json["expires_at"].is_null());
    let headers = [
        ("Wharf-Max-Downloads", "2"),
        ("wharf-expires-in", "1h"),
        ("Wharf-Token", "x"),
    ];
    let json = stored(&server.post_to("/upload", &fields, &headers));
    assert_eq!(
        (&json["max_downloads"], &json["title"]),
        (&json!(2), &json!("in a field"))
    );
    assert!(json["expires_at"].is_string());
    let query = "/upload?max_downloads=1&title=&expires_in=never&utm_source=mail&_=17&lang=zh";
    let json = stored(&server.post_to(query, &fields, &headers));
    assert_eq!(
        (&json["max_downloads"], &json["title"]),
        (&json!(1), &json!("in a field"))
    );
    assert!(json["expires_at"].is_null());
    for (path, headers, form, members) in [
        (
            "/upload?max_downloads=1&max_downloads=1",
            &[][..],
            form(),
            json!({"option": "max_downloads"}),
        ),
        (
            "/upload",
            &[headers[0], headers[0]],
            form(),
            json!({"option": "Wharf-Max-Downloads"}),
        ),
        (
            "/upload?max_downloads=1",
            &[],
            fields.clone().text("wharf_max_downloads", "3"),
            json!({"option": "wharf_max_downloads", "part": 6, "detail": "part 6: wharf_max_downloads: it is given twice"}),
        ),
        // A value that another wins over has to be right as well.
        (
            "/upload?expires_in=1h",
            &[],
            form().text("wharf_expires_in", "soon"),
            json!({"part": 2}),
        ),
        (
            "/upload",
            &[("Wharf-Title", "caf\u{e9}\u{e9}".repeat(99).as_str())],
            form(),
            json!({"option": "Wharf-Title"}),
        ),
    ] {
        refused(
            &server.post_to(path, &form, headers),
            "invalid-option",
            members,
        );
    }
    assert_eq!(server.files().len(), 6);
}

#[test]
fn what_looks_like_an_option_and_is_none_is_refused_with_a_suggestion() {
    let server = Server::start();
    let record = stored(&server.post_to("/upload", &form(), &[]));
    let page = format!("/uploads/{}", record["id"].as_str().unwrap());
    let mut query = vec!["expires_in", "expires_at", "max_downloads", "title"];
    let meant =
        json!({"option": "expire_after", "allowed": query, "detail": "did you mean expires_in?"});
    let post =
        |path: &str, headers: &[(&str, &str)], form: &Form| server.post_to(path, form, headers);
    refused(
        &post("/upload?expire_after=1h", &[], &form()),
        "unknown-option",
        meant.clone(),
    );
    refused(
        &post("/upload/?expire_after=1h", &[], &form()),
        "unknown-option",
        meant.clone(),
    );
    refused(
        &post("/compat/filepond?expire_after=1h", &[], &form()),
        "unknown-option",
        meant,
    );
    query.push("path");
    refused(
        &server.request("PUT", "/files/b.txt?expire_after=1h", &[], b"b"),
        "unknown-option",
        json!({"option": "expire_after", "allowed": query}),
    );
    query.insert(4, "name");
    refused(
        &server.request("POST", "/files?name=b.txt&expires=1h", &[], b"b"),
        "unknown-option",
        json!({"option": "expires", "allowed": query}),
    );
    let header = post("/upload", &[("X-Wharf-Expires-In", "1h")], &form());
    let spelled = json!([
        "Wharf-Expires-In",
        "Wharf-Expires-At",
        "Wharf-Max-Downloads",
        "Wharf-Title"
    ]);
    refused(
        &header,
        "unknown-option",
        json!({"allowed": spelled, "detail": "did you mean Wharf-Expires-In?"}),
    );
    let field = post("/upload", &[], &form().text("wharf_expire_after", "1h"));
    let spelled = json!([
        "wharf_expires_in",
        "wharf_expires_at",
        "wharf_max_downloads",
        "wharf_title"
    ]);
    refused(
        &field,
        "unknown-option",
        json!({
            "option": "wharf_expire_after", "allowed": spelled, "part": 2,
            "detail": "part 2: there is no option \"wharf_expire_after\" here, did you mean wharf_expires_in?",
        }),
    );
    // An upload that asks for a password is not stored without one.
    let open = json!({"detail": "no passwords"});
    refused(
        &post("/upload?password=x", &[], &form()),
        "unknown-option",
        open.clone(),
    );
    refused(
        &post("/upload", &[("Wharf-Password", "x")], &form()),
        "unknown-option",
        open.clone(),
    );
    refused(
        &post("/upload", &[], &form().text("wharf_password", "x")),
        "unknown-option",
        open,
    );
    // A change says what it wants in its body.
    let token = format!("Bearer {}", record["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let none = json!({"allowed": [], "detail": "in its body"});
    let patched = server.request(
        "PATCH",
        &format!("{page}?expires_in=1h"),
        &owner,
        br#"{"expires_in":"2h"}"#,
    );
    refused(&patched, "unknown-option", none.clone());
    let both = [owner[0], ("Wharf-Expires-In", "1h")];
    refused(
        &server.request("PATCH", &page, &both, br#"{"expires_in":"2h"}"#),
        "unknown-option",
        none.clone(),
    );
    for action in ["prolong", "delete"] {
        let path = format!("{page}/{action}?expires_in=1h");
        refused(
            &server.request("POST", &path, &owner, b"wharf_expires_in=1h"),
            "unknown-option",
            none.clone(),
        );
    }
    assert_eq!(server.get(&page).json()["expires_at"], Value::Null);
    assert_eq!(server.files().len(), 2);
}

#[test]
fn an_upload_ends_when_it_is_said() {
    let server = Server::with(&["--max-expires-in", "1h"]);
    let at = in_seconds(600);
    let json = stored(&server.post_to(&format!("/upload?expires_at={at}"), &form(), &[]));
    assert_eq!(json["expires_at"].as_str().unwrap()[..19], at[..19]);
    let json = stored(&server.post_to("/upload", &form().text("wharf_expires_at", &at), &[]));
    assert_eq!(json["expires_at"].as_str().unwrap()[..19], at[..19]);
    let late = in_seconds(4000);
    for (query, members) in [
        (
            format!("expires_at={late}"),
            json!({"option": "expires_at", "setting": "max_expires_in", "limit": 3600}),
        ),
        (
            format!("expires_at={}", in_seconds(-1)),
            json!({"detail": "not in the future"}),
        ),
        (
            "expires_at=tomorrow".to_owned(),
            json!({"detail": "\"tomorrow\" is not a time such as"}),
        ),
        (
            "expires_at=2030-01-01T00:00:00+01:00".to_owned(),
            json!({"detail": "%2B"}),
        ),
        (
            format!("expires_at={at}&expires_in=1h"),
            json!({"option": "expires_at", "detail": "expires_in"}),
        ),
    ] {
        refused(
            &server.post_to(&format!("/upload?{query}"), &form(), &[]),
            "invalid-option",
            members,
        );
    }
    let both = form().text("wharf_expires_at", &at);
    refused(
        &server.post_to("/upload?expires_in=1h", &both, &[]),
        "invalid-option",
        json!({"part": 2}),
    );
    assert_eq!(server.files().len(), 4);
}

#[test]
fn a_title_is_kept_and_shown() {
    let server = Server::start();
    let titled = form().text("wharf_title", " Plans & <more>\nof\u{202e} May ");
    let json = stored(&server.post_to("/upload", &titled, &[]));
    assert_eq!(json["title"], "Plans & <more> of May");
    let path = format!("/uploads/{}", json["id"].as_str().unwrap());
    assert_eq!(server.get(&path).json()["title"], json["title"]);
    let page = server
        .request("GET", &path, &[("Accept", "text/html")], b"")
        .text();
    assert!(
        page.contains("Plans &amp; &lt;more&gt; of May") && page.contains("a.txt"),
        "{page}"
    );
    // It is in the record that the store has, and so survives the server.
    let server = server.kill().start();
    assert_eq!(server.get(&path).json()["title"], json["title"]);
    let longest = "\u{6807}".repeat(66);
    assert_eq!(
        stored(&server.post_to("/upload", &form().text("wharf_title", &longest), &[]))["title"],
        longest
    );
    let long = form().text("wharf_title", &"x".repeat(201));
    refused(
        &server.post_to("/upload", &long, &[]),
        "invalid-option",
        json!({"detail": "200 bytes"}),
    );
    assert_eq!(
        server.upload(&form().text("wharf_title", " \n"))["title"],
        Value::Null
    );
    let raw = server
        .request("PUT", "/files/b.txt?title=B", &[], b"b")
        .json();
    assert_eq!(raw["title"], "B");
}

#[test]
fn a_file_is_posted_under_the_name_in_the_query() {
    let server = Server::start();
    let post = |path: &str, kind: &str, body: &[u8]| {
        request(
            server.address,
            "POST",
            path,
            &[("Content-Type", kind)],
            body,
        )
    };
    let json = stored(&post(
        "/files?name=dir/a%20b.txt&expires_in=1h",
        "text/plain",
        b"one",
    ));
    assert_eq!(
        (&json["name"], &json["type"], &json["size"]),
        (&json!("a b.txt"), &json!("text/plain"), &json!(3))
    );
    assert!(json["expires_at"].is_string());
    assert_eq!(server.get("/files/a%20b.txt").body, b"one");
    for query in ["", "?name=", "?name=a&name=b"] {
        refused(
            &post(&format!("/files{query}"), "text/plain", b"x"),
            "invalid-parameter",
            json!({"field": "name"}),
        );
    }
    let form = form();
    assert_eq!(
        post("/files?name=a.txt", &form.content_type(), &form.body()).status,
        415
    );
    let get = server.get("/files");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(server.files().len(), 2);
}
