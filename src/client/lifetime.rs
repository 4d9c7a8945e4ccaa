//! How long an upload is kept, as a client asks for it, and changes of uploads.

use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::Timestamp;
use crate::model::units::parse_duration;

/// How long an upload is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// It does not expire.
    Never,
    /// So long from now; in whole seconds, the part of one that is left counts as one.
    For(Duration),
    /// Until this time.
    Until(Timestamp),
}

/// A text that is no [`Lifetime`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a time such as 90s, 15m, 12h, 7d, 2w or 1d12h, nor never, nor a date such as 2030-12-31T18:00:00Z"
)]
pub struct LifetimeError(String);

impl Lifetime {
    /// The option of an upload that says it, and its value.
    pub(super) fn option(self) -> (&'static str, String) {
        match self {
            Lifetime::Never => ("expires_in", "never".to_owned()),
            Lifetime::For(span) => {
                let more = u64::from(span.subsec_nanos() > 0);
                let seconds = span.as_secs().saturating_add(more);
                ("expires_in", format!("{seconds}s"))
            }
            Lifetime::Until(time) => ("expires_at", time.to_string()),
        }
    }
}

impl FromStr for Lifetime {
    type Err = LifetimeError;

    /// Reads `never`, a span (`90s`, `15m`, `12h`, `7d`, `2w`, `1d12h`, seconds), or a time of RFC
    /// 3339.
    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        if text == "never" {
            return Ok(Lifetime::Never);
        }
        let span = parse_duration(text).map(Lifetime::For).ok();
        span.or_else(|| text.parse().map(Lifetime::Until).ok())
            .ok_or_else(|| LifetimeError(text.to_owned()))
    }
}

/// A change of an upload: a field that is not set stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    lifetime: Option<Lifetime>,
    max_downloads: Option<Option<u64>>,
    title: Option<Option<String>>,
}

impl Change {
    /// One that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps it so long, counted from the change.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Allows so many complete downloads of each file; `None` is any number.
    #[must_use]
    pub fn max_downloads(mut self, count: Option<u64>) -> Self {
        self.max_downloads = Some(count);
        self
    }

    /// Calls it so; `None` is by no title.
    #[must_use]
    pub fn title(mut self, title: Option<&str>) -> Self {
        self.title = Some(title.map(str::to_owned));
        self
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The change as a merge patch (RFC 7396).
    pub(super) fn patch(&self) -> Value {
        let mut patch = Map::new();
        if let Some(lifetime) = self.lifetime {
            let (option, value) = lifetime.option();
            patch.insert(option.to_owned(), json!(value));
        }
        if let Some(count) = self.max_downloads {
            patch.insert("max_downloads".to_owned(), json!(count));
        }
        if let Some(title) = &self.title {
            patch.insert("title".to_owned(), json!(title));
        }
        Value::Object(patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_and_written() {
        let read = |text: &str| text.parse::<Lifetime>().map(Lifetime::option);
        assert_eq!(read("never").unwrap(), ("expires_in", "never".to_owned()));
        assert_eq!(read("1d12h").unwrap(), ("expires_in", "129600s".to_owned()));
        let at = read("2030-12-31T18:00:00+01:00").unwrap();
        assert_eq!(at, ("expires_at", "2030-12-31T17:00:00.000Z".to_owned()));
        let error = read("soon").unwrap_err().to_string();
        assert!(
            error.contains("\"soon\"") && error.contains("never"),
            "{error}"
        );
        let short = Lifetime::For(Duration::from_millis(1)).option();
        assert_eq!(short.1, "1s");
    }

    #[test]
    fn a_change_says_no_more_than_it_changes() {
        assert!(Change::new().is_empty());
        let change = Change::new().max_downloads(None).title(Some("x"));
        assert_eq!(
            change.patch().to_string(),
            "{\"max_downloads\":null,\"title\":\"x\"}"
        );
        let change = Change::new().lifetime(Lifetime::Never);
        assert_eq!(change.patch().to_string(), "{\"expires_in\":\"never\"}");
    }
}
