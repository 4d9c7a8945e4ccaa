//! `Content-Disposition`: of a part as it comes in (RFC 7578 section 4.2), and of a raw download
//! as it goes out (RFC 6266, RFC 8187).

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::encoded_word;
use super::error::{DecodeErrorKind, quote};
use super::params::{Param, Params, Unquoted, hex_byte};
use crate::model::display_name;

/// The name a file came under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawFileName {
    /// From `filename`, as it came: quotes and their escapes removed, percent codes kept.
    Plain(Bytes),
    /// From a `filename*` that stood alone, decoded. It may hold anything, NUL and CR LF included.
    Extended(String),
    /// From a `filename` that is as a whole made of encoded words (RFC 2047): .NET, PowerShell and
    /// Spring send such for a name that is not ASCII, most with a `filename*` beside it. Boxed,
    /// because it is seldom.
    Encoded(Box<EncodedFileName>),
    /// A `filename*` stood alone and could not be decoded: the name is to be made from the
    /// field's.
    Unreadable,
}

/// A file name in encoded words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFileName {
    /// `filename`, as it came.
    pub plain: Bytes,
    /// The value of the `filename*` beside it, as it came, where that is well-formed.
    pub extended: Option<String>,
    /// The name that was meant.
    pub name: String,
}

impl RawFileName {
    /// The bytes of the name as it came; `None` when there is none to be had.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            RawFileName::Plain(name) => Some(name),
            RawFileName::Extended(name) => Some(name.as_bytes()),
            RawFileName::Encoded(encoded) => Some(&encoded.plain),
            RawFileName::Unreadable => None,
        }
    }

    /// The name for people, of a file that came in `field`: see [`display_name`].
    pub fn display<'a>(&'a self, field: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            RawFileName::Plain(name) => display_name(name),
            RawFileName::Extended(name) => Cow::Borrowed(name.as_bytes()),
            RawFileName::Encoded(encoded) => Cow::Borrowed(encoded.name.as_bytes()),
            RawFileName::Unreadable => display_name(field),
        }
    }
}

/// The parameters of a part's `Content-Disposition`.
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
            extended.replace(Extended::of(&param)).is_some()
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
    let file = match (plain, extended) {
        (Some(plain), extended) => Some(plain_name(plain, extended.flatten())),
        (None, Some(Some(extended))) => Some(RawFileName::Extended(extended.decoded)),
        (None, Some(None)) => Some(RawFileName::Unreadable),
        (None, None) => None,
    };
    match name {
        Some(name) => Ok(Disposition { name, file }),
        None => Err((0, DecodeErrorKind::NoName)),
    }
}

/// RFC 7578 section 4.2 forbids `filename*`: beside a plain name it says nothing, unless that one
/// is there only for programs that cannot read more than ASCII.
fn plain_name(plain: Bytes, extended: Option<Extended>) -> RawFileName {
    if !encoded_word::is_encoded(&plain) {
        return RawFileName::Plain(plain);
    }
    let (extended, name) = match extended {
        Some(Extended { raw, decoded }) => (Some(raw), Some(decoded)),
        None => (None, encoded_word::decode(&plain)),
    };
    match name {
        None => RawFileName::Plain(plain),
        Some(name) => RawFileName::Encoded(Box::new(EncodedFileName {
            plain,
            extended,
            name,
        })),
    }
}

/// A well-formed `filename*`.
struct Extended {
    raw: String,
    decoded: String,
}

impl Extended {
    fn of(param: &Param<'_>) -> Option<Self> {
        Some(Extended {
            decoded: decode_extended(param)?,
            raw: str::from_utf8(&param.value).ok()?.to_owned(),
        })
    }
}

/// `name*0`, `filename*1*` and the like (RFC 2231 section 3), in lower case.
fn is_continued(key: &[u8]) -> bool {
    [&b"name*"[..], b"filename*"]
        .iter()
        .filter_map(|prefix| key.strip_prefix(*prefix))
        .any(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

/// Decodes an `ext-value` of RFC 8187 section 3.2.1 in UTF-8, the one encoding that is read. Not by
/// `percent-encoding`, which lets a malformed code and any other character pass: such a value is no
/// name.
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
        let (code, after) = rest.split_first_chunk()?;
        decoded.push(hex_byte(*code)?);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

/// `attr-char` of RFC 8187 section 3.2.1: the characters that stand for themselves in an `ext-value`.
fn is_attr_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

/// All but [`is_attr_char`], which stands for itself.
const EXT_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The value of `Content-Disposition` for a raw download: an ASCII `filename` for old programs,
/// and the name itself as `filename*` (RFC 6266 section 4.3 and appendix D).
///
/// For every `name` the value is printable ASCII and fit for a header.
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
    value.extend(utf8_percent_encode(name, EXT_VALUE));
    value
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

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
