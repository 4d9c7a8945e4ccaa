use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::{Bucket, Form, Response, request, wait_until};

/// The binary under test.
pub const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

/// How a server is to be started.
pub struct Setup {
    dir: Arc<tempfile::TempDir>,
    store: Option<PathBuf>,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    /// A program that runs the server, and its arguments.
    under: Vec<String>,
    /// The server's own program.
    program: PathBuf,
}

/// Runs a server without a terminal that ends or reloads by SIGHUP, also where the tests were
/// started with that signal ignored (`nohup`).
pub const WITHOUT_TERMINAL: [&str; 3] = ["env", "--default-signal=HUP", "setsid"];

impl Setup {
    pub fn new() -> Self {
        Setup {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            store: None,
            args: Vec::new(),
            environment: Vec::new(),
            under: Vec::new(),
            program: WHARF.into(),
        }
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    /// Opens it for clients of other machines, as it is for those of its own: by names and without
    /// a secret. The listing, the status and the counters need one all the same.
    pub fn for_everybody(self) -> Self {
        self.args(&[
            "--open",
            "--default-expires-in",
            "never",
            "--names",
            "shared",
        ])
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder of its own.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Stores there, not in the folder of its own.
    pub fn store(mut self, dir: &Path) -> Self {
        self.store = Some(dir.to_owned());
        self
    }

    /// Stores in this bucket, which is reached at `endpoint`.
    pub fn bucket(self, bucket: &Bucket, endpoint: &str) -> Self {
        let place = format!("s3://{}/up", bucket.name);
        self.args(&["--store", &place, "--s3-endpoint", endpoint])
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
    }

    /// Allows so many open files.
    pub fn open_files(self, limit: u64) -> Self {
        self.under(&["prlimit", &format!("--nofile={limit}:{limit}")])
    }

    /// Has this program run the server.
    pub fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(ToString::to_string).collect();
        self
    }

    /// Runs another build in place of the one under test.
    pub fn program(mut self, wharf: &Path) -> Self {
        self.program = wharf.to_owned();
        self
    }

    fn command(&self) -> Command {
        let mut command = match self.under.split_first() {
            None => Command::new(&self.program),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(&self.program);
                command
            }
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WHARF_")) {
            command.env_remove(name);
        }
        command.current_dir(self.dir.path()).args(&self.args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(store) = &self.store {
            command.arg("--dir").arg(store);
        }
        command
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    pub fn start(self) -> Server {
        self.try_start()
            .unwrap_or_else(|log| panic!("the server did not start: {log}"))
    }

    /// Starts it, or answers its log when it refuses to.
    pub fn try_start(self) -> Result<Server, String> {
        let mut command = self.command();
        let told = |arg: &String| ["--listen", "--port"].contains(&arg.as_str());
        if !self.args.iter().any(told) {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = std::sync::mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let Ok(line) = line else { return };
                if let Some((_, address)) = line.split_once("listening on http") {
                    let address = address.trim_start_matches(['s', ':', '/']);
                    let address = address.split(['"', ' ']).next().unwrap_or_default();
                    let _ = found.send(address.parse::<SocketAddr>().unwrap());
                }
                let mut log = lines.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = match address.recv_timeout(Duration::from_secs(60)) {
            Ok(address) => address,
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(log.lock().unwrap().clone());
            }
        };
        Ok(Server {
            setup: self,
            child,
            address,
            log,
        })
    }
}

/// A running server; it ends with the value.
pub struct Server {
    setup: Setup,
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// One with the defaults.
    pub fn start() -> Self {
        Setup::new().start()
    }

    pub fn with(args: &[&str]) -> Self {
        Setup::new().args(args).start()
    }

    /// One that others than this machine use too; see [`Setup::for_everybody`].
    pub fn for_everybody(args: &[&str]) -> Self {
        Setup::new().for_everybody().args(args).start()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has this text: it comes by a pipe, and may be later than an answer.
    #[track_caller]
    pub fn says(&self, text: &str) {
        wait_until(&format!("the log says {text:?}"), || {
            self.log().contains(text)
        });
    }

    /// The lines of the log with this text, and when each was written.
    pub fn lines(&self, text: &str) -> Vec<(SystemTime, String)> {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains(text));
        lines
            .map(|line| {
                let time: jiff::Timestamp = line.split(' ').next().unwrap().parse().unwrap();
                let micros = u64::try_from(time.as_microsecond()).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
                (time, line.to_owned())
            })
            .collect()
    }

    /// The value in /metrics of one that has no labels.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("{name}: {text}"))
            .parse()
            .unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder it runs in.
    pub fn dir(&self) -> &Path {
        self.setup.dir.path()
    }

    /// Where it stores.
    pub fn store(&self) -> PathBuf {
        self.setup
            .store
            .clone()
            .unwrap_or_else(|| self.dir().join("upload"))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The files people see: all but those of the server.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        for folder in std::fs::read_dir(self.store()).unwrap() {
            let folder = folder.unwrap();
            if folder.file_name() == ".wharf" || !folder.file_type().unwrap().is_dir() {
                continue;
            }
            for file in std::fs::read_dir(folder.path()).unwrap() {
                files.push(file.unwrap().file_name().into_string().unwrap());
            }
        }
        files.sort();
        files
    }

    /// The files that wait in the stage.
    pub fn staged(&self) -> usize {
        std::fs::read_dir(self.store().join(".wharf/stage"))
            .unwrap()
            .count()
    }

    /// How many descriptors the server has open, but for the store's folders, which stay open.
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets.filter(|target| !target.is_dir()).count()
    }

    /// Resident memory, and the most there was, in KiB (proc(5), VmRSS and VmHWM).
    pub fn memory(&self) -> (u64, u64) {
        (self.status("VmRSS:"), self.status("VmHWM:"))
    }

    /// Anonymous memory that is resident, in KiB (proc(5), RssAnon): without the pages of files.
    pub fn anonymous(&self) -> u64 {
        self.status("RssAnon:")
    }

    /// The most of it that is seen until it has not grown for a second, in which the server
    /// answers others.
    pub fn most_anonymous(&self) -> u64 {
        let (mut most, mut same) = (0, 0);
        while same < 20 {
            let now = self.anonymous();
            same = if now > most { 0 } else { same + 1 };
            most = most.max(now);
            assert_eq!(self.get("/healthz").status, 200);
            std::thread::sleep(Duration::from_millis(50));
        }
        most
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        request(self.address, method, path, headers, body)
    }

    /// Posts a form to `path`.
    pub fn post_to(&self, path: &str, form: &Form, headers: &[(&str, &str)]) -> Response {
        let content_type = form.content_type();
        let mut all = vec![("Content-Type", content_type.as_str())];
        all.extend_from_slice(headers);
        self.request("POST", path, &all, &form.body())
    }

    /// Posts a form that has to be stored; the answer as JSON.
    #[track_caller]
    pub fn upload(&self, form: &Form) -> serde_json::Value {
        let response = self.post_to("/upload", form, &[]);
        assert_eq!(response.status, 201, "{}", response.text());
        response.json()
    }

    pub fn signal(&self, signal: i32) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).unwrap();
        let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> (ExitStatus, Setup) {
        self.signal(15);
        let status = self.wait();
        (status, self.take_setup())
    }

    /// Kills it without a word.
    pub fn kill(mut self) -> Setup {
        self.child.kill().unwrap();
        let status = self.wait();
        assert_eq!(status.signal(), Some(9));
        self.take_setup()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < end,
                "the server does not end: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn take_setup(&mut self) -> Setup {
        std::mem::replace(&mut self.setup, Setup::new())
    }

    /// Runs a program in the server's folder; its output, when it succeeds.
    #[track_caller]
    pub fn run(&self, program: &str, args: &[&str]) -> Vec<u8> {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
        output.stdout
    }

    /// Runs curl, quiet.
    #[track_caller]
    pub fn curl(&self, args: &[&str]) -> Vec<u8> {
        let mut all = vec!["-sS"];
        all.extend_from_slice(args);
        self.run("curl", &all)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(20)..];
            eprintln!("the end of the server's log:\n{}", last.join("\n"));
        }
        let mut rest = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            let _ = stdout.read_to_string(&mut rest);
        }
    }
}
