//! ZIP files with stored contents (PKWARE APPNOTE.TXT 6.3.10).
//!
//! Readers differ where an archive says a thing twice, or says it late. So there is no data
//! descriptor (4.3.9), sizes and CRC stand before the content and again in the directory, and there
//! is no extra field but the time and, where a number needs it, the ZIP64 one.

use super::{Entry, Totals};
use crate::model::Timestamp;

/// The values from which on a number stands in a ZIP64 field (4.4.1.4).
const MAX_32: u64 = 0xFFFF_FFFF;
const MAX_16: u64 = 0xFFFF;
/// Versions needed to extract (4.4.3.2): a stored file, and one with ZIP64 fields.
const STORED: u16 = 10;
const ZIP64: u16 = 45;
/// The names are UTF-8 (4.4.4, bit 11).
const UTF8: u16 = 1 << 11;
/// Made on Unix by version 4.5 (4.4.2): the upper half of the external attributes is a mode.
const MADE_BY: u16 = 3 << 8 | ZIP64;
/// A plain file that its owner may write.
const MODE: u32 = 0o100_644 << 16;

const LOCAL_LEN: u64 = 30;
const CENTRAL_LEN: u64 = 46;
const END_LEN: u64 = 22;
/// The ZIP64 end and its locator (4.3.14, 4.3.15).
const ZIP64_END_LEN: u64 = 56 + 20;
/// The extended timestamp (Info-ZIP, extra field 0x5455): flags and a modification time.
const TIME_LEN: u64 = 4 + 5;

/// The local file header (4.3.7).
pub fn local_header(entry: &Entry<'_>) -> Vec<u8> {
    let large = entry.size >= MAX_32;
    let mut out = Vec::with_capacity(local_header_len(entry) as usize);
    out.extend(0x0403_4b50_u32.to_le_bytes());
    put_common(&mut out, entry, large);
    out.extend((local_extra_len(entry) as u16).to_le_bytes());
    out.extend(entry.path.as_bytes());
    if large {
        // Here both sizes stand, or none (4.5.3).
        put_zip64(&mut out, &[entry.size, entry.size]);
    }
    put_time(&mut out, entry.modified);
    out
}

/// The bytes of [`local_header`].
pub fn local_header_len(entry: &Entry<'_>) -> u64 {
    LOCAL_LEN + entry.path.len() as u64 + local_extra_len(entry)
}

fn local_extra_len(entry: &Entry<'_>) -> u64 {
    let sizes = if entry.size >= MAX_32 { 4 + 16 } else { 0 };
    sizes + time_len(entry.modified)
}

/// The record in the central directory (4.3.12) of a file whose local header is at `offset`.
pub fn central_header(entry: &Entry<'_>, offset: u64) -> Vec<u8> {
    let mut large = Vec::new();
    if entry.size >= MAX_32 {
        large.extend([entry.size, entry.size]);
    }
    if offset >= MAX_32 {
        large.push(offset);
    }
    let mut out = Vec::with_capacity(central_header_len(entry, offset) as usize);
    out.extend(0x0201_4b50_u32.to_le_bytes());
    out.extend(MADE_BY.to_le_bytes());
    put_common(&mut out, entry, !large.is_empty());
    out.extend((central_extra_len(entry, offset) as u16).to_le_bytes());
    // No comment, on the first disk, no internal attributes.
    out.extend([0; 6]);
    out.extend(MODE.to_le_bytes());
    out.extend(short(offset).to_le_bytes());
    out.extend(entry.path.as_bytes());
    if !large.is_empty() {
        put_zip64(&mut out, &large);
    }
    put_time(&mut out, entry.modified);
    out
}

/// The bytes of [`central_header`].
pub fn central_header_len(entry: &Entry<'_>, offset: u64) -> u64 {
    CENTRAL_LEN + entry.path.len() as u64 + central_extra_len(entry, offset)
}

fn central_extra_len(entry: &Entry<'_>, offset: u64) -> u64 {
    let sizes = if entry.size >= MAX_32 { 16 } else { 0 };
    let place = if offset >= MAX_32 { 8 } else { 0 };
    let numbers = sizes + place;
    let zip64 = if numbers > 0 { 4 + numbers } else { 0 };
    zip64 + time_len(entry.modified)
}

/// The end of central directory record (4.3.16), behind the ZIP64 one where it is needed.
pub fn end(totals: &Totals) -> Vec<u8> {
    let mut out = Vec::with_capacity(end_len(totals) as usize);
    if is_zip64(totals) {
        put_zip64_end(&mut out, totals);
    }
    let entries = totals.entries.min(MAX_16) as u16;
    out.extend(0x0605_4b50_u32.to_le_bytes());
    // On the first of one disk.
    out.extend([0; 4]);
    out.extend(entries.to_le_bytes());
    out.extend(entries.to_le_bytes());
    out.extend(short(totals.directory).to_le_bytes());
    out.extend(short(totals.contents).to_le_bytes());
    // No comment.
    out.extend([0; 2]);
    out
}

/// The bytes of [`end`].
pub fn end_len(totals: &Totals) -> u64 {
    let zip64 = if is_zip64(totals) { ZIP64_END_LEN } else { 0 };
    zip64 + END_LEN
}

fn is_zip64(totals: &Totals) -> bool {
    totals.entries >= MAX_16 || totals.directory >= MAX_32 || totals.contents >= MAX_32
}

fn put_zip64_end(out: &mut Vec<u8>, totals: &Totals) {
    out.extend(0x0606_4b50_u32.to_le_bytes());
    // The bytes behind this number.
    out.extend(44_u64.to_le_bytes());
    out.extend(MADE_BY.to_le_bytes());
    out.extend(ZIP64.to_le_bytes());
    out.extend([0; 8]);
    out.extend(totals.entries.to_le_bytes());
    out.extend(totals.entries.to_le_bytes());
    out.extend(totals.directory.to_le_bytes());
    out.extend(totals.contents.to_le_bytes());
    // The locator: where this record begins, on the first of one disk.
    out.extend(0x0706_4b50_u32.to_le_bytes());
    out.extend([0; 4]);
    let begin = totals.contents.saturating_add(totals.directory);
    out.extend(begin.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
}

/// From the version to the length of the name: the same in both headers.
fn put_common(out: &mut Vec<u8>, entry: &Entry<'_>, large: bool) {
    let (time, date) = dos_time(entry.modified);
    let size = short(entry.size);
    out.extend(if large { ZIP64 } else { STORED }.to_le_bytes());
    out.extend(UTF8.to_le_bytes());
    // Stored (4.4.5).
    out.extend([0; 2]);
    out.extend(time.to_le_bytes());
    out.extend(date.to_le_bytes());
    out.extend(entry.crc32.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(size.to_le_bytes());
    // The rules of names keep a path far below 64 KiB.
    out.extend((entry.path.len() as u16).to_le_bytes());
}

fn put_zip64(out: &mut Vec<u8>, numbers: &[u64]) {
    out.extend(1_u16.to_le_bytes());
    out.extend((numbers.len() as u16 * 8).to_le_bytes());
    for number in numbers {
        out.extend(number.to_le_bytes());
    }
}

/// The time in UTC, which the DOS fields beside it do not say of themselves.
fn put_time(out: &mut Vec<u8>, modified: Timestamp) {
    if let Some(seconds) = unix_time(modified) {
        out.extend(0x5455_u16.to_le_bytes());
        out.extend(5_u16.to_le_bytes());
        // The modification time is there, and no other.
        out.push(1);
        out.extend(seconds.to_le_bytes());
    }
}

fn time_len(modified: Timestamp) -> u64 {
    unix_time(modified).map_or(0, |_| TIME_LEN)
}

/// The seconds of a time, where they fit the field.
fn unix_time(modified: Timestamp) -> Option<i32> {
    i32::try_from(modified.as_millis().div_euclid(1000)).ok()
}

/// Time and date as DOS has them (4.4.6), in UTC: from 1980 to 2107, in steps of two seconds.
fn dos_time(modified: Timestamp) -> (u16, u16) {
    const FIRST: (u16, u16) = (0, 1 << 5 | 1);
    const LAST: (u16, u16) = (23 << 11 | 59 << 5 | 29, 127 << 9 | 12 << 5 | 31);
    let civil = modified.civil();
    let Ok(year) = u16::try_from(i32::from(civil.year()) - 1980) else {
        return FIRST;
    };
    if year > 127 {
        return LAST;
    }
    // Months, days, hours, minutes and seconds are small and not negative.
    let time =
        (civil.hour() as u16) << 11 | (civil.minute() as u16) << 5 | (civil.second() as u16 / 2);
    let date = year << 9 | (civil.month() as u16) << 5 | civil.day() as u16;
    (time, date)
}

/// A number, or the value that says that it stands in a ZIP64 field.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: u64) -> Entry<'static> {
        Entry {
            path: "a/b.txt",
            size,
            crc32: 7,
            modified: "2026-11-28T10:00:02Z".parse().unwrap(),
        }
    }

    #[test]
    fn zip64_fields_stand_where_a_number_needs_them() {
        let (small, large) = (entry(MAX_32 - 1), entry(MAX_32));
        for (one, offset, extra) in [
            (&small, 0, 0),
            (&small, MAX_32 - 1, 0),
            (&small, MAX_32, 12),
            (&large, 0, 20),
            (&large, MAX_32, 28),
        ] {
            let bare = CENTRAL_LEN + 7 + TIME_LEN;
            assert_eq!(central_header_len(one, offset), bare + extra);
            let header = central_header(one, offset);
            assert_eq!(header.len() as u64, bare + extra);
            let version = u16::from_le_bytes([header[6], header[7]]);
            assert_eq!(version, if extra > 0 { ZIP64 } else { STORED });
        }
        for (one, extra) in [(&small, 0), (&large, 20)] {
            let len = LOCAL_LEN + 7 + TIME_LEN + extra;
            assert_eq!(local_header_len(one), len);
            assert_eq!(local_header(one).len() as u64, len);
        }
        for (entries, contents, zip64) in [
            (MAX_16 - 1, MAX_32 - 1, false),
            (MAX_16, 0, true),
            (1, MAX_32, true),
        ] {
            let totals = Totals {
                entries,
                contents,
                directory: 60,
            };
            assert_eq!(end(&totals).len() as u64, end_len(&totals));
            assert_eq!(end_len(&totals) > END_LEN, zip64);
        }
    }

    #[test]
    fn times_are_those_of_dos_in_utc() {
        let at = |text: &str| dos_time(text.parse().unwrap());
        let (time, date) = at("2026-11-28T10:20:31Z");
        assert_eq!((time >> 11, time >> 5 & 63, time & 31), (10, 20, 15));
        assert_eq!((date >> 9, date >> 5 & 15, date & 31), (46, 11, 28));
        assert_eq!(at("1979-12-31T23:59:59Z"), at("1980-01-01T00:00:00Z"));
        assert_eq!(at("2108-01-01T00:00:00Z"), at("2107-12-31T23:59:59Z"));
        let late: Timestamp = "2038-01-19T03:14:08Z".parse().unwrap();
        assert_eq!(unix_time(late), None);
    }
}
