//! The result of one round of one contestant, and of many rounds together.

use std::time::Duration;

use super::load::Outcome;
use super::meter::Memory;

/// One round.
#[derive(Debug, Clone)]
pub struct Sample {
    /// In the unit of the case, per second.
    pub rate: f64,
    /// Processor time of the server, in seconds for each GiB of content.
    pub cpu: f64,
    pub memory: Memory,
    pub requests: u64,
    /// Half of the requests took no longer, and 99 of 100.
    pub median: Duration,
    pub p99: Duration,
}

/// The unit that is counted in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Megabytes,
    Requests,
    /// Of which a request has so many.
    Files(u64),
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Megabytes => "MB/s",
            Unit::Requests => "requests/s",
            Unit::Files(_) => "files/s",
        }
    }
}

impl Sample {
    pub fn new(unit: Unit, outcome: &Outcome, cpu: Duration, memory: Memory) -> Self {
        let count = match unit {
            Unit::Megabytes => outcome.bytes as f64 / 1e6,
            Unit::Requests => outcome.requests as f64,
            Unit::Files(each) => (outcome.requests * each) as f64,
        };
        let at = |part| percentile(&outcome.latencies, part);
        Sample {
            rate: count / outcome.wall.as_secs_f64(),
            cpu: cpu.as_secs_f64() / (outcome.bytes as f64 / f64::from(1 << 30)),
            memory,
            requests: outcome.requests,
            median: at(50),
            p99: at(99),
        }
    }
}

/// Of times in their order, the one that so many of a hundred do not exceed.
pub fn percentile(times: &[Duration], part: usize) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get(last * part / 100).copied().unwrap_or_default()
}

/// The values of several rounds.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (values.first(), values.last()) else {
            return Spread {
                median: f64::NAN,
                least: f64::NAN,
                most: f64::NAN,
            };
        };
        let half = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[half - 1], values[half]),
            _ => values[half],
        };
        Spread {
            median,
            least,
            most,
        }
    }

    /// The ratio of `a` to `b`, taken in each round, where both had the same weather.
    pub fn ratio(a: &[Sample], b: &[Sample], value: fn(&Sample) -> f64) -> f64 {
        let ratios = a.iter().zip(b).map(|(a, b)| value(a) / value(b));
        Spread::of(ratios).median
    }
}
