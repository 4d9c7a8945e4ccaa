//! Any bytes, under any cuts, give the same verdict and the same parts, and never a panic.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wharf::form::{Boundary, DecodeError, Decoder, Event};

fn decode(body: &[u8], cut: usize) -> Result<Vec<u8>, DecodeError> {
    let boundary = Boundary::new("B").expect("a boundary");
    let mut decoder = Decoder::new(boundary);
    let mut seen = Vec::new();
    for frame in body.chunks(cut) {
        decoder.push(Bytes::copy_from_slice(frame));
        while let Some(event) = decoder.next()? {
            match event {
                Event::Part(head) => seen.extend(format!("{head:?}").into_bytes()),
                Event::Data(data) => seen.extend_from_slice(&data),
                Event::PartEnd => seen.push(0),
            }
        }
    }
    decoder.finish().map(|()| seen)
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, body)) = input.split_first() else {
        return;
    };
    let whole = decode(body, body.len().max(1));
    assert_eq!(decode(body, usize::from(cut).max(1)), whole);
    assert_eq!(decode(body, 1), whole);
});
