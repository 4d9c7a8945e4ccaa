//! `Content-Disposition`: of a part as it comes in (RFC 7578 section 4.2), and of a raw download
//! as it goes out (RFC 6266, RFC 8187).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::Bytes;

use super::error::{DecodeErrorKind, quote};
use super::params::{Param, Params, Unquoted};

/// The name a file came under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawFileName {
    /// From `filename`, as it came: quotes and their escapes removed, percent codes kept.
    Plain(Bytes),
    /// From a `filename*` that stood alone, decoded. It may hold anything, NUL and CR LF included.
    Extended(String),
    /// A `filename*` stood alone and could not be decoded: the name is to be made from the
    /// field's.
    Unreadable,
}

impl RawFileName {
    /// The bytes of the name; `None` when there is none to be had.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            RawFileName::Plain(name) => Some(name),
            RawFileName::Extended(name) => Some(name.as_bytes()),
            RawFileName::Unreadable => None,
        }
    }
}

/// What a part's `Content-Disposition` says.
#[derive(Debug)]
pub(super) struct Disposition {
    pub name: Bytes,
    pub file: Option<RawFileName>,
}

/// Reads the value of a part's `Content-Disposition`.
///
/// # Errors
/// The fault, with its position in the value.
pub(super) fn parse(value: &[u8]) -> Result<Disposition, (usize, DecodeErrorKind)> {
    let (kind, mut params) = Params::new(value, Unquoted::Token);
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err((0, DecodeErrorKind::NotFormData));
    }
    let mut others = BTreeSet::new();
    let (mut name, mut plain, mut extended) = (None, None, None);
    while let Some(param) = params
        .next()
        .map_err(|(at, fault)| (at, DecodeErrorKind::Parameter(fault)))?
    {
        let is = |key: &[u8]| param.name.eq_ignore_ascii_case(key);
        let value = || Bytes::copy_from_slice(&param.value);
        let repeated = if is(b"name") {
            name.replace(value()).is_some()
        } else if is(b"filename") {
            plain.replace(value()).is_some()
        } else if is(b"filename*") {
            extended.replace(decode_extended(&param)).is_some()
        } else {
            let key = param.name.to_ascii_lowercase();
            if is_continued(&key) {
                let shown = quote(param.name);
                return Err((param.at, DecodeErrorKind::ContinuedParameter(shown)));
            }
            !others.insert(key)
        };
        if repeated {
            let shown = quote(param.name);
            return Err((param.at, DecodeErrorKind::DuplicateParameter(shown)));
        }
    }
    // RFC 7578 section 4.2 forbids `filename*`: beside a plain one it says nothing.
    let file = match (plain, extended) {
        (Some(plain), _) => Some(RawFileName::Plain(plain)),
        (None, Some(Some(decoded))) => Some(RawFileName::Extended(decoded)),
        (None, Some(None)) => Some(RawFileName::Unreadable),
        (None, None) => None,
    };
    match name {
        Some(name) => Ok(Disposition { name, file }),
        None => Err((0, DecodeErrorKind::NoName)),
    }
}

/// `name*0`, `filename*1*` and the like (RFC 2231 section 3), in lower case.
fn is_continued(key: &[u8]) -> bool {
    [&b"name*"[..], b"filename*"]
        .iter()
        .filter_map(|prefix| key.strip_prefix(*prefix))
        .any(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

/// Decodes an `ext-value` of RFC 8187 section 3.2.1 in UTF-8, the one encoding that is read.
fn decode_extended(param: &Param<'_>) -> Option<String> {
    if param.quoted {
        return None;
    }
    let mut pieces = param.value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, text) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if !charset.eq_ignore_ascii_case(b"utf-8") {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            if !is_attr_char(*byte) {
                return None;
            }
            decoded.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = rest else {
            return None;
        };
        decoded.push(hex(*high)? << 4 | hex(*low)?);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// `attr-char` of RFC 8187 section 3.2.1: what stands for itself in an `ext-value`.
fn is_attr_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
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

/// The value of `Content-Disposition` for a raw download: an ASCII `filename` for old programs,
/// and the name itself as `filename*` (RFC 6266 section 4.3 and appendix D).
///
/// Whatever `name` is, the value is printable ASCII and fit for a header.
pub fn attachment(name: &str, inline: bool) -> String {
    let mut value = String::with_capacity(64 + 4 * name.len());
    value.push_str(if inline { "inline" } else { "attachment" });
    value.push_str("; filename=\"");
    // `%` is left out because some programs decode it in `filename` as well.
    value.extend(name.chars().map(|c| match c {
        '"' | '\\' | '%' => '_',
        ' '..='~' => c,
        _ => '_',
    }));
    value.push_str("\"; filename*=UTF-8''");
    for &byte in name.as_bytes() {
        if is_attr_char(byte) {
            value.push(char::from(byte));
        } else {
            write!(value, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(value: &str) -> Option<RawFileName> {
        parse(value.as_bytes()).expect("a disposition").file
    }

    fn plain(name: &'static str) -> Option<RawFileName> {
        Some(RawFileName::Plain(Bytes::from_static(name.as_bytes())))
    }

    fn extended(name: &str) -> Option<RawFileName> {
        Some(RawFileName::Extended(name.to_owned()))
    }

    #[test]
    fn filename_star_counts_only_alone() {
        let both = "form-data; name=a; filename=b; filename*=UTF-8''c";
        assert_eq!(file(both), plain("b"));
        let turned = "form-data; name=a; filename*=UTF-8''c; filename=b";
        assert_eq!(file(turned), plain("b"));
        let broken = "form-data; name=a; filename*=nonsense; filename=b";
        assert_eq!(file(broken), plain("b"));
        let alone = "form-data; name=a; filename*=utf-8'de'%E2%82%ac%20x";
        assert_eq!(file(alone), extended("€ x"));
        assert_eq!(file("form-data; name=a"), None);
    }

    #[test]
    fn an_unreadable_filename_star_still_makes_a_file() {
        for value in [
            "nonsense",
            "UTF-8'x",
            "ISO-8859-1''%E9",
            "UTF-8''%E9",
            "UTF-8''%4",
            "UTF-8''%zz",
            "UTF-8''%+1",
            "''x",
            "UTF-8''it's",
            "\"UTF-8''x\"",
        ] {
            let header = format!("form-data; name=a; filename*={value}");
            assert_eq!(file(&header), Some(RawFileName::Unreadable), "{value}");
        }
        assert_eq!(file("form-data; name=a; filename*=UTF-8''"), extended(""));
    }

    #[test]
    fn many_parameters_are_read_in_linear_time() {
        let mut header = String::from("form-data; name=a");
        for i in 0..100_000 {
            write!(header, ";p{i}=").unwrap();
            header.push('x');
        }
        assert!(parse(header.as_bytes()).is_ok());
    }

    #[test]
    fn display_names_decode_what_browsers_encode_and_nothing_else() {
        assert_eq!(*display_name(b"a%22b%0D%0Ac"), *b"a\"b\r\nc");
        assert_eq!(*display_name(b"100%25 %2 %0d %"), *b"100%25 %2 %0d %");
        assert_eq!(*display_name(b"%%22\xff"), *b"%\"\xff");
    }

    #[test]
    fn attachments_are_safe_for_any_name() {
        assert_eq!(
            attachment("part1.txt", false),
            "attachment; filename=\"part1.txt\"; filename*=UTF-8''part1.txt"
        );
        assert_eq!(
            attachment("na\u{ef}ve \"€\" 50%.txt", true),
            "inline; filename=\"na_ve ___ 50_.txt\"; \
             filename*=UTF-8''na%C3%AFve%20%22%E2%82%AC%22%2050%25.txt"
        );
        let value = attachment("a\r\nSet-Cookie: b\0\\\u{202e}", false);
        assert!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{value}"
        );
        assert!(
            value.starts_with("attachment; filename=\"a__Set-Cookie: b___\"; "),
            "{value}"
        );
    }
}
