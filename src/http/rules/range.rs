//! Range requests (RFC 9110 section 14).

use std::num::NonZeroUsize;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_range_header::RangeUnsatisfiableError;

use crate::delivery::{DeliveryPiece, Representation};

/// The most ranges that are answered one by one.
const MAX_RANGES: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");

/// The bytes that a `Range` field asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The whole: there is no field, or none to be honoured.
    Whole,
    /// Some of it, in the order asked; never empty.
    Ranges(Vec<Range<u64>>),
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// Reads the `Range` field for a representation of `len` bytes. A field that is malformed,
/// or asks for too many or overlapping ranges, is answered with the whole, as section 14.2 allows.
pub fn asked(headers: &HeaderMap, len: u64) -> Asked {
    let mut values = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Asked::Whole;
    };
    let Ok(value) = value.to_str() else {
        return Asked::Whole;
    };
    let Ok(parsed) = http_range_header::parse_range_header_with_max_ranges(value, MAX_RANGES)
    else {
        return Asked::Whole;
    };
    match parsed.validate(len) {
        Ok(ranges) => {
            let ranges: Vec<Range<u64>> = ranges
                .into_iter()
                .map(|r| *r.start()..r.end() + 1)
                .collect();
            if ranges.is_empty() || overlap(&ranges) {
                Asked::Whole
            } else {
                Asked::Ranges(ranges)
            }
        }
        Err(RangeUnsatisfiableError::Unsatisfiable) => Asked::Unsatisfiable,
        Err(_) => Asked::Whole,
    }
}

fn overlap(ranges: &[Range<u64>]) -> bool {
    let mut sorted: Vec<&Range<u64>> = ranges.iter().collect();
    sorted.sort_by_key(|range| range.start);
    sorted.windows(2).any(|pair| pair[0].end > pair[1].start)
}

/// The value of `Content-Range` (section 14.4).
pub fn content_range(range: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start, range.end - 1)
}

/// The body of a `multipart/byteranges` answer (section 14.6), and its length.
pub fn multipart(
    this: &Representation,
    content_type: &str,
    boundary: &str,
    ranges: &[Range<u64>],
) -> (Vec<DeliveryPiece>, u64) {
    let mut pieces = Vec::new();
    for range in ranges {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
            content_range(range, this.len())
        );
        // The first delimiter needs no line end before it.
        let head = if pieces.is_empty() {
            head[2..].to_owned()
        } else {
            head
        };
        pieces.push(DeliveryPiece::Bytes(Bytes::from(head)));
        pieces.push(this.slice(range.clone()));
    }
    pieces.push(DeliveryPiece::Bytes(Bytes::from(format!(
        "\r\n--{boundary}--\r\n"
    ))));
    let len = pieces.iter().map(DeliveryPiece::len).sum();
    (pieces, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::single_range_in_vec_init,
        reason = "one range is what is meant"
    )]
    fn what_is_asked_for() {
        use Asked::{Ranges, Unsatisfiable, Whole};
        let many = format!(
            "bytes={}",
            (0..17)
                .map(|i| format!("{i}-{i}"))
                .collect::<Vec<_>>()
                .join(",")
        );
        for (value, len, expected) in [
            ("bytes=0-4", 10, Ranges(vec![0..5])),
            ("bytes=5-", 10, Ranges(vec![5..10])),
            ("bytes=-3", 10, Ranges(vec![7..10])),
            ("bytes=-30", 10, Ranges(vec![0..10])),
            ("bytes=5-100", 10, Ranges(vec![5..10])),
            ("bytes=0-1,4-5", 10, Ranges(vec![0..2, 4..6])),
            ("bytes=8-9,0-1", 10, Ranges(vec![8..10, 0..2])),
            ("bytes=0-1,20-30", 10, Ranges(vec![0..2])),
            ("bytes=0-4,4-5", 10, Whole),
            (many.as_str(), 100, Whole),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=4-2", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("lines=0-4", 10, Whole),
            ("bytes=", 10, Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, value.parse().unwrap());
            assert_eq!(asked(&headers, len), expected, "{value}");
        }
    }
}
