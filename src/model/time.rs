//! Points in time, and the clock they are read from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, civil};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. As text: RFC 3339 in UTC with milliseconds. As JSON: the
/// number; the text is read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first time that a text can say: 0000-01-01T00:00:00Z.
    pub const FIRST: Timestamp = Timestamp(-62_167_219_200_000);
    /// The last: 9999-12-31T23:59:59.999Z.
    pub const LAST: Timestamp = Timestamp(253_402_300_799_999);

    /// `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time and `span` later; the last time there is when that is past it.
    pub fn after(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }

    /// This time and `span` earlier.
    pub fn before(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; nothing when it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// Year, month, day, hour, minute and second in UTC, as the Gregorian calendar has them.
    #[cfg(feature = "server")]
    pub(crate) fn civil(self) -> jiff::civil::DateTime {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        jiff::tz::Offset::UTC.to_datetime(instant)
    }

    /// The same for the standard library, to which nothing is before the epoch.
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A text that is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It has another form, or there is no such day or hour.
    #[error(
        "{0:?} is not a time such as 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+01:00 (RFC 3339)"
    )]
    Form(String),
    /// Its year has more or fewer than four digits in UTC.
    #[error("{0:?} is not a time from 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z")]
    Range(String),
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads a time of RFC 3339; digits below a millisecond are cut off.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let millis = read_rfc_3339(text).ok_or_else(|| TimeError::Form(text.to_owned()))?;
        match Timestamp(millis) {
            time if (Self::FIRST..=Self::LAST).contains(&time) => Ok(time),
            _ => Err(TimeError::Range(text.to_owned())),
        }
    }
}

/// The epoch as a date and a time of day.
const EPOCH: civil::DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// The milliseconds since the epoch of a `date-time` (RFC 3339 section 5.6). jiff's own instants
/// end a day before the last that such a text has, and have no more than nine digits below a
/// second.
fn read_rfc_3339(text: &str) -> Option<i64> {
    if !is_rfc_3339(text.as_bytes()) {
        return None;
    }
    let (time, rest) = text.split_at_checked(FORM.len())?;
    let time: civil::DateTime = time.parse().ok()?;
    let digits = rest.bytes().skip(1).take_while(u8::is_ascii_digit);
    let (fraction, offset) = match rest.starts_with('.') {
        true => rest[1..].split_at_checked(digits.count())?,
        false => ("", rest),
    };
    let millis: i64 = format!("{:0<3.3}", fraction).parse().ok()?;
    let minutes = match offset.as_bytes() {
        [sign, rest @ ..] if matches!(sign, b'+' | b'-') => {
            let rest = str::from_utf8(rest).ok()?;
            let (hours, minutes) = rest.split_once(':')?;
            let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = hours * 60 + minutes;
            if *sign == b'-' { -ahead } else { ahead }
        }
        _ => 0,
    };
    let local = i64::try_from(time.duration_since(EPOCH).as_millis()).ok()?;
    Some(local + millis - minutes * 60_000)
}

/// The form of a date and a time of day.
const FORM: &[u8] = b"0000-00-00T00:00:00";

/// Whether a text has the form of a `date-time` (RFC 3339 section 5.6), which is one of many that
/// jiff reads.
fn is_rfc_3339(text: &[u8]) -> bool {
    let fits = |text: &[u8], form: &[u8]| {
        let mut pairs = text.iter().zip(form);
        text.len() == form.len()
            && pairs.all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                b'Z' => matches!(byte, b'Z' | b'z'),
                b'+' => matches!(byte, b'+' | b'-'),
                like => byte == like,
            })
    };
    let Some((time, rest)) = text.split_at_checked(FORM.len()) else {
        return false;
    };
    let offset = match rest.strip_prefix(b".") {
        None => rest,
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match digits {
                0 => return false,
                digits => &rest[digits..],
            }
        }
    };
    fits(time, FORM) && (fits(offset, b"Z") || fits(offset, b"+00:00"))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.clamp(Self::FIRST.0, Self::LAST.0);
        let time = EPOCH.saturating_add(SignedDuration::from_millis(millis));
        write!(f, "{time:.3}Z")
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText)
    }
}

struct NumberOrText;

impl Visitor<'_> for NumberOrText {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("milliseconds since the epoch, or a time of RFC 3339")
    }

    fn visit_i64<E: Error>(self, millis: i64) -> Result<Timestamp, E> {
        Ok(Timestamp(millis))
    }

    fn visit_u64<E: Error>(self, millis: u64) -> Result<Timestamp, E> {
        i64::try_from(millis).map(Timestamp).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }
}

/// Where the time comes from: the system, or a test that moves it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Clock(None)
    }

    /// A clock that stands still at `start` until it is [moved](Self::advance).
    pub fn manual(start: Timestamp) -> Self {
        Clock(Some(Arc::new(AtomicI64::new(start.0))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => SystemTime::now().into(),
            Some(millis) => Timestamp(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock on; the system's goes by itself.
    pub fn advance(&self, span: Duration) {
        if let Some(millis) = &self.0 {
            let later = self.now().after(span);
            millis.store(later.0, Ordering::SeqCst);
        }
    }
}

/// A point on the machine's own clock, which is never set, and goes on while the machine or the
/// process is stopped (`CLOCK_BOOTTIME`, clock_gettime(2)).
#[cfg(feature = "server")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(Duration);

#[cfg(feature = "server")]
impl Uptime {
    /// Now.
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Uptime(Duration::new(seconds, nanos))
    }

    /// This point and `span` later.
    pub fn after(self, span: Duration) -> Self {
        Uptime(self.0.saturating_add(span))
    }

    /// How long ago it was; nothing when it is still to come.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }

    /// How long it is still to come; nothing when it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339() {
        let time = Timestamp::from_millis(1_795_396_450_123);
        assert_eq!(time.to_string(), "2026-11-23T01:14:10.123Z");
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(Timestamp::LAST.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::FIRST.to_string(), "0000-01-01T00:00:00.000Z");
        for (millis, end) in [(i64::MAX, Timestamp::LAST), (i64::MIN, Timestamp::FIRST)] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), end.to_string());
        }
    }

    #[test]
    fn times_of_rfc_3339_are_read_and_no_others() {
        for (text, printed) in [
            ("2026-11-23T01:14:10.123Z", "2026-11-23T01:14:10.123Z"),
            ("2026-11-23t01:14:10z", "2026-11-23T01:14:10.000Z"),
            ("2026-11-23 01:14:10+01:30", "2026-11-22T23:44:10.000Z"),
            (
                "2026-11-23T01:14:10.123999-00:00",
                "2026-11-23T01:14:10.123Z",
            ),
            ("2026-11-23T01:14:10.5Z", "2026-11-23T01:14:10.500Z"),
            (
                "2026-11-23T01:14:10.00000000012345Z",
                "2026-11-23T01:14:10.000Z",
            ),
            ("1969-12-31T23:59:59.75Z", "1969-12-31T23:59:59.750Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"),
            (
                "9999-12-31T23:59:59.9999999999Z",
                "9999-12-31T23:59:59.999Z",
            ),
            ("9999-12-31T23:59:59+23:59", "9999-12-31T00:00:59.000Z"),
            ("0000-01-01T00:00:00-00:30", "0000-01-01T00:30:00.000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), printed, "{text}");
        }
        for text in [
            "",
            "never",
            "2026-11-23",
            "2026-11-23T01:14:10",
            "2026-11-23T01:14Z",
            "2026-11-23T01:14:10.Z",
            "2026-11-23T01:14:10+0100",
            "2026-11-23T01:14:10Z[UTC]",
            "20261123T011410Z",
            "+002026-11-23T01:14:10Z",
            "2026-13-23T01:14:10Z",
            "2026-02-29T01:14:10Z",
            "2026-11-23T01:14:10+24:00",
            "2026-11-23T01:14:10-01:60",
            "2026-11-23T25:14:10Z",
            "1795396450",
            "2026-11-23T01:14:10Z ",
            "\u{661}026-11-23T01:14:10Z",
        ] {
            let refused = Err(TimeError::Form(text.to_owned()));
            assert_eq!(text.parse::<Timestamp>(), refused);
        }
        for text in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            let refused = Err(TimeError::Range(text.to_owned()));
            assert_eq!(text.parse::<Timestamp>(), refused);
        }
    }

    #[test]
    fn spans_do_not_overflow() {
        let now = Timestamp::from_millis(1000);
        assert_eq!(now.after(Duration::MAX).as_millis(), i64::MAX);
        assert_eq!(now.since(now.after(Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(
            now.after(Duration::from_secs(1)).since(now),
            Duration::from_secs(1)
        );
    }
}
