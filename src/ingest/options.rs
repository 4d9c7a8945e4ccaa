//! What a client may ask for: how long an upload lives, and how often it is given out.

use std::time::Duration;

use super::{Ingest, IngestError, Options};
use crate::model::units::{format_duration, parse_duration};

/// The names of the options, in the query and as text fields.
pub const OPTION_NAMES: [&str; 2] = ["expires_in", "max_downloads"];

/// Option values as they came from one place, the query or the form.
#[derive(Debug, Clone, Default)]
pub struct Given([Option<String>; OPTION_NAMES.len()]);

/// What an upload asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadOptions {
    /// How long it lives: `None` when it does not say, `Some(None)` for ever.
    pub expires_in: Option<Option<Duration>>,
    /// How many downloads it allows.
    pub max_downloads: Option<u64>,
}

impl Given {
    /// Whether `name` is an option's.
    pub fn is_option(name: &[u8]) -> bool {
        OPTION_NAMES.iter().any(|known| known.as_bytes() == name)
    }

    /// Takes a value. An empty one counts as not given; names of no option are passed over.
    ///
    /// # Errors
    /// The option was given before.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), IngestError> {
        let Some(place) = OPTION_NAMES.iter().position(|known| *known == name) else {
            return Ok(());
        };
        if value.is_empty() {
            return Ok(());
        }
        if self.0[place].is_some() {
            return Err(IngestError::Option(format!(
                "the option {name} is given twice"
            )));
        }
        self.0[place] = Some(value.to_owned());
        Ok(())
    }

    /// These values, and those of `other` where none is given here.
    pub fn or(self, other: Given) -> Given {
        let mut others = other.0.into_iter();
        Given(self.0.map(|value| value.or(others.next().flatten())))
    }

    /// Understands the values.
    ///
    /// # Errors
    /// One does not parse, or asks for more than a setting allows.
    pub fn parse(&self, options: &Options) -> Result<UploadOptions, IngestError> {
        let [expires_in, max_downloads] = &self.0;
        Ok(UploadOptions {
            expires_in: expires_in
                .as_deref()
                .map(|text| lifetime(text, options))
                .transpose()?,
            max_downloads: max_downloads.as_deref().map(count).transpose()?,
        })
    }
}

impl UploadOptions {
    /// How long the upload lives; `None` is for ever.
    pub(super) fn lifetime(&self, options: &Options) -> Option<Duration> {
        let default = match (options.expire_after, options.max_expire_after) {
            (Some(default), Some(max)) => Some(default.min(max)),
            (default, max) => default.or(max),
        };
        self.expires_in.unwrap_or(default)
    }
}

impl Ingest {
    /// Reads an `expires_in`; `None` is `never`.
    ///
    /// # Errors
    /// It does not parse, or is above `max_expire_after`.
    pub fn lifetime(&self, text: &str) -> Result<Option<Duration>, IngestError> {
        lifetime(text, &self.options)
    }
}

fn lifetime(text: &str, options: &Options) -> Result<Option<Duration>, IngestError> {
    let span =
        match text {
            "never" => None,
            text => Some(parse_duration(text).map_err(|error| {
                IngestError::Option(format!("expires_in: {error}, and not never"))
            })?),
        };
    match options.max_expire_after {
        Some(max) if span.is_none_or(|span| span > max) => Err(IngestError::Option(format!(
            "expires_in: {text:?} is above max_expire_after ({})",
            format_duration(max)
        ))),
        _ => Ok(span),
    }
}

fn count(text: &str) -> Result<u64, IngestError> {
    match text.parse() {
        Ok(count) if count > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(count),
        _ => Err(IngestError::Option(format!(
            "max_downloads: {text:?} is not a positive whole number"
        ))),
    }
}
