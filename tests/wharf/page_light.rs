//! The pages are light and quick: few bytes in every language, painted before scripts, and nothing
//! moves by itself.

use serde_json::{Value, json};

use crate::languages::languages;
use crate::support::{Browser, Form, Server};

const PICTURE: &[u8] = include_bytes!("clients/picture.png");

/// The bytes of the page and of all that it has loaded, as they are read: nothing is compressed.
const LOADED: &str = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].reduce((sum, e) => sum + e.decodedBodySize, 0)";

/// What has moved without a person having done anything: how much, and which elements.
const MOVED: &str = "async () => {
    const seen = [];
    const observer = new PerformanceObserver(list => seen.push(...list.getEntries()));
    observer.observe({ type: 'layout-shift', buffered: true });
    await new Promise(done => setTimeout(done, 500));
    return seen.filter(e => !e.hadRecentInput)
        .map(e => [e.value, ...e.sources.map(s => s.node?.outerHTML?.slice(0, 90) ?? String(s.node?.data))]);
}";

fn page_of(stored: &Value) -> String {
    format!("/uploads/{}", stored["id"].as_str().unwrap())
}

#[test]
fn the_first_page_is_light_in_every_language() {
    let server = Server::with(&[
        "--max-file-size",
        "2GiB",
        "--max-request-size",
        "9GiB",
        "--access",
        "upload:secret",
    ]);
    let browser = Browser::start();
    let mut sizes = Vec::new();
    for (tag, _) in languages() {
        browser.open_ready(&server.url(&format!("/?lang={tag}")));
        let bytes = browser.run(LOADED).as_u64().unwrap();
        sizes.push((tag, bytes));
    }
    let fits = |(_, bytes): &(String, u64)| (20_000..70_000).contains(bytes);
    assert!(sizes.len() >= 7 && sizes.iter().all(fits), "{sizes:?}");
}

/// A browser paints when it has the page and the style sheets: it waits for no script.
#[test]
fn nothing_but_style_sheets_holds_the_first_paint_up() {
    let server = Server::start();
    let stored = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let browser = Browser::start();
    for (path, sheets) in [("/".to_owned(), 1), (page_of(&stored), 2)] {
        browser.open_ready(&server.url(&path));
        let blocking = browser.run("return performance.getEntriesByType('resource').filter(e => e.renderBlockingStatus === 'blocking').map(e => e.name.split('.').pop())");
        assert_eq!(blocking, json!(vec!["css"; sheets]), "{path}");
        let scripts = browser.run("return performance.getEntriesByType('resource').filter(e => e.name.endsWith('.js')).length");
        assert!(scripts.as_u64().unwrap() > 5, "{path}: {scripts}");
    }
}

#[test]
fn nothing_moves_by_itself() {
    let server = Server::with(&[
        "--brand-name",
        "Harbour",
        "--imprint-url",
        "https://a.example/",
    ]);
    let closed = Server::with(&["--access", "upload:secret"]);
    let form = (0..30).fold(Form::new().text("from", "Ana").text("note", "words"), |form, i| {
        let head = format!(
            "Content-Disposition: form-data; name=\"f\"; filename=\"trip/day {}/{i}.png\"\r\nContent-Type: image/png",
            i % 3
        );
        form.part(&head, PICTURE)
    });
    let photos = server.upload(&form.file("f", "a.md", b"# A\n\ntext"));
    let one = server.upload(&Form::new().file("f", "a.txt", b"some text"));
    let browser = Browser::start();
    // A person who has sent something before has a list of it.
    browser.open_ready(&server.url("/"));
    browser.type_into("#note", "words");
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    let listed = browser.run("return document.querySelector('.transfer .open').href");
    let pages = [
        server.url("/"),
        server.url("/?lang=ar"),
        closed.url("/"),
        server.url(&page_of(&photos)),
        server.url(&page_of(&one)),
        listed.as_str().unwrap().to_owned(),
        server.url("/uploads/none"),
    ];
    for page in &pages {
        for width in [1100, 390] {
            browser.show_as("light", width);
            browser.open(page);
            let ready = "document.readyState === 'complete' && (!document.querySelector('script[type=module]') || 'ready' in document.documentElement.dataset)";
            browser.wait_for("all of it", ready);
            assert_eq!(browser.wait(MOVED, json!([])), json!([]), "{page}, {width}");
        }
    }
    // The sender's parts were there at once, and the address is the one to pass on.
    browser.open_ready(&pages[5]);
    assert!(!browser.url().contains('?'), "{}", browser.url());
    let seen = "return ['#sender', '#manage'].every(it => document.querySelector(it).offsetParent)";
    assert_eq!(browser.run(seen), true);
    // What would move is found.
    browser.open_ready(&pages[1]);
    assert_eq!(browser.wait(MOVED, json!([])), json!([]));
    browser.run("const it = document.createElement('p'); it.style.height = '200px'; document.querySelector('main').prepend(it)");
    assert_ne!(browser.wait(MOVED, json!([])), json!([]));
}

/// What a search engine, a cache and a frame around it may do with the page of an upload.
#[test]
fn a_page_of_an_upload_is_for_its_reader_alone() {
    let server = Server::start();
    let stored = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let html = [("Accept", "text/html")];
    let page = server.request("GET", &page_of(&stored), &html, b"");
    for (name, value) in [
        ("x-robots-tag", "noindex, nofollow"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let policy = page.header("content-security-policy").unwrap();
    for rule in [
        "default-src 'self'",
        "frame-ancestors 'none'",
        "script-src *:*/static/",
        "style-src *:*/static/",
    ] {
        assert!(policy.contains(rule), "{rule}: {policy}");
    }
    assert!(
        page.text()
            .contains("<meta name=\"robots\" content=\"noindex, nofollow\">")
    );
    // The first page may be found.
    let first = server.request("GET", "/", &html, b"");
    assert_eq!(first.header("x-robots-tag"), None);
    assert!(!first.text().contains("noindex"));
}
