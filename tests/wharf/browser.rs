//! A browser as people have it: the form without JavaScript, downloads as `FormData`, and nothing
//! that was stored runs.

use std::path::PathBuf;

use serde_json::json;

use crate::support::{Browser, Form, Server, noise, wait_until};

#[test]
fn a_form_is_sent_prolonged_and_deleted_without_javascript() {
    let server = Server::start();
    let names = ["first.txt", "na\u{ef}ve &lt;b&gt;.bin"];
    for (i, name) in names.iter().enumerate() {
        std::fs::write(server.dir().join(name), noise(200_000 * i + 10, 1)).unwrap();
    }
    let browser = Browser::without_javascript();
    browser.open(&server.url("/"));
    let paths: Vec<PathBuf> = names.iter().map(|name| server.dir().join(name)).collect();
    browser.choose("#files", &paths);
    browser.click("#form summary");
    browser.type_into("#note", "a note");
    browser.click("#expires_in option[value='7d']");
    browser.click("#send");
    wait_until("the page of the upload", || {
        browser.url().contains("/uploads/")
    });
    let source = browser.source();
    assert!(
        source.contains("first.txt")
            && source.contains("na\u{ef}ve &amp;lt;b&amp;gt;.bin")
            && source.contains("a note"),
        "{source}"
    );
    assert_eq!(server.files().len(), 3);
    assert_eq!(
        server.get("/files/na%C3%AFve%20&lt;b&gt;.bin").body,
        noise(200_010, 1)
    );
    assert!(source.contains("class=\"until\">until 20"), "{source}");
    // Its deadline is moved, and the page says so.
    let id = browser.url().rsplit('/').next().unwrap().to_owned();
    let deadline = || server.get(&format!("/uploads/{id}")).json()["expires_at"].take();
    let before = deadline();
    browser.click("#manage option[value='30d']");
    browser.click("#manage .prolong");
    wait_until("the page that says so", || {
        browser.url().ends_with("?changed")
    });
    assert!(browser.source().contains("Changed. Kept"));
    assert!(deadline().as_str() > before.as_str(), "{before}");
    browser.click("nav summary");
    browser.click("nav a[lang=zh-Hans]");
    wait_until("the page in Chinese", || {
        browser
            .source()
            .contains("\u{66f4}\u{6539}\u{6216}\u{5220}\u{9664}")
    });
    browser.click("#manage option[value='never']");
    browser.click("#manage .prolong");
    wait_until("the page that says so", || {
        browser.url().ends_with("?changed")
    });
    assert!(
        browser
            .source()
            .contains("\u{5df2}\u{66f4}\u{6539}\u{3002}\u{4fdd}\u{7559}")
    );
    assert!(deadline().is_null());
    browser.click("nav summary");
    browser.click("nav a[lang=en]");
    // Once to be asked, and once more.
    browser.click("#manage summary.danger");
    assert_eq!(server.files().len(), 3);
    browser.click("#manage button.danger");
    wait_until("the page after the deletion", || {
        browser.source().contains("is gone")
    });
    assert_eq!(server.files(), [""; 0]);
}

/// A sender from elsewhere has no cookie, and types the token.
#[test]
fn a_token_is_typed_without_javascript() {
    let server = Server::start();
    let stored = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let path = format!("/uploads/{}", stored["id"].as_str().unwrap());
    let browser = Browser::without_javascript();
    browser.open(&server.url(&path));
    browser.click("#claim a");
    let delete = |token: &str| {
        browser.type_into("#manage [name=token]", token);
        browser.click("#manage summary.danger");
        browser.click("#manage button.danger");
    };
    delete("not the token");
    wait_until("the form that says so", || {
        let source = browser.source();
        source.contains("This is not the delete token of this upload.")
    });
    assert_eq!(server.files().len(), 2);
    delete(stored["delete_token"].as_str().unwrap());
    wait_until("the page after the deletion", || {
        browser.source().contains("is gone")
    });
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn a_refused_form_is_explained_without_javascript() {
    let server = Server::with(&["--max-file-size", "1KiB", "--base-path", "/base"]);
    let path = server.dir().join("over.bin");
    std::fs::write(&path, noise(2000, 1)).unwrap();
    let browser = Browser::without_javascript();
    browser.open(&server.url("/base/?lang=zh"));
    browser.choose("#files", &[path]);
    browser.click("#send");
    wait_until("the page of the error", || {
        browser.source().contains("max_file_size (1KiB)")
    });
    // In the language that was chosen, and with a way back.
    let source = browser.source();
    assert!(
        source.contains("413") && source.contains("\u{8d85}\u{8fc7}\u{670d}\u{52a1}\u{5668}"),
        "{source}"
    );
    browser.click(".message .button");
    wait_until("the first page", || browser.url().ends_with("/base/"));
    assert_eq!(server.files(), [""; 0]);
}

#[test]
fn a_download_is_read_as_form_data() {
    let server = Server::start();
    let json = server.upload(&Form::new().text("t", "x").file(
        "f",
        "a \u{20ac}.bin",
        &noise(300_000, 1),
    ));
    let browser = Browser::start();
    browser.open(&server.url("/healthz"));
    let read = "async path => {\
        const form = await (await fetch(path)).formData();\
        const file = form.get('f');\
        const hash = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());\
        return [form.get('t'), file.name, file.size, Array.from(new Uint8Array(hash), b => b.toString(16).padStart(2, '0')).join('')];\
    }";
    let path = format!("/download/{}", json["id"].as_str().unwrap());
    let seen = browser.wait(read, json!([path]));
    assert_eq!(
        seen,
        json!(["x", "a \u{20ac}.bin", 300_000, json["files"][0]["sha256"]])
    );
}

#[test]
fn html_and_svg_do_not_run_in_this_origin() {
    let server = Server::start();
    let html = b"<title>quiet</title><script>document.title = 'ran'</script>";
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.documentElement.setAttribute('id', 'ran')</script></svg>";
    for (name, content) in [
        ("x.html", &html[..]),
        ("x.svg", &svg[..]),
        ("x.xhtml", &html[..]),
    ] {
        server.upload(&Form::new().file("f", name, content));
    }
    let browser = Browser::start();
    for name in ["x.html", "x.svg", "x.xhtml"] {
        for query in ["", "?inline=1"] {
            browser.open(&server.url("/healthz"));
            // Served as an attachment, it does not even become the page.
            browser.run(&format!("location.href = '/files/{name}{query}'"));
            wait_until("it is served", || {
                server.log().contains(&format!("GET /files/{name} 200"))
            });
            assert!(browser.url().ends_with("/healthz"), "{name}");
            assert!(!browser.source().contains("ran"), "{name}");
        }
    }
}
