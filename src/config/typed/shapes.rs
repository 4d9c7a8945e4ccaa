//! Values by their shape.

use std::time::Duration;

use super::SettingReader;
use crate::config::load::ConfigError;
use crate::model::units::{DurationError, parse_precise_duration, parse_size};
use crate::model::{Clock, Timestamp};

/// The longest time that is waited for by a setting: longer ones mean no more, and clocks can be reckoned with.
const MAX_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// The word for a setting that is off.
const NONE: &str = "none";

impl SettingReader<'_> {
    /// The text of a setting that has one value.
    pub(super) fn text(&self, key: &'static str) -> &str {
        self.0.get(key).texts.first().map_or("", String::as_str)
    }

    /// A value by its own parser.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(self.text(key)).map_err(|reason| self.0.refuse(key, reason))
    }

    /// A value by its own parser, or `none`.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        match self.text(key) {
            NONE => Ok(None),
            _ => self.parsed(key, parse).map(Some),
        }
    }

    /// All values of a list; `none` alone is a list without values.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let texts = &self.0.get(key).texts;
        if *texts == [NONE] {
            return Ok(Vec::new());
        }
        let parsed: Result<Vec<T>, String> = texts.iter().map(|text| parse(text)).collect();
        parsed.map_err(|reason| self.0.refuse(key, reason))
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        self.parsed(key, |text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                format!("{text:?} is none of {}", names.join(", "))
            })
        })
    }

    /// `true` or `false`, with the other words for them.
    pub(super) fn switch(&self, key: &'static str) -> Result<bool, ConfigError> {
        self.parsed(key, |text| match text {
            "true" | "on" => Ok(true),
            "false" | "off" | NONE => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        })
    }

    /// A size, or `none`.
    pub(super) fn size(&self, key: &'static str) -> Result<Option<u64>, ConfigError> {
        self.optional(key, |text| match parse_size(text) {
            Ok(0) => Err(say_off(text, NONE)),
            Ok(size) => Ok(size),
            Err(error) => Err(format!("{error}; none turns it off")),
        })
    }

    /// A number above 0.
    pub(super) fn count(&self, key: &'static str) -> Result<usize, ConfigError> {
        self.parsed(key, |text| match text.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(format!("{text:?} is not a whole number above 0")),
        })
    }

    /// A number above 0, or `none`.
    pub(super) fn optional_count(&self, key: &'static str) -> Result<Option<usize>, ConfigError> {
        self.optional(key, |text| match text.parse() {
            Ok(0) => Err(say_off(text, NONE)),
            Ok(count) => Ok(count),
            Err(_) => Err(format!(
                "{text:?} is not a whole number above 0; none turns it off"
            )),
        })
    }

    /// A time.
    pub(super) fn duration(&self, key: &'static str) -> Result<Duration, ConfigError> {
        self.parsed(key, |text| {
            let span = parse_precise_duration(text).map_err(|error| error.to_string())?;
            Ok(span.min(MAX_TIME))
        })
    }

    /// A time, or `never` and `none`, of which errors name the one that is usual here.
    pub(super) fn optional_duration(
        &self,
        key: &'static str,
        off: &str,
    ) -> Result<Option<Duration>, ConfigError> {
        self.unless_never(key, |text| span(text, off).map(|span| span.min(MAX_TIME)))
    }

    /// The same of how long uploads live: one that begins now must end before the last time there is.
    pub(super) fn lifetime(
        &self,
        key: &'static str,
        off: &str,
    ) -> Result<Option<Duration>, ConfigError> {
        let now = Clock::system().now();
        self.unless_never(key, |text| match span(text, off)? {
            span if now.after(span) > Timestamp::LAST => {
                Err(format!("{text:?} ends after the year 9999: say {off}"))
            }
            span => Ok(span),
        })
    }

    fn unless_never<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        match self.text(key) {
            "never" => Ok(None),
            _ => self.optional(key, parse),
        }
    }
}

fn span(text: &str, off: &str) -> Result<Duration, String> {
    parse_precise_duration(text).map_err(|error| match error {
        DurationError::Zero(text) => say_off(&text, off),
        error => format!("{error}; {off} turns it off"),
    })
}

fn say_off(text: &str, off: &str) -> String {
    format!("{text:?} is 0: say {off} to turn it off")
}
