//! What the settings allow an upload to be, and what a client may ask for: how long the upload
//! lives, and how often it can be downloaded.

use std::time::Duration;

use super::error::IngestError;
use crate::model::Limit;
use crate::model::units::parse_duration;

/// What an upload may be.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The most bytes of one file.
    pub max_file_size: Option<u64>,
    /// The most bytes of one request body.
    pub max_request_size: Option<u64>,
    /// The most files of one form.
    pub max_files: usize,
    /// The most text fields of one form.
    pub max_fields: usize,
    /// The most bytes of one text field.
    pub max_field_size: u64,
    /// The most bytes of all text fields of one form, and of all names in it.
    pub max_fields_size: u64,
    /// What all uploads may take of the store together, in bytes: see
    /// [`Manifest::room`](crate::model::Manifest::room).
    pub max_total_size: Option<u64>,
    /// Whether every file gets its digest.
    pub digest: bool,
    /// How long an upload lives that does not say.
    pub default_expires_in: Option<Duration>,
    /// How long an upload may live at most.
    pub max_expires_in: Option<Duration>,
}

/// The names of the options, in the query and as text fields.
pub const OPTION_NAMES: [&str; 2] = ["expires_in", "max_downloads"];

/// Option values as they came from one place, the query or the form.
#[derive(Debug, Clone, Default)]
pub struct GivenOptions([Option<String>; OPTION_NAMES.len()]);

/// What an upload asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadOptions {
    /// How long it lives: `None` when it does not say, `Some(None)` for ever.
    pub expires_in: Option<Option<Duration>>,
    /// How many downloads it allows.
    pub max_downloads: Option<u64>,
}

impl GivenOptions {
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
            return Err(IngestError::option(name, "it is given twice"));
        }
        self.0[place] = Some(value.to_owned());
        Ok(())
    }

    /// These values, and those of `other` where none is given here.
    pub fn or(self, other: GivenOptions) -> GivenOptions {
        let mut others = other.0.into_iter();
        GivenOptions(self.0.map(|value| value.or(others.next().flatten())))
    }

    /// Understands the values.
    ///
    /// # Errors
    /// One does not parse, or asks for more than a setting allows.
    pub fn parse(&self, options: &IngestOptions) -> Result<UploadOptions, IngestError> {
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
    pub(super) fn lifetime(&self, options: &IngestOptions) -> Option<Duration> {
        let default = match (options.default_expires_in, options.max_expires_in) {
            (Some(default), Some(max)) => Some(default.min(max)),
            (default, max) => default.or(max),
        };
        self.expires_in.unwrap_or(default)
    }
}

/// Reads an `expires_in`; `None` is `never`.
///
/// # Errors
/// It does not parse, or is above `max_expires_in`.
pub fn lifetime(text: &str, options: &IngestOptions) -> Result<Option<Duration>, IngestError> {
    let span = match text {
        "never" => None,
        text => Some(parse_duration(text).map_err(|error| {
            IngestError::option("expires_in", format!("{error}, and not never"))
        })?),
    };
    match options.max_expires_in {
        Some(max) if span.is_none_or(|span| span > max) => {
            let limit = Limit::span("max_expires_in", max);
            Err(IngestError::InvalidOption {
                option: "expires_in".to_owned(),
                reason: format!("{text:?} is above {limit}"),
                limit: Some(limit),
            })
        }
        _ => Ok(span),
    }
}

fn count(text: &str) -> Result<u64, IngestError> {
    match text.parse() {
        Ok(count) if count > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(count),
        _ => {
            let reason = format!("{text:?} is not a positive whole number");
            Err(IngestError::option("max_downloads", reason))
        }
    }
}
