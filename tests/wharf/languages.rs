//! Every language of the pages in a real browser: nothing is cut off, and all of it is mirrored
//! where it is written from right to left.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Browser, Form, Server};

/// A name with spaces, brackets and digits, which a page from right to left would scatter.
const NAME: &str = "report 2024 (final).pdf";
/// A name without a place for a line break.
const LONG: &str =
    "a-name-that-is-so-long-that-no-line-of-any-screen-will-ever-hold-it-as-one-line.tar.gz";

/// The tag of every language, and its direction.
pub fn languages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/words");
    let files = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let words: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let tag = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (tag, words["direction"].as_str().unwrap().to_owned())
        })
        .collect();
    found.sort();
    found
}

/// The elements that stick out of the window or are cut off in their place, as a person would see
/// it.
const CUT_OFF: &str = "
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push(['page', document.documentElement.scrollWidth]);
    for (const element of document.querySelectorAll('button, .button, summary, label, h1, h2, p, a, dt, dd, option')) {
        const { left, right, width } = element.getBoundingClientRect();
        if (!width || element.closest('.unseen')) continue;
        const inside = element.scrollWidth <= element.clientWidth + 1 || getComputedStyle(element).display === 'inline';
        if (left < -1 || right > innerWidth + 1 || !inside) found.push([element.tagName, element.className, element.textContent.slice(0, 60)]);
    }
    return found;";

#[track_caller]
fn look(browser: &Browser, language: (&str, &str), page: &str) {
    let (tag, direction) = language;
    let root = browser.run("const { lang, dir } = document.documentElement; return [lang, dir]");
    assert_eq!(root, json!([tag, direction]), "{page}");
    assert_eq!(browser.run(CUT_OFF), json!([]), "{page} in {tag}");
    browser.assert_accessible(&format!("{page} in {tag}"));
    browser.screenshot(&format!("language-{tag}-{page}"));
}

#[test]
fn every_language_fits_a_phone() {
    let server = Server::with(&["--max-file-size", "2GiB", "--default-expires-in", "7d"]);
    let form = Form::new()
        .text("from", "Ana")
        .text("note", "two lines\nof text")
        .file("f", NAME, b"x")
        .file("f", LONG, &[b'x'; 2_000_000])
        .file("f", "notes.txt", b"notes");
    // The head of a folder has its name, a count and a size.
    let form = (0..8).fold(form, |form, i| {
        form.file("f", &format!("Lisbon/{i}.bin"), &[b'x'; 2_500_000])
    });
    let stored = server.upload(&form);
    let page = format!("/uploads/{}", stored["id"].as_str().unwrap());
    let limited = server.post_to("/upload?max_downloads=3", &form, &[]).json();
    let limited = format!("/uploads/{}", limited["id"].as_str().unwrap());
    let path = server.dir().join(NAME);
    std::fs::write(&path, "x").unwrap();
    let browser = Browser::start();
    browser.show_as("light", 360);
    let languages = languages();
    assert!(languages.len() >= 7, "{languages:?}");
    for (tag, direction) in &languages {
        let language = (tag.as_str(), direction.as_str());
        browser.open_ready(&server.url(&format!("/?lang={tag}")));
        let open =
            "for (const details of document.querySelectorAll('main details')) details.open = true";
        browser.run(open);
        look(&browser, language, "first");
        browser.run("document.querySelector('nav details').open = true");
        browser.screenshot(&format!("language-{tag}-menu"));
        browser.run("document.querySelector('nav details').open = false");
        browser.choose("#files", std::slice::from_ref(&path));
        browser.click("#send");
        browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
        browser.run(open);
        look(&browser, language, "sent");
        // The choice is remembered.
        for (name, path) in [("upload", &page), ("limited", &limited)] {
            browser.open_ready(&server.url(path));
            browser.run(open);
            look(&browser, language, name);
        }
        for (name, path) in [
            ("error", "/uploads/none"),
            ("problem", "/problems/limit-exceeded"),
            ("problems", "/problems"),
        ] {
            browser.open(&server.url(path));
            look(&browser, language, name);
        }
    }
}

/// The browser knows by itself which forms the numbers of a language have.
#[test]
fn every_number_has_the_form_that_the_browser_asks_for() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open(&server.url("/"));
    for (tag, _) in languages() {
        let forms = "async tag => {
            const words = (await import(`/static/any/words/${tag}.js`)).default;
            const needed = new Intl.PluralRules(tag).resolvedOptions().pluralCategories.toSorted().join();
            const counted = Object.entries(words).filter(([, value]) => value.other);
            return [counted.length > 5, counted.filter(([, forms]) => Object.keys(forms).toSorted().join() !== needed), 'problem_means' in words];
        }";
        let found = browser.wait(forms, json!([tag]));
        assert_eq!(found, json!([true, [], false]), "{tag}");
    }
}

#[test]
fn times_and_numbers_are_written_as_the_reader_does() {
    let server = Server::start();
    let large = vec![0; 1_600_000];
    let stored = server.upload(&Form::new().file("f", "a.bin", &large));
    let page = format!("/uploads/{}", stored["id"].as_str().unwrap());
    // The words are English for both; the way to write a date is not.
    for (preferred, query, locale, size) in [
        ("en-GB,en", "", "en-GB", "1.5 MiB"),
        ("en-US,en", "", "en-US", "1.5 MiB"),
        ("de-AT,en", "", "de-AT", "1,5 MiB"),
        ("fr-CH,de", "?lang=de", "de", "1,5 MiB"),
        ("ar-EG,en", "", "ar-EG-u-nu-latn", "1.5 ميغابايت"),
    ] {
        let browser = Browser::preferring(preferred);
        browser.open_ready(&server.url(&format!("{page}{query}")));
        let time = "return document.querySelector('time').textContent";
        let expected = format!(
            "return new Intl.DateTimeFormat('{locale}', {{ dateStyle: 'medium', timeStyle: 'short' }}).format(new Date(document.querySelector('time').dateTime))"
        );
        assert_eq!(browser.run(time), browser.run(&expected), "{preferred}");
        let lead = browser.text(".lead");
        assert!(lead.contains(size), "{preferred}: {lead}");
    }
}

#[test]
fn arabic_is_mirrored_and_names_of_files_are_not() {
    let server = Server::start();
    let stored = server.upload(&Form::new().file("f", NAME, b"x").file("f", "b.txt", b"y"));
    let page = format!("/uploads/{}", stored["id"].as_str().unwrap());
    let browser = Browser::preferring("ar,en");
    browser.open_ready(&server.url(&page));
    let mirrored = "
        const left = selector => document.querySelector(selector).getBoundingClientRect().left;
        return left('.brand') > left('nav')";
    assert_eq!(browser.run(mirrored), true);
    let in_order = "
        const text = [...document.querySelectorAll('.files .name')].find(name => name.textContent.includes('report')).firstChild;
        const at = index => {
            const range = document.createRange();
            range.setStart(text, index);
            range.setEnd(text, index + 1);
            return range.getBoundingClientRect();
        };
        const { left } = at(text.data.indexOf('report'));
        return left < at(text.data.indexOf('2024')).left && at(text.data.indexOf('2024')).left < at(text.data.indexOf(').pdf')).left";
    assert_eq!(browser.run(in_order), true);
    drop(browser);
    // The server's own page is the same, without a script.
    let page = server.request(
        "GET",
        &page,
        &[
            ("Accept", "text/html"),
            ("Accept-Language", "ar-EG, en;q=0.5"),
        ],
        b"",
    );
    assert!(
        page.text().contains("<html lang=\"ar\" dir=\"rtl\">"),
        "{}",
        page.text()
    );
}
