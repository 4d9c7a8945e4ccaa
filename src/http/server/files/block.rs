//! The bytes that stand in for those of files.

use std::sync::OnceLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::delivery::MAX_SPAN;

/// How many bytes the pattern has. In a copy of twice as many it is whole at least once.
const PATTERN: usize = 16;

struct Block {
    bytes: Bytes,
    pattern: Finder<'static>,
}

/// Made when the first file is sent.
static BLOCK: OnceLock<Block> = OnceLock::new();

fn make() -> Block {
    let mut pattern = *b"stand-in of a fi";
    // Drawn, so that no content of a client has it. Without randomness no upload has an id.
    let _ = getrandom::fill(&mut pattern);
    Block {
        bytes: pattern.repeat(MAX_SPAN / PATTERN).into(),
        pattern: Finder::new(&pattern).into_owned(),
    }
}

/// Bytes for `len` bytes of a file, at most [`MAX_SPAN`].
pub fn stand_in(len: usize) -> Bytes {
    BLOCK.get_or_init(make).bytes.slice(..len)
}

/// Whether these are bytes of the block, by their address.
pub fn is_stand_in(data: &[u8]) -> bool {
    let Some(block) = BLOCK.get() else {
        return false;
    };
    !data.is_empty() && block.bytes.as_ptr_range().contains(&data.as_ptr())
}

/// Whether bytes of the block were copied into these.
pub fn has_pattern(data: &[u8]) -> bool {
    BLOCK
        .get()
        .is_some_and(|block| block.pattern.find(data).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_known_by_its_address_and_a_copy_by_its_content() {
        for len in [1, 100, MAX_SPAN] {
            let stand_in = stand_in(len);
            assert_eq!(stand_in.len(), len);
            assert!(is_stand_in(&stand_in) && is_stand_in(&stand_in[len / 2..]));
            assert!(!is_stand_in(&stand_in[len..]));
            let copy = stand_in.to_vec();
            assert!(!is_stand_in(&copy));
            assert_eq!(has_pattern(&copy), len >= PATTERN);
        }
        let copy = [b"HTTP/1.1 200 OK\r\n\r\n", &stand_in(100)[7..40], b"--"].concat();
        assert!(has_pattern(&copy));
        assert!(!has_pattern(&[0; 1000]) && !has_pattern(b"stand-in of a fi"));
        assert!(!is_stand_in(&[]) && !is_stand_in(b"HTTP/1.1 200 OK"));
    }
}
