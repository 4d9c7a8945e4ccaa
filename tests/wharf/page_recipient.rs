//! The page of an upload for who was given its link.

use serde_json::{Value, json};

use crate::support::{Browser, Form, Server, wait_until};

const PICTURE: &[u8] = include_bytes!("clients/picture.png");

/// A form with so many pictures.
fn pictures(count: usize) -> Form {
    (0..count).fold(Form::new(), |form, i| {
        let head = format!(
            "Content-Disposition: form-data; name=\"f\"; filename=\"photo {i}.png\"\r\nContent-Type: image/png"
        );
        form.part(&head, PICTURE)
    })
}

fn page_of(stored: &Value) -> String {
    format!("/uploads/{}", stored["id"].as_str().unwrap())
}

/// Which of the elements are seen.
fn seen(browser: &Browser, selector: &str) -> Value {
    browser.run(&format!(
        "return [...document.querySelectorAll({})].filter(e => e.offsetParent).length",
        json!(selector)
    ))
}

#[test]
fn a_message_comes_first_and_what_is_the_senders_is_not_there() {
    let server = Server::start();
    let form = pictures(2)
        .text("from", "Ana <b>")
        .text("note", "Two photos.\nKeep them.")
        .text("other", "x");
    let stored = server
        .post_to("/upload?title=Lisbon&expires_in=23h", &form, &[])
        .json();
    for browser in [
        Browser::start as fn() -> Browser,
        Browser::without_javascript,
    ] {
        let browser = browser();
        browser.open(&server.url(&page_of(&stored)));
        let source = browser.source();
        let at = |text: &str| source.find(text).unwrap_or_else(|| panic!("{text}"));
        let order = [
            "Ana &lt;b&gt;",
            "Two photos.\nKeep them.",
            "<h1",
            "photo 0.png",
        ]
        .map(at);
        assert!(order.is_sorted(), "{order:?}");
        assert!(source.contains("noindex"));
        assert!(source.contains("expires in 23 hours"), "{source}");
        // The note is told once, other fields below.
        assert_eq!(source.matches("Keep them.").count(), 1);
        assert!(at("<dt>other</dt>") > order[3]);
        drop(browser);
    }
    let browser = Browser::start();
    browser.open_ready(&server.url(&page_of(&stored)));
    assert_eq!(seen(&browser, "#sender, #manage, .qr"), 0);
    assert_eq!(seen(&browser, ".main-actions .primary"), 1);
    // A reader that claims to be the sender is asked for the token; a wrong one is said where it
    // was typed.
    browser.click("#claim a");
    assert_eq!(seen(&browser, "#manage"), 1);
    browser.assert_accessible("claimed");
    browser.type_into("[name=token]", "wrong");
    browser.click("#manage .prolong");
    browser.wait_for(
        "the trouble",
        "document.querySelector('#manage .trouble').textContent.includes('delete token is not right')",
    );
    let right = stored["delete_token"].as_str().unwrap();
    browser.run("document.querySelector('[name=token]').value = ''");
    browser.type_into("[name=token]", right);
    let before = server.get(&page_of(&stored)).json()["expires_at"].take();
    browser.click("#manage .prolong");
    wait_until("another deadline", || {
        server.get(&page_of(&stored)).json()["expires_at"] != before
    });
}

#[test]
fn a_wrong_token_is_said_in_the_form_without_scripts() {
    let server = Server::start();
    let stored = server.upload(&pictures(1));
    let browser = Browser::without_javascript();
    browser.open(&server.url(&page_of(&stored)));
    browser.click("#claim a");
    browser.type_into("[name=token]", "wrong");
    browser.click("#manage .prolong");
    wait_until("the form that says so", || {
        let source = browser.source();
        source.contains("This is not the delete token of this upload.")
    });
    server.says("/prolong 404");
    browser.type_into("[name=token]", stored["delete_token"].as_str().unwrap());
    browser.click("#manage .prolong");
    // It is the sender's browser from then on.
    wait_until("the page that says so", || {
        browser.source().contains("id=\"changed\"")
    });
    browser.open(&server.url(&page_of(&stored)));
    assert!(!browser.source().contains("name=\"token\""));
    browser.click("#manage summary.danger");
    browser.click("#manage [formaction]");
    wait_until("it is deleted", || server.files().is_empty());
}

/// The count goes down after a click, and a used-up file says so.
#[test]
fn downloads_that_are_left_are_said_truly() {
    let server = Server::start();
    let form = Form::new()
        .file("f", "a.txt", b"a")
        .file("f", "b.txt", b"b");
    let stored = server.post_to("/upload?max_downloads=1", &form, &[]).json();
    let browser = Browser::start();
    browser.downloads();
    browser.open_ready(&server.url(&page_of(&stored)));
    assert!(browser.text(".lead").contains("Downloads left: 1 of 1"));
    assert_eq!(
        browser.run("return document.querySelectorAll('iframe, .thumb img').length"),
        0
    );
    browser.click(".file-row a.take");
    browser.wait_for(
        "the file is used up",
        "document.querySelector('.file-row .meta').textContent.includes('all its downloads are used')",
    );
    browser.assert_accessible("partly used up");
    browser.click(".file-row + .file-row a.take");
    browser.wait_for("the end", "!document.getElementById('over').hidden");
    assert!(browser.text("#over").contains("This upload is gone"));
    browser.assert_accessible("used up");
    // One that is deleted elsewhere says so when it is clicked.
    let stored = server.upload(&pictures(1));
    browser.open_ready(&server.url(&page_of(&stored)));
    let key = format!("Bearer {}", stored["manage_key"].as_str().unwrap());
    let gone = server.request("DELETE", &page_of(&stored), &[("Authorization", &key)], b"");
    assert_eq!(gone.status, 204);
    browser.click(".main-actions .take");
    browser.wait_for("the end", "!document.getElementById('over').hidden");
}

#[test]
fn pictures_are_looked_at_by_keys_and_files_are_searched() {
    let server = Server::start();
    let stored = server.upload(&pictures(20).file("f", "note.txt", b"note"));
    let browser = Browser::start();
    browser.open_ready(&server.url(&page_of(&stored)));
    browser.click(".look-at");
    browser.wait_for(
        "the gallery",
        "document.querySelector('dialog[open] img').naturalWidth === 32",
    );
    browser.assert_accessible("gallery");
    assert_eq!(browser.text(".gallery .place"), "1 of 20");
    let arrow = |key| browser.press(key);
    arrow('\u{e014}');
    assert_eq!(browser.text(".gallery .name"), "photo 1.png");
    arrow('\u{e012}');
    arrow('\u{e012}');
    assert_eq!(browser.text(".gallery .place"), "20 of 20");
    // Escape leads back to the picture that was shown last.
    arrow('\u{e00c}');
    browser.wait_for("it is closed", "!document.querySelector('dialog')");
    let at = browser
        .run("return document.activeElement.closest('li').querySelector('.name').textContent");
    assert_eq!(at, "photo 19.png");
    browser.type_into("#filter", "PHOTO 1");
    assert_eq!(seen(&browser, ".file-row"), 11);
    assert_eq!(browser.text("#status"), "11 files");
    browser.click(".file-row:not([hidden]) .look-at");
    browser.wait_for("the gallery", "document.querySelector('dialog[open]')");
    // Of those that are found.
    assert_eq!(browser.text(".gallery .place"), "1 of 11");
}

/// A thousand rows: laid out as they come into view, and no picture is fetched before.
#[test]
fn a_thousand_files_are_listed_lightly() {
    let server = Server::start();
    let stored = server.upload(&pictures(1000));
    let browser = Browser::start();
    browser.open_ready(&server.url(&page_of(&stored)));
    assert_eq!(
        browser.run("return document.querySelectorAll('.file-row').length"),
        1000
    );
    let fetched = browser.run("return performance.getEntriesByType('resource').filter(e => e.name.includes('inline=1')).length");
    assert!(fetched.as_u64().unwrap() < 200, "{fetched}");
    let page = server.request("GET", &page_of(&stored), &[("Accept", "text/html")], b"");
    // About 400 bytes each.
    assert!(page.body.len() < 420_000, "{}", page.body.len());
    browser.assert_fits("a thousand");
    browser.type_into("#filter", "photo 999");
    assert_eq!(seen(&browser, ".file-row"), 1);
}

#[test]
fn markdown_is_shown_as_what_it_means_and_code_as_it_is() {
    let server = Server::start();
    let form = Form::new()
        .file(
            "f",
            "a.md",
            b"# Title\n\n<script>x</script>\n\n[a](https://a.example/) [b](javascript:x)",
        )
        .file("f", "b.rs", b"fn main() {}\n// <b>")
        .file("f", "c.bin", b"\0");
    let stored = server.upload(&form);
    let view = |name: &str| server.get(&format!("{}/view/{name}", page_of(&stored)));
    let page = view("a.md");
    let text = page.text();
    assert!(text.contains("<h1>Title</h1>") && text.contains("href=\"https://a.example/\""));
    assert!(
        !text.contains("<script") && !text.contains("javascript:"),
        "{text}"
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("sandbox allow-popups"), "{policy}");
    assert_eq!(page.header("x-robots-tag"), Some("noindex, nofollow"));
    assert!(
        view("b.rs")
            .text()
            .contains("<pre>fn main() {}\n// &lt;b&gt;</pre>"),
        "{}",
        view("b.rs").text()
    );
    assert_eq!((view("c.bin").status, view("none").status), (404, 404));
    // Where downloads are counted a preview would be one.
    let stored = server.post_to("/upload?max_downloads=1", &form, &[]).json();
    assert_eq!(
        server
            .get(&format!("{}/view/a.md", page_of(&stored)))
            .status,
        404
    );
    assert_eq!(server.get(&page_of(&stored)).json()["downloads_left"], 1);
}

#[test]
fn a_text_alone_is_a_page_to_copy_from() {
    let server = Server::start();
    let stored = server.upload(
        &Form::new()
            .text("note", "The code is 4711.")
            .text("from", ""),
    );
    let browser = Browser::start();
    browser.open_ready(&server.url(&page_of(&stored)));
    assert_eq!(browser.text("h1"), "Message");
    assert!(!browser.text("main").contains("0 B"));
    browser.devtools(
        "Browser.grantPermissions",
        json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] }),
    );
    browser.click("#copy-text");
    browser.wait_for(
        "it is copied",
        "document.getElementById('status').textContent",
    );
    let copied = browser.wait("() => navigator.clipboard.readText()", json!([]));
    assert_eq!(copied, "The code is 4711.");
}

#[test]
fn the_icon_and_the_rules_for_crawlers_are_there() {
    let server = Server::with(&["--base-path", "/w"]);
    let icon = server.get("/w/favicon.ico");
    assert_eq!(icon.header("content-type"), Some("image/svg+xml"));
    let robots = server.get("/w/robots.txt").text();
    assert!(robots.contains("Disallow: /files"), "{robots}");
    // Scripts come from one folder alone, below the base path too.
    let browser = Browser::start();
    browser.open_ready(&server.url("/w/"));
    let evil = Form::new().part(
        "Content-Disposition: form-data; name=\"f\"; filename=\"a.js\"\r\nContent-Type: text/javascript",
        b"document.title = 'ran'",
    );
    let stored = server.post_to("/w/upload", &evil, &[]).json();
    let url = stored["url"].as_str().unwrap();
    let load = "async src => new Promise(done => { const it = document.createElement('script'); it.src = src; it.onerror = () => done('refused'); it.onload = () => done('ran'); document.body.append(it); })";
    assert_eq!(browser.wait(load, json!([url])), "refused");
    assert_eq!(browser.run("return document.title"), "wharf");
}

/// Of a large photo the browser fetches the small picture in it, and no more.
#[test]
fn a_large_photo_is_shown_small_by_what_is_in_it() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    let jpeg = "async () => { const canvas = new OffscreenCanvas(16, 12); canvas.getContext('2d').fillRect(0, 0, 9, 9); const blob = await canvas.convertToBlob({ type: 'image/jpeg' }); return Array.from(new Uint8Array(await blob.arrayBuffer())); }";
    let jpeg = browser.wait(jpeg, json!([]));
    let small: Vec<u8> = serde_json::from_value(jpeg).unwrap();
    // A picture of 16 by 12 in the Exif of a file of 4 MB (Exif 2.3): little-endian, one tag, and
    // behind it the directory of the small picture.
    let mut exif =
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x1a\0\0\0".to_vec();
    exif.extend(b"\x02\0\x01\x02\x04\0\x01\0\0\0\x38\0\0\0\x02\x02\x04\0\x01\0\0\0");
    exif.extend((small.len() as u32).to_le_bytes());
    exif.extend(b"\0\0\0\0");
    assert_eq!(exif.len(), 6 + 0x38);
    exif.extend(&small);
    let mut photo = b"\xff\xd8\xff\xe1".to_vec();
    photo.extend((exif.len() as u16 + 2).to_be_bytes());
    photo.extend(&exif);
    photo.resize(4 << 20, 0);
    let head = |name: &str| {
        format!(
            "Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\nContent-Type: image/jpeg"
        )
    };
    let form = Form::new()
        .part(&head("a.jpg"), &photo)
        .part(&head("b.jpg"), &photo);
    let stored = server.upload(&form);
    browser.open_ready(&server.url(&page_of(&stored)));
    browser.wait_for(
        "both are shown",
        "[...document.querySelectorAll('.thumb img')].filter(it => it.naturalWidth === 16).length === 2",
    );
    // As the camera was held.
    assert_eq!(
        browser.run("return document.querySelector('.thumb img').style.rotate"),
        "90deg"
    );
    let fetched = browser.run("return performance.getEntriesByType('resource').filter(e => e.name.includes('.jpg')).reduce((sum, e) => sum + e.transferSize, 0)");
    assert!(
        (1..300_000).contains(&fetched.as_u64().unwrap()),
        "{fetched}"
    );
}
