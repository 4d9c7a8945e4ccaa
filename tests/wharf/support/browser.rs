use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{request, wait_until};

/// The key of an element's id in WebDriver answers (section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Held while a browser runs: several at once would take the machine's memory and its time.
static ONE: Mutex<()> = Mutex::new(());

/// Debian's chromium, driven over the WebDriver protocol (W3C); it ends with the value.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    profile: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Browser {
    /// One that prefers English.
    pub fn start() -> Self {
        Self::with(json!({ "intl.accept_languages": "en-US,en" }))
    }

    pub fn without_javascript() -> Self {
        Self::with(json!({
            "intl.accept_languages": "en-US,en",
            "profile.managed_default_content_settings.javascript": 2,
        }))
    }

    /// One whose user prefers these languages.
    pub fn preferring(languages: &str) -> Self {
        Self::with(json!({ "intl.accept_languages": languages }))
    }

    /// One that takes every certificate.
    pub fn trusting() -> Self {
        let preferences = json!({ "intl.accept_languages": "en-US,en" });
        Self::with_arguments(preferences, &["--ignore-certificate-errors"])
    }

    fn with(preferences: Value) -> Self {
        Self::with_arguments(preferences, &[])
    }

    fn with_arguments(preferences: Value, more: &[&str]) -> Self {
        let one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
        let mut options = json!({ "prefs": preferences, "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--window-size=1100,900",
            format!("--user-data-dir={}", profile.path().display()),
        ]});
        let arguments = options["args"].as_array_mut().unwrap();
        arguments.extend(more.iter().map(|argument| json!(argument)));
        let mut browser = Browser {
            driver,
            address,
            session: String::new(),
            profile,
            _one: one,
        };
        let capabilities =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.call("POST", "/session", &capabilities);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    #[track_caller]
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

    #[track_caller]
    fn command(&self, method: &str, name: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}/{name}", self.session), body)
    }

    /// A command of the browser's own protocol (Chrome DevTools Protocol).
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("POST", "goog/cdp/execute", &body)
    }

    pub fn open(&self, url: &str) {
        self.command("POST", "url", &json!({ "url": url }));
    }

    /// Opens a page of wharf, and waits for its scripts.
    pub fn open_ready(&self, url: &str) {
        self.open(url);
        self.wait_for("the scripts", "'ready' in document.documentElement.dataset");
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let using = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "element", &using);
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Types; into a field for files, their paths, one a line.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        let path = format!("element/{element}/value");
        self.command("POST", &path, &json!({ "text": text }));
    }

    /// Chooses files in a field.
    #[track_caller]
    pub fn choose(&self, selector: &str, files: &[PathBuf]) {
        let paths: Vec<String> = files
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        self.type_into(selector, &paths.join("\n"));
    }

    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.command("POST", &format!("element/{element}/click"), &json!({}));
    }

    /// Presses a key, such as `\u{e004}` for Tab (WebDriver section 17.4.2).
    pub fn press(&self, key: char) {
        let key = key.to_string();
        let actions =
            json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.command("POST", "actions", &body);
    }

    /// The value that a script returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.command("POST", "execute/sync", &body)
    }

    /// The value of an expression's promise.
    #[track_caller]
    pub fn wait(&self, promise: &str, args: Value) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; ({promise})(...arguments).then(done, error => done(String(error)));"
        );
        self.command(
            "POST",
            "execute/async",
            &json!({ "script": script, "args": args }),
        )
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait_for(&self, what: &str, expression: &str) {
        wait_until(what, || {
            self.run(&format!("return Boolean({expression})")) == true
        });
    }

    /// The text that is seen of an element.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let script = format!(
            "return document.querySelector({}).innerText",
            json!(selector)
        );
        self.run(&script).as_str().unwrap().to_owned()
    }

    /// Drops files and folders on the page, as a file manager does.
    pub fn drop_files(&self, paths: &[PathBuf]) {
        let data = json!({ "items": [], "files": paths, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": 300, "y": 300, "data": data });
            self.devtools("Input.dispatchDragEvent", event);
        }
    }

    /// Sends at so many bytes a second; 0 is as fast as it goes.
    pub fn throttle(&self, rate: u64) {
        self.line(0, 0, rate);
    }

    /// Has a line with this delay in milliseconds, which receives and sends so many bytes a second; 0
    /// is as fast as it goes.
    pub fn line(&self, delay: u32, down: u64, up: u64) {
        let rate = |rate: u64| match rate {
            0 => -1,
            rate => rate.cast_signed(),
        };
        self.devtools("Network.enable", json!({}));
        let conditions = json!({ "offline": false, "latency": delay, "downloadThroughput": rate(down), "uploadThroughput": rate(up) });
        self.devtools("Network.emulateNetworkConditions", conditions);
    }

    /// Runs a script in every page that is opened from now on, before its own.
    pub fn before_scripts(&self, source: &str) {
        let script = json!({ "source": source });
        self.devtools("Page.addScriptToEvaluateOnNewDocument", script);
    }

    /// Moves a finger over the screen, from one place to another.
    pub fn swipe(&self, from: (i32, i32), to: (i32, i32)) {
        let touch = |kind: &str, at: &[(i32, i32)]| {
            let points: Vec<Value> = at.iter().map(|(x, y)| json!({ "x": x, "y": y })).collect();
            let event = json!({ "type": kind, "touchPoints": points });
            self.devtools("Input.dispatchTouchEvent", event);
        };
        touch("touchStart", &[from]);
        for step in 1..=4 {
            let part = |from: i32, to: i32| from + (to - from) * step / 4;
            touch("touchMove", &[(part(from.0, to.0), part(from.1, to.1))]);
        }
        touch("touchEnd", &[]);
    }

    /// The folder that downloads go to.
    pub fn downloads(&self) -> PathBuf {
        let folder = self.profile.path().join("downloads");
        std::fs::create_dir_all(&folder).unwrap();
        let allow = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", allow);
        folder
    }

    /// Shows the page in `light` or `dark`, on a screen of that width.
    pub fn show_as(&self, scheme: &str, width: u32) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
        // A phone has fingers, not a mouse.
        let touch = json!({ "enabled": width < 600 });
        self.devtools("Emulation.setTouchEmulationEnabled", touch);
    }

    /// Writes a picture of the whole page to `NAME.png` in the folder that `WHARF_SCREENSHOTS`
    /// names, where a person can look at it; without it, does nothing.
    pub fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("WHARF_SCREENSHOTS") else {
            return;
        };
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let width = self.run("return innerWidth").as_u64().unwrap();
        // The part below the window would be left unpainted.
        let height = self.run("return document.querySelector('dialog[open]') ? innerHeight : document.documentElement.scrollHeight");
        let height = height.as_u64().unwrap().clamp(600, 6000);
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let picture = self.devtools("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// Nothing of the page is to be scrolled sideways.
    #[track_caller]
    pub fn assert_fits(&self, state: &str) {
        let wide = self.run("return document.documentElement.scrollWidth <= innerWidth ? null : [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 200))");
        assert_eq!(wide, Value::Null, "{state} is too wide");
    }

    /// Has axe-core look for obstacles to people who hear or type the page; there must be none.
    #[track_caller]
    pub fn assert_accessible(&self, state: &str) {
        let axe = std::fs::read_to_string(super::npm("axe-core/axe.min.js")).unwrap();
        self.run(&axe);
        let look = "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations.map(v => [v.id, v.help, v.nodes.map(n => n.html)])";
        let found = self.wait(look, json!([]));
        assert_eq!(found, json!([]), "{state}");
    }

    pub fn url(&self) -> String {
        let url = self.command("GET", "url", &Value::Null);
        url.as_str().unwrap().to_owned()
    }

    pub fn source(&self) -> String {
        let source = self.command("GET", "source", &Value::Null);
        source.as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let path = format!("/session/{}", self.session);
            let _ = request(self.address, "DELETE", &path, &[], b"");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
