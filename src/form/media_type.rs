//! The media type that a part says it has.

use super::params::{Params, Unquoted, is_token, trim};

/// Whether this is a media type (RFC 9110 section 8.3.1), parameters and all, in printable ASCII
/// and tabs. A wildcard, which only `Accept` knows, is none.
pub fn is_media_type(value: &[u8]) -> bool {
    let printable = |&byte: &u8| (b' '..=b'~').contains(&byte) || byte == b'\t';
    let (essence, mut params) = Params::new(trim(value), Unquoted::Token);
    let named = |name: &[u8]| !name.is_empty() && name != b"*" && name.iter().all(|&b| is_token(b));
    let mut names = essence.split(|&byte| byte == b'/');
    let (kind, subtype, more) = (names.next(), names.next(), names.next());
    if !kind.is_some_and(named) || !subtype.is_some_and(named) || more.is_some() {
        return false;
    }
    loop {
        match params.next() {
            Ok(Some(_)) => {}
            Ok(None) => return value.iter().all(printable),
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_grammar_allows_is_a_media_type() {
        for value in [
            "text/plain",
            "text/plain; x=\"a\\\"b\"",
            "text/plain ; charset=utf-8",
            "text/plain\t;\tcharset=\"utf-8\" ; format=flowed;",
            "application/vnd.a+json;v=1",
            "TEXT/Plain",
        ] {
            assert!(is_media_type(value.as_bytes()), "{value}");
        }
        for value in [
            "",
            "text",
            "text/",
            "/plain",
            "*/*",
            "text/*",
            "a/b/c",
            "text/plain; x",
            "text /plain",
            "text/plain; x=\"a",
            "text/plain, text/html",
            "text/plain; x=é",
            "text/plain; x=\"\u{1}\"",
        ] {
            assert!(!is_media_type(value.as_bytes()), "{value}");
        }
    }
}
