//! The state that all requests share.

use std::ops::Deref;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::metrics::ServerMetrics;
use super::options::HttpOptions;
use super::rules::look::Look;
use super::rules::origin::Origin;
use crate::delivery::Delivery;
use crate::expiry;
use crate::ingest::Ingest;
use crate::manage::Manage;
use crate::model::Clock;
use crate::operate::Operate;

/// The use cases behind HTTP. It is cloned for every request, and more than once.
#[derive(Clone)]
pub struct AppState(Arc<StateInner>);

/// The state behind the clones.
pub struct StateInner {
    pub(super) ingest: Ingest,
    pub(super) delivery: Delivery,
    pub(super) manage: Manage,
    pub(super) operate: Arc<Operate>,
    pub(super) clock: Clock,
    pub(super) options: HttpOptions,
    pub(super) look: Look,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) abort: CancellationToken,
}

/// The parts of the state.
pub struct StateParts {
    /// Uploads.
    pub ingest: Ingest,
    /// Downloads.
    pub delivery: Delivery,
    /// Changes of uploads.
    pub manage: Manage,
    /// Readiness, figures and the comparison of the index.
    pub operate: Operate,
    /// The cleaner's counters.
    pub expiry: expiry::ExpiryMetrics,
    /// The time.
    pub clock: Clock,
    /// The settings.
    pub options: HttpOptions,
    /// Cancelled when bodies that are still being read are given up.
    pub abort: CancellationToken,
}

impl Deref for AppState {
    type Target = StateInner;

    fn deref(&self) -> &StateInner {
        &self.0
    }
}

impl AppState {
    /// Puts the use cases behind HTTP.
    pub fn new(parts: StateParts) -> Self {
        let StateParts {
            ingest,
            delivery,
            manage,
            operate,
            expiry,
            clock,
            options,
            abort,
        } = parts;
        AppState(Arc::new(StateInner {
            admission: Admission::new(options.limits),
            look: Look::of(&options.brand),
            options,
            metrics: Arc::new(ServerMetrics::new(&expiry)),
            ingest,
            delivery,
            manage,
            operate: Arc::new(operate),
            clock,
            abort,
        }))
    }

    /// The same state with other settings: requests under way are counted for both.
    #[must_use]
    pub fn renewed(&self, ingest: Ingest, options: HttpOptions) -> Self {
        self.admission.limit(options.limits);
        AppState(Arc::new(StateInner {
            ingest,
            delivery: self.delivery.clone(),
            manage: self.manage.clone(),
            operate: Arc::clone(&self.operate),
            clock: self.clock.clone(),
            look: Look::of(&options.brand),
            options,
            admission: Arc::clone(&self.admission),
            metrics: Arc::clone(&self.metrics),
            abort: self.abort.clone(),
        }))
    }

    /// Drops readiness: the server is ending.
    pub fn drain(&self) {
        self.operate.drain();
    }

    /// Scheme, host and port as the client of a request knows them, for absolute URLs.
    pub(super) fn origin_of(&self, origin: &Origin) -> String {
        origin.public(self.options.public_url.as_deref())
    }

    /// The beginning of absolute URLs: the [origin](Self::origin_of), then the base path.
    pub(super) fn base_of(&self, origin: &Origin) -> String {
        self.origin_of(origin) + &self.options.base_path
    }
}
