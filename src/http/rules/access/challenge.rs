//! Refusals of requests without the secret they need.

use http::{HeaderMap, HeaderValue, header};

use super::{Access, Caller, Scope};
use crate::http::rules::problem::{Code, Problem};

const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"wharf\"");
/// RFC 6750 section 3.1: only where a token was given.
const BEARER_INVALID: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"wharf\", error=\"invalid_token\"");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"wharf\", charset=\"UTF-8\"");

/// The refusal of a request whose `caller` has no secret for `scope`: 401 without a secret of this
/// server, 403 with one that does not allow it.
pub fn refusal(access: &Access, caller: &Caller, scope: Scope, headers: &HeaderMap) -> Problem {
    if caller.is_known() {
        return missing_scope(scope);
    }
    let mut challenges = vec![match caller {
        Caller::Unknown => BEARER_INVALID,
        _ => BEARER,
    }];
    let exists = access.named().allow(scope);
    // A browser asks for a password with a window of its own. It does not where none would do, nor
    // for a script, which is to tell of the refusal itself.
    if exists && !is_from_script(headers) {
        challenges.push(BASIC);
    }
    let how = match (exists, scope) {
        (true, _) => format!(
            "give a secret with the scope {scope}, as a Bearer token or as the password of Basic"
        ),
        (false, Scope::Upload) => "uploads from other machines need a secret, and this server has \
             none for them: its setting access gives one, or open lets everybody upload"
            .to_owned(),
        (false, _) => format!(
            "this needs a secret with the scope {scope}, and this server has none: its setting \
             access gives one"
        ),
    };
    let problem = match caller {
        Caller::Unknown => {
            let detail = format!("the secret is none of this server's: {how}");
            Problem::new(Code::BadSecret, detail)
        }
        _ => Problem::new(Code::MissingSecret, how),
    };
    challenged(problem.scope(scope.word()), challenges)
}

fn challenged(problem: Problem, challenges: Vec<HeaderValue>) -> Problem {
    challenges.into_iter().fold(problem, |problem, challenge| {
        problem.header(header::WWW_AUTHENTICATE, challenge)
    })
}

/// The refusal to change an upload for a `caller` without a delete token.
pub fn token_refusal(caller: &Caller, headers: &HeaderMap) -> Problem {
    if caller.is_known() {
        return missing_scope(Scope::Admin);
    }
    let mut challenges = vec![BEARER];
    if !is_from_script(headers) {
        challenges.push(BASIC);
    }
    let detail = "give the upload's delete token, as a Bearer token or in Wharf-Token, or the secret \
                  of an admin";
    let problem = Problem::new(Code::MissingSecret, detail).scope(Scope::Admin.word());
    challenged(problem, challenges)
}

/// 403: the secret is one of this server's, for other scopes.
fn missing_scope(scope: Scope) -> Problem {
    let detail = format!("the secret does not have the scope {scope}");
    Problem::new(Code::MissingScope, detail).scope(scope.word())
}

/// Whether a browser says that a script sends the request: `fetch` or an `XMLHttpRequest`, not a
/// page, a picture or a download (W3C Fetch Metadata).
fn is_from_script(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).map(|given| given == value);
    let navigates = is("sec-fetch-mode", "navigate").unwrap_or(true);
    !navigates && is("sec-fetch-dest", "empty").unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http::StatusCode;

    use super::super::Rule;
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        fields.collect()
    }

    #[test]
    fn a_challenge_is_one_that_can_be_met() {
        let with = Access::new(vec![Rule::new([Scope::Upload], None, "up")]);
        let without = Access::default();
        for (access, fields, challenges) in [
            (&with, &[][..], &["Bearer", "Basic"][..]),
            (
                &with,
                &[("authorization", "Bearer no")],
                &["Bearer error", "Basic"],
            ),
            (
                &with,
                &[("sec-fetch-mode", "navigate")],
                &["Bearer", "Basic"],
            ),
            (
                &with,
                &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
                &["Bearer"],
            ),
            (&with, &[("sec-fetch-mode", "same-origin")], &["Bearer"]),
            (
                &with,
                &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
                &["Bearer", "Basic"],
            ),
            (&without, &[], &["Bearer"]),
        ] {
            let headers = headers(fields);
            let caller = access.caller(&headers);
            let problem = refusal(access, &caller, Scope::Upload, &headers);
            assert_eq!(problem.codes().0, StatusCode::UNAUTHORIZED, "{fields:?}");
            let sent: Vec<String> = problem
                .fields()
                .into_iter()
                .filter(|(name, _)| *name == http::header::WWW_AUTHENTICATE)
                .map(|(_, value)| {
                    let value = value.to_str().unwrap();
                    let scheme = value.split(' ').next().unwrap();
                    let error = value.contains("error=\"invalid_token\"");
                    format!("{scheme}{}", if error { " error" } else { "" })
                })
                .collect();
            assert_eq!(sent, challenges, "{fields:?}");
        }
        let headers = headers(&[("authorization", "Bearer up")]);
        let refused = refusal(&with, &with.caller(&headers), Scope::List, &headers);
        let refused = refused.into_response();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(!refused.headers().contains_key("www-authenticate"));
    }
}
