//! A real browser (Debian's chromium), driven over the WebDriver protocol (W3C).

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Form, Server, noise, request, wait_until};

/// The key of an element's id in WebDriver answers (section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start(javascript: bool) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            line.unwrap()
                .split("successfully on port ")
                .nth(1)
                .map(|port| port.trim_end_matches('.').parse().unwrap())
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("chromedriver says its port")));
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut options = json!({ "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            format!("--user-data-dir={}", profile.path().display()),
        ]});
        if !javascript {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let mut browser = Browser {
            driver,
            address,
            session: String::new(),
            _profile: profile,
        };
        let capabilities =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.call("POST", "/session", &capabilities);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        let response = request(
            self.address,
            method,
            path,
            &[("Content-Type", "application/json")],
            text.as_bytes(),
        );
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()["value"].take()
    }

    fn command(&self, method: &str, name: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}/{name}", self.session), body)
    }

    fn open(&self, url: &str) {
        self.command("POST", "url", &json!({ "url": url }));
    }

    fn find(&self, selector: &str) -> String {
        let found = self.command(
            "POST",
            "element",
            &json!({ "using": "css selector", "value": selector }),
        );
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.command(
            "POST",
            &format!("element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.command("POST", &format!("element/{element}/click"), &json!({}));
    }

    fn url(&self) -> String {
        self.command("GET", "url", &Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn source(&self) -> String {
        self.command("GET", "source", &Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = request(
                self.address,
                "DELETE",
                &format!("/session/{}", self.session),
                &[],
                b"",
            );
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn a_form_is_sent_and_deleted_without_javascript() {
    let server = Server::start();
    let names = ["first.txt", "na\u{ef}ve <b>.bin"];
    for (i, name) in names.iter().enumerate() {
        std::fs::write(server.dir().join(name), noise(200_000 * i + 10, 1)).unwrap();
    }
    let browser = Browser::start(false);
    browser.open(&server.url("/"));
    let paths: Vec<String> = names
        .iter()
        .map(|name| server.dir().join(name).display().to_string())
        .collect();
    browser.type_into("#files", &paths.join("\n"));
    browser.type_into("#note", "a note");
    browser.click("button");
    wait_until("the page of the upload", || {
        browser.url().contains("/uploads/")
    });
    let source = browser.source();
    assert!(
        source.contains("first.txt")
            && source.contains("na\u{ef}ve &lt;b&gt;.bin")
            && source.contains("a note"),
        "{source}"
    );
    assert_eq!(server.files().len(), 3);
    assert_eq!(
        server.get("/files/na%C3%AFve%20%3Cb%3E.bin").body,
        noise(200_010, 1)
    );
    browser.click("button");
    wait_until("the page after the deletion", || {
        browser.source().contains("Deleted")
    });
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
    let browser = Browser::start(true);
    browser.open(&server.url("/healthz"));
    let script = "const done = arguments[1]; fetch(arguments[0]).then(r => r.formData()).then(async form => {\
        const file = form.get('f');\
        const hash = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());\
        done([form.get('t'), file.name, file.size, Array.from(new Uint8Array(hash), b => b.toString(16).padStart(2, '0')).join('')]);\
    }).catch(error => done(String(error)));";
    let path = format!("/download/{}", json["id"].as_str().unwrap());
    let seen = browser.command(
        "POST",
        "execute/async",
        &json!({ "script": script, "args": [path] }),
    );
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
    let browser = Browser::start(true);
    for name in ["x.html", "x.svg", "x.xhtml"] {
        for query in ["", "?inline=1"] {
            browser.open(&server.url("/healthz"));
            // Served as an attachment, it does not even become the page.
            let script = format!("location.href = '/files/{name}{query}'");
            browser.command(
                "POST",
                "execute/sync",
                &json!({ "script": script, "args": [] }),
            );
            wait_until("it is served", || {
                server.log().contains(&format!("GET /files/{name} 200"))
            });
            assert!(browser.url().ends_with("/healthz"), "{name}");
            assert!(!browser.source().contains("ran"), "{name}");
        }
    }
}
