//! The certificates in force, and their files, which are looked at from time to time.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::files::{CertificateError, CertificateFiles, FileStates};
use crate::model::{Clock, Timestamp};

/// How often the files are looked at. They are read when they stayed the same from one look to the
/// next: a program that writes a certificate and its key does it in two steps.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How often the log warns of a certificate that ends.
const WARN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificates in force. Connections keep those they began with.
#[derive(Debug, Clone)]
pub struct Tls(Arc<RwLock<InForce>>);

/// Guarded by a std lock: held to clone the pointers in it, or to put others in their place.
#[derive(Debug, Clone)]
struct InForce {
    files: Vec<CertificateFiles>,
    /// As they were before they were read.
    states: FileStates,
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
}

/// Certificates that were read, and are not yet in force.
#[derive(Debug)]
pub struct ReadCertificates(InForce);

impl ReadCertificates {
    /// Reads the files.
    ///
    /// # Errors
    /// See `Certificates::read`.
    pub fn read(files: Vec<CertificateFiles>, now: Timestamp) -> Result<Self, CertificateError> {
        let states = FileStates::of(&files);
        let certificates = Arc::new(Certificates::read(&files, now)?);
        let config = certificates.config();
        let config = config.map_err(|error| files[0].error(error.to_string()))?;
        Ok(ReadCertificates(InForce {
            files,
            states,
            certificates,
            config,
        }))
    }

    /// See `Certificates::warnings`.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        self.0.certificates.warnings(now)
    }
}

impl Tls {
    /// With these certificates.
    pub fn new(read: ReadCertificates) -> Self {
        Tls(Arc::new(RwLock::new(read.0)))
    }

    /// Has connections from now on get these.
    pub fn replace(&self, read: ReadCertificates) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = read.0;
    }

    /// The certificates of a new connection, and its configuration.
    pub fn current(&self) -> (Arc<Certificates>, Arc<ServerConfig>) {
        let in_force = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (
            Arc::clone(&in_force.certificates),
            Arc::clone(&in_force.config),
        )
    }

    /// The file of each certificate, and when it ends.
    pub fn ends(&self) -> Vec<(String, Timestamp)> {
        let (certificates, _) = self.current();
        let ends = certificates.ends();
        ends.map(|(file, end)| (file.to_owned(), end)).collect()
    }

    fn in_force(&self) -> InForce {
        let in_force = self.0.read().unwrap_or_else(PoisonError::into_inner);
        in_force.clone()
    }
}

/// Reads the files again when they have changed, until `stop`. Files that cannot be used change
/// nothing, and is said once.
pub async fn follow_files(tls: Tls, clock: Clock, stop: CancellationToken) {
    let (mut last, mut refused) = (None, None);
    let mut warned = Instant::now();
    let mut looks = tokio::time::interval(POLL_INTERVAL);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let before = tls.in_force();
        let files = before.files.clone();
        let look = tokio::task::spawn_blocking(move || FileStates::of(&files));
        let Ok(now) = look.await else { return };
        let calm = last.replace(now.clone()).as_ref() == Some(&now);
        if calm && now != before.states && refused.as_ref() != Some(&now) {
            refused = (!read_again(&tls, before.files, clock.now()).await).then_some(now);
            warned = Instant::now();
        }
        if warned.elapsed() >= WARN_INTERVAL {
            warned = Instant::now();
            for warning in tls.current().0.warnings(clock.now()) {
                tracing::warn!("{warning}");
            }
        }
    }
}

/// Whether they could be read.
async fn read_again(tls: &Tls, files: Vec<CertificateFiles>, now: Timestamp) -> bool {
    let read = tokio::task::spawn_blocking(move || ReadCertificates::read(files, now));
    match read.await {
        Ok(Ok(read)) => {
            for warning in read.warnings(now) {
                tracing::warn!("{warning}");
            }
            tls.replace(read);
            tracing::info!("the files of the certificates changed, and were read again");
            true
        }
        Ok(Err(error)) => {
            tracing::warn!("the files of the certificates changed, and those before stay: {error}");
            false
        }
        Err(_) => false,
    }
}
