//! Uploads in words.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use indicatif::BinaryBytes;

use crate::client::{StoredFile, Timestamp, UploadRecord};
use crate::model::{Clock, plain};

/// The columns of a listing.
pub fn header() -> String {
    columns(["ID", "CREATED", "EXPIRES", "SIZE", "LEFT", "NAME"])
}

fn columns([id, created, expires, size, left, what]: [&str; 6]) -> String {
    format!("{id:<26}  {created:<20}  {expires:<9}  {size:>10}  {left:<5}  {what}")
}

/// A line of a listing: id, when, until when, how much, how often, what.
pub fn row(upload: &UploadRecord) -> String {
    let created = second(upload.created_at);
    let expires = match upload.expires_at {
        Some(end) => format!("in {}", short(until(end))),
        None => "never".to_owned(),
    };
    let left = match (upload.downloads_left, upload.max_downloads) {
        (Some(left), Some(max)) => format!("{left}/{max}"),
        _ => "-".to_owned(),
    };
    let what = match (&upload.name, &upload.title, upload.file_count) {
        (Some(name), ..) => plain(name).into_owned(),
        (None, Some(title), _) => plain(title).into_owned(),
        (None, None, 0) => "text fields".to_owned(),
        (None, None, count) => files(count),
    };
    let size = BinaryBytes(upload.size).to_string();
    columns([&plain(&upload.id), &created, &expires, &size, &left, &what])
}

/// A file in words: where it lies in its upload, as far as the server says.
pub fn place(file: &StoredFile) -> Cow<'_, str> {
    match file.path.as_str() {
        "" => plain(&file.name),
        path => plain(path),
    }
}

/// How many files, in words.
pub fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    }
}

/// How long it is kept, and how often it can be downloaded: a line each, behind two spaces.
pub fn bounds(upload: &UploadRecord) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = match upload.expires_at {
        Some(end) => writeln!(
            text,
            "  expires: {} (in {})",
            second(end),
            short(until(end))
        ),
        None => writeln!(text, "  expires: never"),
    };
    if let (Some(left), Some(max)) = (upload.downloads_left, upload.max_downloads) {
        let _ = writeln!(text, "  downloads: {left} of {max} left");
    }
    if let Some(title) = &upload.title {
        let _ = writeln!(text, "  title: {}", plain(title));
    }
    text
}

/// A time to the second.
pub fn second(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

fn until(end: Timestamp) -> Duration {
    end.since(Clock::system().now())
}

/// A span in its two largest units, rounded down.
fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{large_unit}"),
        small => format!("{large}{large_unit}{small}{small_unit}"),
    };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600, seconds / 60);
    match (days, hours, minutes) {
        (10.., ..) => format!("{days}d"),
        (1.., ..) => two(days, "d", hours % 24, "h"),
        (_, 1.., _) => two(hours, "h", minutes % 60, "m"),
        (_, _, 1..) => two(minutes, "m", seconds % 60, "s"),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_are_short() {
        let said = |seconds: u64| short(Duration::from_secs(seconds));
        assert_eq!(
            [said(0), said(59), said(60), said(61)],
            ["0s", "59s", "1m", "1m1s"]
        );
        assert_eq!(
            [said(3600), said(5400), said(86_400)],
            ["1h", "1h30m", "1d"]
        );
        assert_eq!([said(90_000), said(864_000 + 3600)], ["1d1h", "10d"]);
    }

    #[test]
    fn a_row_stands_below_the_header() {
        let record = json!({
            "id": "0123456789abcdefghjkmnpqrs", "url": "u", "size": 1024, "file_count": 2,
            "created_at": "2026-01-01T00:00:00.000Z", "max_downloads": 3, "downloads_left": 2,
        });
        let line = row(&UploadRecord::from_json(record).unwrap());
        let header = header();
        for (column, value) in [
            ("ID", "0123456789abcdefghjkmnpqrs"),
            ("CREATED", "2026-01-01T00:00:00Z"),
            ("EXPIRES", "never"),
            ("LEFT", "2/3"),
            ("NAME", "2 files"),
        ] {
            let at = header.find(column).unwrap();
            assert!(line[at..].starts_with(value), "{column}: {line}");
        }
        assert!(
            line[..header.find("SIZE").unwrap() + 4].ends_with("1.00 KiB"),
            "{line}"
        );
    }
}
