//! The end of the process: its signals, and the tokens that they cancel.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::log;

/// How long the log is waited for by an end at once.
const LAST_LINES: Duration = Duration::from_millis(100);

/// The two stages of an end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Nothing new is begun; requests under way go on.
    pub stop: CancellationToken,
    /// Requests under way end too.
    pub abort: CancellationToken,
}

/// The meaning of SIGHUP to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// Its terminal is closed: it ends, as by SIGTERM.
    End,
    /// It reads its settings anew: no terminal could be closed.
    Reload,
    /// Nothing: it was started with SIGHUP ignored, by nohup(1) for example.
    Nothing,
}

impl Hangup {
    /// The meaning of SIGHUP to this process.
    pub fn here() -> Self {
        if ignores_hangup() {
            Hangup::Nothing
        } else if std::fs::File::open("/dev/tty").is_ok() {
            Hangup::End
        } else {
            Hangup::Reload
        }
    }
}

impl Shutdown {
    /// One that SIGTERM or SIGINT begins, and SIGHUP where it ends a server; a second SIGTERM or
    /// SIGINT ends the process at once.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn on_signals(hangup: Hangup) -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // A terminal that is closed sends several: they are no second signal.
        let mut closed = match hangup {
            Hangup::End => Some(signal(SignalKind::hangup())?),
            Hangup::Reload | Hangup::Nothing => None,
        };
        let stop = shutdown.stop.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = received(&mut closed) => "SIGHUP",
            };
            stop.cancel();
            tracing::info!("{name}: ending; requests under way may finish");
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::warn!("{name} again: ending at once");
            log::flush(LAST_LINES);
            std::process::exit(1);
        });
        Ok(shutdown)
    }
}

/// Returns when the signal comes; never, where there is none to wait for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether this process was started with SIGHUP ignored (proc_pid_status(5), `SigIgn`).
pub fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut masks = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigIgn:"));
    let mask = masks
        .next()
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    mask.is_some_and(|mask| mask & 1 != 0)
}

/// Has a write past the limit of file sizes fail with EFBIG, where SIGXFSZ would end the process
/// (setrlimit(2), `RLIMIT_FSIZE`). To be called in a runtime.
pub fn survive_file_limit() {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays although no task waits for the signal. Without a handler, the process would
    // end at the limit.
    if let Err(error) = signal(kind) {
        tracing::warn!(%error, "SIGXFSZ cannot be caught; a file size limit would end the process");
    }
}
