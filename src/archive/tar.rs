//! tar files as POSIX.1-2001 has them (`pax`, The Open Group Base Specifications, pax, "ustar
//! Interchange Format" and "pax Extended Header"): a `ustar` header for each file, behind an extended
//! one where a name is long or not ASCII, or a size does not fit.

use super::Entry;

/// Everything is in blocks of so many bytes.
const BLOCK: usize = 512;
/// Two blocks of zeros.
pub const END: usize = 2 * BLOCK;
/// The largest size that eleven octal digits say.
const MAX_OCTAL: u64 = 0o777_7777_7777;

/// The keywords of extended headers.
const PATH: &str = "path";
const SIZE: &str = "size";

/// Widths of fields, and where they begin.
const NAME: std::ops::Range<usize> = 0..100;
const PREFIX: std::ops::Range<usize> = 345..500;

/// The header of a file.
pub fn header(entry: &Entry<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(header_len(entry) as usize);
    let name = UstarName::of(entry.path);
    let extended = extended_len(entry, &name);
    if extended > 0 {
        out.extend(block(b'x', &name, extended, entry));
        if name.is_short_of(entry.path) {
            put_record(&mut out, PATH, entry.path);
        }
        if entry.size > MAX_OCTAL {
            put_record(&mut out, SIZE, &entry.size.to_string());
        }
        out.resize(out.len() + padding(extended) as usize, 0);
    }
    // A reader that does not know extended headers gets as much of the name as fits.
    out.extend(block(b'0', &name, entry.size.min(MAX_OCTAL), entry));
    out
}

/// The bytes of [`header`].
pub fn header_len(entry: &Entry<'_>) -> u64 {
    let extended = extended_len(entry, &UstarName::of(entry.path));
    let before = if extended > 0 {
        BLOCK as u64 + extended + padding(extended)
    } else {
        0
    };
    before + BLOCK as u64
}

/// How many bytes a content lacks to a whole block.
pub fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// The bytes of the records of the extended header; none where the `ustar` header says all.
fn extended_len(entry: &Entry<'_>, name: &UstarName<'_>) -> u64 {
    let path = match name.is_short_of(entry.path) {
        true => record_len(PATH, entry.path.len()),
        false => 0,
    };
    let size = match entry.size > MAX_OCTAL {
        true => record_len(SIZE, digits(entry.size as usize)),
        false => 0,
    };
    (path + size) as u64
}

/// `LENGTH KEYWORD=VALUE\n`.
fn put_record(records: &mut Vec<u8>, keyword: &str, value: &str) {
    let len = record_len(keyword, value.len());
    records.extend(format!("{len} {keyword}={value}\n").into_bytes());
}

/// The bytes of a record, which count the digits of this number as well.
fn record_len(keyword: &str, value: usize) -> usize {
    let rest = keyword.len() + value + 3;
    let len = rest + digits(rest);
    // With its digits it may have one more.
    rest + digits(len)
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The name in the two fields of a header, cut where it does not fit.
struct UstarName<'a> {
    prefix: &'a [u8],
    name: &'a [u8],
    /// Whether nothing was cut.
    whole: bool,
}

impl<'a> UstarName<'a> {
    /// Whether a path needs an extended header: not all of it is in this name, or it is not ASCII,
    /// for which these fields have no encoding.
    fn is_short_of(&self, path: &str) -> bool {
        !self.whole || !path.is_ascii()
    }

    fn of(path: &'a str) -> Self {
        let path = path.as_bytes();
        let (most, room) = (PREFIX.len(), NAME.len());
        if path.len() <= room {
            return UstarName {
                prefix: b"",
                name: path,
                whole: true,
            };
        }
        // The `/` between the two fields is in neither.
        let fits = |&at: &usize| path[at] == b'/' && at > 0 && path.len() - at - 1 <= room;
        match (0..path.len().min(most + 1)).find(fits) {
            Some(at) => UstarName {
                prefix: &path[..at],
                name: &path[at + 1..],
                whole: true,
            },
            // As many of the innermost folders as fit, or the end of the name.
            None => {
                let end = &path[path.len() - room..];
                let component = end.iter().position(|&byte| byte == b'/');
                UstarName {
                    prefix: b"",
                    name: component.map_or(end, |at| &end[at + 1..]),
                    whole: false,
                }
            }
        }
    }
}

/// One header block.
fn block(kind: u8, name: &UstarName<'_>, size: u64, entry: &Entry<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, NAME.start, name.name);
    put(&mut block, PREFIX.start, name.prefix);
    let seconds = entry.modified.as_millis().div_euclid(1000);
    let seconds = u64::try_from(seconds).unwrap_or(0).min(MAX_OCTAL);
    // Mode, owner and group, size and time: octal digits, with a NUL behind them.
    put(&mut block, 100, b"0000644");
    put(&mut block, 108, b"0000000");
    put(&mut block, 116, b"0000000");
    put(&mut block, 124, format!("{size:011o}").as_bytes());
    put(&mut block, 136, format!("{seconds:011o}").as_bytes());
    // The checksum is counted with spaces in its place.
    put(&mut block, 148, b"        ");
    block[156] = kind;
    put(&mut block, 257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn entry(path: &str, size: u64) -> Entry<'_> {
        Entry {
            path,
            size,
            crc32: 0,
            modified: Timestamp::from_millis(1_764_000_000_123),
        }
    }

    #[test]
    fn an_extended_header_comes_where_one_is_needed() {
        let long = "d/".repeat(60) + &"n".repeat(100);
        let longer = "n".repeat(101);
        for (path, size, extended) in [
            ("a.txt", 5, false),
            (long.as_str(), 5, false),
            (longer.as_str(), 5, true),
            ("ü.txt", 5, true),
            ("a.txt", MAX_OCTAL, false),
            ("a.txt", MAX_OCTAL + 1, true),
        ] {
            let entry = entry(path, size);
            let header = header(&entry);
            assert_eq!(header.len() as u64, header_len(&entry), "{path} {size}");
            assert_eq!(header.len() > BLOCK, extended, "{path} {size}");
            assert_eq!(header.len() % BLOCK, 0);
        }
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for value in (1..120).chain(970..1010).chain(9980..10_000) {
            let mut record = Vec::new();
            put_record(&mut record, "path", &"v".repeat(value));
            let text = String::from_utf8(record).unwrap();
            let said: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, text.len());
        }
    }

    #[test]
    fn contents_end_on_whole_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
