//! The cost of a server: the processor time and the memory of all its processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(5);

/// The unit of processor time in `/proc`, in milliseconds (`USER_HZ`, 100 wherever Debian runs).
const TICK: u64 = 10;

/// A control group (cgroup v2) for the processes of one server: the kernel counts their processor
/// time to the microsecond, and that of those that have ended. Where none can be made (without
/// root), `/proc` has to do, which counts in ticks of 10 ms.
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// One below that of this process; `None` where that is not allowed.
    pub fn create(name: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let mut mounts = mounts.lines().map(|line| line.split(' '));
        let root = mounts.find_map(|mut mount| {
            let place = mount.nth(1)?;
            (mount.next()? == "cgroup2").then(|| place.to_owned())
        })?;
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let path = Path::new(&root)
            .join(own)
            .join(format!("wharf-bench-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let group = Group { path };
        group.cpu().ok()?;
        Some(group)
    }

    /// Where a process writes 0 to become a member.
    pub fn door(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    fn cpu(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(self.path.join("cpu.stat"))?;
        let usage = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        let usage = usage.context("usage_usec")?.parse()?;
        Ok(Duration::from_micros(usage))
    }

    /// The processes that are members.
    pub fn members(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.door()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It can be removed when the last member is gone, which takes a moment.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Measures a process and those it started.
pub struct Meter {
    root: u32,
    group: Option<Group>,
}

impl Meter {
    pub fn new(root: u32, group: Option<Group>) -> Arc<Self> {
        Arc::new(Meter { root, group })
    }

    /// All the processes.
    pub fn processes(&self) -> Vec<u32> {
        if let Some(group) = &self.group {
            return group.members();
        }
        let mut all = vec![self.root];
        let mut at = 0;
        while let Some(&process) = all.get(at) {
            let children = format!("/proc/{process}/task/{process}/children");
            let children = std::fs::read_to_string(children).unwrap_or_default();
            all.extend(
                children
                    .split(' ')
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
            at += 1;
        }
        all
    }

    /// The processor time so far, user and system.
    pub fn cpu(&self) -> Result<Duration> {
        match &self.group {
            Some(group) => group.cpu(),
            None => Ok(self.processes().into_iter().filter_map(cpu).sum()),
        }
    }

    /// The memory now, and the largest resident size so far.
    pub fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for process in self.processes() {
            let status = format!("/proc/{process}/status");
            let status = std::fs::read_to_string(status).unwrap_or_default();
            for line in status.lines() {
                let Some((name, value)) = line.split_once(':') else {
                    continue;
                };
                let value = || value.trim().trim_end_matches(" kB").parse().unwrap_or(0) * 1024;
                match name {
                    "VmHWM" => memory.peak += value(),
                    "VmRSS" => memory.resident += value(),
                    "RssAnon" => memory.anonymous += value(),
                    _ => {}
                }
            }
        }
        memory
    }

    /// Looks at the memory until told to stop.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (meter, stopped) = (Arc::clone(self), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut peak = meter.memory();
            loop {
                // The last look comes after the stop.
                let last = stopped.load(Ordering::Acquire);
                let now = meter.memory();
                peak.peak = peak.peak.max(now.peak);
                peak.resident = peak.resident.max(now.resident);
                peak.anonymous = peak.anonymous.max(now.anonymous);
                if last {
                    return peak;
                }
                std::thread::sleep(EVERY);
            }
        });
        Watch { stop, thread }
    }
}

/// The memory of a server, in bytes, its processes added up: what they share counts for each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// The largest resident size since it was started.
    pub peak: u64,
    pub resident: u64,
    /// The part of that which is no mapping of a file.
    pub anonymous: u64,
}

/// A look at the memory that goes on.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Memory>,
}

impl Watch {
    /// The largest of each since it began.
    pub fn stop(self) -> Memory {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the meter does not panic")
    }
}

/// The processor time of one process with its threads, those included that have ended.
fn cpu(process: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is a name in parentheses and may have anything in it (proc(5)); of those
    // behind it, user and system time are the 12th and 13th.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * TICK))
}
