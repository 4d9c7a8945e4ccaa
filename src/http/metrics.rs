//! The counters, for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::http::rules::accept;
use crate::operate::Holdings;
use crate::{expiry, log};

/// How the counters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own text format.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Exposition {
    /// The format that a client prefers (RFC 9110 section 12.5.1); the text format without
    /// preference.
    pub fn of(headers: &HeaderMap) -> Self {
        if accept::prefers(headers, "application/openmetrics-text", "text/plain") {
            Exposition::OpenMetrics
        } else {
            Exposition::Text
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::Text => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
}

/// The counters of a server.
#[derive(Debug)]
pub struct ServerMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    received: Counter,
    sent: Counter,
    stored: Counter,
    files: Counter,
    under_way: Gauge,
    uploads: Gauge<u64, AtomicU64>,
    bytes: Gauge<u64, AtomicU64>,
    leader: Gauge,
    epoch: Gauge<u64, AtomicU64>,
    log_dropped: Counter,
}

impl ServerMetrics {
    /// Counters that stand at nothing.
    pub fn new(expiry: &expiry::ExpiryMetrics) -> Self {
        let mut registry = Registry::with_prefix("wharf");
        let duration = Histogram::new([
            0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0,
        ]);
        let metrics = ServerMetrics {
            requests: Family::default(),
            duration,
            received: Counter::default(),
            sent: Counter::default(),
            stored: Counter::default(),
            files: Counter::default(),
            under_way: Gauge::default(),
            uploads: Gauge::default(),
            bytes: Gauge::default(),
            leader: Gauge::default(),
            epoch: Gauge::default(),
            log_dropped: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From the head to the last byte of the answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bytes of request bodies",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Bytes of response bodies",
            Unit::Bytes,
            metrics.sent.clone(),
        );
        registry.register(
            "stored",
            "Uploads stored since the start",
            metrics.stored.clone(),
        );
        registry.register(
            "stored_files",
            "Files stored since the start",
            metrics.files.clone(),
        );
        registry.register(
            "uploads_under_way",
            "Uploads being received",
            metrics.under_way.clone(),
        );
        registry.register("uploads", "Uploads in the store", metrics.uploads.clone());
        registry.register_with_unit(
            "store",
            "Bytes that files and manifests take of the store, each rounded up to 4 KiB",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register(
            "leader",
            "Whether this instance cleans up",
            metrics.leader.clone(),
        );
        registry.register(
            "lease_epoch",
            "The epoch of this instance's last lease",
            metrics.epoch.clone(),
        );
        registry.register(
            "expired",
            "Uploads removed by this instance because they were over",
            expiry.expired.clone(),
        );
        registry.register_with_unit(
            "expiry_lag",
            "From the deadline of an upload to its removal",
            Unit::Seconds,
            expiry.lag.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Lines of the log that could not be written in time, or not at all",
            metrics.log_dropped.clone(),
        );
        ServerMetrics {
            registry,
            ..metrics
        }
    }

    /// Counts an answered request.
    pub fn request(&self, method: &Method, status: u16, received: u64, sent: u64, time: Duration) {
        let method = label(method);
        self.requests
            .get_or_create(&RequestLabels { method, status })
            .inc();
        self.duration.observe(time.as_secs_f64());
        self.received.inc_by(received);
        self.sent.inc_by(sent);
    }

    /// Counts a stored upload of `files` files.
    pub fn stored(&self, files: usize) {
        self.stored.inc();
        self.files.inc_by(files as u64);
    }

    /// Counts an upload as under way until the guard is dropped.
    pub fn under_way(&self) -> UploadGauge {
        self.under_way.inc();
        UploadGauge(self.under_way.clone())
    }

    /// All of it as text, with what the store holds now, as far as that is known, and the epoch
    /// of the lease, if there is one.
    ///
    /// # Errors
    /// Formatting fails, which it does not.
    pub fn encode(
        &self,
        exposition: Exposition,
        holdings: Option<Holdings>,
        epoch: Option<u64>,
    ) -> Result<String, std::fmt::Error> {
        if let Some(holdings) = holdings {
            self.uploads.set(holdings.uploads);
            self.bytes.set(holdings.bytes);
        }
        self.leader.set(i64::from(epoch.is_some()));
        if let Some(epoch) = epoch {
            self.epoch.set(epoch);
        }
        let dropped = self.log_dropped.inner();
        dropped.store(log::dropped(), Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(match exposition {
            Exposition::OpenMetrics => text,
            Exposition::Text => as_text(&text),
        })
    }
}

/// OpenMetrics in the text format of before, version 0.0.4: there a counter is described under
/// the name of its sample, and neither units nor an end are written.
fn as_text(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 256);
    // The help comes before the type, which says what both are called.
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|described| described.split_once(' '))
        {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text += &format!("# HELP {name}{total} {help}\n");
            }
            text += &format!("# TYPE {name}{total} {kind}\n");
        } else if !line.starts_with("# ") {
            text += line;
            text.push('\n');
        }
    }
    text
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

/// An upload under way.
#[derive(Debug)]
pub struct UploadGauge(Gauge);

impl Drop for UploadGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_described_as_its_sample_is_called() {
        let openmetrics = "# HELP wharf_sent_bytes Bytes.\n# TYPE wharf_sent_bytes counter\n\
                           # UNIT wharf_sent_bytes bytes\nwharf_sent_bytes_total 1\n\
                           # HELP wharf_leader L.\n# TYPE wharf_leader gauge\nwharf_leader 1\n# EOF\n";
        assert_eq!(
            as_text(openmetrics),
            "# HELP wharf_sent_bytes_total Bytes.\n# TYPE wharf_sent_bytes_total counter\n\
             wharf_sent_bytes_total 1\n\
             # HELP wharf_leader L.\n# TYPE wharf_leader gauge\nwharf_leader 1\n"
        );
    }

    #[test]
    fn openmetrics_goes_to_those_who_prefer_it() {
        for (accept, exposition) in [
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
                Exposition::OpenMetrics,
            ),
            ("application/openmetrics-text", Exposition::OpenMetrics),
            ("*/*", Exposition::Text),
            ("text/html", Exposition::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, accept.parse().unwrap());
            assert_eq!(Exposition::of(&headers), exposition, "{accept}");
        }
        assert_eq!(Exposition::of(&HeaderMap::new()), Exposition::Text);
    }
}
