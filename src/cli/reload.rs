//! Settings that are read anew while the server runs.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

use super::exposure::Exposure;
use super::settings::{Sources, check_values, load};
use super::stderr::reason;
use crate::app::Renewal;
use crate::config::{Config, Loaded, SETTINGS, Setting};
use crate::http::rules::locality::Listening;
use crate::http::tls::{ReadCertificates, Tls};
use crate::log;
use crate::model::Clock;
use crate::supervise::Supervisor;

/// How long files may take to be read until that is said.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Knows where the settings are, and what they were.
pub struct Reloader {
    sources: Sources,
    /// The settings at the start.
    started: Loaded,
    /// The settings that were read last, and were right.
    loaded: Loaded,
}

/// A running server, as far as it follows the settings.
pub struct Running {
    /// The settings in force, and those that wait for a restart as they were.
    pub config: Config,
    /// Where settings go to be in force.
    pub renewals: mpsc::Sender<Renewal>,
    pub filter: log::Filter,
    pub listening: Listening,
    /// The machines that reach it, with the settings in force.
    pub exposure: Exposure,
    /// The certificates, where TLS ends here.
    pub tls: Option<Tls>,
    pub supervisor: Supervisor,
}

/// Settings that were read anew and found to be right, and are not yet in force.
struct ReadAnew {
    loaded: Loaded,
    config: Config,
    exposure: Exposure,
    filter: EnvFilter,
    certificates: Option<ReadCertificates>,
    /// Whether the new settings switch TLS on or off, which takes a restart.
    tls_waits: bool,
}

impl Reloader {
    pub fn new(sources: Sources, loaded: Loaded) -> Self {
        Reloader {
            sources,
            started: loaded.clone(),
            loaded,
        }
    }

    /// Whether `default_expires_in` was given, be it as `never`.
    pub fn lifetime_is_given(&self) -> bool {
        lifetime_is_given(&self.loaded)
    }

    /// Whether a setting says where to listen.
    pub fn says_where_to_listen(&self) -> bool {
        ["listen", "port", "bind"]
            .into_iter()
            .any(|key| self.loaded.is_given(key))
    }

    /// Reads the settings anew with each SIGHUP. One that comes meanwhile has them read once more.
    pub async fn run(mut self, mut hangup: Signal, mut running: Running) {
        let supervisor = running.supervisor.clone();
        while hangup.recv().await.is_some() {
            supervisor.reloading();
            let read = move || {
                let read = self.read(&running);
                (self, running, read)
            };
            // Files are read, from wherever they are.
            let mut reading = tokio::task::spawn_blocking(read);
            let read = match timeout(READ_TIMEOUT, &mut reading).await {
                Ok(read) => read,
                Err(_) => {
                    let late = "a file that they name, or its file system, does not answer";
                    tracing::error!(
                        "SIGHUP: the settings are not read after {READ_TIMEOUT:?}: {late}; they stay \
                         as they were, and a further SIGHUP waits until it answers"
                    );
                    supervisor.reloaded(Some(late));
                    reading.await
                }
            };
            let read = match read {
                Ok((reloader, same, read)) => {
                    (self, running) = (reloader, same);
                    read
                }
                // The server is ending.
                Err(_) => return,
            };
            let refused = match read {
                Ok(anew) => {
                    if self.put_in_force(anew, &mut running).await.is_none() {
                        return;
                    }
                    None
                }
                Err(error) => {
                    let reason = reason(&error);
                    tracing::error!(
                        "SIGHUP: the settings cannot be read anew, and stay as they were: {reason}"
                    );
                    Some(reason)
                }
            };
            supervisor.reloaded(refused.as_deref());
        }
    }

    /// All of it, before any of it changes anything.
    fn read(&self, running: &Running) -> anyhow::Result<ReadAnew> {
        let loaded = load(&self.sources)?;
        let new = check_values(&loaded)?;
        let config = running.config.renewed(&new);
        let http = &config.app.http;
        let exposure = Exposure::of(http, lifetime_is_given(&loaded), &running.listening);
        exposure.decided(http.access.named())?;
        let files = config.certificates.clone();
        let certificates = match &running.tls {
            Some(_) => Some(ReadCertificates::read(files, Clock::system().now())?),
            None => None,
        };
        Ok(ReadAnew {
            filter: log::Filter::read(&config.log)?,
            exposure,
            certificates,
            tls_waits: new.certificates.is_empty() || running.tls.is_none(),
            config,
            loaded,
        })
    }

    /// `None` when the server is ending.
    async fn put_in_force(&mut self, anew: ReadAnew, running: &mut Running) -> Option<()> {
        let ReadAnew {
            loaded,
            config,
            exposure,
            filter,
            certificates,
            tls_waits,
        } = anew;
        let (done, in_force) = oneshot::channel();
        let options = config.app.clone();
        running
            .renewals
            .send(Renewal { options, done })
            .await
            .ok()?;
        in_force.await.ok()?;
        // By the filter that is in force still.
        self.report(&loaded, tls_waits);
        if let (Some(tls), Some(certificates)) = (&running.tls, certificates) {
            for warning in certificates.warnings(Clock::system().now()) {
                tracing::warn!("{warning}");
            }
            tls.replace(certificates);
        }
        let named = |config: &Config| config.app.http.access.named();
        let before = running.exposure.warnings(named(&running.config));
        let mut now = exposure.warnings(named(&config));
        now.retain(|warning| !before.contains(warning));
        now.iter().for_each(|warning| tracing::warn!("{warning}"));
        if config.log != running.config.log {
            running.filter.set(filter);
        }
        (running.config, running.exposure) = (config, exposure);
        self.loaded = loaded;
        Some(())
    }

    /// Says which settings changed. Those that wait for a restart are named by each reload.
    fn report(&self, loaded: &Loaded, tls_waits: bool) {
        tracing::info!("SIGHUP: the settings were read anew");
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let tls = |key: &str| ["tls_cert", "tls_key"].contains(&key);
        let waits = |setting: &Setting| setting.needs_restart || (tls_waits && tls(setting.key));
        let changed = |before: &Loaded, waiting: bool| {
            let changed = SETTINGS.iter().filter(|setting| {
                let key = setting.key;
                waits(setting) == waiting && loaded.get(key).texts != before.get(key).texts
            });
            changed
                .map(|setting| setting.key)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let count = changed(&self.loaded, false);
        if !count.is_empty() {
            tracing::info!("these settings changed, and count from now on: {count}");
        }
        let wait = changed(&self.started, true);
        if !wait.is_empty() {
            tracing::warn!("these settings changed, and need a restart: {wait}");
        }
    }
}

fn lifetime_is_given(loaded: &Loaded) -> bool {
    loaded.is_given("default_expires_in")
}

/// The signal that has settings read anew.
///
/// # Errors
/// Its handler cannot be installed.
pub fn on_hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
