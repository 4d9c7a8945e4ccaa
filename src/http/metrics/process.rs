//! Figures of this process, with the names that every client library of Prometheus gives them.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::process::Resource;
use rustix::time::{ClockId, clock_gettime};

/// Ticks of a second in proc_pid_stat(5), which is the same on all machines that Linux runs on.
const TICKS: f64 = 100.0;

type Whole = Gauge<u64, AtomicU64>;
type Fraction = Gauge<f64, AtomicU64>;

/// The figures of this process.
#[derive(Debug, Default)]
pub struct ProcessMetrics {
    cpu: Counter<f64, AtomicU64>,
    open_fds: Whole,
    max_fds: Whole,
    resident: Whole,
    mapped: Whole,
    threads: Whole,
    start: Fraction,
}

impl ProcessMetrics {
    /// Registers them in `registry`, which has no prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "process_cpu",
            "Processor time of this process",
            Unit::Seconds,
            self.cpu.clone(),
        );
        registry.register(
            "process_open_fds",
            "Open descriptors",
            self.open_fds.clone(),
        );
        registry.register(
            "process_max_fds",
            "The most descriptors there may be",
            self.max_fds.clone(),
        );
        registry.register_with_unit(
            "process_resident_memory",
            "Memory that is resident",
            Unit::Bytes,
            self.resident.clone(),
        );
        registry.register_with_unit(
            "process_virtual_memory",
            "Addresses that are mapped",
            Unit::Bytes,
            self.mapped.clone(),
        );
        registry.register("process_threads", "Threads", self.threads.clone());
        registry.register_with_unit(
            "process_start_time",
            "When this process began, since the Unix epoch",
            Unit::Seconds,
            self.start.clone(),
        );
    }

    /// Looks at the process. A value that it cannot read stays as it was.
    pub fn look(&self) {
        let spent = seconds(ClockId::ProcessCPUTime);
        self.cpu.inner().store(spent.to_bits(), Ordering::Relaxed);
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // The look itself has one open.
            self.open_fds.set(open.count().saturating_sub(1) as u64);
        }
        let most = rustix::process::getrlimit(Resource::Nofile).current;
        self.max_fds.set(most.unwrap_or(u64::MAX));
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            for (name, gauge, unit) in [
                ("VmRSS:", &self.resident, 1024),
                ("VmSize:", &self.mapped, 1024),
                ("Threads:", &self.threads, 1),
            ] {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
                value.map(|value: u64| gauge.set(value * unit));
            }
        }
        if self.start.get() == 0.0
            && let Ok(stat) = std::fs::read_to_string("/proc/self/stat")
            && let Some(ticks) = started(&stat)
        {
            let age = seconds(ClockId::Boottime) - ticks / TICKS;
            self.start.set(seconds(ClockId::Realtime) - age);
        }
    }
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The ticks from the start of the machine to that of the process: the twenty-second field, of which
/// the second is in parentheses and may hold anything.
fn started(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let process = ProcessMetrics::default();
        process.look();
        assert!(process.open_fds.get() > 2 && process.open_fds.get() < process.max_fds.get());
        assert!(process.resident.get() > 1 << 20);
        assert!(process.mapped.get() >= process.resident.get() && process.threads.get() > 0);
        let now = seconds(ClockId::Realtime);
        let start = process.start.get();
        assert!(start > now - 3600.0 && start <= now + 1.0, "{start} {now}");
    }

    #[test]
    fn a_process_may_be_called_anything() {
        let fields: Vec<String> = (3..=22).map(|field| field.to_string()).collect();
        let stat = format!("1 (a) b) {}", fields.join(" "));
        assert_eq!(started(&stat), Some(22.0));
    }
}
