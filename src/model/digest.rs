//! SHA-256 of a content, and the header fields that carry it (RFC 9530).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest. As text and in JSON: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// A `Repr-Digest` or `Content-Digest` that cannot be honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest of the form sha-256=:BASE64: (RFC 9530)")]
pub struct DigestHeaderError(String);

impl Digest {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The value of a `Repr-Digest` field (RFC 9530 section 3).
    pub fn to_header(&self) -> String {
        let mut field = String::with_capacity(54);
        field.push_str("sha-256=:");
        STANDARD.encode_string(self.0, &mut field);
        field.push(':');
        field
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }
}

/// The SHA-256 that a `Repr-Digest` or `Content-Digest` field names, a dictionary of RFC 8941
/// section 3.2. Other algorithms are passed over; `None` when it names only such.
///
/// # Errors
/// The member `sha-256` is not a byte sequence of 32 bytes, or the field has no members.
pub fn expected_sha256(field: &[u8]) -> Result<Option<Digest>, DigestHeaderError> {
    let refused = || DigestHeaderError(field.escape_ascii().to_string());
    let text = str::from_utf8(field).map_err(|_| refused())?;
    let mut found = None;
    for member in text.split(',') {
        let (name, value) = member.trim().split_once('=').ok_or_else(refused)?;
        let value = value
            .strip_prefix(':')
            .and_then(|value| value.strip_suffix(':'))
            .ok_or_else(refused)?;
        if name == "sha-256" {
            let bytes = STANDARD.decode(value).map_err(|_| refused())?;
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| refused())?;
            found = Some(Digest(bytes));
        }
    }
    Ok(found)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0, &mut [0; 64])
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_hex(&text)
            .map(Digest)
            .ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// Writes `bytes` as lower-case hexadecimal digits, for which `text` has the room.
pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8], text: &mut [u8]) -> fmt::Result {
    f.write_str(base16ct::lower::encode_str(bytes, text).map_err(|_| fmt::Error)?)
}

/// Reads exactly `2 * N` hexadecimal digits.
pub(super) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let read = base16ct::mixed::decode(text, &mut bytes).ok()?;
    (read.len() == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &str = "sha-256=:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:";

    fn counted() -> Digest {
        Digest(std::array::from_fn(|i| i as u8))
    }

    #[test]
    fn the_field_is_read_and_written() {
        assert_eq!(counted().to_header(), FIELD);
        assert_eq!(expected_sha256(FIELD.as_bytes()), Ok(Some(counted())));
        let several = format!("md5=:AA==:,\t{FIELD} , sha-512=:AA==:");
        assert_eq!(expected_sha256(several.as_bytes()), Ok(Some(counted())));
        assert_eq!(expected_sha256(b"sha-512=:AA==:"), Ok(None));
    }

    #[test]
    fn what_is_no_digest_is_named() {
        for field in [
            "",
            "sha-256",
            "sha-256=AA",
            "sha-256=:AA==:",
            "sha-256=:*:",
            "sha-256=:\u{e9}:",
        ] {
            let error = expected_sha256(field.as_bytes()).unwrap_err();
            let shown = format!("{:?}", field.as_bytes().escape_ascii().to_string());
            assert!(error.to_string().starts_with(&shown), "{error}");
        }
    }

    #[test]
    fn json_is_hexadecimal() {
        let json = serde_json::to_string(&counted()).unwrap();
        assert!(json.starts_with("\"000102"), "{json}");
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), counted());
        assert!(serde_json::from_str::<Digest>("\"0g\"").is_err());
    }
}
