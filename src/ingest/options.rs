//! The limits that the settings put on an upload, and the wishes of a client: how long the upload
//! lives, how often it can be downloaded, and what it is called.

use std::time::Duration;

use super::option_names::{OptionPlace, UploadOption};
use crate::model::units::{DurationError, parse_duration};
use crate::model::{Limit, Timestamp, Title};

/// The setting that bounds both ways to say when an upload ends.
const MAX_EXPIRES_IN: &str = "max_expires_in";
/// The longest value of an option, in bytes.
const MAX_VALUE: usize = 1024;

/// The limits of an upload.
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
    /// The bytes that all uploads may take of the store together: see
    /// [`Manifest::room`](crate::model::Manifest::room).
    pub max_total_size: Option<u64>,
    /// Whether every file gets its digest.
    pub digest: bool,
    /// How long an upload lives that does not say.
    pub default_expires_in: Option<Duration>,
    /// How long an upload may live at most.
    pub max_expires_in: Option<Duration>,
}

/// The value of an option, as it came.
#[derive(Debug, Clone)]
struct GivenValue {
    place: OptionPlace,
    text: String,
}

/// Option values as they came, from one place or from several.
#[derive(Debug, Clone, Default)]
pub struct GivenOptions([Option<GivenValue>; UploadOption::ALL.len()]);

/// When an upload ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// So long after its commit.
    For(Duration),
    /// At this time.
    Until(Timestamp),
    /// Never.
    Unlimited,
}

impl Lifetime {
    /// When an upload ends to which this is given at `now`; `None` is never.
    pub fn end(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            // It fitted when it was read, which was earlier.
            Lifetime::For(span) => Some(now.after(span).min(Timestamp::LAST)),
            Lifetime::Until(end) => Some(end),
            Lifetime::Unlimited => None,
        }
    }
}

/// The wishes of a client for its upload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadOptions {
    /// When it ends; `None` when it does not say.
    pub lifetime: Option<Lifetime>,
    /// How many downloads it allows.
    pub max_downloads: Option<u64>,
    /// The title.
    pub title: Option<Title>,
}

/// A value of an option that is not understood, or asks for more than a setting allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{option}: {reason}")]
pub struct InvalidOption {
    /// Where it was given.
    pub place: OptionPlace,
    /// The option, as it is written there.
    pub option: String,
    /// The fault.
    pub reason: String,
    /// The setting that forbids it.
    pub limit: Option<Limit>,
}

impl InvalidOption {
    fn new(place: OptionPlace, option: UploadOption, reason: impl ToString) -> Self {
        InvalidOption {
            place,
            option: place.spell(option.name()),
            reason: reason.to_string(),
            limit: None,
        }
    }

    /// A value that is above a setting.
    fn above(place: OptionPlace, option: UploadOption, text: &str, max: Duration) -> Self {
        let limit = Limit::span(MAX_EXPIRES_IN, max);
        let reason = format!("{text:?} is above {limit}");
        InvalidOption {
            limit: Some(limit),
            ..Self::new(place, option, reason)
        }
    }
}

impl GivenOptions {
    /// Takes a value. An empty one counts as not given.
    ///
    /// # Errors
    /// The option was given before, or the value is not UTF-8.
    pub fn set(
        &mut self,
        place: OptionPlace,
        option: UploadOption,
        value: &[u8],
    ) -> Result<(), InvalidOption> {
        if value.is_empty() {
            return Ok(());
        }
        let invalid = |reason: &str| InvalidOption::new(place, option, reason);
        if value.len() > MAX_VALUE {
            // Errors repeat the value.
            return Err(invalid("it is longer than any value is"));
        }
        let text = str::from_utf8(value).map_err(|_| invalid("it is not UTF-8"))?;
        let slot = &mut self.0[option as usize];
        if slot.is_some() {
            return Err(invalid("it is given twice"));
        }
        *slot = Some(GivenValue {
            place,
            text: text.to_owned(),
        });
        Ok(())
    }

    /// These values, and those of `other` where none is given here.
    pub fn or(self, other: GivenOptions) -> GivenOptions {
        let mut others = other.0.into_iter();
        GivenOptions(self.0.map(|value| value.or(others.next().flatten())))
    }

    /// The value of one, as it came.
    pub fn get(&self, option: UploadOption) -> Option<&str> {
        let given = self.0[option as usize].as_ref();
        given.map(|given| given.text.as_str())
    }

    /// Understands the values.
    ///
    /// # Errors
    /// One does not parse, two exclude each other, or one asks for more than a setting allows or
    /// for a time that is not to come.
    pub fn parse(
        &self,
        options: &IngestOptions,
        now: Timestamp,
    ) -> Result<UploadOptions, InvalidOption> {
        let [expires_in, expires_at, max_downloads, title] = &self.0;
        let span = expires_in
            .as_ref()
            .map(|given| lifetime(&given.text, given.place, options, now))
            .transpose()?;
        let end = expires_at
            .as_ref()
            .map(|given| deadline(given, options, now))
            .transpose()?;
        if let (Some(_), Some(at)) = (expires_in, expires_at) {
            let reason = "expires_in is given as well, and one upload ends once";
            let invalid = InvalidOption::new(at.place, UploadOption::ExpiresAt, reason);
            return Err(invalid);
        }
        let span = span.map(|span| span.map_or(Lifetime::Unlimited, Lifetime::For));
        Ok(UploadOptions {
            lifetime: span.or(end.map(Lifetime::Until)),
            max_downloads: max_downloads.as_ref().map(count).transpose()?,
            title: title.as_ref().map(name).transpose()?.flatten(),
        })
    }

    /// Understands the values of a change; the options of `cleared` are taken away by it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_change(
        &self,
        cleared: &[UploadOption],
        options: &IngestOptions,
        now: Timestamp,
    ) -> Result<UploadOptions, InvalidOption> {
        const ENDS: [UploadOption; 2] = [UploadOption::ExpiresIn, UploadOption::ExpiresAt];
        let mut parsed = self.parse(options, now)?;
        if let Some(end) = cleared.iter().find(|option| ENDS.contains(option)) {
            if parsed.lifetime.is_some() {
                let reason = "it is null, and another end is given as well";
                return Err(InvalidOption::new(OptionPlace::Member, *end, reason));
            }
            if let Some(max) = options.max_expires_in {
                return Err(InvalidOption::above(OptionPlace::Member, *end, "null", max));
            }
            parsed.lifetime = Some(Lifetime::Unlimited);
        }
        Ok(parsed)
    }
}

impl UploadOptions {
    /// When an upload that is committed at `now` ends; `None` is never.
    pub(super) fn expires_at(&self, options: &IngestOptions, now: Timestamp) -> Option<Timestamp> {
        let default = match (options.default_expires_in, options.max_expires_in) {
            (Some(default), Some(max)) => Some(default.min(max)),
            (default, max) => default.or(max),
        };
        let default = default.map_or(Lifetime::Unlimited, Lifetime::For);
        self.lifetime.unwrap_or(default).end(now)
    }
}

/// Reads an `expires_in` that was given in `place` at `now`; `None` is `never`.
///
/// # Errors
/// It does not parse, is above `max_expires_in`, or ends behind the last time there is.
pub fn lifetime(
    text: &str,
    place: OptionPlace,
    options: &IngestOptions,
    now: Timestamp,
) -> Result<Option<Duration>, InvalidOption> {
    const OPTION: UploadOption = UploadOption::ExpiresIn;
    let invalid = |reason: String| InvalidOption::new(place, OPTION, reason);
    let far = || invalid(format!("{text:?} ends after the year 9999: write never"));
    let span = match text {
        "never" => None,
        text => Some(parse_duration(text).map_err(|error| match error {
            DurationError::Form(_) => invalid(format!("{error}, or never")),
            DurationError::Zero(_) => {
                let advice = "write 1s or more, or never; DELETE ends an upload at once";
                invalid(format!("{text:?} is no time at all: {advice}"))
            }
            DurationError::Long(_) => far(),
            DurationError::Order(_) | DurationError::Milliseconds(_) => invalid(error.to_string()),
        })?),
    };
    match (options.max_expires_in, span) {
        (Some(max), span) if span.is_none_or(|span| span > max) => {
            Err(InvalidOption::above(place, OPTION, text, max))
        }
        (_, Some(span)) if now.after(span) > Timestamp::LAST => Err(far()),
        _ => Ok(span),
    }
}

fn deadline(
    given: &GivenValue,
    options: &IngestOptions,
    now: Timestamp,
) -> Result<Timestamp, InvalidOption> {
    const OPTION: UploadOption = UploadOption::ExpiresAt;
    let GivenValue { place, text } = given;
    let end = text.parse::<Timestamp>().map_err(|error| {
        // A plus sign in a query stands for a space.
        let meant = text
            .rsplit_once(' ')
            .map(|(left, right)| format!("{left}+{right}"));
        let meant = meant.filter(|text| text.parse::<Timestamp>().is_ok());
        match meant {
            Some(_) => {
                let reason = format!("{error}; a plus sign in a query is written %2B");
                InvalidOption::new(*place, OPTION, reason)
            }
            None => InvalidOption::new(*place, OPTION, error),
        }
    })?;
    if end <= now {
        let reason = format!("{text:?} is not in the future: it is {now}");
        return Err(InvalidOption::new(*place, OPTION, reason));
    }
    match options.max_expires_in {
        Some(max) if end > now.after(max) => Err(InvalidOption::above(*place, OPTION, text, max)),
        _ => Ok(end),
    }
}

fn count(given: &GivenValue) -> Result<u64, InvalidOption> {
    let GivenValue { place, text } = given;
    match text.parse() {
        Ok(count) if count > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(count),
        _ => {
            let reason = format!("{text:?} is not a positive whole number");
            Err(InvalidOption::new(
                *place,
                UploadOption::MaxDownloads,
                reason,
            ))
        }
    }
}

fn name(given: &GivenValue) -> Result<Option<Title>, InvalidOption> {
    Title::from_upload(&given.text)
        .map_err(|error| InvalidOption::new(given.place, UploadOption::Title, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_was_read_early_ends_at_the_last_time_at_most() {
        let last = Timestamp::LAST;
        let span = Duration::from_secs(10);
        let end = |now| Lifetime::For(span).end(now);
        assert_eq!(end(last.before(span)), Some(last));
        assert_eq!(end(last.before(Duration::from_secs(9))), Some(last));
        assert_eq!(Lifetime::Until(last).end(last), Some(last));
        assert_eq!(Lifetime::Unlimited.end(last), None);
    }
}
