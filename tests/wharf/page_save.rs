//! The page saves drafts, and asks before something is gone.

use std::path::Path;

use crate::support::{Browser, Form, Server, wait_until};

/// A form of so many files; each holds its name.
fn form_of(count: usize) -> Form {
    (0..count).fold(Form::new(), |form, i| {
        let name = format!("file {i}.txt");
        form.file("f", &name, name.as_bytes())
    })
}

/// The names in a ZIP file, as its directory has them (APPNOTE 4.3.12).
fn names_in(zip: &[u8]) -> Vec<String> {
    let heads = zip.windows(4).enumerate();
    let heads = heads.filter(|(_, bytes)| bytes == b"PK\x01\x02");
    heads
        .map(|(at, _)| {
            let length = u16::from_le_bytes([zip[at + 28], zip[at + 29]]).into();
            String::from_utf8(zip[at + 46..][..length].to_vec()).unwrap()
        })
        .collect()
}

/// Waits for a download, which has its name when it is whole.
fn downloaded(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(name);
    wait_until("the download", || path.exists());
    std::fs::read(path).unwrap()
}

/// One click saves every file in its folder, with scripts and without.
#[test]
fn all_files_are_saved_as_one_archive() {
    let server = Server::start();
    let head = "Content-Disposition: form-data; name=\"f\"; filename=\"trip/day 1/a.txt\"";
    let stored = server.upload(&form_of(45).part(head, b"a"));
    let id = stored["id"].as_str().unwrap();
    for start in [
        Browser::start as fn() -> Browser,
        Browser::without_javascript,
    ] {
        let browser = start();
        let folder = browser.downloads();
        browser.open(&server.url(&format!("/uploads/{id}")));
        browser.click(".main-actions .take");
        let names = names_in(&downloaded(&folder, &format!("{id}.zip")));
        assert_eq!(names.len(), 46, "{names:?}");
        assert!(names.contains(&"trip/day 1/a.txt".to_owned()), "{names:?}");
    }
}

/// The one download that is allowed is the archive; the page says then that it is over.
#[test]
fn the_last_download_is_all_of_it() {
    let server = Server::start();
    let stored = server
        .post_to("/upload?max_downloads=1", &form_of(12), &[])
        .json();
    let id = stored["id"].as_str().unwrap();
    let path = format!("/uploads/{id}");
    let browser = Browser::start();
    let folder = browser.downloads();
    browser.open_ready(&server.url(&path));
    assert!(browser.text(".lead").contains("Downloads left: 1 of 1"));
    browser.click(".main-actions .take");
    assert_eq!(
        names_in(&downloaded(&folder, &format!("{id}.zip"))).len(),
        12
    );
    browser.wait_for("the end", "!document.getElementById('over').hidden");
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn deleting_and_forgetting_are_asked_about() {
    let server = Server::start();
    std::fs::write(server.dir().join("a.txt"), "a").unwrap();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.choose("#files", &[server.dir().join("a.txt")]);
    browser.click("#send");
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
    let stored = server.files();
    assert_eq!(stored.len(), 2);
    browser.click("#history summary");
    browser.click("#history .delete-it summary");
    assert_eq!(
        browser.text("#history .question"),
        "Delete a.txt (1 B) for everybody? It cannot be brought back."
    );
    browser.assert_accessible("asked about a deletion");
    browser.click("#history .delete-it .keep-it");
    let closed = "return !document.querySelector('#history .delete-it').open";
    assert_eq!(browser.run(closed), true);
    assert_eq!(server.files(), stored);
    // Its own page asks as well.
    let link = browser.run("return document.querySelector('.transfer .link').value");
    let link = link.as_str().unwrap().to_owned();
    browser.open_ready(&link);
    browser.click("#manage summary.danger");
    browser.assert_accessible("asked about a deletion on its page");
    browser.click("#manage .keep-it");
    assert_eq!(server.files(), stored);
    // An upload whose key the page forgets stays on the server.
    browser.open_ready(&server.url("/"));
    browser.click("#history summary");
    browser.click("#history .sure summary");
    assert!(
        browser
            .text("#history .sure")
            .contains("cannot be deleted from here")
    );
    browser.click("#history .forget");
    browser.wait_for(
        "the list is gone",
        "document.querySelector('#history').hidden",
    );
    assert_eq!(server.files(), stored);
}
