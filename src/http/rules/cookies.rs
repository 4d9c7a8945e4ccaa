//! The four cookies: an upload's delete token, for its page alone; a chosen language; the token that
//! the form of a page has as a field; and that a browser was asked for a secret. Over TLS all of them
//! get `Secure` when the answer goes out, see `rules::secure`.

use http::{HeaderMap, header};

/// The cookie with which an upload's page can delete it.
const TOKEN: &str = "wharf-delete-token";
/// How long it lives, in seconds.
const TOKEN_AGE: u32 = 30 * 24 * 3600;
/// The cookie that a field of the form repeats. No other site's request brings it, and no other
/// site's page can read it.
const FORM: &str = "wharf-form";
/// The cookie of a reader who chose a language.
const LANGUAGE: &str = "wharf-language";
/// The cookie of a browser that was sent to the first page to be asked for a secret.
const ASKED: &str = "wharf-asked";
/// How long it lives, in seconds: as long as a person takes to type.
const ASKED_AGE: u32 = 60;
/// How long the language is remembered, in seconds: a year.
const LANGUAGE_AGE: u32 = 365 * 24 * 3600;

/// The cookie that carries a delete token to the page at `path` alone.
pub fn token_cookie(path: &str, token: &str) -> String {
    format!("{TOKEN}={token}; Path={path}; Max-Age={TOKEN_AGE}; HttpOnly; SameSite=Strict")
}

/// The cookie with the token that a form of the pages under `base` has as a field.
pub fn form_cookie(base: &str, token: &str) -> String {
    format!("{FORM}={token}; Path={base}/; HttpOnly; SameSite=Strict")
}

/// The token that a form of this server's page has as a field.
pub fn form_token(headers: &HeaderMap) -> Option<&str> {
    let ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    cookie(headers, FORM).filter(|token| token.len() >= 22 && token.bytes().all(ours))
}

/// The delete token of the cookie.
pub fn delete_token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, TOKEN).map(str::to_owned)
}

/// The cookie that remembers a language for all pages under `base`.
pub fn language_cookie(base: &str, code: &str) -> String {
    format!("{LANGUAGE}={code}; Path={base}/; Max-Age={LANGUAGE_AGE}; HttpOnly; SameSite=Lax")
}

/// The cookie that remembers for a while that a browser was sent to be asked for a secret.
pub fn asked_cookie(base: &str) -> String {
    format!("{ASKED}=1; Path={base}/; Max-Age={ASKED_AGE}; HttpOnly; SameSite=Lax")
}

/// Whether the browser was sent there a while ago.
pub fn was_asked(headers: &HeaderMap) -> bool {
    cookie(headers, ASKED).is_some()
}

/// The code of a language in the cookie.
pub fn language(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, LANGUAGE)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookies_come_back() {
        let set = token_cookie("/uploads/x", "abc");
        assert!(set.contains("; Path=/uploads/x; ") && set.contains("HttpOnly"));
        assert!(language_cookie("/b", "zh").starts_with("wharf-language=zh; Path=/b/"));
        let mut headers = HeaderMap::new();
        let both = "a=b; wharf-delete-token=abc; wharf-language=zh";
        headers.insert(header::COOKIE, both.parse().unwrap());
        assert_eq!(delete_token(&headers).as_deref(), Some("abc"));
        assert_eq!(language(&headers), Some("zh"));
        assert_eq!(form_token(&headers), None);
        assert!(!was_asked(&headers));
        let token = "0123456789abcdefghijkl";
        let set = form_cookie("/b", token);
        assert_eq!(
            set,
            format!("wharf-form={token}; Path=/b/; HttpOnly; SameSite=Strict")
        );
        headers.insert(header::COOKIE, set.parse().unwrap());
        assert_eq!(form_token(&headers), Some(token));
    }
}
