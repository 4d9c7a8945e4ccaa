//! The end: signals, and who is told.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two stages of an end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Nothing new is begun; what is under way goes on.
    pub stop: CancellationToken,
    /// What is under way ends too.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// One that SIGTERM or SIGINT begins; a second signal ends the process at once.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = shutdown.stop.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            let name = next().await;
            tracing::info!("{name}: ending; what is under way may finish");
            stop.cancel();
            let name = next().await;
            tracing::warn!("{name} again: ending at once");
            std::process::exit(1);
        });
        Ok(shutdown)
    }
}
