//! The title of an upload.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::file_name::{is_never_kept, is_removed};

/// The most bytes of UTF-8 a title may have.
const LIMIT: usize = 200;

/// The title that the client has given an upload: text on one line, of at most 200 bytes,
/// without control characters and those that turn the direction of text. A stored one is taken as
/// it is.
///
/// ```
/// use wharf::model::Title;
///
/// let title = Title::from_upload("  Report\nof May \u{202e}").unwrap().unwrap();
/// assert_eq!(title.as_str(), "Report of May");
/// assert_eq!(Title::from_upload(" \u{200b} "), Ok(None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Title(String);

/// A text that is too long for a [`Title`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a title has at most {max} bytes, and this one has {0}", max = LIMIT)]
pub struct TitleError(usize);

impl Title {
    /// The title in a text as a client gave it; `None` where the text shows nothing.
    ///
    /// # Errors
    /// It is too long: a title is not cut, since its end may be what matters.
    pub fn from_upload(text: &str) -> Result<Option<Self>, TitleError> {
        let kept = text.chars().filter_map(|c| match c {
            // Line breaks and tabs stand between words.
            c if is_never_kept(c) && c.is_whitespace() => Some(' '),
            c if is_never_kept(c) => None,
            c => Some(c),
        });
        let kept: String = kept.collect();
        let title = kept.trim();
        if title.chars().all(|c| is_removed(c) || c.is_whitespace()) {
            return Ok(None);
        }
        match title.len() {
            0..=LIMIT => Ok(Some(Title(title.to_owned()))),
            len => Err(TitleError(len)),
        }
    }

    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn title(text: &str) -> Option<String> {
        let title = Title::from_upload(text).unwrap();
        title.map(|title| title.to_string())
    }

    #[test]
    fn titles_are_one_line_of_text() {
        for (text, expected) in [
            ("Report", Some("Report")),
            (" a\tb\r\nc ", Some("a b  c")),
            ("a\0\u{7f}b\u{2028}c", Some("ab c")),
            ("x\u{202e}gpj\u{2066}.exe\u{200f}", Some("xgpj.exe")),
            // A sign that joins letters of a script, or makes one picture of two, stays.
            (
                "\u{1f469}\u{200d}\u{1f52c}",
                Some("\u{1f469}\u{200d}\u{1f52c}"),
            ),
            ("", None),
            ("\n", None),
            ("\u{200b}\u{feff} \u{202e}", None),
        ] {
            assert_eq!(title(text).as_deref(), expected, "{text:?}");
        }
        let longest = "\u{6807}".repeat(66);
        assert_eq!(title(&longest), Some(longest.clone()));
        assert_eq!(
            Title::from_upload(&format!("{longest}\u{6807}")),
            Err(TitleError(201))
        );
        assert_eq!(
            title(&format!("{}\u{202e}", "x".repeat(200)))
                .unwrap()
                .len(),
            200
        );
    }

    proptest! {
        #[test]
        fn a_title_stays_as_it_is(text in "\\PC{0,40}[\r\n\t\u{202e} a]{0,9}") {
            if let Ok(Some(title)) = Title::from_upload(&text) {
                prop_assert_eq!(Title::from_upload(title.as_str()), Ok(Some(title.clone())));
            }
        }
    }
}
