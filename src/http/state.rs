//! What the requests share.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::metrics::Metrics;
use super::options::Options;
use super::rules::origin::Origin;
use crate::delivery::Delivery;
use crate::expiry;
use crate::ingest::Ingest;
use crate::lease::Claim;
use crate::manage::Manage;
use crate::model::Clock;
use crate::repository::Repository;

/// The use cases behind HTTP. It is cloned for every request, and more than once.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What the requests share.
pub struct Shared {
    pub(super) ingest: Ingest,
    pub(super) delivery: Delivery,
    pub(super) manage: Manage,
    pub(super) repository: Repository,
    pub(super) clock: Clock,
    pub(super) options: Options,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: Arc<Metrics>,
    draining: AtomicBool,
    trouble: watch::Receiver<Option<String>>,
    /// Why the server could not store at the last look, as the log has it. A std mutex: held to
    /// compare and replace the text.
    logged_trouble: Mutex<Option<String>>,
    pub(super) claims: watch::Receiver<Option<Claim>>,
    pub(super) abort: CancellationToken,
}

/// What the resources are made of.
pub struct Parts {
    /// Uploads.
    pub ingest: Ingest,
    /// Downloads.
    pub delivery: Delivery,
    /// Changes of uploads.
    pub manage: Manage,
    /// Store and index, to be asked whether they are well and what they hold.
    pub repository: Repository,
    /// What else keeps the server from storing, if anything does.
    pub trouble: watch::Receiver<Option<String>>,
    /// What the cleaner counts.
    pub expiry: expiry::ExpiryMetrics,
    /// Whether this instance is the cleaner.
    pub claims: watch::Receiver<Option<Claim>>,
    /// The time.
    pub clock: Clock,
    /// The settings.
    pub options: Options,
    /// Cancelled when bodies that are still being read are given up.
    pub abort: CancellationToken,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Puts the use cases behind HTTP.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            ingest,
            delivery,
            manage,
            repository,
            trouble,
            expiry,
            claims,
            clock,
            options,
            abort,
        } = parts;
        App(Arc::new(Shared {
            admission: Admission::new(options.limits),
            options,
            metrics: Arc::new(Metrics::new(&expiry)),
            draining: AtomicBool::new(false),
            ingest,
            delivery,
            manage,
            repository,
            trouble,
            logged_trouble: Mutex::new(None),
            claims,
            clock,
            abort,
        }))
    }

    /// Drops readiness: the server is ending.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why the server cannot store now, if so, in words for clients: the exact reason may hold
    /// addresses, and goes to the log, once.
    pub(super) fn unready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("the server is shutting down");
        }
        let trouble = self.trouble.borrow().clone();
        let store = || self.repository.store().ready().err();
        let index = || self.repository.catalog().ready().err();
        let found = trouble
            .map(|reason| ("the storage and the index are not ready", reason))
            .or_else(|| Some(("the storage cannot store now", store()?)))
            .or_else(|| Some(("the index cannot be reached now", index()?)));
        let (words, reason) = found.unzip();
        // Nothing between the lock and its release can panic half-way.
        let logged = self.logged_trouble.lock();
        let mut logged = logged.unwrap_or_else(PoisonError::into_inner);
        if *logged != reason {
            if let Some(reason) = &reason {
                tracing::error!(reason, "not ready");
            }
            *logged = reason;
        }
        words
    }

    /// Scheme, host and port as the client of a request knows them, for absolute URLs.
    pub(super) fn origin_of(&self, origin: &Origin) -> String {
        let public = self.options.public_url.clone();
        public.unwrap_or_else(|| format!("{}://{}", origin.scheme, origin.host))
    }
}
