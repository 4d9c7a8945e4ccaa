//! The preferences of a client (RFC 7240).

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Whether a client wants no body with the answer to a change: `return=minimal` (RFC 7240
/// section 4.2). Of a preference that is given twice the first counts.
pub fn minimal(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let wanted = texts
        .flat_map(|text| text.split(','))
        .find_map(|preference| {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=')?;
            let is_return = name.trim().eq_ignore_ascii_case("return");
            is_return.then(|| value.trim().trim_matches('"'))
        });
    wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case("minimal"))
}

/// Says in an answer without a body that the client wanted none.
pub fn apply_minimal(headers: &mut HeaderMap) {
    headers.insert(APPLIED, HeaderValue::from_static("return=minimal"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_return_counts() {
        for (values, expected) in [
            (&["return=minimal"][..], true),
            (&["respond-async, Return = \"minimal\"; x=y"], true),
            (&["wait=5", "return=minimal"], true),
            (&["return=representation, return=minimal"], false),
            (&["minimal", "return"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, value.parse().unwrap());
            }
            assert_eq!(minimal(&headers), expected, "{values:?}");
        }
    }
}
