//! Listings: summaries, in memory that does not depend on what uploads hold, past whatever is over.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};
use wharf::model::Timestamp;

use crate::support::{Fleet, Form, Redis, Server, noise, wait_until};

/// The uploads of a page, and the cursor behind it.
fn page(server: &Server, query: &str) -> (Vec<Value>, Option<String>) {
    let listed = server.get(&format!("/uploads{query}"));
    assert!(listed.status == 200 && listed.whole, "{}", listed.text());
    let listed = listed.json();
    let next = listed["next_cursor"].as_str().map(str::to_owned);
    (listed["uploads"].as_array().unwrap().clone(), next)
}

#[test]
fn a_listing_has_summaries() {
    let server = Server::with(&["--access", "admin:operator"]);
    let two = Form::new().text("t", "secret").file("f", "a.txt", b"12");
    server.upload(&two.file("f", "b.txt", b"345"));
    let limited = Form::new().file("f", "one \u{e9}.txt", b"6");
    let path = "/upload?max_downloads=3&expires_in=1h&title=One";
    let stored = server.post_to(path, &limited, &[]).json();
    let raw = stored["files"][0]["url"].as_str().unwrap();
    assert_eq!(server.get(&raw[raw.find("/files").unwrap()..]).status, 200);
    server.upload(&Form::new().text("t", "x"));
    let (free, _) = page(&server, "");
    assert!(free.iter().all(|upload| upload["id"] != stored["id"]));
    assert_eq!(
        free.len(),
        2,
        "one with limited downloads is for admin alone"
    );
    let admin = [("Authorization", "Bearer operator")];
    let listed = server.request("GET", "/uploads", &admin, b"").json();
    assert!(listed["next_cursor"].is_null());
    let uploads = listed["uploads"].as_array().unwrap().clone();
    assert_eq!(uploads.len(), 3);
    let names = uploads
        .iter()
        .map(|upload| upload.as_object().unwrap().keys());
    for keys in names {
        let known = [
            "id",
            "url",
            "upload_url",
            "form_url",
            "archive_url",
            "size",
            "file_count",
            "name",
            "type",
            "sha256",
            "title",
            "created_at",
            "expires_at",
            "max_downloads",
            "downloads_left",
            "protected",
        ];
        assert!(keys.eq(known), "{uploads:?}");
    }
    let without = |upload: &Value, keys: &[&str]| {
        keys.iter()
            .map(|key| upload[key].clone())
            .collect::<Vec<_>>()
    };
    let shape = [
        "name",
        "size",
        "file_count",
        "max_downloads",
        "downloads_left",
    ];
    assert_eq!(
        without(&uploads[0], &shape),
        [json!(null), json!(0), json!(0), json!(null), json!(null)]
    );
    assert_eq!(
        without(&uploads[1], &shape),
        [
            json!("one \u{e9}.txt"),
            json!(1),
            json!(1),
            json!(3),
            json!(2)
        ]
    );
    assert_eq!(
        without(&uploads[2], &shape),
        [json!(null), json!(5), json!(2), json!(null), json!(null)]
    );
    let same = [
        "id",
        "url",
        "upload_url",
        "name",
        "type",
        "sha256",
        "title",
        "created_at",
        "expires_at",
    ];
    assert_eq!(without(&uploads[1], &same), without(&stored, &same));
    assert_eq!(stored["type"], "text/plain");
    assert_eq!(stored["title"], "One");
    assert!(stored["sha256"].is_string());
    let facts = ["type", "sha256", "title"];
    assert_eq!(
        without(&uploads[2], &facts),
        [Value::Null, Value::Null, Value::Null]
    );
    assert!(
        !uploads[2]["url"].as_str().unwrap().contains("/files/"),
        "{uploads:?}"
    );
}

#[test]
fn whole_records_are_listed_to_those_who_may_read_them() {
    let server = Server::with(&[
        "--access",
        "list:lister",
        "--access",
        "list+download:reader",
    ]);
    let mut stored = Vec::new();
    for i in 0..23 {
        // Some are larger than one piece of the answer.
        let text = "\u{1}\"x".repeat(if i % 5 == 0 { 20_000 } else { 1 });
        let form = Form::new().text("t", &text).file("f", "a.txt", b"x");
        let mut record = server.upload(&form);
        let record = record.as_object_mut().unwrap();
        record.remove("delete_token");
        record.remove("manage_key");
        stored.push(Value::Object(record.clone()));
    }
    server.post_to(
        "/upload?max_downloads=1",
        &Form::new().file("f", "once", b"x"),
        &[],
    );
    let get = |secret: &str, path: &str| {
        let secret = format!("Bearer {secret}");
        server.request("GET", path, &[("Authorization", &secret)], b"")
    };
    let (mut path, mut listed) = ("/uploads?full=1".to_owned(), Vec::new());
    loop {
        let page = get("reader", &path);
        assert!(page.status == 200 && page.whole, "{}", page.status);
        let json = page.json();
        let uploads = json["uploads"].as_array().unwrap();
        assert!(uploads.len() <= 20);
        listed.extend(uploads.iter().cloned());
        let Some(link) = page.header("link") else {
            assert!(json["next_cursor"].is_null());
            break;
        };
        assert!(link.contains("full=1"), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    listed.reverse();
    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
    let by_id = |mut records: Vec<Value>| {
        records.sort_by_key(id);
        records
    };
    assert!(by_id(listed) == by_id(stored), "the records as they are");
    let refused = get("lister", "/uploads?full=1");
    assert_eq!(
        (refused.status, refused.code()),
        (403, "missing-scope".to_owned())
    );
    assert_eq!(refused.json()["scope"], "download");
    assert_eq!(get("lister", "/uploads?full=0").status, 200);
    let refused = get("reader", "/uploads?full=1&limit=21");
    assert_eq!(
        (refused.status, refused.json()["limit"].as_u64()),
        (400, Some(20))
    );
}

#[test]
fn a_parameter_that_there_is_not_is_named() {
    let server = Server::start();
    let known = json!([
        "limit",
        "after",
        "name",
        "id",
        "created_after",
        "created_before",
        "full"
    ]);
    for (query, field) in [
        ("nmae=a.txt", "nmae"),
        ("name=a&name=b", "name"),
        ("name=", "name"),
        ("expires_in=1h", "expires_in"),
        ("LIMIT=3", "LIMIT"),
    ] {
        let refused = server.get(&format!("/uploads?{query}"));
        let said = refused.json();
        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid-parameter".to_owned())
        );
        assert_eq!(said["field"], field);
        let unknown = !["name", "limit"].contains(&field);
        assert_eq!(said["allowed"] == known, unknown, "{said}");
    }
    let meant = server.get("/uploads?nmae=a.txt").detail();
    assert!(meant.contains("did you mean name?"), "{meant}");
    assert_eq!(
        server.get("/uploads?utm_source=mail&_=17&lang=de").status,
        200
    );
    let form = server.get("/download?nam=a&name=b");
    assert_eq!(
        (form.status, form.json()["field"].clone()),
        (400, json!("nam"))
    );
    // The address of a file goes through many hands.
    let stored = server.upload(&Form::new().file("f", "a.txt", b"x"));
    let path = format!("/files/{}/a.txt", stored["id"].as_str().unwrap());
    assert_eq!(server.get(&format!("{path}?v=3")).status, 200);
    assert_eq!(server.get(&format!("{path}?inline=maybe")).status, 400);
}

#[test]
fn what_uploads_hold_costs_a_listing_nothing() {
    let server = Server::with(&["--max-field-size", "1MiB"]);
    let form = Form::new().text("t", &"\u{1}".repeat(1_000_000));
    for _ in 0..100 {
        let stored = server.post_to("/upload", &form, &[]);
        assert_eq!(stored.status, 201);
    }
    let (_, setup) = server.stop();
    let server = setup.start();
    wait_until("it is ready", || {
        server.get("/uploads?limit=1").status == 200
    });
    let before = server.anonymous();
    for _ in 0..3 {
        let listed = server.get("/uploads?limit=100");
        assert_eq!(listed.json()["uploads"].as_array().unwrap().len(), 100);
        assert!(listed.body.len() < 100_000, "{}", listed.body.len());
        let head = server.request("HEAD", "/uploads?limit=100", &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, None));
    }
    let grown = server.anonymous().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more");
}

/// Copies an upload so often, with this deadline and other ids, while no server runs.
fn copies(store: &Path, id: &str, count: usize, created: i64, expires: i64) {
    let folder = store.join(&id[..2]);
    let manifest = std::fs::read(folder.join(format!("{id}.json"))).unwrap();
    let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let alphabet = b"0123456789abcdefghjkmnpqrstvwxyz";
    for i in 0..count {
        let random = noise(25, i as u64 * 7919 + 1);
        let text = random
            .iter()
            .map(|byte| char::from(alphabet[usize::from(byte % 32)]));
        let id: String = std::iter::once('0').chain(text).collect();
        manifest["id"] = json!(id);
        manifest["created_at"] = json!(created + i as i64);
        manifest["expires_at"] = json!(expires);
        let folder = store.join(&id[..2]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{id}.json")), manifest.to_string()).unwrap();
    }
}

#[test]
fn many_that_are_over_hide_nothing() {
    let server = Server::start();
    let kept: Vec<Value> = (0..3)
        .map(|i| server.upload(&Form::new().text("i", &i.to_string())))
        .collect();
    let id = |upload: &Value| upload["id"].as_str().unwrap().to_owned();
    let store = server.store();
    let setup = server.kill();
    // These uploads are newer than the one that is kept, and over.
    let now = jiff::Timestamp::now().as_millisecond();
    copies(&store, &id(&kept[0]), 3000, now, now + 1);
    let server = setup.start();
    wait_until("the index is complete", || {
        server.get("/uploads?limit=1").status == 200
    });
    let (mut found, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let (uploads, next) = page(&server, &query);
        assert!(uploads.len() <= 2);
        found.extend(uploads.iter().map(&id));
        let Some(next) = next else { break };
        query = format!("?limit=2&after={next}");
    }
    // In one millisecond their ids decide.
    let place = |upload: &Value| (upload["created_at"].to_string(), id(upload));
    let mut newest_first: Vec<(String, String)> = kept.iter().map(place).collect();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    let newest_first: Vec<String> = newest_first.into_iter().map(|(_, id)| id).collect();
    assert_eq!(found, newest_first);
}

#[test]
fn a_listing_of_a_thousand_is_whole_and_in_order() {
    let server = Server::start();
    let stored = server.upload(&Form::new().text("t", "x"));
    let created = jiff::Timestamp::now().as_millisecond() - 1_000_000;
    let far = created + 10_000_000_000;
    let store = server.store();
    let setup = server.kill();
    copies(&store, stored["id"].as_str().unwrap(), 1500, created, far);
    let server = setup.start();
    wait_until("the index is complete", || {
        server.get("/uploads?limit=1").status == 200
    });
    let (first, next) = page(&server, "?limit=1000");
    let (rest, end) = page(&server, &format!("?limit=1000&after={}", next.unwrap()));
    assert_eq!((first.len(), rest.len(), end), (1000, 501, None));
    let times: Vec<&str> = first
        .iter()
        .chain(&rest)
        .map(|upload| upload["created_at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|earlier, later| earlier >= later));
}

/// The filters, on one instance and on several.
fn filters(server: &Server, other: &Server) {
    let store = |name: &str| {
        let stored = server.upload(&Form::new().file("f", name, b"x").file("f", "also", b"y"));
        let at: Timestamp = stored["created_at"].as_str().unwrap().parse().unwrap();
        wait_until("the next one is stored in another millisecond", || {
            Timestamp::from(SystemTime::now()) > at
        });
        stored
    };
    let names = [
        "a.txt",
        "re\u{301}sume\u{301}.txt",
        "a.txt",
        "b.txt",
        "a.txt",
    ];
    let stored: Vec<Value> = names.into_iter().map(store).collect();
    let text = |place: usize, member: &str| stored[place][member].as_str().unwrap().to_owned();
    let found = |query: &str| -> Vec<usize> {
        let (uploads, next) = page(other, query);
        assert_eq!(next, None, "{query}");
        let place = |upload: &Value| stored.iter().position(|it| it["id"] == upload["id"]);
        uploads
            .iter()
            .map(|upload| place(upload).unwrap())
            .collect()
    };
    assert_eq!(found("?name=a.txt"), [4, 2, 0]);
    assert_eq!(
        found("?name=r%C3%A9sum%C3%A9.txt"),
        [1],
        "as names are written"
    );
    assert_eq!(found("?name=a"), [0; 0]);
    assert_eq!(found("?name=also&limit=9"), [4, 3, 2, 1, 0]);
    assert_eq!(found(&format!("?id={}", &text(3, "id")[..6])), [3]);
    assert_eq!(found(&format!("?id={}", text(3, "id").to_uppercase())), [3]);
    let beginning = &text(3, "id")[..8];
    assert_eq!(found(&format!("?id={beginning}&name=a.txt")), [0; 0]);
    let (second, fourth) = (text(1, "created_at"), text(3, "created_at"));
    assert_eq!(found(&format!("?created_after={second}")), [4, 3, 2]);
    assert_eq!(found(&format!("?created_before={fourth}")), [2, 1, 0]);
    let between = format!("?created_after={second}&created_before={fourth}");
    assert_eq!(found(&between), [2]);
    assert_eq!(found(&format!("{between}&name=b.txt")), [0; 0]);
    // Page by page, by the links.
    let (mut path, mut all) = ("/uploads?limit=2&name=a%2Etxt".to_owned(), Vec::new());
    loop {
        let answer = other.get(&path);
        let listed = answer.json();
        all.extend(
            listed["uploads"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["id"].clone()),
        );
        let link = answer.header("link").map(str::to_owned);
        let head = other.request("HEAD", &path, &[], b"");
        assert_eq!(head.header("link"), link.as_deref());
        let Some(link) = link else {
            assert!(listed["next_cursor"].is_null());
            break;
        };
        path = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap()
            .to_owned();
        let cursor = listed["next_cursor"].as_str().unwrap();
        assert!(
            path.ends_with(&format!("after={cursor}")) && path.contains("name="),
            "{path}"
        );
    }
    assert_eq!(
        all,
        [4, 2, 0].map(|place: usize| stored[place]["id"].clone())
    );
    for bad in [
        "id=0c8",
        "id=uuuuu",
        "created_after=monday",
        "created_before=1",
    ] {
        let refused = other.get(&format!("/uploads?{bad}"));
        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid-parameter".to_owned()),
            "{bad}"
        );
    }
}

#[test]
fn a_listing_is_filtered() {
    let server = Server::start();
    filters(&server, &server);
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 2, &[]);
    filters(&fleet.servers[0], &fleet.servers[1]);
}
