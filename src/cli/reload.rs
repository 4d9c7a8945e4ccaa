//! Settings that are read anew while the server runs.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exposure::Exposure;
use super::settings::{Sources, check_values, load};
use super::stderr::reason;
use crate::config::{Loaded, SETTINGS, SettingOrigin};
use crate::http::rules::access::Access;
use crate::http::tls::{ReadCertificates, Tls};
use crate::log;
use crate::model::Clock;

/// The settings that can change while the server runs.
const CHANGEABLE: [&str; 5] = ["access", "access_file", "log", "tls_cert", "tls_key"];

/// Knows where the settings are, and what they were.
pub struct Reloader {
    sources: Sources,
    loaded: Loaded,
}

/// The parts of a running server that follow the settings.
pub struct Running {
    pub access: Access,
    pub filter: log::Filter,
    /// Who reaches it, which secrets cannot change.
    pub exposure: Exposure,
    /// The certificates, where TLS ends here.
    pub tls: Option<Tls>,
}

/// Settings that were read anew, and are not yet in force.
struct ReadAnew {
    loaded: Loaded,
    access: Access,
    filter: tracing_subscriber::EnvFilter,
    certificates: Option<ReadCertificates>,
}

impl Reloader {
    pub fn new(sources: Sources, loaded: Loaded) -> Self {
        Reloader { sources, loaded }
    }

    /// Whether `default_expires_in` was given, be it as `never`.
    pub fn lifetime_is_given(&self) -> bool {
        self.loaded.get("default_expires_in").origin != SettingOrigin::Default
    }

    /// Reads the settings anew with each SIGHUP.
    pub async fn run(mut self, mut hangup: Signal, running: Running) {
        let mut running = running;
        while hangup.recv().await.is_some() {
            let reload = move || {
                self.reload(&running);
                (self, running)
            };
            // Files are read, from wherever they are.
            match tokio::task::spawn_blocking(reload).await {
                Ok(back) => (self, running) = back,
                // The server is ending.
                Err(_) => return,
            }
        }
    }

    fn reload(&mut self, running: &Running) {
        match self.read(running) {
            Ok(anew) => {
                let ReadAnew {
                    loaded,
                    access,
                    filter,
                    certificates,
                } = anew;
                self.report(&loaded);
                let before = running.exposure.warnings(running.access.named());
                running.access.replace(&access);
                let mut now = running.exposure.warnings(access.named());
                now.retain(|warning| !before.contains(warning));
                now.iter().for_each(|warning| tracing::warn!("{warning}"));
                if loaded.get("log").texts != self.loaded.get("log").texts {
                    running.filter.set(filter);
                }
                if let (Some(tls), Some(certificates)) = (&running.tls, certificates) {
                    certificates
                        .warnings(Clock::system().now())
                        .iter()
                        .for_each(|warning| tracing::warn!("{warning}"));
                    tls.replace(certificates);
                }
                self.loaded = loaded;
            }
            Err(error) => tracing::error!(
                "SIGHUP: the settings cannot be read anew, and stay as they were: {}",
                reason(&error)
            ),
        }
    }

    /// All of it, before any of it changes anything.
    fn read(&self, running: &Running) -> anyhow::Result<ReadAnew> {
        let loaded = load(&self.sources)?;
        let config = check_values(&loaded)?;
        let exposure = &running.exposure;
        exposure.decided(config.app.http.access.named())?;
        let files = config.certificates;
        let certificates = match running.tls.is_some() && !files.is_empty() {
            true => Some(ReadCertificates::read(files, Clock::system().now())?),
            false => None,
        };
        Ok(ReadAnew {
            filter: log::Filter::read(&config.log)?,
            access: config.app.http.access,
            certificates,
            loaded,
        })
    }

    fn report(&self, loaded: &Loaded) {
        tracing::info!("SIGHUP: the settings were read anew");
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let keys = SETTINGS.iter().map(|setting| setting.key);
        let changed = keys.filter(|&key| loaded.get(key).texts != self.loaded.get(key).texts);
        let waiting: Vec<&str> = changed.filter(|key| !CHANGEABLE.contains(key)).collect();
        if !waiting.is_empty() {
            tracing::warn!(
                "these settings changed, and need a restart: {}",
                waiting.join(", ")
            );
        }
    }
}

/// The signal that has settings read anew.
///
/// # Errors
/// Its handler cannot be installed.
pub fn on_hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
