//! Access by secrets, each for some scopes.

mod challenge;
mod openness;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub use challenge::{refusal, token_refusal};
pub use openness::{Action, Gate, Names, Policy, Scope, Scopes, Undecided};

/// The field of a delete token, or of the key of an upload, beside `Authorization`: a proxy's own
/// login may need the latter.
pub const TOKEN_FIELD: &str = "wharf-token";

/// One secret. Only its hash is held, so that comparing takes the same time for every guess.
#[derive(Debug, Clone)]
pub struct Rule {
    scopes: Scopes,
    /// Its name in the log.
    id: Option<Arc<str>>,
    hash: [u8; 32],
}

impl Rule {
    /// `secret` allows `scopes`; the log names it by `id`.
    pub fn new(scopes: impl IntoIterator<Item = Scope>, id: Option<&str>, secret: &str) -> Self {
        Rule {
            scopes: scopes.into_iter().collect(),
            id: id.map(Arc::from),
            hash: hash(secret),
        }
    }
}

/// The sender of a request, by its secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Caller {
    /// There is no secret.
    #[default]
    Stranger,
    /// There is one that is none of this server's: a wrong one, or an upload's delete token.
    Unknown,
    /// There is one of this server's.
    Known {
        /// The actions it allows.
        scopes: Scopes,
        /// Its name in the log.
        id: Option<Arc<str>>,
    },
}

impl Caller {
    /// Whether its secret is one of this server's.
    pub fn is_known(&self) -> bool {
        matches!(self, Caller::Known { .. })
    }

    /// Whether its secret allows `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        matches!(self, Caller::Known { scopes, .. } if scopes.allow(scope))
    }

    /// The name of its secret.
    pub fn id(&self) -> Option<&Arc<str>> {
        match self {
            Caller::Known { id, .. } => id.as_ref(),
            _ => None,
        }
    }
}

/// The rules, and the scopes that one of them names.
#[derive(Debug, Default)]
struct Secrets {
    rules: Vec<Rule>,
    named: Scopes,
}

/// All secrets.
#[derive(Debug, Clone, Default)]
pub struct Access {
    secrets: Arc<Secrets>,
}

impl Access {
    /// The secrets `rules`.
    pub fn new(rules: Vec<Rule>) -> Self {
        let all = rules.iter().map(|rule| rule.scopes);
        let named = all.fold(Scopes::default(), Scopes::and);
        Access {
            secrets: Arc::new(Secrets { rules, named }),
        }
    }

    /// The scopes that secrets name.
    pub fn named(&self) -> Scopes {
        self.secrets.named
    }

    /// The sender of a request with these fields.
    pub fn caller(&self, headers: &HeaderMap) -> Caller {
        let Some(secret) = secret(headers) else {
            return Caller::Stranger;
        };
        let given = hash(&secret);
        let mut found: Option<(Scopes, Option<Arc<str>>)> = None;
        for rule in &self.secrets.rules {
            // Each is compared, whether an earlier one was equal or not.
            if bool::from(rule.hash.ct_eq(&given)) {
                let (scopes, id) = found.unwrap_or_default();
                found = Some((scopes.and(rule.scopes), id.or_else(|| rule.id.clone())));
            }
        }
        match found {
            Some((scopes, id)) => Caller::Known { scopes, id },
            None => Caller::Unknown,
        }
    }

    /// Whether the request carries a secret that allows `scope`.
    pub fn allows(&self, scope: Scope, headers: &HeaderMap) -> bool {
        self.caller(headers).may(scope)
    }
}

/// The secret of a request: a Bearer token (RFC 6750), or the password of Basic (RFC 7617); an empty
/// one is none.
pub fn secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    let given = |secret: &str| (!secret.is_empty()).then(|| secret.to_owned());
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return given(credentials);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (_user, password) = decoded.split_once(':')?;
    given(password)
}

/// The delete token or upload's key that stands beside `Authorization`.
pub fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(TOKEN_FIELD)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn secrets_open_their_scopes_and_no_others() {
        let access = Access::new(vec![
            Rule::new([Scope::Upload, Scope::Download], None, "both"),
            Rule::new([Scope::Upload], Some("ci"), "up"),
            Rule::new([Scope::Admin], None, "root"),
            // The same secret again: it allows all that either rule does.
            Rule::new([Scope::List], Some("again"), "both"),
        ]);
        assert_eq!(access.named().words(), "upload+download+list+admin");
        let allows = |scope, value: &str| access.allows(scope, &with(value));
        assert!(allows(Scope::Upload, "Bearer up"));
        assert!(allows(Scope::Upload, "bearer both") && allows(Scope::List, "bearer both"));
        let basic = format!("Basic {}", STANDARD.encode("me:up"));
        assert!(allows(Scope::Upload, &basic));
        assert!(
            Scope::ALL
                .into_iter()
                .all(|scope| allows(scope, "Bearer root"))
        );
        assert!(!allows(Scope::Download, "Bearer up") && !allows(Scope::Admin, "Bearer up"));
        assert_eq!(access.caller(&with("Bearer nope")), Caller::Unknown);
        assert_eq!(access.caller(&with("Digest up")), Caller::Stranger);
        assert_eq!(access.caller(&with("Bearer ")), Caller::Stranger);
        assert_eq!(access.caller(&HeaderMap::new()), Caller::Stranger);
        let id = |value: &str| access.caller(&with(value)).id().map(ToString::to_string);
        assert_eq!(id("Bearer up").as_deref(), Some("ci"));
        assert_eq!(id("Bearer both").as_deref(), Some("again"));
        assert_eq!(id("Bearer root"), None);
    }

    #[test]
    fn a_token_has_a_field_of_its_own() {
        let mut headers = with("Basic eDp5");
        assert_eq!(token(&headers), None);
        headers.insert(TOKEN_FIELD, " abc ".parse().unwrap());
        assert_eq!(token(&headers).as_deref(), Some("abc"));
    }
}
