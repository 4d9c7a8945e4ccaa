//! The counters of the requests to Redis and to a bucket.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;

use crate::measure::{BOUNDS, Backend, REDIS, S3, Seen};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

/// Reads the counters when they are asked for.
#[derive(Debug)]
pub struct Backends;

impl Collector for Backends {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        encode(&mut encoder, "redis", "Redis", &REDIS)?;
        encode(&mut encoder, "s3", "the bucket", &S3)
    }
}

/// Writes nothing of a backend that was never asked.
fn encode(
    encoder: &mut DescriptorEncoder,
    name: &str,
    who: &str,
    backend: &Backend,
) -> Result<(), fmt::Error> {
    let seen = backend.seen();
    if seen.is_empty() {
        return Ok(());
    }
    let durations = format!("{name}_request_duration");
    let help =
        format!("How long requests to {who} took, until the head of the answer, by operation");
    let kind = MetricType::Histogram;
    let mut metric = encoder.encode_descriptor(&durations, &help, Some(&Unit::Seconds), kind)?;
    for Seen {
        operation,
        buckets,
        time,
        ..
    } in &seen
    {
        let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
        let counts: Vec<(f64, u64)> = bounds.zip(buckets.iter().copied()).collect();
        let count = buckets.iter().sum();
        let label = OperationLabel { operation };
        let mut metric = metric.encode_family(&label)?;
        metric.encode_histogram::<NoLabelSet>(time.as_secs_f64(), count, &counts, None)?;
    }
    let failures = format!("{name}_requests_failed");
    let help = format!("Requests to {who} that failed, or were given up, by operation");
    let mut metric = encoder.encode_descriptor(&failures, &help, None, MetricType::Counter)?;
    for Seen {
        operation, failed, ..
    } in &seen
    {
        let label = OperationLabel { operation };
        ConstCounter::new(*failed).encode(metric.encode_family(&label)?)?;
    }
    Ok(())
}
