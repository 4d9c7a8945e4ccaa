//! Spans of time and sizes as people write them.

use std::time::Duration;

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration such as 90s, 15m, 12h, 7d or plain seconds, more than 0")]
pub struct DurationError(String);

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size such as 64KiB, 1MiB, 10GiB or plain bytes")]
pub struct SizeError(String);

/// Reads `90s`, `15m`, `12h`, `7d`, or plain seconds; more than 0.
///
/// # Errors
/// The text is none of these.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("", 1)];
    number_with_unit(text, &units)
        .filter(|&seconds| seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| DurationError(text.to_owned()))
}

/// Reads `64KiB`, `1MiB`, `10GiB`, `2TiB`, the same in powers of 1000 (`64kB`, `1MB`), or plain
/// bytes. The case of the letters does not matter.
///
/// # Errors
/// The text is none of these.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    const K: u64 = 1024;
    let units = [
        ("kib", K),
        ("mib", K * K),
        ("gib", K * K * K),
        ("tib", K * K * K * K),
        ("kb", 1000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("b", 1),
        ("", 1),
    ];
    number_with_unit(&text.to_ascii_lowercase(), &units).ok_or_else(|| SizeError(text.to_owned()))
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

/// A span of whole seconds in the largest unit that divides it.
pub fn format_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(known, _)| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("7d", 604_800),
            ("60", 60),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "0",
            "0d",
            "-1",
            "+1",
            "1.5h",
            "7 d",
            "d",
            "7w",
            "99999999999999999999",
            "99999999999999999d",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError(text.into())),
                "{text}"
            );
        }
        assert_eq!(format_duration(Duration::from_secs(604_800)), "7d");
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("64KiB", 65_536),
            ("1mib", 1 << 20),
            ("10GiB", 10 << 30),
            ("1MB", 1_000_000),
            ("5b", 5),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "1.5MiB", "-1", "1 MiB", "17179869184GiB"] {
            assert_eq!(parse_size(text), Err(SizeError(text.into())), "{text}");
        }
        assert_eq!(format_size(10 << 30), "10GiB");
        assert_eq!(format_size(1500), "1500");
        assert_eq!(format_size(0), "0");
    }
}
