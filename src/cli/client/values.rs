//! The values of arguments, as people write them.

use crate::client::Lifetime;
use crate::model::Timestamp;
use crate::model::units::{DurationError, parse_duration, parse_size};

/// The sizes of blocks in which files can be read.
const CHUNKS: std::ops::RangeInclusive<u64> = 1024..=4 << 20;

/// `NAME=VALUE`.
pub fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it is not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How long an upload is kept.
pub fn span(text: &str) -> Result<Lifetime, String> {
    if text == "never" {
        return Ok(Lifetime::Never);
    }
    let span = parse_duration(text).map(Lifetime::For);
    span.map_err(|error| match error {
        DurationError::Form(_) => format!("{error}, or never"),
        error => error.to_string(),
    })
}

/// Until when it is.
pub fn time(text: &str) -> Result<Lifetime, String> {
    let time = text.parse::<Timestamp>().map(Lifetime::Until);
    time.map_err(|error| error.to_string())
}

/// A number above 0.
pub fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "it is not a whole number above 0".to_owned())
}

/// A number.
pub fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "it is not a whole number".to_owned())
}

/// A number above 0, or `none`.
pub fn limit(text: &str) -> Result<Option<u64>, String> {
    match text {
        "none" => Ok(None),
        text => count(text)
            .map(Some)
            .map_err(|error| format!("{error}, or none")),
    }
}

/// The size of a block.
pub fn chunk(text: &str) -> Result<usize, String> {
    let size = parse_size(text).map_err(|error| error.to_string())?;
    let fits = CHUNKS.contains(&size).then_some(size);
    let fits = fits.and_then(|size| usize::try_from(size).ok());
    fits.ok_or_else(|| "it is not between 1KiB and 4MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_refused_in_words() {
        assert_eq!(count("3"), Ok(3));
        for text in ["0", "-1", "x", "", "1.5", "99999999999999999999"] {
            assert_eq!(count(text).unwrap_err(), "it is not a whole number above 0");
            let said = "it is not a whole number above 0, or none";
            assert_eq!(limit(text).unwrap_err(), said);
        }
        assert_eq!((limit("none"), limit("2")), (Ok(None), Ok(Some(2))));
        assert_eq!((number("0"), number("x").is_err()), (Ok(0), true));
        assert!(span("soon").unwrap_err().ends_with(", or never"));
    }
}
