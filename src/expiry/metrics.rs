//! What the cleaner counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// The counters of the cleaner of one instance, shared by its clones.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Uploads it has removed because they were over.
    pub expired: Counter,
    /// Seconds from the deadline of each to its end.
    pub lag: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            expired: Counter::default(),
            lag: Histogram::new([
                0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 10.0, 60.0, 600.0,
            ]),
        }
    }
}
