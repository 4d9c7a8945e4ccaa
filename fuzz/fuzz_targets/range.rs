//! Any `Range` is honoured within the representation, or not at all.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use wharf::http::rules::range::{Asked, asked};

fuzz_target!(|input: (u64, &[u8])| {
    let (len, value) = input;
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::RANGE, value);
    let Asked::Ranges(mut ranges) = asked(&headers, len) else {
        return;
    };
    assert!(!ranges.is_empty() && ranges.len() <= 16);
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.iter().all(|range| range.start < range.end && range.end <= len));
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
});
