//! The name of one upload.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Crockford's base32, lower case: no `i`, `l`, `o` or `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LEN: usize = 26;

/// 128 random bits as 26 characters of lower-case Crockford base32.
///
/// ```
/// use wharf::model::UploadId;
///
/// let id: UploadId = "0c8r5v3m9ag7wqk2ht4xz1y6ne".parse()?;
/// assert_eq!(id.prefix().as_str(), "0c");
/// assert!("0C8R5V3M9AG7WQK2HT4XZ1Y6NE".parse::<UploadId>().is_err());
/// # Ok::<(), wharf::model::IdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId([u8; LEN]);

/// A text that is no [`UploadId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an upload id has {LEN} characters of 0-9 and a-z without i, l, o and u, the first up to 7"
)]
pub struct IdError;

impl UploadId {
    /// An id never given before: 128 bits from the operating system.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        Ok(Self::from_bits(u128::from_be_bytes(random)))
    }

    fn from_bits(mut bits: u128) -> Self {
        let mut text = [0; LEN];
        for place in text.iter_mut().rev() {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        UploadId(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }

    /// The folder of the store that the upload lies in.
    pub fn prefix(&self) -> Prefix {
        Prefix([self.0[0], self.0[1]])
    }
}

impl FromStr for UploadId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; LEN] = text.as_bytes().try_into().map_err(|_| IdError)?;
        // 26 characters carry 130 bits: the first holds three.
        if bytes[0] > b'7' || !bytes.iter().all(|byte| ALPHABET.contains(byte)) {
            return Err(IdError);
        }
        Ok(UploadId(bytes))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for UploadId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for UploadId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The first two characters of an id: one of 256 folders of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix([u8; 2]);

impl Prefix {
    /// How many there are.
    pub const COUNT: usize = 256;

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Prefix> {
        let first = &ALPHABET[..8];
        first
            .iter()
            .flat_map(|&a| ALPHABET.iter().map(move |&b| Prefix([a, b])))
    }

    /// The folder's name.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }

    /// Its place among [`all`](Self::all), from 0.
    pub fn index(self) -> usize {
        let place = |byte| {
            ALPHABET
                .iter()
                .position(|&known| known == byte)
                .unwrap_or(0)
        };
        place(self.0[0]) * ALPHABET.len() + place(self.0[1])
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_come_back_from_their_text_and_nothing_else_does() {
        for bits in [0, 1, u128::MAX, 1 << 127] {
            let id = UploadId::from_bits(bits);
            assert_eq!(id.as_str().parse(), Ok(id));
        }
        assert_eq!(
            UploadId::from_bits(u128::MAX).as_str(),
            "7zzzzzzzzzzzzzzzzzzzzzzzzz"
        );
        for text in [
            "",
            "part1.txt",
            "8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "0zzzzzzzzzzzzzzzzzzzzzzzzu",
        ] {
            assert_eq!(text.parse::<UploadId>(), Err(IdError), "{text}");
        }
    }

    #[test]
    fn generated_ids_differ() {
        let ids: BTreeSet<UploadId> = (0..1000).map(|_| UploadId::generate().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn each_prefix_knows_its_place() {
        let all: Vec<Prefix> = Prefix::all().collect();
        assert_eq!(all.len(), Prefix::COUNT);
        for (i, prefix) in all.iter().enumerate() {
            assert_eq!(prefix.index(), i);
        }
    }
}
