//! A server under measurement, as a process in a folder of its own.

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::meter::{Group, Memory, Meter, Watch};

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may take to end, before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// The folders of one server, and its address.
pub struct Place {
    /// The files it stores, and nothing else.
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

/// The program as a process in the control group, if there is one.
fn spawn(place: &Place, program: &[OsString]) -> Result<(Child, Arc<Meter>)> {
    let group = Group::create(&place.address.port().to_string());
    let door = group.as_ref().map_or("-".into(), Group::door);
    let log = File::create(place.log())?;
    let mut command = Command::new(std::env::current_exe()?);
    // The user of this machine may have settings of wharf.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WHARF_")) {
        command.env_remove(name);
    }
    let child = command
        .arg("--program=launch")
        .arg(door)
        .args(program)
        .current_dir(&place.scratch)
        // Their own state and their temporary files: on the same file system.
        .env("HOME", &place.scratch)
        .env("TMPDIR", &place.scratch)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let meter = Meter::new(child.id(), group);
    Ok((child, meter))
}

/// The result of a program that ended by itself.
pub struct Ended {
    pub wall: Duration,
    pub cpu: Duration,
    pub memory: Memory,
    pub log: String,
}

/// Runs a program to its end.
pub fn run(place: &Place, program: &[OsString]) -> Result<Ended> {
    let began = Instant::now();
    let (mut child, meter) = spawn(place, program)?;
    let watch = meter.watch();
    let mut cpu = Duration::ZERO;
    let status = loop {
        // While it runs: afterwards only a control group knows.
        cpu = cpu.max(meter.cpu()?);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = began.elapsed();
    let memory = watch.stop();
    let log = std::fs::read_to_string(place.log()).unwrap_or_default();
    ensure!(status.success(), "{}: {log}", program[0].display());
    Ok(Ended {
        wall,
        cpu: cpu.max(meter.cpu()?),
        memory,
        log,
    })
}

/// A program whose output is read as it comes.
pub struct Piped {
    child: Child,
    pub output: ChildStdout,
    meter: Arc<Meter>,
    watch: Watch,
}

impl Piped {
    /// Starts a program in a folder.
    pub fn start(folder: &Path, program: &[&str]) -> Result<Self> {
        let group = Group::create("piped");
        let door = group.as_ref().map_or("-".into(), Group::door);
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--program=launch")
            .arg(door)
            .args(program)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let meter = Meter::new(child.id(), group);
        let watch = meter.watch();
        let output = child.stdout.take().context("its output")?;
        Ok(Piped {
            child,
            output,
            meter,
            watch,
        })
    }

    /// Its processor time and memory, at its end. Without a control group the time is not known: the
    /// process is gone.
    pub fn end(mut self) -> Result<(Duration, Memory)> {
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok((self.meter.cpu()?, self.watch.stop()))
    }
}

/// A running server; it ends with the value.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// When its process was begun.
    pub started: Instant,
    pub meter: Arc<Meter>,
    log: PathBuf,
}

impl Server {
    /// Starts a program, and waits until it listens.
    pub fn start(place: &Place, program: &[OsString]) -> Result<Self> {
        let started = Instant::now();
        let (child, meter) = spawn(place, program)?;
        let mut server = Server {
            child,
            address: place.address,
            started,
            meter,
            log: place.log(),
        };
        while TcpStream::connect(server.address).is_err() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || started.elapsed() > START_TIMEOUT {
                let name = program[0].display();
                bail!("{name} does not listen ({ended:?}): {}", server.log());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(server)
    }

    /// Its output.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it, and waits until it has. One that does not want to is killed.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let told = Instant::now();
        while self.child.try_wait()?.is_none() && told.elapsed() < GRACE {
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
    // It ends with the benchmark, however that does.
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if door != "-" {
        std::fs::write(door, "0").with_context(|| door.clone())?;
    }
    Err(Command::new(program).args(args).exec()).with_context(|| program.clone())
}
