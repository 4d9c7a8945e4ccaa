//! Text that shows what it is made of, wherever it is printed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether what prints text acts on `c` and does not show it: control characters (C0, DEL, C1),
/// what turns the direction of text (Unicode Annex 9), separators of lines and paragraphs.
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` without them.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(is_active) {
        text.chars().filter(|&c| !is_active(c)).collect()
    } else {
        Cow::Borrowed(text)
    }
}

/// A JSON text that says the same and has them as escapes (RFC 8259 section 7). Outside of
/// strings JSON is ASCII, where line ends and tabs may stand.
///
/// ```
/// assert_eq!(wharf::model::plain_json("\"a\u{202e}b\u{9b}\""), r#""a\u202eb\u009b""#);
/// ```
pub fn plain_json(json: &str) -> Cow<'_, str> {
    let escaped = |c: char| is_active(c) && c >= '\u{7f}';
    if !json.contains(escaped) {
        return Cow::Borrowed(json);
    }
    let mut plain = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if escaped(c) {
            // Writing to a String does not fail; all of them have four digits.
            let _ = write!(plain, "\\u{:04x}", u32::from(c));
        } else {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_left_out() {
        assert_eq!(plain("a\u{202e}b\x1b[2Jc\u{9b}\n\u{2028}"), "ab[2Jc");
        assert!(matches!(plain("résumé (1) .pdf"), Cow::Borrowed(_)));
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({ "a\u{85}": "\u{2066}x\u{7f}\n\u{202e}é" });
        let text = value.to_string();
        let plain = plain_json(&text);
        assert!(!plain.contains(|c: char| is_active(c)));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&plain).unwrap(),
            value
        );
    }
}
