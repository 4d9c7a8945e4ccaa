//! Quoted-printable text (RFC 2045 section 6.7), as one client library sends its text fields.

use super::params::{hex_byte, is_space};

/// Decodes quoted-printable text. Line ends stay as they came, spaces before them go, and digits
/// may be in either case; `None` when an `=` is neither before two digits nor at a line's end.
pub fn quoted_printable(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let (line, end) = split_end(line);
        let text = line.iter().rposition(|&byte| !is_space(byte));
        let line = &line[..text.map_or(0, |last| last + 1)];
        match line.strip_suffix(b"=") {
            Some(line) => decode_line(line, &mut decoded)?,
            None => {
                decode_line(line, &mut decoded)?;
                decoded.extend_from_slice(end);
            }
        }
    }
    Some(decoded)
}

fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end = match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    };
    line.split_at(line.len() - end)
}

fn decode_line(line: &[u8], decoded: &mut Vec<u8>) -> Option<()> {
    let mut pieces = line.split(|&byte| byte == b'=');
    decoded.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (code, rest) = piece.split_first_chunk::<2>()?;
        decoded.push(hex_byte(*code)?);
        decoded.extend_from_slice(rest);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        quoted_printable(text.as_bytes())
    }

    #[test]
    fn text_is_decoded_and_nonsense_is_not() {
        for (text, expected) in [
            ("", ""),
            ("a=3Db=c3=A9", "a=bé"),
            ("a \t\r\nb  \n c", "a\r\nb\n c"),
            ("long=\r\n line= \t\r\n.=", "long line."),
            ("=3D=\r\n=3D=", "=="),
        ] {
            assert_eq!(
                decoded(text).as_deref(),
                Some(expected.as_bytes()),
                "{text:?}"
            );
        }
        for text in ["==", "=4", "=zz", "a=b", "=+1", "= 41"] {
            assert_eq!(decoded(text), None, "{text:?}");
        }
    }
}
