//! The page where there is more to it: previews of all kinds, a server that is busy, secrets.

use serde_json::json;

use crate::support::{Browser, Connection, Form, Server, wait_until};

const PICTURE: &[u8] = include_bytes!("clients/picture.png");
/// A WebM of 0.8 seconds, 96 × 64 pixels.
const FILM: &[u8] = include_bytes!("clients/film.webm");

/// A second of silence as WAV: PCM, one channel, 8000 samples of 8 bits.
fn sound() -> Vec<u8> {
    const SAMPLES: u32 = 8000;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + SAMPLES).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(SAMPLES.to_le_bytes());
    wav.extend(SAMPLES.to_le_bytes());
    wav.extend([1, 0, 8, 0]);
    wav.extend(b"data");
    wav.extend(SAMPLES.to_le_bytes());
    wav.resize(44 + SAMPLES as usize, 128);
    wav
}

/// The rights of a text in a frame: to open a link in a window of its own.
const FRAME: &str = "allow-popups allow-popups-to-escape-sandbox";

/// A script that shows, wherever it runs in this browser, that it ran.
const SCRIPT: &str = "<script>document.title = 'ran'; parent.document.title = 'ran'; localStorage.setItem('ran', 1)</script>";

#[test]
fn images_sound_films_and_text_are_shown_and_nothing_runs() {
    let server = Server::start();
    let svg =
        format!("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>{SCRIPT}</svg>");
    let typed = |name: &str, media_type: &str, content: &[u8]| {
        let head = format!(
            "Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\nContent-Type: {media_type}"
        );
        (head, content.to_vec())
    };
    let files = [
        typed("a.png", "image/png", PICTURE),
        typed("b.wav", "audio/wav", &sound()),
        typed("c.webm", "video/webm", FILM),
        typed("d.txt", "text/plain", SCRIPT.as_bytes()),
        typed("e.md", "text/markdown", SCRIPT.as_bytes()),
        typed("f.json", "application/json", br#"{"answer": 42}"#),
        // Scripts by their own type, and under the names of others.
        typed("g.svg", "image/svg+xml", svg.as_bytes()),
        typed("h.html", "text/html", SCRIPT.as_bytes()),
        typed("i.png", "image/png", svg.as_bytes()),
        typed("j.xml", "text/xml", svg.as_bytes()),
        typed("k.pdf", "application/pdf", b"%PDF-1.7"),
    ];
    let form = files.iter().fold(Form::new(), |form, (head, content)| {
        form.part(head, content)
    });
    let stored = server.upload(&form);
    let browser = Browser::start();
    browser.open_ready(&server.url(&format!("/uploads/{}", stored["id"].as_str().unwrap())));
    browser.run(
        "for (const details of document.querySelectorAll('.files details')) details.open = true",
    );
    for (name, width) in [("a.png", 32), ("g.svg", 9)] {
        browser.wait_for(
            "the picture",
            &format!("document.querySelector('img[alt=\"{name}\"]').naturalWidth === {width}"),
        );
    }
    // Both are played to their end; a browser plays nothing for who has not touched the page.
    browser.click("h1");
    browser.run("for (const media of document.querySelectorAll('audio, video')) { media.muted = true; media.onended = () => media.dataset.ended = 1; media.play() }");
    browser.wait_for("the sound", "document.querySelector('audio').dataset.ended");
    browser.wait_for("the film", "document.querySelector('video').dataset.ended");
    assert_eq!(
        browser.run("return document.querySelector('video').videoWidth"),
        96
    );
    for name in ["d.txt", "e.md", "f.json", "h.html", "j.xml", "k.pdf"] {
        browser.run(&format!(
            "document.querySelector('iframe[title$=\"{name}\"]').scrollIntoView()"
        ));
        server.says(&format!("/{name} 200"));
    }
    // A file that is no picture leaves no hole.
    browser.wait_for(
        "the place of what is no picture",
        "document.querySelector('.thumb[aria-label=\"i.png\"]')?.textContent === 'PNG'",
    );
    let frames = browser.run("return [...document.querySelectorAll('iframe')].map(frame => [frame.getAttribute('sandbox'), frame.title])");
    assert_eq!(
        frames,
        json!([
            [FRAME, "Preview of d.txt"],
            [FRAME, "Preview of e.md"],
            [FRAME, "Preview of f.json"],
            [FRAME, "Preview of h.html"],
            [FRAME, "Preview of j.xml"],
            [null, "Preview of k.pdf"]
        ])
    );
    // The server's rendering of them is as harmless out of its frame.
    for name in ["d.txt", "e.md", "h.html", "j.xml"] {
        let id = stored["id"].as_str().unwrap();
        let view = format!("/uploads/{id}/view/{name}");
        browser.open(&server.url(&view));
        assert!(server.get(&view).text().contains("<main"), "{name}");
    }
    // Each is opened by itself as well, as a link in a mail would.
    for (name, shown) in [
        ("d.txt", true),
        ("e.md", true),
        ("i.png", true),
        ("g.svg", false),
        ("h.html", false),
        ("j.xml", false),
    ] {
        let id = stored["id"].as_str().unwrap();
        let before = server.log().matches(&format!("/{name} 200")).count();
        browser.open(&server.url("/healthz"));
        browser.run(&format!(
            "location.href = '/files/{id}/{name}?inline=1&anew'"
        ));
        if shown {
            // The browser may have kept it.
            wait_until("it is shown", || browser.url().contains(name));
        } else {
            wait_until("it is served", || {
                server.log().matches(&format!("/{name} 200")).count() > before
            });
            assert!(browser.url().ends_with("/healthz"), "{name}");
        }
    }
    browser.open_ready(&server.url("/"));
    assert_eq!(
        browser.run("return localStorage.getItem('ran')"),
        json!(null)
    );
    assert_eq!(browser.run("return document.title"), "wharf");
}

#[test]
fn a_busy_server_is_asked_again_when_it_said() {
    let server = Server::with(&["--max-uploads", "1"]);
    let form = Form::new().file("f", "slow.txt", b"slow");
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    let path = server.dir().join("mine.txt");
    std::fs::write(&path, "mine").unwrap();
    browser.run(
        "window.said = []; window.shown = new Set();
         const status = document.getElementById('status');
         new MutationObserver(() => said.push(status.textContent)).observe(status, { childList: true });
         setInterval(() => shown.add(document.querySelector('.is-waiting .pace')?.textContent), 50);",
    );
    // Not before the browser is there: a request that stands still is ended after a while.
    let mut first = Connection::announcing(server.address, &form);
    browser.choose("#files", &[path]);
    browser.click("#send");
    browser.wait_for("it waits", "document.querySelector('.transfer.is-waiting')");
    assert!(
        browser
            .text(".transfer .trouble")
            .contains("max_uploads (1) are under way")
    );
    browser.assert_accessible("waiting");
    browser.wait_for(
        "the seconds go down",
        "shown.has('Trying again in 1 second')",
    );
    first.send(&form.body());
    assert_eq!(first.response(false).unwrap().status, 201);
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    assert_eq!(server.files().len(), 4);
    // Each attempt was said once, and not each second.
    let said = browser.run("return said.filter(text => text.includes('Trying again in')).length");
    let attempts = server.log().matches("POST /upload 503").count();
    assert!(said.as_u64().unwrap() <= attempts.max(1) as u64, "{said}");
    assert_eq!(
        browser.run("return said.filter(text => text.includes('1 second')).length"),
        0
    );
}

#[test]
fn one_sign_in_is_for_all_the_pages() {
    let server = Server::with(&["--access", "upload+download:secret"]);
    let secret = [("Authorization", "Bearer secret")];
    let form = Form::new().part(
        "Content-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png",
        PICTURE,
    );
    let stored = server.post_to("/upload", &form, &secret).json();
    let page = format!("/uploads/{}", stored["id"].as_str().unwrap());
    // The text that people type into the browser's own window stands in the address here.
    let signed_in = format!("http://me:secret@{}{page}", server.address);
    let file = server.dir().join("b.txt");
    std::fs::write(&file, "b").unwrap();
    let browser = Browser::start();
    browser.open_ready(&signed_in);
    browser.wait_for(
        "the picture",
        "document.querySelector('img.preview').naturalWidth === 32",
    );
    browser.open_ready(&server.url("/"));
    browser.choose("#files", std::slice::from_ref(&file));
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    browser.open_ready(&server.url("/"));
    browser.wait_for(
        "it may look",
        "'readable' in document.getElementById('history').dataset",
    );
    browser.click("#history summary");
    browser.click("#history .delete-it summary");
    browser.click("#history .delete");
    browser.wait_for("it is gone", "document.getElementById('history').hidden");
    assert_eq!(server.files().len(), 2);
    drop(browser);
    let browser = Browser::without_javascript();
    browser.open(&signed_in);
    browser.open(&server.url("/"));
    browser.choose("#files", &[file]);
    browser.click("#send");
    wait_until("the page of the upload", || {
        browser.url().contains("/uploads/")
    });
    assert!(browser.source().contains("b.txt"));
    assert_eq!(server.files().len(), 4);
}

/// A browser asks for a password by itself where a script comes upon a 401.
#[test]
fn nobody_is_asked_for_a_password_unasked() {
    let server = Server::with(&["--access", "download:secret"]);
    let file = server.dir().join("a.txt");
    std::fs::write(&file, "a").unwrap();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.choose("#files", &[file]);
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    browser.open_ready(&server.url("/"));
    browser.wait_for("it is listed", "document.querySelector('#history .sent')");
    let asked = browser.wait(
        "async () => (await fetch('/readyz?afterwards')).status",
        json!([]),
    );
    assert_eq!(asked, 200);
    server.says("GET /readyz 200");
    assert!(!server.log().contains(" 401 "), "{}", server.log());
    // Its key is enough to change and to delete it.
    browser.click("#history summary");
    browser.click("#history .prolong");
    server.says("PATCH /uploads/");
    browser.click("#history .delete-it summary");
    browser.click("#history .delete");
    browser.wait_for("it is gone", "document.getElementById('history').hidden");
    assert_eq!(server.files(), [""; 0]);
}
