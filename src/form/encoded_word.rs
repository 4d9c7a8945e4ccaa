//! Encoded words (RFC 2047), which some clients put into `filename` for a name that is not ASCII.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::params::{hex_byte, is_space, is_token};

/// Padding is taken and not asked for.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `=?charset?encoding?text?=`.
struct Word<'a> {
    charset: &'a [u8],
    encoding: u8,
    text: &'a [u8],
}

/// Whether a value is as a whole made of encoded words, with spaces between them.
pub(super) fn is_encoded(value: &[u8]) -> bool {
    value.starts_with(b"=?") && words(value).all(|word| word.is_some())
}

/// The text of the words of a value together; `None` when one of them cannot be read.
pub(super) fn decode(value: &[u8]) -> Option<String> {
    let mut decoded = String::new();
    let mut pending: Vec<u8> = Vec::new();
    let mut charset: &[u8] = b"";
    for word in words(value) {
        let word = word?;
        // A character may be spread over two words: it should not, but it is.
        if !word.charset.eq_ignore_ascii_case(charset) {
            decoded.push_str(&text(charset, std::mem::take(&mut pending))?);
            charset = word.charset;
        }
        pending.extend(word.bytes()?);
    }
    decoded.push_str(&text(charset, pending)?);
    Some(decoded)
}

fn words(value: &[u8]) -> impl Iterator<Item = Option<Word<'_>>> {
    let pieces = value.split(|&byte| is_space(byte));
    pieces.filter(|piece| !piece.is_empty()).map(Word::parse)
}

impl<'a> Word<'a> {
    fn parse(piece: &'a [u8]) -> Option<Self> {
        let inner = piece.strip_prefix(b"=?")?.strip_suffix(b"?=")?;
        let mut fields = inner.split(|&byte| byte == b'?');
        let (charset, encoding, text) = (fields.next()?, fields.next()?, fields.next()?);
        // RFC 2231 section 5 puts a language behind an asterisk.
        let charset = charset.split(|&byte| byte == b'*').next()?;
        let [encoding] = encoding else { return None };
        let whole = fields.next().is_none() && !charset.is_empty();
        let printable = text.iter().all(u8::is_ascii_graphic);
        (whole && printable && charset.iter().all(|&b| is_token(b))).then_some(Word {
            charset,
            encoding: encoding.to_ascii_lowercase(),
            text,
        })
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        match self.encoding {
            b'b' => BASE64.decode(self.text).ok(),
            b'q' => self.quoted(),
            _ => None,
        }
    }

    /// The `Q` encoding: `_` is a space, `=XX` a byte.
    fn quoted(&self) -> Option<Vec<u8>> {
        let mut decoded = Vec::with_capacity(self.text.len());
        let mut rest = self.text;
        while let [byte, after @ ..] = rest {
            rest = after;
            decoded.push(match byte {
                b'_' => b' ',
                b'=' => {
                    let (code, after) = rest.split_first_chunk()?;
                    rest = after;
                    hex_byte(*code)?
                }
                _ => *byte,
            });
        }
        Some(decoded)
    }
}

/// Bytes in one of the three charsets that are read.
fn text(charset: &[u8], bytes: Vec<u8>) -> Option<String> {
    let is = |names: &[&str]| {
        let named = |name: &&str| charset.eq_ignore_ascii_case(name.as_bytes());
        names.iter().any(named)
    };
    if bytes.is_empty() || is(&["utf-8", "utf8"]) {
        String::from_utf8(bytes).ok()
    } else if is(&["us-ascii", "ascii"]) {
        let ascii = bytes.is_ascii().then_some(bytes)?;
        String::from_utf8(ascii).ok()
    } else if is(&["iso-8859-1", "latin1"]) {
        Some(bytes.into_iter().map(char::from).collect())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_together() {
        for (value, expected) in [
            ("=?utf-8?B?w7ZmZmVudGxpY2gucGRm?=", "öffentlich.pdf"),
            ("=?UTF-8?Q?r=C3=A9sum=c3=A9_=3F.pdf?=", "résumé ?.pdf"),
            ("=?iso-8859-1?q?caf=E9?=", "café"),
            ("=?us-ascii*en?Q?a?= =?UTF-8?B?w6k?=", "aé"),
            // One character over two words.
            ("=?UTF-8?Q?=C3?=  =?utf-8?Q?=A9.txt?=", "é.txt"),
            ("=?utf-8?B??=", ""),
        ] {
            assert!(is_encoded(value.as_bytes()), "{value}");
            assert_eq!(
                decode(value.as_bytes()).as_deref(),
                Some(expected),
                "{value}"
            );
        }
    }

    #[test]
    fn what_is_no_word_or_cannot_be_read_is_left() {
        for value in [
            "",
            "a.txt",
            "=?",
            "=?=",
            "=?utf-8?B?w6k=?= a",
            "a =?utf-8?B?w6k=?=",
            "=?utf-8?B?w6k=",
            "=?utf-8?B?w6k=?=.txt",
            "=?utf-8?BB?w6k=?=",
            "=??B?w6k=?=",
            "=?utf-8?Q?a?b?=",
        ] {
            assert!(!is_encoded(value.as_bytes()), "{value}");
        }
        for value in [
            "=?utf-8?B?w6?=",
            "=?utf-8?B?#?=",
            "=?utf-8?X?a?=",
            "=?koi8-r?Q?a?=",
            "=?utf-8?Q?=FF?=",
            "=?us-ascii?Q?=E9?=",
            "=?utf-8?Q?=4?=",
        ] {
            assert!(is_encoded(value.as_bytes()), "{value}");
            assert_eq!(decode(value.as_bytes()), None, "{value}");
        }
    }
}
