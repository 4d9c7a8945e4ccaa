//! Any `Content-Disposition` is read or refused, and what was read goes out and comes back the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wharf::form::{Boundary, Decoder, Event, OutPart, PartHead, close, part_head};

/// The head of the only part of `body`.
fn head_of(body: Vec<u8>) -> Option<PartHead> {
    let mut decoder = Decoder::new(Boundary::new("B").expect("a boundary"));
    decoder.push(Bytes::from(body));
    match decoder.next() {
        Ok(Some(Event::Part(head))) => Some(*head),
        _ => None,
    }
}

fuzz_target!(|value: &[u8]| {
    let mut body = b"--B\r\nContent-Disposition: ".to_vec();
    body.extend_from_slice(value);
    body.extend_from_slice(b"\r\n\r\nx\r\n--B--\r\n");
    let Some(head) = head_of(body) else { return };
    let boundary = Boundary::new("B").expect("a boundary");
    let part = OutPart {
        name: &head.name,
        filename: None,
        content_type: None,
        content_length: 0,
        repr_digest: None,
        extended: None,
    };
    let mut body = part_head(&boundary, true, &part);
    body.extend(close(&boundary, true));
    let again = head_of(body).expect("what goes out can be read");
    // Four bytes go out as percent codes.
    if !head.name.iter().any(|byte| b"\"\r\n\0".contains(byte)) {
        assert_eq!(again.name, head.name);
    }
});
