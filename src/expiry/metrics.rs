//! The counters of the cleaner.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// The counters of the cleaner of one instance, shared by its clones.
#[derive(Debug, Clone)]
pub struct ExpiryMetrics {
    /// Uploads that it has removed because they had expired or were used up.
    pub expired: Counter,
    /// Seconds from the deadline of each to its removal.
    pub lag: Histogram,
}

impl Default for ExpiryMetrics {
    fn default() -> Self {
        ExpiryMetrics {
            expired: Counter::default(),
            lag: Histogram::new([
                0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 10.0, 60.0, 600.0,
            ]),
        }
    }
}
