//! The pages as people use them: a designer with hundreds of photos, somebody with a phone and a bad
//! line, fingers, the device's own way to pass a link on.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Browser, Form, Server, wait_until};

const PICTURE: &[u8] = include_bytes!("clients/picture.png");

fn page_of(stored: &Value) -> String {
    format!("/uploads/{}", stored["id"].as_str().unwrap())
}

/// A form with so many pictures of this size.
fn pictures(count: usize, size: usize) -> Form {
    let mut picture = PICTURE.to_vec();
    // Behind its end a PNG may hold anything.
    picture.resize(size.max(picture.len()), 0);
    (0..count).fold(Form::new(), |form, i| {
        let head = format!(
            "Content-Disposition: form-data; name=\"f\"; filename=\"photo {i}.png\"\r\nContent-Type: image/png"
        );
        form.part(&head, &picture)
    })
}

/// A folder with 300 photos in 10 folders, and what systems leave in folders.
fn shoot(server: &Server) -> PathBuf {
    let root = server.dir().join("Shoot");
    for day in 0..10 {
        let folder = root.join(format!("day {day}"));
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..30 {
            let name = format!("DSC_{:04}.png", day * 30 + i);
            std::fs::write(folder.join(name), PICTURE).unwrap();
        }
        std::fs::write(folder.join(".DS_Store"), b"stray").unwrap();
    }
    root
}

/// The names in a ZIP file, as its directory has them (APPNOTE 4.3.12).
fn names_in(path: &Path) -> Vec<String> {
    wait_until("the download", || path.exists());
    let zip = std::fs::read(path).unwrap();
    let heads = zip.windows(4).enumerate();
    let heads = heads.filter(|(_, bytes)| bytes == b"PK\x01\x02");
    let names = heads.map(|(at, _)| {
        let length = usize::from(u16::from_le_bytes([zip[at + 28], zip[at + 29]]));
        String::from_utf8(zip[at + 46..][..length].to_vec()).unwrap()
    });
    names.collect()
}

#[test]
fn a_designer_sends_three_hundred_photos_in_folders() {
    let server = Server::start();
    let browser = Browser::start();
    let folder = browser.downloads();
    browser.open_ready(&server.url("/"));
    browser.drop_files(&[shoot(&server)]);
    browser.wait_for(
        "the photos",
        "document.querySelector('#chosen .sum').textContent.startsWith('300 files')",
    );
    // One row, and the folders in it when it is opened.
    let rows = "return document.querySelectorAll('#chosen li').length";
    assert_eq!(browser.run(rows), 1);
    browser.click("#chosen summary");
    browser.wait_for(
        "the folders",
        "document.querySelectorAll('#chosen li').length === 11",
    );
    assert!(
        browser
            .text("#chosen .left-out")
            .contains("10 files (.DS_Store)")
    );
    browser.type_into("#note", "All of last week.");
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    assert_eq!(browser.text(".transfer .what"), "Shoot");
    assert_eq!(browser.text("#history .name"), "Shoot");
    browser.screenshot("40-designer-sent");
    let link = browser.run("return document.querySelector('.transfer .link').value");
    let link = link.as_str().unwrap().to_owned();

    browser.open_ready(&link);
    assert_eq!(browser.text("h1"), "Shoot");
    browser.wait_for(
        "the folder around all is open, those in it are not",
        "document.querySelectorAll('.folder-of[open]').length === 1 && document.querySelectorAll('.folder-of').length === 11",
    );
    browser.screenshot("41-designer-page");
    browser.click(".folder-of .folder-of summary");
    browser.wait_for(
        "photos beside each other",
        "document.querySelector('.folder-of .folder-of .pictures .thumb img').naturalWidth === 32",
    );
    browser.assert_accessible("a folder of photos");
    browser.click(".folder-of .folder-of .look-at");
    browser.wait_for(
        "the gallery",
        "document.querySelector('.gallery .place')?.textContent === '1 of 300'",
    );
    // It goes through all folders, and ends in the one of the last picture.
    browser.press('\u{e012}');
    browser.wait_for(
        "the last picture",
        "document.querySelector('.gallery .name').textContent === 'DSC_0299.png'",
    );
    browser.press('\u{e00c}');
    browser.wait_for(
        "its folder",
        "document.activeElement.closest('details')?.querySelector('summary .name').textContent === 'day 9'",
    );
    browser.type_into("#filter", "shoot dsc_021");
    let seen =
        "return [...document.querySelectorAll('.file-row')].filter(row => row.offsetParent).length";
    assert_eq!(browser.run(seen), 10);
    // So many checksums are a page of their own.
    browser.run("document.querySelector('.more a[href*=checksums]').click()");
    browser.wait_for(
        "the checksums",
        "document.querySelector('#checksums[open] code')",
    );
    let sums = browser.text("#checksums code");
    assert_eq!(sums.trim().lines().count(), 300);
    assert!(sums.contains("  Shoot/day 9/DSC_0299.png"));
    browser.click(".main-actions .take");
    let id = link.rsplit('/').next().unwrap();
    let names = names_in(&folder.join(format!("{id}.zip")));
    assert_eq!(names.len(), 300);
    assert!(names.contains(&"Shoot/day 0/DSC_0000.png".to_owned()));
}

/// The page stays of use while the server is away, and shows what is missing when it is back.
#[test]
fn a_phone_with_a_bad_line_sees_the_pictures_in_the_end() {
    let server = Server::start();
    let address = server.address.to_string();
    let stored = server.upload(&pictures(3, 150_000).text("note", "From the boat"));
    let browser = Browser::start();
    browser.show_as("light", 390);
    // Half a second there and back, and 40 kB a second.
    browser.line(500, 40_000, 20_000);
    browser.open(&server.url(&page_of(&stored)));
    // What is to be read is there long before the pictures are.
    assert_eq!(browser.text(".note .words"), "From the boat");
    browser.wait_for("the scripts", "'ready' in document.documentElement.dataset");
    browser.wait_for(
        "the first picture",
        "document.querySelector('.thumb img').naturalWidth === 32",
    );
    let setup = server.kill();
    // Fast enough for the rest of the test.
    browser.line(20, 0, 0);
    browser.run("const at = [...document.querySelectorAll('.look-at')].pop(); at.href += '&anew'; at.click()");
    browser.wait_for(
        "a word",
        "document.querySelector('.gallery .trouble').textContent.includes('did not come')",
    );
    browser.assert_accessible("a picture that did not come");
    browser.screenshot("42-bad-line");
    let server = setup.args(&["--listen", &address]).start();
    // Nobody does anything.
    browser.wait_for(
        "the picture",
        "(gallery => !gallery.matches('.loading') && gallery.querySelector('img').naturalWidth === 32)(document.querySelector('.gallery'))",
    );
    assert_eq!(browser.text(".gallery .trouble"), "");
    browser.press('\u{e00c}');
    browser.wait_for(
        "all small ones",
        "[...document.querySelectorAll('.thumb img')].every(it => it.naturalWidth === 32) && document.querySelectorAll('.thumb img').length === 3",
    );
    assert_eq!(server.get(&page_of(&stored)).status, 200);
}

#[test]
fn fingers_turn_the_pictures() {
    let server = Server::start();
    let stored = server.upload(&pictures(3, 0));
    let browser = Browser::start();
    browser.show_as("light", 390);
    for (lang, ahead) in [("en", -1), ("ar", 1)] {
        browser.open_ready(&server.url(&format!("{}?lang={lang}", page_of(&stored))));
        browser.click(".look-at");
        browser.wait_for(
            "the gallery",
            "document.querySelector('dialog[open] img').naturalWidth === 32",
        );
        let at = |name: &str| {
            browser.wait_for(
                "the picture",
                &format!("document.querySelector('.gallery .name').textContent === '{name}'"),
            );
        };
        at("photo 0.png");
        // Beside the picture as well as on it.
        browser.swipe((195, 300), (195 + 120 * ahead, 310));
        at("photo 1.png");
        browser.swipe((195, 300), (195 - 120 * ahead, 310));
        at("photo 0.png");
        browser.swipe((195, 300), (195 - 120 * ahead, 300));
        at("photo 2.png");
        // A finger that hardly moves, or goes down, turns nothing.
        browser.swipe((195, 300), (195 + 20 * ahead, 300));
        browser.swipe((195, 300), (195, 420));
        at("photo 2.png");
        assert_eq!(
            browser.run("return Boolean(document.querySelector('dialog[open]'))"),
            true
        );
    }
}

#[test]
fn a_link_is_passed_on_by_the_device() {
    let server = Server::start();
    let browser = Browser::start();
    // Headless, the browser has no window for it.
    browser.before_scripts(
        "window.passed = []; navigator.share = async data => { passed.push(data); }",
    );
    browser.open_ready(&server.url("/"));
    browser.type_into("#note", "words");
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    let link = browser.run("return document.querySelector('.transfer .link').value");
    browser.click(".transfer .pass-on");
    browser.click("#history summary");
    browser.click("#history .pass-on");
    let expected = json!({ "title": "Message", "url": link });
    assert_eq!(browser.run("return passed"), json!([expected, expected]));
    browser.click("#history .name");
    browser.wait_for(
        "the page",
        "'ready' in document.documentElement.dataset && document.getElementById('sender')",
    );
    browser.click("#sender .pass-on");
    assert_eq!(browser.run("return passed"), json!([expected]));
    drop(browser);
    // Where the device has nothing for it, there is no button.
    let browser = Browser::start();
    browser.before_scripts("delete Navigator.prototype.share");
    browser.open_ready(link.as_str().unwrap());
    assert_eq!(
        browser.run("return document.querySelector('#sender .pass-on').hidden"),
        true
    );
}

#[test]
fn files_that_a_new_page_does_not_keep_are_asked_for_again() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    let paths = ["a.txt", "b.txt"].map(|name| server.dir().join(name));
    for path in &paths {
        std::fs::write(path, "x").unwrap();
    }
    browser.choose("#files", &paths);
    browser.type_into("#note", "half a");
    browser.click("nav summary");
    browser.click("nav a[lang=de]");
    browser.wait_for(
        "the German page",
        "document.documentElement.lang === 'de' && 'ready' in document.documentElement.dataset",
    );
    let trouble = browser.text("#form-trouble");
    assert!(
        trouble.contains("2 Dateien") && trouble.contains("noch einmal"),
        "{trouble}"
    );
    browser.assert_accessible("to be chosen again");
    // It is said once, and no more when they are chosen.
    browser.choose("#files", &paths);
    assert_eq!(browser.text("#form-trouble"), "");
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    assert_eq!(server.files().len(), 3);
    browser.open_ready(&server.url("/"));
    assert_eq!(browser.text("#form-trouble"), "");
}
