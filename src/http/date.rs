//! `Date` (RFC 9110 section 6.6.1). hyper has one as well, which stands still for as long as the
//! clock was set back, and sends it where an answer has none: in refusals of its own.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

use crate::model::Timestamp;

/// The last second of the year 9999, behind which a date has no form.
const LAST_SECOND: u64 = 253_402_300_799;

thread_local! {
    /// The second that was asked for last on this thread, and its text.
    static LATEST: RefCell<(u64, Option<HeaderValue>)> = const { RefCell::new((u64::MAX, None)) };
}

/// The value of `Date` at this time; `None` where it has none. The text is made once a second.
pub fn date(now: Timestamp) -> Option<HeaderValue> {
    let now = seconds(now);
    LATEST.with_borrow_mut(|(second, text)| {
        if *second != now {
            (*second, *text) = (now, made(now));
        }
        text.clone()
    })
}

/// A time as a field has it (RFC 9110 section 5.6.7); `None` behind the year 9999.
pub fn http_date(time: Timestamp) -> Option<HeaderValue> {
    made(seconds(time))
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0) / 1000
}

fn made(seconds: u64) -> Option<HeaderValue> {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    // The library panics behind it.
    let text = (seconds <= LAST_SECOND).then(|| httpdate::fmt_http_date(time))?;
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Clock;

    #[test]
    fn it_goes_where_the_clock_goes() {
        let clock = Clock::manual(Timestamp::from_millis(784_111_777_900));
        let shown = || date(clock.now()).map(|date| date.to_str().unwrap().to_owned());
        let then = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
        assert_eq!(shown(), then);
        clock.advance(Duration::from_millis(99));
        assert_eq!(shown(), then);
        clock.advance(Duration::from_millis(1));
        assert_eq!(shown().unwrap(), "Sun, 06 Nov 1994 08:49:38 GMT");
        let earlier = Timestamp::from_millis(784_111_777_000);
        assert_eq!(
            date(earlier).unwrap(),
            HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")
        );
        let last = |seconds: u64| date(Timestamp::from_millis(seconds as i64 * 1000));
        assert_eq!(last(LAST_SECOND).unwrap(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(last(LAST_SECOND + 1), None);
        assert_eq!(
            date(Timestamp::from_millis(-1)).unwrap(),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }
}
