//! Text as it came, which need not be UTF-8.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are text as a rule. In JSON: a string, or `{"base64": "…"}` when they are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RawText(Bytes);

impl RawText {
    /// The bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, with U+FFFD where they are not UTF-8.
    pub fn to_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The bytes, shared.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl<T: Into<Bytes>> From<T> for RawText {
    fn from(bytes: T) -> Self {
        RawText(bytes.into())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Base64 { base64: String },
}

impl Serialize for RawText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Form::Base64 {
                base64: STANDARD.encode(&self.0),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RawText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(text.into()),
            Form::Base64 { base64 } => STANDARD
                .decode(base64)
                .map(RawText::from)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// A field or file name for people: `%22`, `%0D` and `%0A`, which browsers send for `"`, CR and
/// LF (WHATWG HTML, multipart/form-data encoding algorithm), decoded; nothing else is.
pub fn display_name(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'%') {
        return Cow::Borrowed(name);
    }
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, after @ ..] = rest {
        let (byte, after) = match rest {
            [b'%', b'2', b'2', after @ ..] => (b'"', after),
            [b'%', b'0', b'D', after @ ..] => (b'\r', after),
            [b'%', b'0', b'A', after @ ..] => (b'\n', after),
            _ => (*first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_other_bytes_survive() {
        for (bytes, json) in [
            (&b"caf\xc3\xa9"[..], "\"café\""),
            (b"caf\xe9", "{\"base64\":\"Y2Fm6Q==\"}"),
            (b"", "\"\""),
        ] {
            let raw = RawText::from(bytes.to_vec());
            assert_eq!(serde_json::to_string(&raw).unwrap(), json);
            assert_eq!(serde_json::from_str::<RawText>(json).unwrap(), raw);
        }
    }

    #[test]
    fn display_names_decode_what_browsers_encode_and_nothing_else() {
        assert_eq!(*display_name(b"a%22b%0D%0Ac"), *b"a\"b\r\nc");
        assert_eq!(*display_name(b"100%25 %2 %0d %"), *b"100%25 %2 %0d %");
        assert_eq!(*display_name(b"%%22\xff"), *b"%\"\xff");
    }
}
