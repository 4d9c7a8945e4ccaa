//! Spans of time and sizes as people write them.

use std::time::Duration;

/// Units of time and their lengths in milliseconds, the longest first.
const SPANS: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of sizes in lower case and their bytes. One letter is a power of 1024, as in `ls -h`.
const SIZES: [(&str, u64); 14] = {
    const K: u64 = 1024;
    [
        ("", 1),
        ("b", 1),
        ("k", K),
        ("kib", K),
        ("kb", 1000),
        ("m", K * K),
        ("mib", K * K),
        ("mb", 1_000_000),
        ("g", K * K * K),
        ("gib", K * K * K),
        ("gb", 1_000_000_000),
        ("t", K * K * K * K),
        ("tib", K * K * K * K),
        ("tb", 1_000_000_000_000),
    ]
};

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It has another form.
    #[error(
        "{0:?} is not a duration: write 90s, 15m, 12h, 7d, 2w, a sum such as 1d12h, or plain seconds"
    )]
    Form(String),
    /// It is a sum whose units do not fall.
    #[error(
        "{0:?} is not a duration: the largest unit of a sum is first, and each is there once, as in 1d12h"
    )]
    Order(String),
    /// It has milliseconds where there are none.
    #[error("{0:?} has milliseconds: the shortest duration here is 1s")]
    Milliseconds(String),
    /// It is 0.
    #[error("{0:?} is 0, and a duration is more than that")]
    Zero(String),
    /// Its milliseconds have no number here.
    #[error("{0:?} is longer than any duration can be")]
    Long(String),
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It has another form.
    #[error(
        "{0:?} is not a size: write 64KiB, 1MiB, 10G (powers of 1024), 5MB (powers of 1000), or plain bytes, without a fraction"
    )]
    Form(String),
    /// Its bytes have no number here.
    #[error("{0:?} is larger than any size can be")]
    Large(String),
}

/// Reads `90s`, `15m`, `12h`, `7d`, `2w`, sums of them (`1d12h`), or plain seconds; more than 0.
///
/// # Errors
/// The text is none of these.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let span = parse_precise_duration(text)?;
    match span.subsec_millis() {
        0 => Ok(span),
        _ => Err(DurationError::Milliseconds(text.to_owned())),
    }
}

/// The same, with milliseconds: `500ms`, `2s500ms`.
///
/// # Errors
/// The text is none of these.
pub fn parse_precise_duration(text: &str) -> Result<Duration, DurationError> {
    let form = || DurationError::Form(text.to_owned());
    let long = || DurationError::Long(text.to_owned());
    let mut rest = text;
    let mut longer = u64::MAX;
    let mut span = Duration::ZERO;
    while !rest.is_empty() || text.is_empty() {
        let (number, behind) = split_number(rest).ok_or_else(form)?;
        let end = behind.find(|c: char| c.is_ascii_digit());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let length = match unit {
            "" if number.len() == text.len() => 1000,
            unit => length_of(unit, &SPANS).ok_or_else(form)?,
        };
        if length >= longer {
            return Err(DurationError::Order(text.to_owned()));
        }
        (longer, rest) = (length, behind);
        let number: u64 = number.parse().map_err(|_| long())?;
        let part = match length {
            1 => Duration::from_millis(number),
            _ => Duration::from_secs(number.checked_mul(length / 1000).ok_or_else(long)?),
        };
        span = span.checked_add(part).ok_or_else(long)?;
    }
    match span.is_zero() {
        true => Err(DurationError::Zero(text.to_owned())),
        false => Ok(span),
    }
}

/// Reads `64KiB`, `1 MiB`, `10G`, `2T` (powers of 1024), `64kB`, `1MB` (powers of 1000), or plain
/// bytes. The case of the letters does not matter; a space may stand before them.
///
/// # Errors
/// The text is none of these.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let form = || SizeError::Form(text.to_owned());
    let (number, unit) = split_number(text).ok_or_else(form)?;
    let behind_space = unit.strip_prefix(' ').filter(|unit| !unit.is_empty());
    let unit = behind_space.unwrap_or(unit);
    let bytes = length_of(&unit.to_ascii_lowercase(), &SIZES).ok_or_else(form)?;
    let number = number.parse::<u64>().ok();
    let size = number.and_then(|number| number.checked_mul(bytes));
    size.ok_or_else(|| SizeError::Large(text.to_owned()))
}

/// A size in the largest unit that divides it.
pub fn format_size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in units {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A span in the largest unit that divides it, from days to milliseconds.
pub fn format_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    if span.subsec_millis() > 0 {
        return format!("{}ms", span.as_millis());
    }
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// The digits that a text begins with, and what is behind them.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| text.split_at(digits))
}

fn length_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut known = units.iter().filter(|(name, _)| *name == unit);
    known.next().map(|(_, length)| *length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("60", 60),
            ("1d12h", 129_600),
            ("1w2d3h4m5s", 788_645),
            ("0h30m", 1800),
            ("200000000000000d", 17_280_000_000_000_000_000),
        ] {
            let span = Duration::from_secs(seconds);
            assert_eq!(parse_duration(text), Ok(span), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(604_800)), "7d");
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
        assert_eq!(format_duration(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn milliseconds_are_for_settings() {
        for (text, millis) in [("500ms", 500), ("2s500ms", 2500), ("1m", 60_000)] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse_precise_duration(text), Ok(span), "{text}");
        }
        let said = parse_duration("500ms").unwrap_err().to_string();
        assert!(said.contains("\"500ms\" has milliseconds"), "{said}");
    }

    #[test]
    fn what_is_no_duration_is_named_and_told_what_is() {
        for (text, said) in [
            ("", "write 90s"),
            ("0", "is 0"),
            ("0d", "is 0"),
            ("0h0m", "is 0"),
            ("-1", "write 90s"),
            ("+1", "write 90s"),
            ("1.5h", "write 90s"),
            ("7 d", "write 90s"),
            ("7D", "write 90s"),
            ("d", "write 90s"),
            ("1d12", "write 90s"),
            ("12h1d", "largest unit"),
            ("1h1h", "largest unit"),
            ("soon", "write 90s"),
            ("never", "write 90s"),
            ("99999999999999999999", "longer than any"),
            ("99999999999999999d9999999999999999999ms", "longer than any"),
        ] {
            let error = parse_duration(text).unwrap_err().to_string();
            let named = error.starts_with(&format!("{text:?} "));
            assert!(named && error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("64KiB", 65_536),
            ("64k", 65_536),
            ("1mib", 1 << 20),
            ("1 MiB", 1 << 20),
            ("10GiB", 10 << 30),
            ("1G", 1 << 30),
            ("1 GB", 1_000_000_000),
            ("1MB", 1_000_000),
            ("5b", 5),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, said) in [
            ("", "write 64KiB"),
            ("KiB", "write 64KiB"),
            ("1.5MiB", "without a fraction"),
            ("-1", "write 64KiB"),
            ("1  MiB", "write 64KiB"),
            ("1 ", "write 64KiB"),
            ("1KiBs", "write 64KiB"),
            ("17179869184GiB", "larger than any"),
            ("99999999999999999999", "larger than any"),
        ] {
            let error = parse_size(text).unwrap_err().to_string();
            let named = error.starts_with(&format!("{text:?} "));
            assert!(named && error.contains(said), "{text}: {error}");
        }
        assert_eq!(format_size(10 << 30), "10GiB");
        assert_eq!(format_size(1500), "1500");
        assert_eq!(format_size(0), "0");
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_an_error(text in "[0-9wdhms. ]{0,12}|.{0,12}") {
            let _ = (parse_precise_duration(&text), parse_size(&text));
        }

        #[test]
        fn what_is_printed_is_read_back(millis in 1_u64.., bytes: u64) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_precise_duration(&format_duration(span)), Ok(span));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn sums_add_up(parts: [u16; 6]) {
            let text: String = SPANS.iter().zip(parts).map(|((unit, _), n)| format!("{n}{unit}")).collect();
            let millis: u64 = SPANS.iter().zip(parts).map(|((_, length), n)| length * u64::from(n)).sum();
            match millis {
                0 => prop_assert!(parse_precise_duration(&text).is_err()),
                millis => prop_assert_eq!(parse_precise_duration(&text), Ok(Duration::from_millis(millis))),
            }
        }
    }
}
