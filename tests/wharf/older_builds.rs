//! The build of 7d560c9 on stores of this one: after it, before it, and beside it. One can be
//! replaced by the other, instance by instance, and be taken back.

use std::path::Path;

use serde_json::{Value, json};

use crate::older_stores::{forms, with_type};
use crate::support::{
    Bucket, Form, OlderStore, Redis, Response, Server, Setup, WHARF, parts_of, wait_until,
};

const NAMED: [&str; 2] = ["--names", "shared"];

/// An upload, and what this build has answered of it.
struct Kept {
    what: &'static str,
    /// The answer to who sent it, with the token.
    sent: Value,
    record: Value,
    form: Response,
}

impl Kept {
    fn id(&self) -> &str {
        self.sent["id"].as_str().unwrap()
    }

    fn path(&self) -> String {
        format!("/uploads/{}", self.id())
    }

    /// Its form, without a download of one that is counted.
    fn look(&self, server: &Server) -> Response {
        look(server, &self.sent)
    }

    /// A request with the token of the upload, which is carried out.
    #[track_caller]
    fn owned(&self, server: &Server, method: &str, body: &str) -> Response {
        let token = format!("Bearer {}", self.sent["delete_token"].as_str().unwrap());
        let headers = [
            ("Authorization", token.as_str()),
            ("Content-Type", "application/json"),
        ];
        let answer = server.request(method, &self.path(), &headers, body.as_bytes());
        assert!(answer.status < 300, "{}: {}", self.what, answer.text());
        answer
    }
}

fn look(server: &Server, sent: &Value) -> Response {
    let path = format!("/download/{}", sent["id"].as_str().unwrap());
    let method = if sent["max_downloads"].is_null() {
        "GET"
    } else {
        "HEAD"
    };
    let answer = server.request(method, &path, &[], b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

/// A record without the address of its server.
fn record(server: &Server, path: &str) -> Value {
    let text = server.get(path).text().replace(&server.url(""), "");
    serde_json::from_str(&text).unwrap()
}

/// Stores one of each kind.
fn fill(server: &Server) -> Vec<Kept> {
    let tree = || {
        let form = with_type(Form::new(), "photos/2026/a.jpg", b"a");
        with_type(form, "photos/b.jpg", b"b")
    };
    let plain = |content: &[u8]| with_type(Form::new(), "plain.txt", content);
    let mut kinds: Vec<(&str, String, Form)> = forms()
        .into_iter()
        .map(|(options, form)| (options, options.to_owned(), form))
        .collect();
    kinds.extend([
        ("titled", "?title=Holidays".to_owned(), plain(b"titled")),
        (
            "titled, changed",
            "?title=Holidays".to_owned(),
            plain(b"changed"),
        ),
        ("folders", String::new(), tree()),
        ("folders, changed", String::new(), tree()),
        ("deleted here", String::new(), plain(b"deleted here")),
        ("deleted there", String::new(), plain(b"deleted there")),
        (
            "until a time",
            "?expires_at=2100-01-01T00:00:00Z".to_owned(),
            plain(b"until"),
        ),
        ("text", String::new(), Form::new().text("é\u{202e}", "ü")),
    ]);
    let mut sent: Vec<(&str, Value)> = kinds
        .into_iter()
        .map(|(what, options, form)| {
            let answer = server.post_to(&format!("/upload{options}"), &form, &[]);
            assert_eq!(answer.status, 201, "{what}: {}", answer.text());
            (what, answer.json())
        })
        .collect();
    let text = [("Content-Type", "text/x-test")];
    let raw = server.request("PUT", "/files/raw.txt?path=a/b", &text, b"raw");
    sent.push(("a file in folders", raw.json()));
    let keep = |(what, sent): (_, Value)| Kept {
        what,
        record: record(
            server,
            &format!("/uploads/{}", sent["id"].as_str().unwrap()),
        ),
        form: look(server, &sent),
        sent,
    };
    sent.into_iter().map(keep).collect()
}

fn ready(server: &Server) {
    wait_until("it is ready, and has its index", || {
        server.get("/readyz").status == 200 && server.get("/uploads?limit=1").status == 200
    });
}

fn of<'a>(kept: &'a [Kept], what: &str) -> &'a Kept {
    kept.iter().find(|kept| kept.what == what).unwrap()
}

/// Whether a form is still the same to the byte: a download that one build began goes on at the other.
#[track_caller]
fn is_same_form(kept: &Kept, server: &Server) {
    let form = kept.look(server);
    let before = &kept.form;
    assert_eq!(form.header("etag"), before.header("etag"), "{}", kept.what);
    assert!(form.body == before.body, "{}", kept.what);
}

/// The older build serves the uploads that this one has stored.
fn serves(before: &Server, kept: &[Kept]) {
    for kept in kept.iter().filter(|kept| kept.what != "deleted here") {
        is_same_form(kept, before);
        let record = record(before, &kept.path());
        for member in ["created_at", "expires_at", "max_downloads", "fields"] {
            assert_eq!(record[member], kept.record[member], "{}", kept.what);
        }
        for file in kept.record["files"].as_array().unwrap() {
            let mut files = record["files"].as_array().unwrap().iter();
            let same = ["name", "size", "type", "sha256"];
            let found = files.any(|other| same.iter().all(|member| other[member] == file[member]));
            assert!(found, "{}: {file}", kept.what);
        }
    }
    assert_eq!(before.get(&of(kept, "deleted here").path()).status, 404);
    assert_eq!(before.get("/files/raw.txt").body, b"raw");
}

/// Uploads that the older build has not changed are as they were, and nothing is lost of those that it has.
fn is_back(server: &Server, kept: &[Kept]) {
    const CHANGED: [&str; 4] = [
        "titled, changed",
        "folders, changed",
        "a file in folders",
        "?max_downloads=2",
    ];
    let paths = |record: &Value| {
        let files = record["files"].as_array().unwrap().iter();
        files.map(|file| file["path"].clone()).collect::<Vec<_>>()
    };
    for kept in kept.iter().filter(|kept| !kept.what.contains("deleted")) {
        is_same_form(kept, server);
        let record = record(server, &kept.path());
        if !CHANGED.contains(&kept.what) {
            assert_eq!(record, kept.record, "{}", kept.what);
        }
        // Paths that it has dropped are found again in the names as they came.
        assert_eq!(paths(&record), paths(&kept.record), "{}", kept.what);
        let archive = &kept.record["archive_url"];
        if archive.is_string() && kept.sent["max_downloads"].is_null() {
            let path = format!("/archive/{}.zip", kept.id());
            assert_eq!(server.get(&path).status, 200, "{}", kept.what);
        }
    }
    assert_eq!(server.get(&of(kept, "deleted there").path()).status, 404);
    // It has dropped what it did not know of what it changed: docs/manifest.md says what that may be.
    let titled = server.get(&of(kept, "titled, changed").path()).json();
    assert_eq!(titled["title"], json!(null));
}

/// This build stores, the older one follows and changes things, and this one comes back.
fn follow(setup: Setup, old: &Path) {
    let server = setup.args(&NAMED).start();
    ready(&server);
    let kept = fill(&server);
    of(&kept, "deleted here").owned(&server, "DELETE", "");
    let setup = server.stop().1;

    let before = setup.program(old).start();
    ready(&before);
    serves(&before, &kept);
    let week = r#"{"expires_in":"7d"}"#;
    of(&kept, "titled, changed").owned(&before, "PATCH", week);
    of(&kept, "a file in folders").owned(&before, "PATCH", week);
    let folders = of(&kept, "folders, changed");
    let changed = folders.owned(&before, "PATCH", week).json();
    of(&kept, "deleted there").owned(&before, "DELETE", "");
    let twice = format!("/download/{}", of(&kept, "?max_downloads=2").id());
    assert_eq!(before.get(&twice).status, 200);
    let its_own = with_type(Form::new(), "its own.txt", b"of the older");
    let sent = before.post_to("/upload", &its_own, &[]).json();
    let its_own = Kept {
        what: "its own",
        record: Value::Null,
        form: look(&before, &sent),
        sent,
    };
    let setup = before.stop().1;

    let server = setup.program(WHARF.as_ref()).start();
    ready(&server);
    is_back(&server, &kept);
    let folders = server.get(&folders.path()).json();
    assert_eq!(folders["expires_at"], changed["expires_at"]);
    // Downloads that it has counted are known.
    assert_eq!(server.get(&twice).status, 200);
    assert_eq!(server.get(&twice).status, 404);
    is_same_form(&its_own, &server);
    let change = r#"{"title":"Of the older","expires_in":null}"#;
    its_own.owned(&server, "PATCH", change);
    its_own.owned(&server, "DELETE", "");
    assert_eq!(server.get(&its_own.path()).status, 404);
}

#[test]
#[ignore = "needs a build of 7d560c9, which ./test soak makes"]
fn an_older_build_follows_on_a_disk() {
    let Some(old) = OlderStore::build() else {
        return;
    };
    follow(Setup::new(), &old);
}

#[test]
#[ignore = "needs a build of 7d560c9, which ./test soak makes"]
fn an_older_build_follows_in_a_shared_folder() {
    let Some(old) = OlderStore::build() else {
        return;
    };
    let redis = Redis::start();
    follow(Setup::new().args(&["--redis", &redis.url()]), &old);
}

#[test]
#[ignore = "needs a build of 7d560c9, which ./test soak makes"]
fn an_older_build_follows_in_a_bucket() {
    let Some(old) = OlderStore::build() else {
        return;
    };
    let (redis, bucket) = (Redis::start(), Bucket::new());
    let setup = Setup::new().bucket(&bucket, &bucket.server.url());
    follow(setup.args(&["--redis", &redis.url()]), &old);
}

/// A record that it must not serve it neither serves nor removes, and its log names the upload.
#[test]
#[ignore = "needs a build of 7d560c9, which ./test soak makes"]
fn an_older_build_leaves_alone_what_it_must_not_serve() {
    let Some(old) = OlderStore::build() else {
        return;
    };
    let server = Setup::new().args(&NAMED).start();
    let form = with_type(Form::new(), "a.txt", b"a");
    let form = with_type(form, "b.txt", b"b");
    let sent = server.post_to("/upload?max_downloads=2&expires_in=1d", &form, &[]);
    let sent = sent.json();
    let id = sent["id"].as_str().unwrap();
    let file = |name: &str| format!("/files/{id}/{name}");
    assert_eq!(server.get(&file("a.txt")).status, 200);
    let manifest = server.store().join(&id[..2]).join(format!("{id}.json"));
    let written = || std::fs::read_to_string(&manifest).unwrap();
    wait_until("it is counted", || written().contains("\"schema\":2"));
    let text = written();
    let setup = server.stop().1;

    let before = setup.program(&old).start();
    ready(&before);
    for path in [file("a.txt"), format!("/download/{id}")] {
        let answer = before.get(&path);
        assert!(answer.status >= 400, "{path}: {}", answer.status);
    }
    before.says(id);
    let setup = before.stop().1;
    assert_eq!(written(), text);

    let server = setup.program(WHARF.as_ref()).start();
    let statuses =
        ["a.txt", "a.txt", "b.txt", "b.txt", "b.txt"].map(|name| server.get(&file(name)).status);
    assert_eq!(statuses, [200, 404, 200, 200, 404]);
}

#[test]
#[ignore = "needs a build of 7d560c9, which ./test soak makes"]
fn an_older_build_serves_beside_this_one() {
    let Some(old) = OlderStore::build() else {
        return;
    };
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let url = redis.url();
    let setup = |name| {
        let instance = ["--redis", url.as_str(), "--instance", name];
        Setup::new()
            .store(folder.path())
            .args(&instance)
            .args(&NAMED)
    };
    let servers = [setup("new").start(), setup("old").program(&old).start()];
    servers.iter().for_each(ready);
    for kept in fill(&servers[0]) {
        is_same_form(&kept, &servers[1]);
    }
    for place in 0..2 {
        let (one, other) = (&servers[place], &servers[1 - place]);
        for (options, form) in forms() {
            let json = one.post_to(&format!("/upload{options}"), &form, &[]).json();
            let (here, there) = (look(one, &json), look(other, &json));
            assert_eq!(here.header("etag"), there.header("etag"));
            assert!(here.body == there.body);
            if !options.contains("max") {
                continue;
            }
            let path = format!("/download/{}", json["id"].as_str().unwrap());
            let whole = [other, one].map(|server| server.get(&path));
            for answer in whole {
                assert_eq!(answer.status, 200);
                let parts = parts_of(answer.header("content-type").unwrap(), &answer.body);
                assert_eq!(parts[0].1, b"twice");
            }
            for server in &servers {
                assert_eq!(server.get(&path).status, 404, "it is used up");
            }
        }
    }
}
