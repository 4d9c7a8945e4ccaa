//! Every state of the pages, light, dark and on a phone: nothing is too wide, nothing stands in the
//! way of people who hear or type a page. `WHARF_SCREENSHOTS=FOLDER` writes a picture of each.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Browser, Form, Server, wait_until};

const PICTURE: &[u8] = include_bytes!("clients/picture.png");
const THEMES: [(&str, &str, u32); 4] = [
    ("light", "light", 1100),
    ("dark", "dark", 1100),
    ("phone", "light", 390),
    ("phone-dark", "dark", 390),
];

/// Signals that halt a process and have it go on.
const STOP: i32 = 19;
const CONTINUE: i32 = 18;

struct States<'a> {
    browser: &'a Browser,
}

impl States<'_> {
    /// Looks at the page as it is now.
    #[track_caller]
    fn see(&self, name: &str) {
        self.see_as(name, &THEMES);
    }

    /// Looks at the page in one light at a desk and in the other on a phone.
    #[track_caller]
    fn see_some(&self, name: &str) {
        self.see_as(name, &[THEMES[0], THEMES[3]]);
    }

    #[track_caller]
    fn see_as(&self, name: &str, themes: &[(&str, &str, u32)]) {
        for &(look, scheme, width) in themes {
            self.browser.show_as(scheme, width);
            self.browser.assert_fits(&format!("{name}, {look}"));
            self.browser.assert_accessible(&format!("{name}, {look}"));
            self.browser.screenshot(&format!("{name}-{look}"));
        }
        self.browser.show_as("light", 1100);
    }
}

fn file(server: &Server, name: &str, size: u64) -> PathBuf {
    let path = server.dir().join("chosen").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    path
}

fn typed(form: Form, name: &str, media_type: &str, content: &[u8]) -> Form {
    let head = format!(
        "Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\nContent-Type: {media_type}"
    );
    form.part(&head, content)
}

fn page_of(server: &Server, stored: &Value) -> String {
    server.url(&format!("/uploads/{}", stored["id"].as_str().unwrap()))
}

const LONG: &str =
    "a-name-that-is-so-long-that-no-line-of-any-screen-will-ever-hold-it-all-in-one-piece.tar.gz";

#[test]
fn sending() {
    let limits = ["--max-file-size", "2GiB", "--max-field-size", "100"];
    let server = Server::with(&[&limits[..], &["--idle-timeout", "10m"]].concat());
    let browser = Browser::start();
    let states = States { browser: &browser };
    browser.open_ready(&server.url("/"));
    states.see("01-empty");
    browser.click("#send");
    states.see("02-nothing-chosen");
    let film = file(&server, "holiday film.mp4", 90 << 20);
    let folder = file(&server, "Lisbon/day 1/IMG_0001.jpg", 3 << 20);
    file(&server, "Lisbon/day 1/IMG_0002.jpg", 2 << 20);
    file(&server, "Lisbon/day 2/IMG_0003.jpg", 4 << 20);
    file(&server, "Lisbon/.DS_Store", 6000);
    let folder = folder.ancestors().nth(2).unwrap().to_owned();
    let over = file(&server, "over.iso", 3 << 30);
    browser.drop_files(&[folder, film, file(&server, LONG, 3 << 20), over]);
    browser.wait_for(
        "the files",
        "document.querySelectorAll('#chosen li').length === 4",
    );
    browser.click("#chosen summary");
    browser.run("const it = document.getElementById('expires_in'); it.selectedIndex = it.options.length - 1; it.dispatchEvent(new Event('change')); document.querySelector('#form details:not(.folder-of)').open = true");
    browser.type_into("#note", "From last week. Keep what you like.");
    states.see("03-chosen");
    browser.click("#chosen .over-limit .remove");
    browser.run("document.getElementById('expires_in').selectedIndex = 0; document.getElementById('expires_in').dispatchEvent(new Event('change'))");
    browser.throttle(6 << 20);
    browser.click("#send");
    browser.click(".parts summary");
    browser.wait_for(
        "a rate",
        "/left/.test(document.querySelector('.pace').textContent)",
    );
    states.see("04-sending");
    server.signal(STOP);
    browser.wait_for("it stands still", "document.querySelector('.is-stalled')");
    states.see("05-stalled");
    server.signal(CONTINUE);
    browser.throttle(0);
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    states.see("06-done");
    browser.click(".dismiss");
    browser.run("document.getElementById('note').value = 'x'.repeat(200)");
    browser.click("#send");
    browser.wait_for("it failed", "document.querySelector('.transfer.is-failed')");
    states.see("07-failed");
    browser.click(".dismiss");
    browser.throttle(1 << 20);
    browser.choose("#files", &[file(&server, "report.pdf", 50 << 20)]);
    browser.run("document.getElementById('note').value = ''");
    browser.click("#send");
    browser.wait_for(
        "a rate",
        "/left/.test(document.querySelector('.pace').textContent)",
    );
    browser.click(".cancel");
    browser.wait_for("it is cancelled", "document.querySelector('.is-cancelled')");
    states.see("08-cancelled");
    browser.throttle(0);
    browser.click(".retry");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    browser.open_ready(&server.url("/"));
    states.see("09-history");
    browser.click("#history summary");
    browser.click("#history .delete-it summary");
    states.see("10-delete");
    browser.click("#history a.name");
    browser.wait_for(
        "the page",
        "'ready' in document.documentElement.dataset && document.getElementById('sender')",
    );
    states.see("11-sender");
    browser.open_ready(&server.url("/"));
    browser.choose("#files", &[file(&server, "report.pdf", 50 << 20)]);
    browser.throttle(5 << 20);
    browser.click("#send");
    browser.wait_for(
        "some of it",
        "document.querySelector('progress.whole').value > 0.05",
    );
    // The files that are sent lie in its folder.
    let _setup = server.kill();
    browser.wait_for("it waits", "document.querySelector('.is-waiting')");
    states.see("12-lost");
}

#[test]
fn receiving() {
    let server = Server::start();
    let browser = Browser::start();
    let states = States { browser: &browser };
    let text = |form: Form| {
        form.text("from", "Ana").text(
            "note",
            "Here are the photos from last week.\nKeep what you like, and send the best ones to Grandma!",
        )
    };
    let mixed = (0..6).fold(text(Form::new()), |form, i| {
        typed(
            form,
            &format!("Lisbon/day 1/IMG_{i:04}.png"),
            "image/png",
            PICTURE,
        )
    });
    let mixed = (0..7).fold(mixed, |form, i| {
        typed(
            form,
            &format!("Lisbon/day 2/IMG_{i:04}.png"),
            "image/png",
            PICTURE,
        )
    });
    let mixed = typed(
        mixed,
        "plan.md",
        "text/markdown",
        b"# Plan\n\n- the boat leaves at *nine*\n- [map](https://maps.example/)\n",
    );
    let mixed = typed(
        mixed,
        "notes.txt",
        "text/plain",
        b"the boat\nleaves at nine",
    );
    let mixed = mixed.file("f", LONG, b"x").text("tour", "7");
    let stored = server
        .post_to(
            "/upload?title=Lisbon%20in%20November&expires_in=23h",
            &mixed,
            &[],
        )
        .json();
    browser.open_ready(&page_of(&server, &stored));
    states.see("13-recipient");
    browser.run("document.querySelectorAll('.look').forEach(details => details.open = true)");
    server.says("/view/plan.md 200");
    states.see("14-previews");
    browser.type_into("#filter", "0003");
    states.see("15-filter");
    browser.click(".file-row:not([hidden]) .look-at");
    browser.wait_for(
        "the gallery",
        "document.querySelector('dialog[open] img').naturalWidth === 32",
    );
    states.see("16-gallery");
    let photos = (0..12).fold(Form::new(), |form, i| {
        typed(form, &format!("IMG_{i:04}.png"), "image/png", PICTURE)
    });
    browser.open_ready(&page_of(&server, &server.upload(&photos)));
    states.see("17-photos");
    let one = |name: &str, media_type: &str, content: &[u8]| {
        page_of(
            &server,
            &server.upload(&typed(Form::new(), name, media_type, content)),
        )
    };
    browser.open_ready(&one("sunset over the harbour.png", "image/png", PICTURE));
    states.see("18-image");
    browser.open_ready(&one(
        "plan.md",
        "text/markdown",
        b"# Plan\n\nThe boat leaves at *nine*.\n\n| a | b |\n|-|-|\n| 1 | 2 |\n",
    ));
    states.see("19-markdown");
    browser.open_ready(&one("two.txt", "text/plain", b"two\nlines\n"));
    states.see("20-text-file");
    browser.open_ready(&page_of(&server, &server.upload(&text(Form::new()))));
    states.see("21-message");
    let form = Form::new()
        .file("f", "a.txt", b"a")
        .file("f", "contract.pdf", b"b");
    let limited = server
        .post_to("/upload?max_downloads=1&expires_in=7d", &form, &[])
        .json();
    browser.downloads();
    browser.open_ready(&page_of(&server, &limited));
    states.see("22-limited");
    for file in [".file-row:first-child", ".file-row:last-child"] {
        browser.click(&format!("{file} a.take"));
        wait_until("it is fetched", || {
            browser.run(&format!(
                "return !document.querySelector('{file} a.take[href]')"
            )) == true
        });
    }
    browser.wait_for("the end", "!document.getElementById('over').hidden");
    states.see("23-over");
    browser.open_ready(&(page_of(&server, &stored) + "?manage"));
    states.see("24-claim");
    browser.open(&server.url("/uploads/gone"));
    states.see("25-error");
    browser.open(&server.url("/problems"));
    states.see("26-problems");
    for tag in ["zh-Hans", "de", "ar"] {
        browser.open(&server.url(&format!("/?lang={tag}")));
        states.see(&format!("27-{tag}"));
        browser.open_ready(&page_of(&server, &stored));
        states.see(&format!("28-{tag}"));
    }
}

/// What a script writes is in the language of the page, and has room in it.
#[test]
fn in_other_languages() {
    let server = Server::with(&["--max-file-size", "1MiB", "--default-expires-in", "7d"]);
    let closed = Server::with(&["--access", "upload:secret"]);
    let browser = Browser::start();
    let states = States { browser: &browser };
    let folder = file(&server, "Lisbon/day 1/IMG_0001.jpg", 1 << 19);
    file(&server, "Lisbon/.DS_Store", 6000);
    let folder = folder.ancestors().nth(2).unwrap().to_owned();
    let over = file(&server, LONG, 2 << 20);
    let form = (0..16).fold(
        Form::new().text("from", "Ana").text("note", "Hello"),
        |form, i| {
            typed(
                form,
                &format!("Lisbon/IMG_{i:04}.png"),
                "image/png",
                PICTURE,
            )
        },
    );
    let form = typed(form, "plan.md", "text/markdown", b"# Plan\n\ntext\n");
    let photos = server.post_to("/upload?expires_in=23h", &form, &[]).json();
    let limited = Form::new().file("f", LONG, b"a").file("f", "b.txt", b"b");
    let limited = server
        .post_to("/upload?max_downloads=3", &limited, &[])
        .json();
    for tag in ["ar", "de", "ja", "zh-Hans"] {
        browser.open_ready(&server.url(&format!("/?lang={tag}")));
        browser.drop_files(&[folder.clone(), over.clone()]);
        browser.wait_for(
            "the files",
            "document.querySelectorAll('#chosen li').length === 2",
        );
        browser.run("const it = document.getElementById('expires_in'); it.selectedIndex = it.options.length - 1; it.dispatchEvent(new Event('change')); document.querySelectorAll('#form details').forEach(it => it.open = true)");
        states.see_some(&format!("33-{tag}-chosen"));
        browser.click("#chosen .over-limit .remove");
        browser.click("#send");
        browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
        browser.run("document.querySelectorAll('#history details').forEach(it => it.open = true)");
        states.see_some(&format!("34-{tag}-done"));
        browser.open_ready(&page_of(&server, &photos));
        browser.run("document.querySelectorAll('.look').forEach(it => it.open = true)");
        states.see_some(&format!("35-{tag}-recipient"));
        browser.click(".look-at");
        browser.wait_for(
            "the gallery",
            "document.querySelector('dialog[open] img').naturalWidth === 32",
        );
        states.see_some(&format!("36-{tag}-gallery"));
        browser.open_ready(&(page_of(&server, &limited) + "?manage"));
        browser.run("document.querySelector('#manage .sure').open = true");
        states.see_some(&format!("37-{tag}-claim"));
        browser.open_ready(&closed.url("/"));
        states.see_some(&format!("38-{tag}-password"));
        browser.open_ready(&server.url("/"));
        browser.run("localStorage.clear()");
    }
}

#[test]
fn with_a_password_and_without_scripts() {
    let server = Server::with(&["--access", "upload:secret"]);
    let browser = Browser::start();
    let states = States { browser: &browser };
    browser.open_ready(&server.url("/"));
    states.see("29-password");
    browser.type_into("#note", "words");
    browser.type_into("#secret input", "wrong");
    browser.click("#send");
    browser.wait_for(
        "a word",
        "document.querySelector('#secret .trouble').textContent",
    );
    states.see("30-wrong-password");
    drop(browser);
    let server = Server::start();
    let stored = server.upload(
        &Form::new()
            .file("f", "a.txt", b"a")
            .file("f", "b.txt", b"b"),
    );
    let browser = Browser::without_javascript();
    // axe is a script of the driver, which runs where those of pages do not.
    for (path, name) in [
        (server.url("/"), "31-plain"),
        (page_of(&server, &stored), "32-plain-recipient"),
    ] {
        browser.open(&path);
        for (look, scheme, width) in THEMES {
            browser.show_as(scheme, width);
            browser.assert_fits(name);
            browser.screenshot(&format!("{name}-{look}"));
        }
    }
}
