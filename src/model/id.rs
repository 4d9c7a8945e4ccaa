//! The name of one upload.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Crockford's base32, lower case: no `i`, `l`, `o` or `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LEN: usize = 26;
/// Which bytes are of the alphabet: every request has an id, or several, to be read.
const IN_ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        table[ALPHABET[at] as usize] = true;
        at += 1;
    }
    table
};

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

    /// The first of all ids in their order.
    pub fn first() -> Self {
        UploadId([ALPHABET[0]; LEN])
    }

    /// The last of all ids in their order.
    pub fn last() -> Self {
        Self::from_bits(u128::MAX)
    }

    fn from_bits(mut bits: u128) -> Self {
        let mut text = [0; LEN];
        for place in text.iter_mut().rev() {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        UploadId(text)
    }

    /// The id that a person wrote down as `text`: in capitals, or with a letter that looks like one
    /// of its own (Crockford: `i` and `l` are 1, `o` is 0). `None` where it is the id itself, or
    /// none.
    ///
    /// ```
    /// use wharf::model::UploadId;
    ///
    /// let id = UploadId::meant_by("OC8R5V3M9AG7WQK2HT4XZ1Y6NE").unwrap();
    /// assert_eq!(id.as_str(), "0c8r5v3m9ag7wqk2ht4xz1y6ne");
    /// assert_eq!(UploadId::meant_by(id.as_str()), None);
    /// ```
    pub fn meant_by(text: &str) -> Option<Self> {
        let mut bytes: [u8; LEN] = text.as_bytes().try_into().ok()?;
        for byte in &mut bytes {
            *byte = match byte.to_ascii_lowercase() {
                b'i' | b'l' => b'1',
                b'o' => b'0',
                lower => lower,
            };
        }
        let meant = str::from_utf8(&bytes).ok()?;
        meant.parse().ok().filter(|_| meant != text)
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
        if bytes[0] > b'7' || !bytes.iter().all(|byte| IN_ALPHABET[usize::from(*byte)]) {
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

/// The fewest characters of an [`IdBeginning`].
const FEWEST: usize = 4;

/// The beginning of an id, as a person remembers it: so many characters that few others begin so.
///
/// ```
/// use wharf::model::{IdBeginning, UploadId};
///
/// let id: UploadId = "0c8r5v3m9ag7wqk2ht4xz1y6ne".parse()?;
/// assert!(IdBeginning::parse("OC8R5")?.is_of(&id));
/// assert!(!IdBeginning::parse("0c8q")?.is_of(&id));
/// assert!(IdBeginning::parse("0c8").is_err() && IdBeginning::parse("0c8u").is_err());
/// # Ok::<(), wharf::model::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdBeginning(String);

impl IdBeginning {
    /// Reads one; capitals and letters that look alike are taken as in [`UploadId::meant_by`].
    ///
    /// # Errors
    /// It is too short, or no id begins so.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() < FEWEST || text.len() > LEN || !text.is_ascii() {
            return Err(IdError);
        }
        let whole = format!("{text:0<LEN$}");
        let id = UploadId::meant_by(&whole).map_or_else(|| whole.parse(), Ok)?;
        Ok(IdBeginning(id.as_str()[..text.len()].to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an id begins so.
    pub fn is_of(&self, id: &UploadId) -> bool {
        id.as_str().starts_with(&self.0)
    }

    /// The folder of the store that such uploads lie in.
    pub fn prefix(&self) -> Prefix {
        let bytes = self.0.as_bytes();
        Prefix([bytes[0], bytes[1]])
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
