//! The table of the answers to strangers.

use serde_json::Value;

use crate::support::{Form, Server, Setup};

/// An id that no upload has.
const NEVER: &str = "0123456789abcdefghjkmnpqrs";

/// The guards between a stranger and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A program on the machine of a server that is for it alone: no stranger.
    Local,
    /// Another machine; nothing is opened.
    Closed,
    /// Another machine; `open` is set.
    Open,
    /// The same; `names = shared` is set too.
    Shared,
}

/// A request: method, route, path (`ID` stands for the upload), and the statuses that a local one
/// and the three others get.
pub type Row = (&'static str, &'static str, &'static str, [u16; 4]);

/// Every method of every route.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    //                                                             local closed open shared
    ("GET", "/", "/",                                               [200, 200, 200, 200]),
    ("GET", "/static/{version}/{name}", "/static/x/none",           [404, 404, 404, 404]),
    ("GET", "/static/{version}/{name}", "/static/x/style.css",      [200, 200, 200, 200]),
    ("GET", "/static/{version}/{name}", "/static/x/words/de.js",    [200, 200, 200, 200]),
    ("GET", "/", "/?lang=de",                                       [200, 200, 200, 200]),
    ("GET", "/favicon.ico", "/favicon.ico",                         [200, 200, 200, 200]),
    ("GET", "/robots.txt", "/robots.txt",                           [200, 200, 200, 200]),
    ("GET", "/openapi.json", "/openapi.json",                       [200, 200, 200, 200]),
    ("GET", "/postman.json", "/postman.json",                       [200, 200, 200, 200]),
    ("GET", "/healthz", "/healthz",                                 [200, 200, 200, 200]),
    ("GET", "/readyz", "/readyz",                                   [200, 200, 200, 200]),
    ("POST", "/upload", "/upload",                                  [201, 401, 201, 201]),
    ("PUT", "/files/{name}", "/files/b.txt",                        [201, 401, 201, 201]),
    ("POST", "/files", "/files?name=b.txt",                         [201, 401, 201, 201]),
    ("POST", "/compat/filepond", "/compat/filepond",                [201, 401, 201, 201]),
    ("DELETE", "/compat/filepond", "/compat/filepond",              [404, 404, 404, 404]),
    ("GET", "/problems", "/problems",                                [200, 200, 200, 200]),
    ("GET", "/problems/{code}", "/problems/internal",                [200, 200, 200, 200]),
    ("POST", "/upload", "/upload/",                                 [201, 401, 201, 201]),
    ("GET", "/problems", "/problems/",                              [200, 200, 200, 200]),
    ("GET", "/download", "/download?name=a.txt",                    [200, 404, 404, 200]),
    ("GET", "/download/{name}", "/download/a.txt",                  [200, 404, 404, 200]),
    ("GET", "/files/{name}", "/files/a.txt",                        [200, 404, 404, 200]),
    // One that may be downloaded once is an answer to no name.
    ("GET", "/download", "/download?name=once.txt",                 [404, 404, 404, 404]),
    ("GET", "/download/{name}", "/download/once.txt",               [404, 404, 404, 404]),
    ("GET", "/files/{name}", "/files/once.txt",                     [404, 404, 404, 404]),
    // A client that has the id was given it.
    ("GET", "/download", "/download?name=ID",                       [200, 200, 200, 200]),
    ("GET", "/download/{name}", "/download/ID",                     [200, 200, 200, 200]),
    ("GET", "/download/{id}/{name}", "/download/ID/a.txt",          [200, 200, 200, 200]),
    ("GET", "/files/{id}/{name}", "/files/ID/a.txt",                [200, 200, 200, 200]),
    ("GET", "/archive/{name}", "/archive/ID.zip",                   [200, 200, 200, 200]),
    ("GET", "/archive/{name}", "/archive/ID.tar?name=a.txt",        [200, 200, 200, 200]),
    ("GET", "/uploads/{id}", "/uploads/ID",                         [200, 200, 200, 200]),
    ("GET", "/uploads/{id}/view/{name}", "/uploads/ID/view/a.txt",  [200, 200, 200, 200]),
    ("GET", "/uploads", "/uploads",                                 [200, 401, 401, 401]),
    ("GET", "/uploads", "/uploads?full=1",                          [200, 401, 401, 401]),
    ("GET", "/uploads", "/uploads?name=once.txt",                   [200, 401, 401, 401]),
    ("DELETE", "/uploads/{id}", "/uploads/ID",                      [401, 401, 401, 401]),
    ("PATCH", "/uploads/{id}", "/uploads/ID",                       [401, 401, 401, 401]),
    ("POST", "/uploads/{id}/delete", "/uploads/ID/delete",          [401, 401, 401, 401]),
    ("POST", "/uploads/{id}/prolong", "/uploads/ID/prolong",        [401, 401, 401, 401]),
    ("POST", "/admin/reindex", "/admin/reindex",                             [401, 401, 401, 401]),
    ("GET", "/admin/reindex", "/admin/reindex",                     [401, 401, 401, 401]),
    ("GET", "/files/{name}", "/files/ID",                           [303, 303, 303, 303]),
    ("GET", "/status", "/status",                                   [200, 401, 401, 401]),
    ("GET", "/metrics", "/metrics",                                 [200, 401, 401, 401]),
];

/// The body of a request, and its type.
fn body(method: &str, path: &str) -> (String, Vec<u8>) {
    let form = Form::new().file("f", "b.txt", b"b");
    match (method, path) {
        ("POST", "/upload" | "/upload/" | "/compat/filepond") => (form.content_type(), form.body()),
        ("DELETE", "/compat/filepond") => {
            let key = format!("{NEVER}.{}", "x".repeat(22));
            ("text/plain".to_owned(), key.into_bytes())
        }
        ("PUT" | "PATCH", _) => ("application/json".to_owned(), b"{}".to_vec()),
        ("POST", _) => (
            "application/x-www-form-urlencoded".to_owned(),
            b"a=b".to_vec(),
        ),
        _ => ("text/plain".to_owned(), Vec::new()),
    }
}

/// A server with the uploads that strangers meet: `a.txt` with a text field, and `once.txt`, which may be
/// downloaded once.
pub struct Held {
    pub server: Server,
    id: String,
    once: String,
}

impl Held {
    /// A server that takes them with `secret`.
    pub fn by(setup: Setup, secret: &[(&str, &str)]) -> Self {
        let server = setup.start();
        let stored = |path: &str, form: Form| {
            let stored = server.post_to(path, &form, secret);
            assert_eq!(stored.status, 201, "{}", stored.text());
            stored.json()["id"].as_str().unwrap().to_owned()
        };
        let form = Form::new().text("t", "told to nobody");
        let id = stored("/upload", form.file("f", "a.txt", b"content"));
        let form = Form::new().file("f", "once.txt", b"one time");
        let once = stored("/upload?max_downloads=1", form);
        Held { server, id, once }
    }

    /// The upload with `a.txt`.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Asks everything of the table: `ask` sends a method to a path with a body of a type, and gives the
/// status and the body of the answer.
#[track_caller]
pub fn meet(
    what: &str,
    reach: Reach,
    held: &Held,
    ask: impl Fn(&str, &str, &str, &[u8]) -> (u16, String),
) {
    for (method, _, path, statuses) in TABLE {
        let path = path.replace("ID", &held.id);
        let (media_type, body) = body(method, &path);
        let expected = statuses[reach as usize];
        let (status, text) = ask(method, &path, &media_type, &body);
        assert_eq!(status, expected, "{what}: {method} {path}: {text}");
        let told = text.replace(&path, "");
        let hidden = expected >= 400 && told.contains(&held.id) || told.contains(&held.once);
        assert!(
            !hidden,
            "{what}: {method} {path} tells of an upload: {text}"
        );
    }
    // Nobody has used it up.
    let (status, text) = ask("GET", &format!("/uploads/{}", held.once), "text/plain", b"");
    assert_eq!(status, 200, "{what}: {text}");
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["downloads_left"], 1, "{what}");
}
