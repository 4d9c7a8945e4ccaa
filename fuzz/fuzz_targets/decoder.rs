//! Any bytes, under any cuts, give the same verdict and the same parts, and never a panic.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wharf::form::{Boundary, DecodeError, Decoder, Event, is_media_type, quoted_printable};

fn decode(body: &[u8], cut: usize) -> Result<Vec<u8>, DecodeError> {
    let boundary = Boundary::new("B").expect("a boundary");
    let mut decoder = Decoder::new(boundary);
    let mut seen = Vec::new();
    for frame in body.chunks(cut) {
        decoder.push(Bytes::copy_from_slice(frame));
        while let Some(event) = decoder.next()? {
            match event {
                Event::Part(head) => {
                    seen.extend(format!("{head:?}").into_bytes());
                    if let Some(file) = &head.file {
                        seen.extend_from_slice(&file.display(&head.name));
                    }
                    head.content_type.as_deref().map(is_media_type);
                }
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
    quoted_printable(body);
    let whole = decode(body, body.len().max(1));
    assert_eq!(decode(body, usize::from(cut).max(1)), whole);
    assert_eq!(decode(body, 1), whole);
});
