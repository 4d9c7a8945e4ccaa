//! The grammar of `multipart/form-data`: every line of its table, properties, a second opinion.

mod differential;
mod heads;
mod property;
mod table;

use bytes::Bytes;
use wharf::form::{Boundary, DecodeError, Decoder, Event, PartHead};

/// A decoded part, its content joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The headers of the part.
    pub head: PartHead,
    /// All of its data.
    pub content: Vec<u8>,
}

/// Decodes a body that comes in these frames. What was found before an error is not looked at:
/// nothing of it is stored.
pub fn decode<'a>(
    boundary: &str,
    frames: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Part>, DecodeError> {
    let mut decoder = Decoder::new(Boundary::new(boundary).unwrap());
    let mut parts: Vec<Part> = Vec::new();
    let mut open = false;
    for frame in frames {
        decoder.push(Bytes::copy_from_slice(frame));
        while let Some(event) = decoder.next()? {
            match event {
                Event::Part(head) => {
                    assert!(!open, "a part begins within another");
                    assert_eq!(head.number, parts.len() + 1);
                    open = true;
                    parts.push(Part {
                        head: *head,
                        content: Vec::new(),
                    });
                }
                Event::Data(data) => {
                    assert!(open && !data.is_empty());
                    parts.last_mut().unwrap().content.extend_from_slice(&data);
                }
                Event::PartEnd => {
                    assert!(open, "a part ends twice");
                    open = false;
                }
            }
        }
    }
    decoder.finish()?;
    assert!(!open, "a part does not end");
    Ok(parts)
}

/// Whether the tests are to take their time.
pub fn soak() -> bool {
    std::env::var_os("WHARF_SOAK").is_some()
}
