//! The pages with an operator's own name, logo, colour and imprint.

use serde_json::json;

use crate::support::{Browser, Form, Server, Setup};

const PICTURE: &[u8] = include_bytes!("clients/picture.png");
/// A drawing that would run a script, were it not a picture.
const DRAWING: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 120 40\"><script>document.title = 'ran'</script><rect width=\"120\" height=\"40\" rx=\"8\" fill=\"#b5179e\"/></svg>";

/// The colours of WCAG 1.4.3, of an element and of what is behind it.
const COLORS: &str = "
    const [text, ground] = arguments;
    const style = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
    return [style(text, 'color'), style(ground, 'backgroundColor')];";

#[test]
fn every_page_has_the_brand() {
    let folder = tempfile::tempdir().unwrap();
    let logo = folder.path().join("logo");
    std::fs::write(&logo, DRAWING).unwrap();
    let server = Setup::new()
        .args(&[
            "--brand-name",
            "Harbour & Söhne",
            "--brand-color",
            "#ffcc00",
        ])
        .args(&["--brand-logo", logo.to_str().unwrap()])
        .args(&["--imprint-url", "https://harbour.example/imprint"])
        .start();
    server.says("brand_color #ffcc00: buttons have black text on it");
    let stored = server.upload(&Form::new().file("f", "a.txt", b"a"));
    let browser = Browser::start();
    let pages = [
        "/?lang=en".to_owned(),
        format!("/uploads/{}", stored["id"].as_str().unwrap()),
        "/uploads/none".to_owned(),
        "/problems".to_owned(),
        "/problems/limit-exceeded".to_owned(),
    ];
    for (at, page) in pages.iter().enumerate() {
        browser.open(&server.url(page));
        assert_eq!(browser.text(".brand"), "Harbour & Söhne", "{page}");
        let title = browser.run("return document.title");
        assert!(
            title.as_str().unwrap().ends_with("Harbour & Söhne"),
            "{title}"
        );
        browser.wait_for(
            "the logo",
            "document.querySelector('.brand img').naturalWidth > 0",
        );
        let size = "const { width, height } = document.querySelector('.brand img').getBoundingClientRect(); return [width, height]";
        assert_eq!(browser.run(size), json!([96, 32]), "{page}");
        let imprint =
            "const link = document.querySelector('footer a'); return [link.href, link.textContent]";
        let expected = json!(["https://harbour.example/imprint", "Imprint"]);
        assert_eq!(browser.run(imprint), expected, "{page}");
        for (look, scheme, width) in [("light", "light", 1100), ("phone-dark", "dark", 360)] {
            browser.show_as(scheme, width);
            browser.assert_accessible(&format!("{page}, {look}"));
            browser.screenshot(&format!("brand-{at}-{look}"));
        }
        browser.show_as("light", 1100);
    }
    browser.open_ready(&server.url("/"));
    let button = format!("return (function () {{ {COLORS} }})('#send', '#send')");
    assert_eq!(
        browser.run(&button),
        json!(["rgb(0, 0, 0)", "rgb(255, 204, 0)"])
    );
    // Opened by itself, the drawing runs nothing.
    let address = browser.run("return document.querySelector('.brand img').src");
    browser.open(address.as_str().unwrap());
    assert_ne!(browser.run("return document.title"), "ran");
    let path = address
        .as_str()
        .unwrap()
        .strip_prefix(&server.url(""))
        .unwrap();
    let served = server.get(path);
    assert_eq!(served.header("content-type"), Some("image/svg+xml"));
    assert!(
        served
            .header("content-security-policy")
            .unwrap()
            .contains("sandbox")
    );
    assert!(
        served
            .header("cache-control")
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(served.body, DRAWING.as_bytes());
    assert_eq!(server.get("/favicon.ico").body, DRAWING.as_bytes());
}

#[test]
fn without_settings_the_pages_are_wharfs() {
    let server = Server::start();
    let html = [("Accept", "text/html")];
    let page = server.request("GET", "/uploads/none", &html, b"").text();
    assert!(
        page.contains("\u{b7} wharf</title>") && page.contains("/icon.svg\""),
        "{page}"
    );
    assert!(
        !page.contains("footer") && !page.contains("brand.css"),
        "{page}"
    );
    assert_eq!(server.get("/static/any/brand.css").status, 404);
    assert_eq!(server.get("/static/any/logo.png").status, 404);
}

#[test]
fn a_logo_of_pixels_is_served_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let logo = folder.path().join("logo.png");
    std::fs::write(&logo, PICTURE).unwrap();
    let server = Server::with(&["--brand-logo", logo.to_str().unwrap()]);
    let served = server.get("/static/any/logo.png");
    assert_eq!(served.header("content-type"), Some("image/png"));
    assert_eq!(served.body, PICTURE);
}

#[test]
fn a_bad_brand_ends_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = folder.path().join("none.png");
    for (flag, value, said) in [
        (
            "--brand-logo",
            file("logo.gif", b"GIF89a\x01\0\x01\0\0\0\0"),
            "logo.gif: it is none of PNG, WebP and SVG",
        ),
        (
            "--brand-logo",
            file("large.png", &[PICTURE, &[0; 300_000]].concat()),
            "large.png: it has more than 256 KiB",
        ),
        (
            "--brand-logo",
            missing.to_str().unwrap().to_owned(),
            "brand_logo: cannot read",
        ),
        (
            "--brand-color",
            "blue".to_owned(),
            "\"blue\" is not a colour",
        ),
        (
            "--brand-name",
            "x".repeat(50),
            "is not a name of 1 to 40 characters",
        ),
        ("--imprint-url", "javascript:alert(1)".to_owned(), "http://"),
    ] {
        let output = Setup::new().run(&["serve", "--port", "0", flag, &value]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{flag} {value}");
        assert!(error.contains(said), "{error}");
        let setting = flag.trim_start_matches('-').replace('-', "_");
        assert!(error.contains(&setting), "{error}");
    }
}
