use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::server::WHARF;
use super::{Server, wait_until};

/// The binary as a client, in a folder, with nothing of this process's environment that it reads.
pub struct Wharf {
    command: Command,
    stdin: Vec<u8>,
}

/// The output of a client, and its exit code.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    /// Standard output, where it is no text.
    pub bytes: Vec<u8>,
}

impl Wharf {
    pub fn at(dir: &Path) -> Self {
        Self::under(&[], dir)
    }

    /// Has this program run it.
    pub fn under(program: &[&str], dir: &Path) -> Self {
        let line: Vec<&str> = program.iter().copied().chain([WHARF]).collect();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).current_dir(dir);
        let other = |name: &str| {
            let lower = name.to_lowercase();
            let own = ["NO_COLOR", "XDG_STATE_HOME"].contains(&name);
            name.starts_with("WHARF_") || lower.ends_with("_proxy") || own
        };
        for (name, _) in std::env::vars().filter(|(name, _)| other(name)) {
            command.env_remove(name);
        }
        // Where it keeps tokens: not those of the user that runs the tests.
        command.env("XDG_STATE_HOME", dir.join(".state"));
        Wharf {
            command,
            stdin: Vec::new(),
        }
    }

    /// A client of this server, in its folder.
    pub fn of(server: &Server) -> Self {
        Self::at(server.dir()).env("WHARF_URL", &server.url(""))
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// Starts it, with its output in pipes.
    pub fn spawn(mut self, args: &[&str]) -> Child {
        self.command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs it to its end.
    pub fn run(self, args: &[&str]) -> Said {
        let stdin = self.stdin.clone();
        let mut child = self.spawn(args);
        let mut pipe = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            use std::io::Write as _;
            // It may have ended without a look at it.
            let _ = pipe.write_all(&stdin);
        });
        let said = Said::of(child.wait_with_output().unwrap());
        writer.join().unwrap();
        said
    }

    /// Runs what has to succeed; its output.
    #[track_caller]
    pub fn done(self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    }
}

impl Said {
    pub fn of(output: Output) -> Self {
        Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Waits for the end of a child; answers its output.
#[track_caller]
pub fn end_of(mut child: Child) -> Said {
    let end = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            panic!("it does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Said::of(child.wait_with_output().unwrap())
}

pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The entries of a folder, sorted.
pub fn entries(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A server of other authors, which prints its address; it ends with the value.
pub struct Foreign {
    child: Child,
    pub address: String,
}

impl Foreign {
    pub fn start(command: &mut Command) -> Self {
        use std::io::BufRead as _;
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().to_owned();
        assert!(address.contains(':'), "{command:?} says {line:?}");
        Foreign { child, address }
    }

    /// One that says nothing, on this port.
    pub fn at(command: &mut Command, port: u16) -> Self {
        let foreign = Foreign {
            child: command.spawn().unwrap(),
            address: format!("127.0.0.1:{port}"),
        };
        wait_until("it listens", || {
            std::net::TcpStream::connect(&foreign.address).is_ok()
        });
        foreign
    }

    /// One of Go, built first: a program that `go run` starts would outlive it.
    pub fn go(source: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program: PathBuf = dir.path().join("server");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(source)
            .env("GO111MODULE", "off")
            .env("GOCACHE", std::env::temp_dir().join("wharf-test-go"))
            .status();
        assert!(built.unwrap().success());
        Self::start(&mut Command::new(&program))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
