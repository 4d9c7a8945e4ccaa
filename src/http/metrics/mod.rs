//! The counters, for Prometheus.

mod backends;
mod exposition;
mod journal;
mod process;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::delivery::{Way, Ways};
use crate::http::rules::problem::Code;
use crate::model::Timestamp;
use crate::operate::Holdings;
use crate::{expiry, log};

pub use exposition::Exposition;
use exposition::as_text;
use journal::JournalMetrics;
use process::ProcessMetrics;

/// The bounds of the durations, in seconds: a small request takes milliseconds, a large transfer
/// hours.
const DURATIONS: [f64; 18] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0,
    1800.0, 3600.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WayLabel {
    way: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    file: String,
}

/// An answered request, as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The route of its path.
    pub route: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of its body.
    pub request_bytes: u64,
    /// Bytes of the body of the answer.
    pub response_bytes: u64,
    /// From its head to the last byte of the answer.
    pub time: Duration,
}

/// The state of this instance when it is asked.
#[derive(Debug, Clone, Copy)]
pub struct InstanceNow {
    /// Whether it can store.
    pub ready: bool,
    /// Since when it has the lease, in seconds since the Unix epoch, if it has it.
    pub leading_since: Option<f64>,
}

type Durations = Family<RouteLabel, Histogram, fn() -> Histogram>;

/// The counters of a server.
#[derive(Debug)]
pub struct ServerMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    request_bytes: Counter,
    response_bytes: Counter,
    file_bytes: Family<WayLabel, Counter>,
    connections: Gauge,
    requests_in_progress: Gauge,
    in_progress: Gauge,
    stored: Counter,
    files: Counter,
    refused: Family<CodeLabel, Counter>,
    deleted: Counter,
    uploads: Gauge<u64, AtomicU64>,
    bytes: Gauge<u64, AtomicU64>,
    free: Gauge<u64, AtomicU64>,
    unverified: Gauge<u64, AtomicU64>,
    next_expiry: Gauge<f64, AtomicU64>,
    ready: Gauge,
    leader: Gauge,
    acquired: Gauge<f64, AtomicU64>,
    log_dropped: Counter,
    certificates: Family<FileLabel, Gauge<f64, AtomicU64>>,
    process: ProcessMetrics,
    /// The journal of the store.
    pub journal: JournalMetrics,
}

impl ServerMetrics {
    /// Counters that stand at nothing.
    pub fn new(expiry: &expiry::ExpiryMetrics) -> Self {
        let durations = Durations::new_with_constructor(|| Histogram::new(DURATIONS));
        let mut metrics = ServerMetrics {
            registry: Registry::default(),
            requests: Family::default(),
            durations,
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            file_bytes: Family::default(),
            connections: Gauge::default(),
            requests_in_progress: Gauge::default(),
            in_progress: Gauge::default(),
            stored: Counter::default(),
            files: Counter::default(),
            refused: Family::default(),
            deleted: Counter::default(),
            uploads: Gauge::default(),
            bytes: Gauge::default(),
            free: Gauge::default(),
            unverified: Gauge::default(),
            next_expiry: Gauge::default(),
            ready: Gauge::default(),
            leader: Gauge::default(),
            acquired: Gauge::default(),
            log_dropped: Counter::default(),
            certificates: Family::default(),
            process: ProcessMetrics::default(),
            journal: JournalMetrics::default(),
        };
        let mut registry = Registry::default();
        metrics.process.register(&mut registry);
        let own = registry.sub_registry_with_prefix("wharf");
        metrics.register_http(own);
        metrics.register_uploads(own, expiry);
        metrics.journal.register(own);
        metrics.register_instance(own);
        own.register_collector(Box::new(backends::Backends));
        metrics.registry = registry;
        metrics
    }

    fn register_http(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests answered; a path of no route is counted as none",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "From the head of a request to the last byte of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "http_request_body",
            "Bytes of request bodies",
            Unit::Bytes,
            self.request_bytes.clone(),
        );
        registry.register_with_unit(
            "http_response_body",
            "Bytes of response bodies",
            Unit::Bytes,
            self.response_bytes.clone(),
        );
        registry.register_with_unit(
            "files_read",
            "Bytes of files above 64 KiB on disk, by the way they went: sent by the kernel, or read",
            Unit::Bytes,
            self.file_bytes.clone(),
        );
        registry.register(
            "http_connections",
            "Connections that are open",
            self.connections.clone(),
        );
        registry.register(
            "http_requests_in_progress",
            "Requests whose answers have not ended: over HTTP/2 a connection has several",
            self.requests_in_progress.clone(),
        );
    }

    fn register_uploads(&self, registry: &mut Registry, expiry: &expiry::ExpiryMetrics) {
        registry.register(
            "uploads_in_progress",
            "Uploads being received",
            self.in_progress.clone(),
        );
        registry.register(
            "uploads_stored",
            "Uploads stored since the start",
            self.stored.clone(),
        );
        registry.register(
            "files_stored",
            "Files stored since the start",
            self.files.clone(),
        );
        registry.register(
            "uploads_refused",
            "Uploads that ended in a problem, by its code",
            self.refused.clone(),
        );
        registry.register(
            "uploads_expired",
            "Uploads removed by this instance because they were over",
            expiry.expired.clone(),
        );
        registry.register(
            "uploads_deleted",
            "Uploads deleted by requests to this instance",
            self.deleted.clone(),
        );
        registry.register_with_unit(
            "expiry_lag",
            "From the deadline of an upload to its removal",
            Unit::Seconds,
            expiry.lag.clone(),
        );
        registry.register_with_unit(
            "next_expiry_timestamp",
            "The next deadline of an upload, since the Unix epoch; 0 without one",
            Unit::Seconds,
            self.next_expiry.clone(),
        );
        registry.register(
            "index_unverified_folders",
            "Folders of the store, of 256, that the index may lack uploads of until they are compared",
            self.unverified.clone(),
        );
        registry.register(
            "store_uploads",
            "Uploads in the store",
            self.uploads.clone(),
        );
        registry.register_with_unit(
            "store",
            "Bytes that files and manifests take of the store, each rounded up to 4 KiB",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register_with_unit(
            "store_free",
            "Bytes that are free on the file system of the store; 0 in a bucket",
            Unit::Bytes,
            self.free.clone(),
        );
    }

    fn register_instance(&self, registry: &mut Registry) {
        registry.register(
            "ready",
            "Whether this instance can store: its store, its index and Redis answer",
            self.ready.clone(),
        );
        registry.register(
            "leader",
            "Whether this instance cleans up",
            self.leader.clone(),
        );
        registry.register_with_unit(
            "lease_acquired_timestamp",
            "When this instance acquired its last lease, since the Unix epoch; 0 if it had none",
            Unit::Seconds,
            self.acquired.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Lines of the log that could not be written in time, or not at all",
            self.log_dropped.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "When a certificate in use ends, since the Unix epoch, by its file",
            Unit::Seconds,
            self.certificates.clone(),
        );
        let build = Family::<BuildLabels, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&BuildLabels { version }).set(1);
        registry.register("build_info", "The version of the program", build);
    }

    /// Counts an answered request.
    pub fn request(&self, answered: &Answered) {
        let (route, status) = (answered.route, answered.status);
        let method = label(answered.method);
        let labels = RequestLabels {
            method,
            route,
            status,
        };
        self.requests.get_or_create(&labels).inc();
        let duration = self.durations.get_or_create(&RouteLabel { route });
        duration.observe(answered.time.as_secs_f64());
        self.request_bytes.inc_by(answered.request_bytes);
        self.response_bytes.inc_by(answered.response_bytes);
    }

    /// Takes over how many bytes of files have gone which way.
    pub fn files_read(&self, ways: &Ways) {
        for way in Way::BOTH {
            let label = WayLabel { way: way.name() };
            let counter = self.file_bytes.get_or_create(&label);
            counter.inner().store(ways.bytes(way), Ordering::Relaxed);
        }
    }

    /// Counts a stored upload of `files` files.
    pub fn stored(&self, files: usize) {
        self.stored.inc();
        self.files.inc_by(files as u64);
    }

    /// Counts an upload that ended in a problem with this code.
    pub fn refused(&self, code: Code) {
        let code = code.name();
        self.refused.get_or_create(&CodeLabel { code }).inc();
    }

    /// Counts an upload that a request has deleted.
    pub fn deleted(&self) {
        self.deleted.inc();
    }

    /// Counts an upload as in progress until the guard is dropped.
    pub fn in_progress(&self) -> CountedNow {
        CountedNow::of(&self.in_progress)
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connected(&self) -> CountedNow {
        CountedNow::of(&self.connections)
    }

    /// Notes when each certificate in use ends, by its file.
    pub fn certificates(&self, ends: impl Iterator<Item = (String, Timestamp)>) {
        self.certificates.clear();
        for (file, end) in ends {
            let gauge = self.certificates.get_or_create(&FileLabel { file });
            gauge.set(end.as_millis() as f64 / 1000.0);
        }
    }

    /// Counts a request as in progress until the guard is dropped.
    pub fn answering(&self) -> CountedNow {
        CountedNow::of(&self.requests_in_progress)
    }

    /// All of it as text, with what the store holds now, as far as that is known, and the state of
    /// this instance. Reads files of proc(5).
    ///
    /// # Errors
    /// Formatting fails, which it does not.
    pub fn encode(
        &self,
        exposition: Exposition,
        holdings: Holdings,
        now: InstanceNow,
    ) -> Result<String, std::fmt::Error> {
        let set = |gauge: &Gauge<u64, AtomicU64>, value: Option<u64>| {
            value.map(|value| gauge.set(value));
        };
        set(&self.uploads, holdings.uploads);
        set(&self.bytes, holdings.bytes);
        set(&self.free, holdings.free);
        set(&self.unverified, holdings.unverified);
        if holdings.uploads.is_some() {
            let next = holdings.next_expiry;
            let next = next.map_or(0.0, |next| next.as_millis() as f64 / 1000.0);
            self.next_expiry.set(next);
        }
        self.ready.set(i64::from(now.ready));
        self.leader.set(i64::from(now.leading_since.is_some()));
        if let Some(since) = now.leading_since {
            self.acquired.set(since);
        }
        let dropped = self.log_dropped.inner();
        dropped.store(log::dropped(), Ordering::Relaxed);
        self.process.look();
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(match exposition {
            Exposition::OpenMetrics => text,
            Exposition::Text => as_text(&text),
        })
    }
}

/// A method as a label: methods that a client invents must not become labels.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Something that is counted as long as it is there.
#[derive(Debug)]
pub struct CountedNow(Gauge);

impl CountedNow {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        CountedNow(gauge.clone())
    }
}

impl Drop for CountedNow {
    fn drop(&mut self) {
        self.0.dec();
    }
}
