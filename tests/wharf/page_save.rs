//! What the page saves, and what it asks before something is gone.

use std::path::Path;

use crate::support::{Browser, Form, Server, wait_until};

/// A form of so many files; each holds its name.
fn form_of(count: usize) -> Form {
    (0..count).fold(Form::new(), |form, i| {
        let name = format!("file {i}.txt");
        form.file("f", &name, name.as_bytes())
    })
}

/// How many of the files are in the folder, whole.
fn saved(folder: &Path, count: usize) -> usize {
    let names = (0..count).map(|i| format!("file {i}.txt"));
    names
        .filter(|name| std::fs::read(folder.join(name)).is_ok_and(|it| it == name.as_bytes()))
        .count()
}

#[track_caller]
fn save(browser: &Browser, state: &str, button: &str) {
    browser.click("#save");
    browser.wait_for("the button", "!document.getElementById('save').disabled");
    assert_eq!(browser.text("#save-trouble"), "");
    let shown = browser.text("#save-state");
    assert!(shown.starts_with(state), "{shown}");
    assert_eq!(browser.text("#save"), button);
}

#[test]
fn many_files_are_saved_and_counted_truly() {
    let server = Server::start();
    let stored = server.upload(&form_of(45));
    let id = stored["id"].as_str().unwrap();
    let browser = Browser::start();
    let folder = browser.downloads();
    browser.open_ready(&server.url(&format!("/uploads/{id}")));
    save(&browser, "40 of 45 files saved", "Save the next 5 files");
    wait_until("forty are saved", || saved(&folder, 45) == 40);
    browser.assert_accessible("saving");
    // At once, so that it follows closely.
    save(&browser, "45 files saved", "Save all files");
    wait_until("all are saved", || saved(&folder, 45) == 45);
    // A file that is gone meanwhile is not counted as saved.
    let stored = server.upload(&form_of(41));
    let id = stored["id"].as_str().unwrap();
    browser.open_ready(&server.url(&format!("/uploads/{id}")));
    save(&browser, "40 of 41 files saved", "Save the next file");
    let token = format!("Bearer {}", stored["delete_token"].as_str().unwrap());
    let gone = server.request(
        "DELETE",
        &format!("/uploads/{id}"),
        &[("Authorization", &token)],
        b"",
    );
    assert_eq!(gone.status, 204);
    browser.click("#save");
    browser.wait_for(
        "an error",
        "document.getElementById('save-trouble').textContent",
    );
    let trouble = browser.text("#save-trouble");
    assert!(trouble.contains("There is nothing here"), "{trouble}");
    assert!(
        browser
            .text("#save-state")
            .starts_with("40 of 41 files saved")
    );
}

/// The one download that is allowed brings all files; those that are not saved at once are kept.
#[test]
fn nothing_of_a_limited_upload_is_lost() {
    let server = Server::start();
    let quoted = "Content-Disposition: form-data; name=\"f\"; filename=\"a %22quoted%22 name.txt\"";
    let form = form_of(42).part(quoted, b"quoted");
    let stored = server.post_to("/upload?max_downloads=1", &form, &[]).json();
    let path = format!("/uploads/{}", stored["id"].as_str().unwrap());
    let browser = Browser::start();
    let folder = browser.downloads();
    browser.open_ready(&server.url(&path));
    save(&browser, "40 of 43 files saved", "Save the next 3 files");
    wait_until("forty are saved", || saved(&folder, 42) == 40);
    wait_until("the upload is gone", || server.get(&path).status == 404);
    save(&browser, "43 files saved", "Save all files");
    wait_until("all are saved", || saved(&folder, 42) == 42);
    // Under the name that the page shows.
    wait_until("the last is saved", || {
        std::fs::read(folder.join("a _quoted_ name.txt")).is_ok_and(|it| it == b"quoted")
    });
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
