//! The pictures of the papers, made of the real pages. `WHARF_PICTURES=1` writes them anew.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Browser, Form, Server};

/// The most bytes of a picture: a reader on a slow line sees it as well.
const MOST: usize = 40_000;

/// Each picture of the papers, with the size of the window that it shows, and how many of its pixels
/// are one of the window.
const PICTURES: [(&str, u32, u32, f64); 5] = [
    ("sending", 860, 1000, 1.0),
    ("recipient", 860, 1000, 1.0),
    ("gallery", 860, 600, 1.0),
    ("sender", 860, 860, 1.0),
    ("phone", 390, 844, 1.5),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn path_of(name: &str) -> PathBuf {
    root().join("docs/pictures").join(format!("{name}.webp"))
}

/// Shows the page as the picture `name` has it, in `light` or `dark`, and takes that.
fn take(browser: &Browser, name: &str, scheme: &str) {
    let found = PICTURES.iter().find(|(known, ..)| *known == name);
    let (_, width, height, scale) = *found.unwrap();
    browser.show_as(scheme, width);
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
    browser.devtools("Emulation.setDeviceMetricsOverride", metrics);
    browser.run("scrollTo(0, 0)");
    // Nothing is under the mouse.
    let aside = json!({ "type": "mouseMoved", "x": 4, "y": 300 });
    browser.devtools("Input.dispatchMouseEvent", aside);
    browser.wait(
        "async () => { await document.fonts.ready; await Promise.all([...document.images].filter(it => it.offsetParent && it.src).map(it => it.decode().catch(() => {}))); await new Promise(done => setTimeout(done, 300)); }",
        json!([]),
    );
    browser.assert_fits(name);
    // As good as there is room for.
    let pictures = [85, 75, 65, 55, 45].into_iter().map(|quality| {
        let options = json!({ "format": "webp", "quality": quality });
        let picture = browser.devtools("Page.captureScreenshot", options);
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    });
    let small = pictures.into_iter().find(|bytes| bytes.len() < MOST);
    let bytes = small.unwrap_or_else(|| panic!("{name} has too many bytes"));
    assert!(bytes.len() > 3_000, "{name}: {}", bytes.len());
    if std::env::var_os("WHARF_PICTURES").is_some() {
        std::fs::create_dir_all(path_of(name).parent().unwrap()).unwrap();
        std::fs::write(path_of(name), bytes).unwrap();
    }
}

/// A landscape, other for each seed, as the bytes of a JPEG: no photo has to be committed.
const LANDSCAPE: &str = "async seed => {
    const [width, height] = [640, 480];
    const canvas = new OffscreenCanvas(width, height);
    const c = canvas.getContext('2d');
    let state = seed * 7919 + 17;
    const random = () => (state = state * 16807 % 2147483647) / 2147483647;
    const fade = (y1, y2, ...colors) => {
        const g = c.createLinearGradient(0, y1, 0, y2);
        colors.forEach((color, i) => g.addColorStop(i / (colors.length - 1), color));
        return g;
    };
    for (let i = 0; i < 9; i++) random();
    const warm = random() > .4, hue = warm ? 15 + random() * 35 : 190 + random() * 40;
    const horizon = height * (.45 + random() * .2);
    c.fillStyle = fade(0, horizon, `hsl(${hue + 190} 45% ${warm ? 38 : 62}%)`, `hsl(${hue + 10} 60% 68%)`, `hsl(${hue} 85% 80%)`);
    c.fillRect(0, 0, width, height);
    const [x, y, r] = [width * (.2 + random() * .6), horizon - 20 - random() * 120, 26 + random() * 24];
    const glow = c.createRadialGradient(x, y, r * .6, x, y, r * 5);
    glow.addColorStop(0, 'rgb(255 246 220 / .9)');
    glow.addColorStop(1, 'rgb(255 240 210 / 0)');
    c.fillStyle = glow;
    c.fillRect(0, 0, width, height);
    c.fillStyle = '#fffbe8';
    c.beginPath(); c.arc(x, y, r, 0, 7); c.fill();
    const ridge = (base, rise, color) => {
        const waves = Array.from({ length: 4 }, (_, i) => [rise / (i + 1), .004 * (i + 1) ** 1.7 * (1 + random()), random() * 7]);
        c.fillStyle = color;
        c.beginPath(); c.moveTo(0, height);
        for (let at = 0; at <= width; at += 4) c.lineTo(at, base - waves.reduce((sum, [a, f, p]) => sum + a * Math.sin(at * f + p), 0));
        c.lineTo(width, height); c.fill();
    };
    for (let i = 0; i < 3; i++) ridge(horizon - 10 + i * 28, 34 - i * 6, `hsl(${hue + 195} ${22 + i * 6}% ${58 - i * 14}%)`);
    if (random() > .35) {
        const sea = horizon + 60;
        c.fillStyle = fade(sea, height, `hsl(${hue + 5} 55% 66%)`, `hsl(${hue + 195} 40% 34%)`);
        c.fillRect(0, sea, width, height - sea);
        c.fillStyle = 'rgb(255 250 230 / .35)';
        for (let i = 0; i < 60; i++) c.fillRect(x - 40 + random() * 80 - i * .5, sea + 3 + i * 2.4, 10 + random() * 50, 1.4);
    } else {
        for (let i = 3; i < 6; i++) ridge(horizon - 10 + i * 34, 20, `hsl(${110 - i * 4} ${26 + i * 3}% ${44 - i * 6}%)`);
    }
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: .85 });
    return Array.from(new Uint8Array(await blob.arrayBuffer()));
}";

/// A photo of the size that cameras make: behind its end a JPEG may hold anything.
fn landscape(browser: &Browser, seed: u32) -> Vec<u8> {
    let bytes = browser.wait(LANDSCAPE, json!([seed]));
    let mut photo: Vec<u8> = serde_json::from_value(bytes).unwrap();
    photo.resize((2 << 20) + seed as usize * 98_000, 0);
    photo
}

/// The photos of a journey in their folder, and what goes with them.
fn journey(photos: &[Vec<u8>]) -> Form {
    let form = Form::new().text("from", "Ana").text(
        "note",
        "The photos from Lisbon! Keep what you like, and send the best ones to Grandma.",
    );
    let form = photos.iter().enumerate().fold(form, |form, (i, photo)| {
        let head = format!(
            "Content-Disposition: form-data; name=\"f\"; filename=\"Lisbon/IMG_{:04}.jpg\"\r\nContent-Type: image/jpeg",
            2041 + i * 3
        );
        form.part(&head, photo)
    });
    form.file("f", "tickets.pdf", &[b'x'; 184_000]).file(
        "f",
        "the plan.md",
        b"# Plan\n\nThe boat leaves at nine.\n",
    )
}

#[test]
fn the_pages_make_their_pictures() {
    let server = Server::start();
    let browser = Browser::start();
    browser.open_ready(&server.url("/"));
    let photos: Vec<_> = (1..=8).map(|seed| landscape(&browser, seed)).collect();
    let folder = server.dir().join("chosen/Lisbon");
    std::fs::create_dir_all(&folder).unwrap();
    for (i, photo) in photos.iter().enumerate() {
        let path = folder.join(format!("IMG_{}.jpg", 2041 + i * 3));
        std::fs::write(path, photo).unwrap();
    }
    let film = server.dir().join("chosen/the harbour at night.mp4");
    std::fs::File::create(&film)
        .unwrap()
        .set_len(61 << 20)
        .unwrap();
    // One upload is on its way while the next is chosen.
    browser.choose("#files", std::slice::from_ref(&film));
    browser.throttle(5 << 20);
    browser.click("#send");
    browser.drop_files(&[folder]);
    browser.wait_for(
        "the folder",
        "document.querySelectorAll('#chosen li').length === 1",
    );
    browser.type_into("#note", "The photos from Lisbon! Keep what you like.");
    browser.wait_for(
        "a rate",
        "/left/.test(document.querySelector('.pace').textContent) && document.querySelector('progress.whole').value > 0.3",
    );
    take(&browser, "sending", "light");
    browser.throttle(0);
    browser.wait_for("the end", "document.querySelector('.transfer.is-done')");

    let stored = server
        .post_to(
            "/upload?title=Lisbon%20in%20November&expires_in=7d",
            &journey(&photos),
            &[],
        )
        .json();
    let page = server.url(&format!("/uploads/{}", stored["id"].as_str().unwrap()));
    browser.open_ready(&page);
    browser.wait_for(
        "the photos",
        "document.querySelectorAll('.thumb img').length >= 4",
    );
    take(&browser, "recipient", "light");
    browser.click(".look-at");
    browser.wait_for(
        "the gallery",
        "document.querySelector('dialog[open] img').naturalWidth === 640",
    );
    take(&browser, "gallery", "light");
    browser.press('\u{e00c}');
    keep_in_list(&browser, &stored);
    browser.open_ready(&format!("{page}?listed"));
    take(&browser, "sender", "dark");
    browser.run("localStorage.clear()");
    browser.open_ready(&format!("{page}?lang=ar"));
    take(&browser, "phone", "dark");
}

/// What the page itself keeps when it has sent something.
fn keep_in_list(browser: &Browser, stored: &Value) {
    let kept = json!([{
        "id": stored["id"], "token": stored["delete_token"], "created": stored["created_at"],
        "expires": stored["expires_at"], "bytes": stored["size"], "title": stored["title"],
        "name": "tickets.pdf", "files": stored["file_count"],
    }]);
    browser.run(&format!(
        "localStorage.setItem('wharf:', {})",
        json!(kept.to_string())
    ));
}

/// The pictures are there, small, and shown somewhere; the papers have no others.
#[test]
fn the_papers_have_these_pictures_and_no_others() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (readme, page) = (read("README.md"), read("docs/page.md"));
    for (name, ..) in PICTURES {
        let picture = std::fs::read(path_of(name)).unwrap();
        assert!(
            picture.starts_with(b"RIFF") && picture[8..].starts_with(b"WEBP"),
            "{name}"
        );
        assert!(
            (3_000..MOST).contains(&picture.len()),
            "{name}: {}",
            picture.len()
        );
        assert!(page.contains(&format!("](pictures/{name}.webp)")), "{name}");
    }
    assert_eq!(readme.matches("](docs/pictures/").count(), 2);
    let mut found = Vec::new();
    for folder in [".", "docs", "docs/pictures", "deploy", "static"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let ending = path
                .extension()
                .and_then(|it| it.to_str())
                .unwrap_or_default();
            if ["webp", "png", "jpg", "jpeg", "gif", "avif"].contains(&ending) {
                found.push(path);
            }
        }
    }
    let mut expected = PICTURES.map(|(name, ..)| path_of(name));
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}
