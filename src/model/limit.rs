//! A limit that a setting sets, as errors carry it.

use std::fmt;
use std::time::Duration;

use super::units::{format_duration, format_size};

/// A setting and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The setting's name.
    pub setting: &'static str,
    /// Its value.
    pub bound: Bound,
}

/// The value of a setting that sets a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// So many bytes, or bytes a second.
    Bytes(u64),
    /// So many things.
    Count(u64),
    /// So long.
    Span(Duration),
}

impl Limit {
    /// A setting in bytes.
    pub fn bytes(setting: &'static str, bytes: u64) -> Self {
        let bound = Bound::Bytes(bytes);
        Limit { setting, bound }
    }

    /// A setting that counts.
    pub fn count(setting: &'static str, count: usize) -> Self {
        let bound = Bound::Count(count as u64);
        Limit { setting, bound }
    }

    /// A setting in time.
    pub fn span(setting: &'static str, span: Duration) -> Self {
        let bound = Bound::Span(span);
        Limit { setting, bound }
    }
}

impl Bound {
    /// The value as a number: bytes, things, or seconds, rounded up.
    pub fn number(self) -> u64 {
        match self {
            Bound::Bytes(number) | Bound::Count(number) => number,
            Bound::Span(span) => u64::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Bytes(bytes) => f.write_str(&format_size(*bytes)),
            Bound::Count(count) => count.fmt(f),
            Bound::Span(span) => f.write_str(&format_duration(*span)),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.setting, self.bound)
    }
}
