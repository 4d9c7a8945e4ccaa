//! The name of a stored file: one path component for every text that a client sends.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;

/// The most bytes of UTF-8 a name may have.
pub(super) const LIMIT: usize = 200;
/// An extension longer than this is text with a dot in it.
const EXTENSION_LIMIT: usize = 32;
/// Bytes that are kept free for the number of a twin, ` (12345678)`.
pub(super) const MARK: usize = 11;
/// The name of a file of whose own name nothing is left.
const NAMELESS: &str = "file";

/// Names that Windows gives to devices, with any extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// Characters of `conout$`.
const LONGEST_DEVICE: usize = 7;

/// The characters that Windows allows in no name, beside separators of components and controls
/// (Microsoft, "Naming Files, Paths, and Namespaces"). `:` begins another stream of the same file
/// there.
const FORBIDDEN: [char; 7] = ['<', '>', ':', '"', '|', '?', '*'];

/// A safe file name: one path component of at most 200 bytes, in NFC, without invisible
/// characters, leading dots, trailing dots or spaces, with `_` for what Windows forbids, and not a
/// device of Windows. One that an older version stored may have more: [`parse`](Self::parse).
///
/// ```
/// use wharf::model::FileName;
///
/// assert_eq!(FileName::from_upload(b"C:\\My Files\\r\xc3\xa9sum\xc3\xa9.pdf").as_str(),
/// "résumé.pdf"); assert_eq!(FileName::from_upload(b"../../etc/passwd").as_str(), "passwd");
/// assert_eq!(FileName::from_upload(b".bashrc").as_str(), "_.bashrc");
/// assert_eq!(FileName::from_upload(b"12:30?.txt").as_str(), "12_30_.txt");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Arc<str>);

/// A text that cannot be a [`FileName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a safe file name")]
pub struct FileNameError(String);

impl FileName {
    /// The safe form of a name as a client gave it: its last path component, where both `/` and
    /// `\` separate. Bytes that are not UTF-8 become U+FFFD. Every input has one.
    pub fn from_upload(name: &[u8]) -> Self {
        let text = String::from_utf8_lossy(name);
        let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut clean = composed(last);
        if clean.contains(is_removed) || clean.contains(FORBIDDEN) {
            let kept = clean.chars().filter(|&c| !is_removed(c));
            let kept: String = kept
                .map(|c| if FORBIDDEN.contains(&c) { '_' } else { c })
                .collect();
            // Removing a character can bring two together that compose.
            clean = composed(&kept).into_owned().into();
        }
        let trimmed = match trim(&clean) {
            "" => NAMELESS,
            trimmed => trimmed,
        };
        let short = shorten(plain(Cow::Borrowed(trimmed)), LIMIT);
        // Where it was cut in a row of spaces, a device may be left, and room for one byte more.
        FileName(plain(short).into())
    }

    /// The name of a stored file, when `text` can be one: a stored file stays readable, though
    /// [`from_upload`](Self::from_upload) may give it another name today.
    ///
    /// # Errors
    /// It is too long or not one path component, is hidden, or has characters that no name keeps.
    pub fn parse(text: &str) -> Result<Self, FileNameError> {
        let one = !text.is_empty() && text.len() <= LIMIT && !text.contains(['/', '\\']);
        if one && !text.starts_with('.') && !text.contains(is_never_kept) {
            Ok(FileName(text.into()))
        } else {
            Err(FileNameError(text.to_owned()))
        }
    }

    /// The names that a file may have in the store when a client asks for `text`: the safe form of
    /// the text and, where an older version kept characters that are removed or replaced today, the
    /// text itself.
    pub fn asked(text: &str) -> impl Iterator<Item = Self> + use<> {
        let safe = Self::from_upload(text.as_bytes());
        let same = safe.as_str() == text;
        let older = if same { None } else { Self::parse(text).ok() };
        std::iter::once(safe).chain(older)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key that two names share when a file system that folds case could take one for the other.
    pub(super) fn folded(&self) -> String {
        Self::fold(&self.0)
    }

    /// The same for a text of several names.
    pub(super) fn fold(text: &str) -> String {
        // Upper case first joins what lower case alone keeps apart (`ß` and `SS`).
        composed(&text.to_uppercase().to_lowercase()).into_owned()
    }

    /// `a.txt` as `a (2).txt`. Long stems are cut alike for every number, so that names that have
    /// one number in common have all.
    pub(super) fn numbered(&self, number: usize) -> Self {
        let (stem, extension) = split_extension(&self.0);
        let mark = format!(" ({number})");
        let room = LIMIT - mark.len().max(MARK) - extension.len();
        let stem = stem[..floor(stem, room)].trim_end();
        FileName(format!("{stem}{mark}{extension}").into())
    }
}

/// Control characters, and those that turn the direction of text (Unicode Annex 9): no version
/// has kept them.
pub(super) fn is_never_kept(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that are not shown: two names that differ only in them look the same. Beside the
/// above these are `Default_Ignorable_Code_Point` of Unicode (zero width, selectors, tags, fillers,
/// the BOM) and the marks of annotations.
pub(super) fn is_removed(c: char) -> bool {
    is_never_kept(c)
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200d}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Unicode's normalization form C, which ASCII is in.
fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

fn trim(name: &str) -> &str {
    let name = name.trim_start();
    name.trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

/// A name that is neither hidden nor a device's.
fn plain(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.starts_with('.') || is_device(&name) {
        Cow::Owned(format!("_{name}"))
    } else {
        name
    }
}

/// `CON`, `con.txt`, `COM1`, `lpt9.log` (Microsoft, "Naming Files, Paths, and Namespaces").
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if stem.chars().nth(LONGEST_DEVICE).is_some() {
        return false;
    }
    let stem = stem.to_lowercase();
    let numbered = ["com", "lpt"].iter().any(|port| {
        let number = stem.strip_prefix(port).unwrap_or_default();
        matches!(
            number,
            "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
        )
    });
    numbered || DEVICES.contains(&stem.as_str()) || matches!(stem.as_str(), "conin$" | "conout$")
}

/// Cuts at a character boundary, and keeps the extension.
fn shorten(name: Cow<'_, str>, limit: usize) -> Cow<'_, str> {
    if name.len() <= limit {
        return name;
    }
    let (stem, extension) = split_extension(&name);
    let stem = &stem[..floor(stem, limit - extension.len())];
    let stem = stem.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    Cow::Owned(format!("{stem}{extension}"))
}

fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= EXTENSION_LIMIT => name.split_at(at),
        _ => (name, ""),
    }
}

/// The last character boundary of `text` up to byte `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn safe(name: &str) -> String {
        FileName::from_upload(name.as_bytes()).to_string()
    }

    pub fn stays(name: &FileName) -> bool {
        FileName::from_upload(name.as_str().as_bytes()) == *name
            && FileName::parse(name.as_str()) == Ok(name.clone())
    }

    #[test]
    fn hostile_names_get_a_safe_form() {
        for (name, expected) in [
            ("part1.txt", "part1.txt"),
            ("a/b\\c.txt", "c.txt"),
            ("", "file"),
            (".", "file"),
            ("..", "file"),
            ("a/..", "file"),
            ("dir/", "file"),
            ("...", "file"),
            (".htaccess", "_.htaccess"),
            (" a .txt. . ", "a .txt"),
            ("CON", "_CON"),
            ("nul.tar.gz", "_nul.tar.gz"),
            ("COM1.txt", "_COM1.txt"),
            ("COM10.txt", "COM10.txt"),
            ("console.txt", "console.txt"),
            ("a\0b\r\n\x7fc", "abc"),
            ("ab\u{202e}gpj.exe", "abgpj.exe"),
            ("e\u{301}.txt", "é.txt"),
            ("e\u{200e}\u{301}.txt", "é.txt"),
            ("<b>\"x\".svg", "_b__x_.svg"),
            ("a:b", "a_b"),
            ("c:con", "c_con"),
            ("C:\\dir\\nul:.txt", "nul_.txt"),
            ("a|b?*", "a_b__"),
            ("a\u{200b}\u{feff}b\u{e0041}.t\u{ad}xt", "ab.txt"),
            ("\u{200d}\u{2060}", "file"),
            ("co\u{200b}n", "_con"),
            (".\u{feff}.", "file"),
            ("a.txt\u{200b}.", "a.txt"),
            // The first composes to one that is allowed.
            ("<\u{338} <\u{200b}\u{338}", "\u{226e} _\u{338}"),
        ] {
            assert_eq!(safe(name), expected, "{name:?}");
        }
        assert_eq!(
            FileName::from_upload(b"caf\xe9.txt").as_str(),
            "caf\u{fffd}.txt"
        );
    }

    #[test]
    fn long_names_keep_their_extension() {
        let long = safe(&format!("{}.tar.gz", "é".repeat(200)));
        assert_eq!(long.len(), 199);
        assert!(long.ends_with("é.gz"), "{long}");
        assert_eq!(safe(&"x".repeat(400)).len(), LIMIT);
        assert_eq!(safe(&format!("a.{}", "x".repeat(400))).len(), LIMIT);
    }

    #[test]
    fn a_name_that_is_cut_becomes_no_device() {
        for name in ["CON SPACE x.txt", "aux SPACE zzzzzzzz", "COM1 SPACE q.pdf"] {
            for (space, count) in [(" ", 220), ("\u{3000}", 100)] {
                let name = name.replace(" SPACE ", &space.repeat(count));
                assert!(safe(&name).starts_with('_'), "{}", safe(&name));
            }
        }
    }

    #[test]
    fn what_is_stored_is_one_component() {
        for name in ["aux.txt", "a ", "e\u{301}", "a:b", "a\u{200b}<b>"] {
            assert_eq!(FileName::parse(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "a\\b",
            "a\0",
            "\u{202e}a",
            &"x".repeat(201),
        ] {
            assert!(FileName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_is_asked_for_as_it_is_stored_today_and_as_it_was() {
        let asked = |text: &str| -> Vec<String> {
            FileName::asked(text).map(|name| name.to_string()).collect()
        };
        assert_eq!(asked("a.txt"), ["a.txt"]);
        assert_eq!(asked("a:b"), ["a_b", "a:b"]);
        assert_eq!(asked("dir/a.txt"), ["a.txt"]);
        assert_eq!(asked("..\u{202e}"), ["file"]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_name_that_stays_as_it_is(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let name = FileName::from_upload(&bytes);
            prop_assert!(stays(&name), "{name}");
        }

        #[test]
        fn any_text_gives_a_name_that_stays_as_it_is(text in "\\PC{0,120}[. é\u{301}]{0,3}[./\\\\a]{0,2}") {
            let name = FileName::from_upload(text.as_bytes());
            prop_assert!(name.as_str().len() <= LIMIT && !name.as_str().is_empty());
            prop_assert!(stays(&name), "{name}");
            let second = name.numbered(2);
            prop_assert_ne!(&name, &second);
            prop_assert!(stays(&second), "{second}");
        }

        #[test]
        fn so_does_one_that_is_cut_in_a_row_of_spaces(
            name in "(con|aux|com1|\\PC{0,9})(\\.[a-c]{1,3})?[ .\u{3000}]{60,220}\\PC{0,9}(\\.[a-z]{0,40})?"
        ) {
            let name = FileName::from_upload(name.as_bytes());
            prop_assert!(stays(&name), "{name}");
        }
    }
}
