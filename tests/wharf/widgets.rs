//! Upload widgets as they are released, with their default settings, on a page of another site
//! that `--cors-origin` names.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Browser, Server, npm, wait_until};

/// Another site, with the widgets' scripts.
struct Site {
    child: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let page = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/wharf/clients/widgets.html"
        );
        std::fs::copy(page, dir.path().join("index.html")).unwrap();
        std::os::unix::fs::symlink(npm(""), dir.path().join("node_modules")).unwrap();
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let port = line
            .split("port ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        Site {
            url: format!("http://127.0.0.1:{}", port.expect("it says its port")),
            child,
            _dir: dir,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Visit {
    server: Server,
    browser: Browser,
    _site: Site,
}

impl Visit {
    /// The record of the upload that came last.
    fn newest(&self) -> Value {
        let listed = self.server.get("/uploads?limit=1").json();
        let id = listed["uploads"][0]["id"].as_str().unwrap();
        self.server.get(&format!("/uploads/{id}")).json()
    }

    fn start(args: &[&str]) -> Self {
        let site = Site::start();
        let mut all = vec!["--cors-origin", site.url.as_str()];
        all.extend_from_slice(args);
        let server = Server::with(&all);
        let browser = Browser::start();
        browser.open_ready(&site.url);
        Visit {
            server,
            browser,
            _site: site,
        }
    }

    /// The answer to a widget.
    #[track_caller]
    fn send(&self, widget: &str, files: Value) -> Value {
        let call = format!("(...args) => widgets.{widget}(...args)");
        self.browser
            .wait(&call, json!([self.server.url(""), files]))
    }

    /// The contents at the addresses a widget was given.
    #[track_caller]
    fn contents(&self, urls: &Value) -> Vec<String> {
        let urls = urls.as_array().unwrap_or_else(|| panic!("{urls}"));
        let path = |url: &Value| {
            let url = url.as_str().unwrap_or_else(|| panic!("{urls:?}"));
            url.strip_prefix(&self.server.url(""))
                .unwrap_or_else(|| panic!("{url}"))
                .to_owned()
        };
        let mut contents: Vec<String> = urls
            .iter()
            .map(|url| self.server.get(&path(url)).text())
            .collect();
        contents.sort_unstable();
        contents
    }
}

fn two() -> Value {
    json!([["one \u{4e00}.txt", "first"], ["two \"2\".txt", "second"]])
}

/// A script of another origin, and a picture on its page.
#[test]
fn a_named_site_reads_fields_and_shows_pictures() {
    const LOOK: &str = "async (url) => { \
        const stored = await fetch(url + '/files/p.png?title=x', { method: 'PUT', body: 'x' }); \
        const upload = await stored.json(); \
        const record = await fetch(url + '/uploads/' + upload.id); \
        const headers = { 'Content-Type': 'application/merge-patch+json', 'If-Match': record.headers.get('ETag'), \
            Prefer: 'return=representation', 'Wharf-Token': upload.delete_token }; \
        const patch = (body) => fetch(url + '/uploads/' + upload.id, { method: 'PATCH', headers, body }); \
        const [first, second] = [await patch('{\"title\":\"y\"}'), await patch('{\"title\":\"z\"}')]; \
        const file = await fetch(url + '/files/p.png'); \
        return [stored.headers.get('Location'), first.status, second.status, (await second.json()).code, \
            file.headers.get('Content-Location'), file.headers.get('Link')]; }";
    const PICTURE: &str = "(url) => new Promise((done) => { const picture = new Image(); \
        picture.onload = () => done(picture.naturalWidth); picture.onerror = () => done('blocked'); picture.src = url; })";
    let picture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/wharf/clients/picture.png"
    );
    let picture = std::fs::read(picture).unwrap();
    for embed in [false, true] {
        let args: &[&str] = if embed { &["--embed"] } else { &[] };
        let visit = Visit::start(args);
        let url = visit.server.url("");
        let seen = visit.browser.wait(LOOK, json!([url]));
        let place = seen[0].as_str().unwrap_or_else(|| panic!("{seen}"));
        let id = place.strip_prefix("/uploads/").unwrap();
        let link = format!("<{place}>; rel=\"describedby\"");
        let file = format!("/files/{id}/p.png");
        let expected = json!([place, 200, 412, "precondition-failed", file, link]);
        assert_eq!(seen, expected);
        let png = [("Content-Type", "image/png")];
        let stored = visit.server.request("PUT", "/files/q.png", &png, &picture);
        assert_eq!(stored.status, 201);
        let shown = visit
            .browser
            .wait(PICTURE, json!([format!("{url}/files/q.png?inline=1")]));
        assert_eq!(shown.is_number(), embed, "{shown}");
        // Another page than those of the site that is named.
        let other = [("Referer", "https://evil.example/")];
        let other = visit.server.request("GET", "/files/q.png", &other, b"");
        assert_eq!(
            other.header("cross-origin-resource-policy"),
            Some("same-origin")
        );
    }
}

#[test]
fn uppy() {
    let visit = Visit::start(&[]);
    let sent = visit.send("uppy", two());
    assert_eq!(sent["failed"], json!([]), "{sent}");
    assert_eq!(visit.contents(&sent["urls"]), ["first", "second"]);
    assert_eq!(visit.server.files().len(), 4);
    let id = visit.newest();
    assert_eq!(id["fields"]["note"], json!(["of all"]), "{id}");
    assert_eq!(id["files"][0]["field"], "file");
    let bundled = visit.send("uppyBundled", two());
    assert_eq!(bundled["failed"], json!([]), "{bundled}");
    assert_eq!(visit.server.files().len(), 7);
}

#[test]
fn filepond() {
    let visit = Visit::start(&[]);
    let sent = visit.send("filepond", json!([["one \u{4e00}.txt", "first"]]));
    let identity = sent[0].as_str().unwrap_or_else(|| panic!("{sent}"));
    let (id, _token) = identity.split_once('.').unwrap();
    let json = visit.server.get(&format!("/uploads/{id}")).json();
    assert_eq!(
        (&json["name"], &json["size"]),
        (&json!("one \u{4e00}.txt"), &json!(5))
    );
    assert_eq!(json["fields"]["filepond"], json!(["{}"]));
    let reverted = visit
        .browser
        .wait("() => widgets.filepondRevert()", json!([]));
    assert_eq!(reverted, "reverted");
    wait_until("it is gone", || visit.server.files().is_empty());
    let fetched = visit.send("filepondFetch", json!("http://127.0.0.1:1/secret"));
    assert_eq!(fetched, 405);
    let wrong = visit
        .server
        .request("DELETE", "/compat/filepond", &[], b"no such thing");
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (400, "malformed-request")
    );
}

#[test]
fn a_revert_needs_the_right_token() {
    let server = Server::start();
    let form = crate::support::Form::new().file("filepond", "a.txt", b"a");
    let sent = server.post_to("/compat/filepond", &form, &[]);
    assert_eq!(sent.status, 201);
    assert!(
        sent.header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let identity = sent.text();
    let forged = format!("{}x", &identity[..identity.len() - 1]);
    let refused = server.request("DELETE", "/compat/filepond", &[], forged.as_bytes());
    assert_eq!(refused.status, 404);
    assert_eq!(server.files().len(), 2);
    for status in [204, 404] {
        let gone = server.request("DELETE", "/compat/filepond", &[], identity.as_bytes());
        assert_eq!(gone.status, status);
    }
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn dropzone() {
    let visit = Visit::start(&["--max-file-size", "100"]);
    let sent = visit.send("dropzone", two());
    assert_eq!(visit.contents(&sent), ["first", "second"]);
    visit.browser.open_ready(&visit.browser.url());
    let sent = visit.send("dropzoneMultiple", two());
    assert_eq!(sent.as_array().unwrap().len(), 1, "{sent}");
    assert_eq!(visit.server.files().len(), 4 + 3);
    // The widget shows the server's message.
    visit.browser.open_ready(&visit.browser.url());
    let refused = visit.send("dropzone", json!([["big.txt", "x".repeat(101)]]));
    assert!(
        refused[0].as_str().unwrap().contains("max_file_size (100)"),
        "{refused}"
    );
}

#[test]
fn resumable_and_plain_fetch() {
    let visit = Visit::start(&[]);
    let sent = visit.send("resumable", two());
    assert_eq!(visit.contents(&sent), ["first", "second"]);
    let json = visit.newest();
    assert_eq!(
        json["fields"]["resumableTotalChunks"],
        json!(["1"]),
        "{json}"
    );
    assert_eq!(visit.send("fetchForm", two()), json!([201, 2, true]));
}

/// The example that the page on clients gives for a client.
#[track_caller]
fn documented(client: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clients.md");
    let page = std::fs::read_to_string(page).unwrap();
    let row = format!("| {client} | `");
    let example = page.lines().find_map(|line| line.strip_prefix(&row));
    let example = example.and_then(|rest| rest.strip_suffix("` |"));
    example.unwrap_or_else(|| panic!("{client}")).to_owned()
}

#[test]
fn the_documented_examples_work() {
    let visit = Visit::start(&[]);
    let stored = visit
        .server
        .upload(&crate::support::Form::new().file("f", "form.txt", b"x"));
    let url = visit.server.url("");
    for (client, name) in [
        ("`fetch`", "fetch"),
        ("Uppy", "Uppy"),
        ("FilePond", "FilePond"),
        ("Dropzone", "Dropzone"),
        ("resumable.js", "resumable.js"),
    ] {
        let example = documented(client)
            .replace("http://localhost:8080", &url)
            .replace(
                "/download/ID",
                &format!("{url}/download/{}", stored["id"].as_str().unwrap()),
            );
        visit.browser.open_ready(&visit.browser.url());
        let before = visit.server.files().len();
        let answer = visit.browser.wait(
            "(...args) => widgets.example(...args)",
            json!([name, example, [["one.txt", "first"]]]),
        );
        let answers = answer
            .as_array()
            .unwrap_or_else(|| panic!("{client}: {answer}"));
        assert_eq!(answers.len(), 1, "{client}: {answer}");
        if name == "fetch" {
            assert_eq!(answer, json!(["form.txt"]));
        } else {
            assert!(answers[0].is_string(), "{client}: {answer}");
            assert_eq!(visit.server.files().len(), before + 2, "{client}");
        }
    }
}

#[test]
fn a_site_that_is_not_named_can_do_nothing() {
    let site = Site::start();
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&site.url);
    let sent = browser.wait(
        "(...args) => widgets.fetchForm(...args)",
        json!([server.url(""), two()]),
    );
    assert!(sent.as_str().unwrap().contains("Failed to fetch"), "{sent}");
    wait_until("it was refused", || {
        server.log().contains("POST /upload 403")
    });
    assert_eq!(server.files(), [""; 0]);
}

/// A form in a page of the server's own, which is where htmx lives.
#[test]
fn htmx_gets_html() {
    let visit = Visit::start(&[]);
    let script = std::fs::read_to_string(npm("htmx.org/dist/htmx.min.js")).unwrap();
    visit.browser.open_ready(&visit.server.url("/"));
    visit.browser.run(&format!(
        "const s = () => {{ {script}\n; window.htmx ??= htmx; }}; s();"
    ));
    // As the page on clients begins it.
    let begin = documented("htmx");
    let begin = begin.strip_suffix('>').unwrap();
    let form = r##"
        document.body.innerHTML = 'BEGIN hx-target="#out" hx-swap="innerHTML" enctype="multipart/form-data"><input type="file" name="f"><input type="file" name="none"><input name="note" value="n"><button>Go</button></form><div id="out"></div>';
        const data = new DataTransfer();
        data.items.add(new File(['by htmx'], 'htmx.txt', { type: 'text/plain' }));
        document.querySelector('input').files = data.files;
        htmx.process(document.body);
    "##;
    visit.browser.run(&form.replace("BEGIN", begin));
    visit.browser.click("button");
    wait_until("it is stored", || visit.server.files().len() == 2);
    visit.browser.wait_for(
        "an answer",
        "document.getElementById('out').textContent.includes('htmx.txt')",
    );
    let json = visit.newest();
    assert_eq!(json["files"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["fields"]["note"], json!(["n"]));
}
