//! The page with its scripts, in a real browser: what people do with it, and what goes wrong.

use std::path::PathBuf;

use serde_json::json;

use crate::support::{Browser, Form, Server, noise, sha256, wait_until};

/// A PNG of 32 × 32 pixels, for the previews.
const PICTURE: &[u8] = include_bytes!("clients/picture.png");

/// The rights of a text in a frame: to open a link in a window of its own.
const FRAME: &str = "allow-popups allow-popups-to-escape-sandbox";

/// Writes a file into the server's folder.
fn file(server: &Server, name: &str, content: &[u8]) -> PathBuf {
    let path = server.dir().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

/// A file of zeros, which takes no room.
fn large(server: &Server, name: &str, size: u64) -> PathBuf {
    let path = file(server, name, b"");
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    path
}

#[test]
fn files_and_folders_are_dropped_sent_kept_and_deleted() {
    let server = Server::start();
    let quoted = file(&server, "a \"quoted\" name.txt", b"quoted");
    file(
        &server,
        "\u{6587}\u{4ef6}\u{5939}/\u{62a5}\u{544a}.txt",
        b"report",
    );
    file(
        &server,
        "\u{6587}\u{4ef6}\u{5939}/deep/er.bin",
        &noise(70_000, 3),
    );
    file(&server, "\u{6587}\u{4ef6}\u{5939}/deep/.DS_Store", b"stray");
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.assert_accessible("empty");
    browser.drop_files(&[quoted, server.dir().join("\u{6587}\u{4ef6}\u{5939}")]);
    browser.wait_for(
        "the files",
        "document.querySelector('#chosen .sum').textContent.startsWith('3 files')",
    );
    // A folder is one row until it is opened.
    let rows = "return document.querySelectorAll('#chosen li').length";
    assert_eq!(browser.run(rows), 2);
    browser.click("#chosen .folder-of summary");
    browser.wait_for(
        "what is in it",
        "document.querySelectorAll('#chosen li').length === 4",
    );
    assert_eq!(
        browser.text("#chosen .left-out"),
        "Left out: 1 file (.DS_Store)"
    );
    browser.assert_accessible("chosen");
    browser.type_into("#note", "with a note");
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    browser.assert_accessible("done");
    let link = browser.run("return document.querySelector('.transfer .link').value");
    let link = link.as_str().unwrap();
    let json = server
        .get(link.strip_prefix(&server.url("")).unwrap())
        .json();
    let mut names: Vec<&str> = json["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["a _quoted_ name.txt", "er.bin", "\u{62a5}\u{544a}.txt"]
    );
    assert_eq!(json["fields"], json!({ "note": ["with a note"] }));
    // The form downloaded has the paths in the folder as they were.
    let form = server.get(&format!("/download/{}", json["id"].as_str().unwrap()));
    assert!(form.text().contains("\u{6587}\u{4ef6}\u{5939}/deep/er.bin"));

    // Another visit knows it still, changes how long it is kept, and deletes it.
    browser.open_ready(&server.url("/"));
    browser.click("#history summary");
    browser.click("#history select option[value='1d']");
    browser.click("#history .prolong");
    let id = json["id"].as_str().unwrap();
    wait_until("the deadline", || {
        !server.get(&format!("/uploads/{id}")).json()["expires_at"].is_null()
    });
    browser.wait_for(
        "the deadline is shown",
        "!document.querySelector('#history .meta').textContent.includes('deleted')",
    );
    browser.assert_accessible("history");
    // Its page knows the token as well, and changes without another page.
    let deadline = || server.get(&format!("/uploads/{id}")).json()["expires_at"].take();
    let before = deadline();
    browser.open_ready(&server.url(&format!("/uploads/{id}")));
    assert_eq!(
        browser.run("return document.querySelectorAll('[name=token]').length"),
        0
    );
    let shown = browser.text("#manage .until");
    browser.click("#manage option[value='30d']");
    browser.click("#manage .prolong");
    wait_until("another deadline", || deadline().as_str() > before.as_str());
    browser.wait_for(
        "it is shown",
        &format!(
            "document.querySelector('#manage .until').innerText !== {}",
            json!(shown)
        ),
    );
    browser.assert_accessible("managed");
    browser.open_ready(&server.url("/"));
    browser.click("#history summary");
    browser.click("#history .delete-it summary");
    browser.click("#history .delete");
    browser.wait_for(
        "the list is gone",
        "document.querySelector('#history').hidden",
    );
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn a_large_upload_shows_how_far_it_is_and_can_be_cancelled_and_repeated() {
    const SIZE: u64 = 200 << 20;
    let server = Server::start();
    let paths = [
        large(&server, "first.bin", SIZE / 2),
        large(&server, "second.bin", SIZE / 2),
    ];
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.choose("#files", &paths);
    browser.throttle(40 << 20);
    browser.click("#send");
    browser.click(".transfer .parts summary");
    browser.wait_for(
        "a rate and the time left",
        "/MiB\\/s .* left/.test(document.querySelector('.pace').textContent)",
    );
    browser.assert_accessible("uploading");
    browser.wait_for(
        "the first file has gone and the second is on its way",
        "(([a, b]) => a.value === 1 && b.value > 0 && b.value < 1)(document.querySelectorAll('.part progress'))",
    );
    // A second upload goes beside it.
    browser.choose("#files", &[file(&server, "small.txt", b"small")]);
    browser.click("#send");
    browser.wait_for(
        "the small one",
        "document.querySelectorAll('.transfer.is-done').length === 1",
    );
    browser.click(".transfer.is-sending .cancel");
    browser.wait_for(
        "it is cancelled",
        "document.querySelector('.transfer.is-cancelled')",
    );
    browser.assert_accessible("cancelled");
    wait_until("nothing of it is left", || {
        server.files().len() == 2 && server.staged() == 0
    });
    browser.throttle(0);
    browser.click(".transfer.is-cancelled .retry");
    browser.wait_for(
        "all of it",
        "document.querySelectorAll('.transfer.is-done').length === 2",
    );
    let stored = server.get("/files/second.bin");
    assert_eq!(stored.body.len() as u64, SIZE / 2);
    assert_eq!(server.files().len(), 5);
}

#[test]
fn a_server_that_dies_is_told_and_the_upload_repeated() {
    let server = Server::start();
    let address = server.address.to_string();
    let path = large(&server, "big.bin", 60 << 20);
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.throttle(10 << 20);
    browser.choose("#files", &[path]);
    browser.click("#send");
    browser.wait_for(
        "some of it",
        "document.querySelector('progress.whole').value > 0.05",
    );
    let setup = server.kill();
    browser.wait_for("it waits", "document.querySelector('.transfer.is-waiting')");
    let trouble = browser.text(".transfer .trouble");
    assert!(trouble.contains("The connection was lost"), "{trouble}");
    assert!(trouble.contains("sent again by itself"), "{trouble}");
    browser.assert_accessible("lost");
    browser.throttle(0);
    let server = setup.args(&["--listen", &address]).start();
    assert_eq!(server.files(), [""; 0]);
    // No click: it goes on by itself.
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    assert_eq!(server.files().len(), 2);
}

#[test]
fn limits_are_told_before_and_after() {
    let server = Server::with(&["--max-file-size", "1MiB", "--max-field-size", "10"]);
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    assert!(browser.text("#limits").contains("up to 1 MiB a file"));
    browser.choose(
        "#files",
        &[
            large(&server, "over.bin", (1 << 20) + 1),
            file(&server, "fits.txt", b"fits"),
        ],
    );
    assert!(
        browser
            .text("#chosen li.over-limit")
            .contains("too large for this server")
    );
    browser.assert_accessible("over the limit");
    browser.click("#send");
    assert_eq!(
        browser.run("return document.querySelectorAll('.transfer').length"),
        0
    );
    browser.click("#chosen li.over-limit .remove");
    // The server says things that the page cannot know.
    browser.type_into("#note", "longer than it may be");
    browser.click("#send");
    browser.wait_for("it failed", "document.querySelector('.transfer.is-failed')");
    let trouble = browser.text(".transfer .trouble");
    assert!(
        trouble.contains("too large for the server") && trouble.contains("max_field_size"),
        "{trouble}"
    );
    wait_until("the line is logged", || {
        server.log().contains("POST /upload 413")
    });
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn what_is_stored_is_shown_and_runs_nothing() {
    let server = Server::start();
    let stored = server.upload(
        &Form::new()
            .part("Content-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png", PICTURE)
            .part("Content-Disposition: form-data; name=\"f\"; filename=\"b.txt\"\r\nContent-Type: text/plain", "\u{4f60}\u{597d}, <script>".as_bytes())
            .file("f", "c.html", b"<script>parent.document.title = 'ran'</script>")
            .text("note", "<script>document.title = 'ran'</script>"),
    );
    let browser = Browser::start();
    browser.open_ready(&server.url(&format!("/uploads/{}", stored["id"].as_str().unwrap())));
    browser.wait_for(
        "the small picture",
        "document.querySelector('.thumb img').naturalWidth === 32",
    );
    browser
        .run("document.querySelectorAll('.files details').forEach(details => details.open = true)");
    wait_until("the text is asked for", || {
        server.log().contains("/b.txt 200")
    });
    let frames = browser.run("return [...document.querySelectorAll('iframe')].map(frame => [frame.getAttribute('sandbox'), frame.title])");
    assert_eq!(
        frames,
        json!([[FRAME, "Preview of b.txt"], [FRAME, "Preview of c.html"]])
    );
    assert_eq!(browser.run("return document.title"), "3 files \u{b7} wharf");
    browser.assert_accessible("page of an upload");
    let digest = sha256(PICTURE);
    assert!(browser.source().contains(&digest));
}

#[test]
fn both_languages_are_spoken() {
    let server = Server::start();
    let browser = Browser::preferring("zh-CN,zh,en");
    browser.open_ready(&server.url("/"));
    assert_eq!(browser.text("h1"), "\u{53d1}\u{9001}\u{6587}\u{4ef6}");
    assert_eq!(
        browser.run("return document.documentElement.lang"),
        "zh-Hans"
    );
    browser.assert_accessible("Chinese");
    browser.choose("#files", &[file(&server, "\u{62a5}\u{544a}.txt", b"x")]);
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    assert_eq!(browser.text(".transfer .state"), "\u{5df2}\u{53d1}\u{9001}");
    browser.open(&server.url("/uploads/nothing"));
    assert!(
        browser
            .text("h1")
            .contains("\u{4ec0}\u{4e48}\u{4e5f}\u{6ca1}\u{6709}")
    );
    browser.assert_accessible("error");
    // The switch is remembered.
    browser.click("nav summary");
    browser.assert_accessible("languages");
    browser.click("nav a[lang=en]");
    assert_eq!(browser.text("h1"), "Send files");
    browser.open_ready(&server.url("/"));
    assert_eq!(browser.text("h1"), "Send files");
}

#[test]
fn everything_goes_by_keyboard_and_nothing_jumps() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    let shift = "async () => new Promise(done => new PerformanceObserver(list => done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0))).observe({ type: 'layout-shift', buffered: true }) ?? setTimeout(() => done(0), 300))";
    assert_eq!(browser.wait(shift, json!([])), 0);
    let mut reached = Vec::new();
    for _ in 0..12 {
        browser.press('\u{e004}');
        let at =
            browser.run("const e = document.activeElement; return e.id || e.tagName.toLowerCase()");
        reached.push(at.as_str().unwrap().to_owned());
    }
    for id in [
        "files",
        "folder",
        "note",
        "expires_in",
        "max_downloads",
        "summary",
        "send",
    ] {
        assert!(reached.iter().any(|at| at == id), "{id}: {reached:?}");
    }
    // At 200 % on a window of 1100 pixels nothing is to be scrolled sideways.
    browser.show_as("light", 550);
    assert_eq!(
        browser.run("return document.documentElement.scrollWidth <= innerWidth"),
        true
    );
    browser.show_as("light", 320);
    assert_eq!(
        browser.run("return document.documentElement.scrollWidth <= innerWidth"),
        true
    );
}
