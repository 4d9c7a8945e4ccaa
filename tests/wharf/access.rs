use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Form, Response, Server, Setup};

const BASIC: &str = "Basic realm=\"wharf\", charset=\"UTF-8\"";

/// The challenges of a refusal.
fn challenges(answer: &Response) -> Vec<&str> {
    let fields = answer.headers.iter();
    let challenges = fields.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    challenges.map(|(_, value)| value.as_str()).collect()
}

fn form() -> Form {
    Form::new().file("f", "a.txt", b"x")
}

#[test]
fn secrets_open_what_they_name() {
    let setup = Setup::new();
    let server = setup
        .args(&[
            "--access",
            "upload:up",
            "--access",
            "download+upload:both",
            "--access",
            "admin:root",
        ])
        .start();
    let bearer = |secret: &str| format!("Bearer {secret}");
    let none = server.post_to("/upload", &form(), &[]);
    assert_eq!((none.status, none.code().as_str()), (401, "missing-secret"));
    assert_eq!(challenges(&none), ["Bearer realm=\"wharf\"", BASIC]);
    let wrong = server.post_to("/upload", &form(), &[("Authorization", &bearer("nope"))]);
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "bad-secret"));
    let invalid = "Bearer realm=\"wharf\", error=\"invalid_token\"";
    assert_eq!(challenges(&wrong), [invalid, BASIC]);
    let script = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    let script = server.post_to("/upload", &form(), &script);
    assert_eq!(challenges(&script), ["Bearer realm=\"wharf\""]);
    let stored = server.post_to("/upload", &form(), &[("Authorization", &bearer("up"))]);
    assert_eq!(stored.status, 201);
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    for path in [
        "/files/a.txt",
        "/download/a.txt",
        "/download?name=a.txt",
        &format!("/uploads/{id}"),
        &format!("/files/{id}/a.txt"),
    ] {
        assert_eq!(server.get(path).status, 401, "{path}");
        let other = server.request("GET", path, &[("Authorization", &bearer("up"))], b"");
        assert_eq!(
            (other.status, other.code().as_str()),
            (403, "missing-scope"),
            "{path}"
        );
        assert_eq!(other.json()["scope"], "download", "{path}");
        // "x:both" as Basic credentials
        assert_eq!(
            server
                .request("GET", path, &[("Authorization", "Basic eDpib3Ro")], b"")
                .status,
            200,
            "{path}"
        );
    }
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    // An upload that is closed to downloads is not listed either.
    for path in ["/metrics", "/status", "/uploads"] {
        assert_eq!(server.get(path).status, 401, "{path}");
        assert_eq!(
            server
                .request("GET", path, &[("Authorization", &bearer("root"))], b"")
                .status,
            200,
            "{path}"
        );
    }
    let path = format!("/uploads/{id}");
    assert_eq!(
        server
            .request("DELETE", &path, &[("Authorization", &bearer("both"))], b"")
            .status,
        403
    );
    for status in [204, 404] {
        assert_eq!(
            server
                .request("DELETE", &path, &[("Authorization", &bearer("root"))], b"")
                .status,
            status
        );
    }
    assert!(!server.log().contains("root") && !server.log().contains("both"));
}

#[test]
fn private_names_are_for_ids_alone() {
    let server = Server::with(&["--names", "private", "--access", "admin:root"]);
    let json = server.upload(&form());
    let id = json["id"].as_str().unwrap();
    assert_eq!(server.get("/files/a.txt").status, 404);
    assert_eq!(server.get("/download/a.txt").status, 404);
    assert_eq!(server.get(&format!("/files/{id}/a.txt")).status, 200);
    assert_eq!(server.get("/uploads").status, 401);
    assert_eq!(
        server
            .request("GET", "/uploads", &[("Authorization", "Bearer root")], b"")
            .status,
        200
    );
}

#[test]
fn other_sites_are_refused_unless_named() {
    let server = Server::with(&["--cors-origin", "https://app.example"]);
    let post = |headers: &[(&str, &str)]| server.post_to("/upload", &form(), headers).status;
    assert_eq!(
        post(&[
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "cross-site")
        ]),
        403
    );
    assert_eq!(post(&[("Origin", "https://evil.example")]), 403);
    assert_eq!(post(&[("Origin", "null")]), 403);
    assert_eq!(post(&[("Origin", &server.url(""))]), 201);
    assert_eq!(
        post(&[
            ("Origin", "https://app.example"),
            ("Sec-Fetch-Site", "cross-site")
        ]),
        201
    );
    let headers = [
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "PUT"),
    ];
    let preflight = server.request("OPTIONS", "/upload", &headers, b"");
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-max-age"), Some("7200"));
    assert_eq!(preflight.header("vary"), Some("Origin"));
    let lists = |name: &str, answer: &Response| {
        let list = answer.header(name).unwrap().to_lowercase();
        list.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let asked = lists("access-control-allow-headers", &preflight);
    for name in [
        "if-match",
        "if-none-match",
        "prefer",
        "wharf-token",
        "wharf-expires-in",
        "wharf-title",
        "upload-offset",
        "tus-resumable",
        "idempotency-key",
        "content-digest",
        "traceparent",
    ] {
        assert!(asked.iter().any(|it| it == name), "{name}: {asked:?}");
    }
    let app = [("Origin", "https://app.example")];
    // A page reads errors, and OPTIONS that is no preflight, as well.
    for (method, path, status) in [
        ("GET", "/files/a.txt", 200),
        ("GET", "/none", 404),
        ("OPTIONS", "/upload", 204),
    ] {
        let answer = server.request(method, path, &app, b"");
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(app[0].1),
            "{path}"
        );
        let read = lists("access-control-expose-headers", &answer);
        for name in [
            "link",
            "allow",
            "etag",
            "content-location",
            "www-authenticate",
            "ratelimit",
            "accept-patch",
        ] {
            assert!(read.iter().any(|it| it == name), "{name}: {read:?}");
        }
    }
    let evil = [("Origin", "https://evil.example"), headers[1]];
    let other = server.request("OPTIONS", "/upload", &evil, b"");
    assert_eq!(
        (other.status, other.header("allow")),
        (204, Some("POST,OPTIONS"))
    );
    let told = |answer: &Response| {
        let mut names = answer.headers.iter().map(|(name, _)| name.to_lowercase());
        names.any(|name| name.starts_with("access-control-"))
    };
    assert!(!told(&other), "{other:?}");
    let closed = Server::start();
    let other = closed.request("OPTIONS", "/upload", &headers, b"");
    assert!(!told(&other) && other.header("vary").is_none(), "{other:?}");
    let other = server.request(
        "GET",
        "/files/a.txt",
        &[("Origin", "https://evil.example")],
        b"",
    );
    assert_eq!(other.header("access-control-allow-origin"), None);
}

#[test]
fn addresses_are_what_the_proxy_says_if_it_is_trusted() {
    let forwarded = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "files.example"),
        ("X-Forwarded-For", "1.2.3.4"),
    ];
    let server = Server::for_everybody(&["--trusted-proxies", "127.0.0.0/8", "--base-path", "/w"]);
    let stored = server.post_to("/w/upload", &form(), &forwarded);
    assert_eq!(stored.status, 201);
    let json = stored.json();
    let id = json["id"].as_str().unwrap();
    assert_eq!(
        json["url"],
        format!("https://files.example/w/files/{id}/a.txt")
    );
    assert_eq!(
        stored.header("location").unwrap(),
        format!("/w/uploads/{id}")
    );
    assert_eq!(server.get("/upload").status, 404);
    assert_eq!(server.get("/w/").status, 200);
    crate::support::wait_until("the line is logged", || {
        server.log().contains("client=1.2.3.4")
    });
    let server = Server::for_everybody(&[]);
    let json = server.post_to("/upload", &form(), &forwarded).json();
    assert!(
        json["url"]
            .as_str()
            .unwrap()
            .starts_with(&server.url("/files/"))
    );
    let server = Server::for_everybody(&["--public-url", "https://pub.example"]);
    let json = server.upload(&form());
    assert!(
        json["url"]
            .as_str()
            .unwrap()
            .starts_with("https://pub.example/files/")
    );
}

/// The form of an upload's page, as a browser sends it.
#[test]
fn the_form_of_a_page_changes_its_upload_for_who_has_the_token() {
    let server = Server::with(&["--base-path", "/w", "--max-expires-in", "30d"]);
    let stored = server.post_to("/w/upload", &form(), &[("Accept", "text/html")]);
    let page = stored.header("location").unwrap().to_owned();
    let cookie = stored.header("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let send = |action: &str, headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        let path = format!("{page}/{action}");
        server.request("POST", &path, &all, body.as_bytes())
    };
    let own = [("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")];
    let moved = send("prolong", &own, "wharf_expires_in=7d");
    assert_eq!(moved.status, 303, "{}", moved.text());
    assert_eq!(moved.header("location"), Some(&*format!("{page}?changed")));
    let deadline = server.get(&page).json()["expires_at"].clone();
    assert!(deadline.is_string());
    for (headers, body, status, code) in [
        (&own[..], "", 400, "invalid-option"),
        (&own, "expires_in=7d", 400, "invalid-option"),
        (&own, "wharf_expire_in=7d", 400, "unknown-option"),
        (&own, "wharf_expires_in=soon", 400, "invalid-option"),
        (&own, "wharf_expires_in=31d", 400, "invalid-option"),
        (&own, "wharf_expires_in=never", 400, "invalid-option"),
        (&own, "wharf_expires_in=%FF", 400, "invalid-option"),
        (&[], "wharf_expires_in=1d", 401, "missing-secret"),
        (&[], "wharf_expires_in=1d&token=", 401, "missing-secret"),
        (
            &[],
            "wharf_expires_in=1d&token=wrong",
            404,
            "upload-not-found",
        ),
        // Another site has the browser send the form.
        (
            &[("Cookie", cookie), ("Sec-Fetch-Site", "cross-site")],
            "wharf_expires_in=1d",
            403,
            "cross-site",
        ),
        (
            &[("Cookie", cookie), ("Origin", "https://evil.example")],
            "wharf_expires_in=1d",
            403,
            "cross-site",
        ),
    ] {
        let refused = send("prolong", headers, body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{body}: {}",
            refused.text()
        );
    }
    let large = format!("wharf_expires_in={}", "7".repeat(5000));
    assert_eq!(send("prolong", &own, &large).status, 413);
    assert_eq!(server.get(&page).json()["expires_at"], deadline);
    let foreign = [("Cookie", cookie), ("Sec-Fetch-Site", "same-site")];
    assert_eq!(send("delete", &foreign, "").status, 403);
    assert_eq!(server.files().len(), 2);
    assert_eq!(send("delete", &own, "").status, 200);
    assert_eq!(send("prolong", &own, "wharf_expires_in=7d").status, 404);
    assert_eq!(server.files(), [""; 0]);
}

/// The log names the secret of a request by its id, and says nothing of a wrong one.
#[test]
fn the_log_has_the_id_of_a_secret() {
    let server = Server::with(&["--access", "upload:ci-7:hush"]);
    let post = |secret: &str| {
        let bearer = format!("Bearer {secret}");
        server.post_to("/upload", &form(), &[("Authorization", &bearer)])
    };
    assert_eq!((post("hush").status, post("wrong").status), (201, 401));
    server.says("POST /upload 401");
    server.says("key=\"ci-7\"");
    let log = server.log();
    assert_eq!(log.matches("key=").count(), 1, "{log}");
    assert!(!log.contains("hush") && !log.contains("wrong"), "{log}");
}

/// A delete token beside a proxy's login, and the key of an upload wherever the token is taken.
#[test]
fn tokens_are_taken_in_every_place() {
    let server = Server::with(&["--access", "admin:root"]);
    let keys = || {
        let json = server.upload(&Form::new().file("f", "a.txt", b"x"));
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        let [id, token, key] = ["id", "delete_token", "manage_key"].map(text);
        assert_eq!(key, format!("{id}.{token}"));
        BTreeMap::from([("id", id), ("token", token), ("key", key)])
    };
    let delete = |id: &str, headers: &[(&str, &str)], form: Option<&str>| match form {
        None => {
            server
                .request("DELETE", &format!("/uploads/{id}"), headers, b"")
                .status
        }
        Some(form) => {
            let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
            all.extend_from_slice(headers);
            let path = format!("/uploads/{id}/delete");
            server.request("POST", &path, &all, form.as_bytes()).status
        }
    };
    // A proxy's login, which is none of this server's.
    let login = ("Authorization", "Basic cHJveHk6bG9naW4=");
    for given in ["token", "key"] {
        let one = keys();
        let (id, secret) = (&one["id"], &one[given]);
        let other = &keys()["key"];
        assert_eq!(delete(id, &[("Wharf-Token", other)], None), 404);
        assert_eq!(delete(id, &[login, ("Wharf-Token", "wrong")], None), 404);
        assert_eq!(delete(id, &[login, ("Wharf-Token", secret)], None), 204);
        let one = keys();
        let bearer = format!("Bearer {}", one[given]);
        assert_eq!(delete(&one["id"], &[("Authorization", &bearer)], None), 204);
        let one = keys();
        let form = format!("token={}", one[given]);
        assert_eq!(delete(&one["id"], &[], Some(&form)), 200);
    }
    let never = "0123456789abcdefghjkmnpqrs";
    let one = keys();
    let reverted = server.request("DELETE", "/compat/filepond", &[], one["key"].as_bytes());
    assert_eq!(reverted.status, 204);
    let problem: Value = server
        .request("DELETE", &format!("/uploads/{never}"), &[], b"")
        .json();
    assert_eq!(problem["code"], "missing-secret");
    assert!(
        problem["detail"].as_str().unwrap().contains("Wharf-Token"),
        "{problem}"
    );
}
