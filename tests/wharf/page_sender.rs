//! The first page for senders: text alone, pasted files, drafts, passwords, a line that stands
//! still.

use std::path::PathBuf;

use serde_json::json;

use crate::support::{Browser, Server, wait_until};

/// Signals that halt a process and have it go on.
const STOP: i32 = 19;
const CONTINUE: i32 = 18;

fn file(server: &Server, name: &str, size: u64) -> PathBuf {
    let path = server.dir().join(name);
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    path
}

fn sent(browser: &Browser) {
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");
}

/// The content of the last upload.
fn stored(server: &Server, browser: &Browser) -> serde_json::Value {
    let link = browser.run("return document.querySelector('.transfer .link').value");
    let link = link.as_str().unwrap();
    server
        .get(link.strip_prefix(&server.url("")).unwrap())
        .json()
}

#[test]
fn a_text_alone_is_sent_and_nothing_is_not() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.click("#send");
    browser.wait_for(
        "why not",
        "document.getElementById('form-trouble').textContent",
    );
    browser.assert_accessible("nothing chosen");
    assert_eq!(server.files(), [""; 0]);
    browser.type_into("#note", "only words");
    assert_eq!(browser.text("#form-trouble"), "");
    browser.click("#send");
    sent(&browser);
    assert_eq!(browser.text(".transfer .what"), "Message");
    assert_eq!(
        stored(&server, &browser)["fields"],
        json!({ "note": ["only words"] })
    );
    // The same without scripts.
    drop(browser);
    let browser = Browser::without_javascript();
    browser.open(&server.url("/"));
    browser.type_into("#note", "plain words");
    browser.click("#send");
    wait_until("its page", || browser.url().contains("/uploads/"));
    assert!(browser.source().contains("plain words"));
}

#[test]
fn what_is_pasted_is_sent() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    let paste = "const data = new DataTransfer(); add(data); document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))";
    let paste = |add: &str| browser.run(&format!("const add = data => {add}; {paste}"));
    paste("data.setData('text/plain', 'pasted words')");
    assert_eq!(
        browser.run("return document.getElementById('note').value"),
        "pasted words"
    );
    paste("data.items.add(new File(['x'], 'image.png', { type: 'image/png' }))");
    paste("data.items.add(new File(['y'], 'named.txt'))");
    browser.wait_for(
        "both files",
        "document.querySelectorAll('#chosen li').length === 2",
    );
    browser.click("#send");
    sent(&browser);
    let stored = stored(&server, &browser);
    let name = stored["files"][0]["name"].as_str().unwrap();
    // Each picture has a name of its own: the time.
    assert!(name.starts_with("20") && name.ends_with(".png"), "{name}");
    assert_eq!(stored["files"][1]["name"], "named.txt");
    assert_eq!(stored["fields"]["note"], json!(["pasted words"]));
}

#[test]
fn drafts_outlive_the_switch_of_language_and_choices_may_be_ones_own() {
    let server = Server::with(&["--max-expires-in", "30d"]);
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.type_into("#note", "half a");
    browser.click("nav summary");
    browser.click("nav a[lang=de]");
    browser.wait_for(
        "the German page",
        "document.documentElement.lang === 'de' && 'ready' in document.documentElement.dataset",
    );
    assert_eq!(
        browser.run("return document.getElementById('note').value"),
        "half a"
    );
    browser.open_ready(&server.url("/?lang=en"));
    let choose = |id: &str| {
        browser.run(&format!("const it = document.getElementById('{id}'); it.selectedIndex = it.options.length - 1; it.dispatchEvent(new Event('change', {{ bubbles: true }}))"));
    };
    choose("expires_in");
    browser.run("document.querySelector('.own input').value = ''");
    browser.type_into(".own input", "5");
    // Five weeks are more than the server keeps anything.
    browser.click("#send");
    assert_eq!(
        browser.run("return document.querySelectorAll('.transfer').length"),
        0
    );
    browser.run(
        "const unit = document.querySelector('.own select'); unit.value = 'd'; unit.onchange()",
    );
    choose("max_downloads");
    browser.assert_accessible("choices of one's own");
    browser.click("#send");
    sent(&browser);
    let link = browser.run("return document.querySelector('.transfer .link').value");
    let id = link
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let record = server.get(&format!("/uploads/{id}")).json();
    assert_eq!(record["max_downloads"], 5);
    let days = browser.run(&format!(
        "return Math.round((new Date({}) - Date.now()) / 864e5)",
        record["expires_at"]
    ));
    assert_eq!(days, 5);
}

/// The password is asked for and tried before the first byte of a file goes.
#[test]
fn a_password_is_asked_for_in_the_page() {
    let server = Server::with(&["--access", "upload:open sesame"]);
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.assert_accessible("password");
    browser.choose("#files", &[file(&server, "big.bin", 20 << 20)]);
    browser.click("#send");
    let trouble = || browser.text("#secret .trouble");
    browser.wait_for(
        "a word",
        "document.querySelector('#secret .trouble').textContent",
    );
    assert_eq!(trouble(), "Type the password first.");
    browser.type_into("#secret input", "wrong");
    browser.click("#send");
    browser.wait_for(
        "another word",
        "document.querySelector('#secret .trouble').textContent.includes('does not allow')",
    );
    browser.assert_accessible("wrong password");
    assert!(!server.log().contains("POST /upload"), "{}", server.log());
    browser.run("document.querySelector('#secret input').value = ''");
    browser.type_into("#secret input", "open sesame");
    browser.click("#send");
    sent(&browser);
    assert!(!server.log().contains(" 401 "), "{}", server.log());
    // This window knows it from now on.
    browser.open_ready(&server.url("/"));
    assert_eq!(
        browser.run("return document.querySelector('#secret input').value"),
        "open sesame"
    );
    browser.type_into("#note", "again");
    browser.click("#send");
    sent(&browser);
    assert!(
        !browser
            .run("return JSON.stringify(localStorage)")
            .to_string()
            .contains("sesame")
    );
}

#[test]
fn a_line_that_stands_still_is_said_to() {
    let server = Server::with(&["--idle-timeout", "10m"]);
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.choose("#files", &[file(&server, "big.bin", 60 << 20)]);
    browser.throttle(10 << 20);
    browser.click("#send");
    browser.wait_for(
        "some of it",
        "document.querySelector('progress.whole').value > 0.05",
    );
    server.signal(STOP);
    browser.wait_for("it stands still", "document.querySelector('.is-stalled')");
    assert!(browser.text(".transfer .pace").starts_with("Stalled for "));
    browser.assert_accessible("stalled");
    server.signal(CONTINUE);
    browser.throttle(0);
    sent(&browser);
}

/// Names and errors of a server that is away fit what was done.
#[test]
fn a_deletion_while_the_server_is_away_is_no_lost_upload() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.type_into("#note", "words");
    browser.click("#send");
    sent(&browser);
    drop(server.kill());
    browser.click("#history summary");
    browser.click("#history .delete-it summary");
    browser.click("#history .delete");
    browser.wait_for(
        "a word",
        "document.querySelector('#history .trouble').textContent",
    );
    let trouble = browser.text("#history .trouble");
    assert!(
        trouble.starts_with("The server cannot be reached."),
        "{trouble}"
    );
    assert!(!trouble.contains("thrown away"));
}

#[test]
fn a_long_history_is_compact_and_searched() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    browser.run("localStorage.setItem('wharf:', JSON.stringify(Array.from({ length: 60 }, (_, i) => ({ id: String(i).padStart(26, '0'), token: 'x', created: new Date().toISOString(), expires: null, bytes: 1024 * i, name: `report ${i} with a rather long name.pdf`, files: 1 }))))");
    // Nothing of it is on the server: it is not to be asked.
    browser.run("document.dispatchEvent(new Event('kept'))");
    let high = browser.run("return document.querySelector('#history li').offsetHeight");
    assert!(high.as_u64().unwrap() <= 60, "{high}");
    browser.type_into("#history input", "report 5");
    let shown = browser.run(
        "return [...document.querySelectorAll('#history li')].filter(li => li.offsetParent).length",
    );
    assert_eq!(shown, 11);
    browser.assert_accessible("searched");
    browser.show_as("light", 390);
    browser.assert_fits("a long history");
}
