//! A server under measurement, as a process in a folder of its own.

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::meter::{Group, Meter};

/// How long a server may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folders of one server, and its address.
pub struct Place {
    /// What it stores, and nothing else.
    pub files: PathBuf,
    /// Its settings, log and temporary files; on the same file system.
    pub scratch: PathBuf,
    pub address: SocketAddr,
}

impl Place {
    /// New ones in `dir`, and a free port.
    pub fn new(dir: &Path) -> Result<Self> {
        let place = Place {
            files: dir.join("files"),
            scratch: dir.join("scratch"),
            address: TcpListener::bind("127.0.0.1:0")?.local_addr()?,
        };
        std::fs::create_dir_all(&place.files)?;
        std::fs::create_dir_all(&place.scratch)?;
        Ok(place)
    }

    fn log(&self) -> PathBuf {
        self.scratch.join("log")
    }
}

/// A running server; it ends with the value.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub meter: Arc<Meter>,
    log: PathBuf,
}

impl Server {
    /// Starts a program, and waits until it listens.
    pub fn start(place: &Place, program: &[OsString]) -> Result<Self> {
        let group = Group::create(&place.address.port().to_string());
        let door = group.as_ref().map_or("-".into(), Group::door);
        let log = File::create(place.log())?;
        let child = Command::new(std::env::current_exe()?)
            .arg("--program=launch")
            .arg(door)
            .args(program)
            .current_dir(&place.scratch)
            .env_remove("WHARF_BENCH_PEERS")
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Server {
            meter: Meter::new(child.id(), group),
            child,
            address: place.address,
            log: place.log(),
        };
        let started = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let name = program[0].display();
                bail!("{name} does not listen ({ended:?}): {}", server.log());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(server)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let told = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(told.elapsed() < PATIENCE, "a server does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(process) = process {
            // It may have ended already.
            let _ = kill_process(process, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            for process in self.meter.processes() {
                let process = i32::try_from(process).ok().and_then(Pid::from_raw);
                if let Some(process) = process {
                    let _ = kill_process(process, Signal::KILL);
                }
            }
            let _ = self.child.wait();
        }
    }
}

/// `launch DOOR PROGRAM ARGUMENT…`: enters a control group, and becomes the program. Only so is it
/// a member from its first moment.
pub fn launch(args: &[String]) -> Result<()> {
    let [door, program, args @ ..] = args else {
        bail!("launch DOOR PROGRAM ARGUMENT…");
    };
    if door != "-" {
        std::fs::write(door, "0").with_context(|| door.clone())?;
    }
    Err(Command::new(program).args(args).exec()).with_context(|| program.clone())
}
