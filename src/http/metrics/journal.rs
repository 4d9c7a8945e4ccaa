//! The figures of the journal.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::operate::JournalFigures;

/// The counts of the journal; 0 where there is none.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    records: Counter,
    batches: Counter,
    bytes: Counter,
    refused: Counter,
    unpassed: Gauge<u64, AtomicU64>,
}

impl JournalMetrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "journal_records",
            "Uploads and changes that the journal has made durable",
            self.records.clone(),
        );
        registry.register(
            "journal_batches",
            "Syncs of the journal, each of one record or many",
            self.batches.clone(),
        );
        registry.register_with_unit(
            "journal_written",
            "Bytes written to the journal",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "journal_refused",
            "Uploads and changes that found no room in the journal: the disk is behind",
            self.refused.clone(),
        );
        registry.register_with_unit(
            "journal_unpassed",
            "Bytes of the journal that the next start would read",
            Unit::Bytes,
            self.unpassed.clone(),
        );
    }

    /// Takes over what the journal has done.
    pub fn set(&self, figures: JournalFigures) {
        let JournalFigures {
            records,
            batches,
            bytes,
            refused,
            unpassed,
        } = figures;
        for (counter, value) in [
            (&self.records, records),
            (&self.batches, batches),
            (&self.bytes, bytes),
            (&self.refused, refused),
        ] {
            counter.inner().store(value, Ordering::Relaxed);
        }
        self.unpassed.set(unpassed);
    }
}
