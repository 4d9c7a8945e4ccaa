//! Access by secrets, each for some scopes.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::problem::{Code, Problem};

/// What a secret allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Storing.
    Upload,
    /// Every way of reading.
    Download,
    /// Listings.
    List,
    /// Changes of every upload, operation.
    Admin,
}

impl Scope {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Upload => "upload",
            Scope::Download => "download",
            Scope::List => "list",
            Scope::Admin => "admin",
        }
    }
}

/// One secret. Only its hash is held, so that comparing takes the same time for every guess.
#[derive(Debug, Clone)]
pub struct Rule {
    scopes: Vec<Scope>,
    hash: [u8; 32],
}

impl Rule {
    /// `secret` allows `scopes`.
    pub fn new(scopes: Vec<Scope>, secret: &str) -> Self {
        let hash = hash(secret);
        Rule { scopes, hash }
    }
}

/// All secrets. Clones are of the same: they change together.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Guards the rules. A std lock: held while a secret is compared with them.
    rules: Arc<RwLock<Vec<Rule>>>,
    /// Whether they may be [replaced](Self::replace) while the server runs.
    pub may_change: bool,
}

impl Access {
    /// The secrets `rules`.
    pub fn new(rules: Vec<Rule>) -> Self {
        Access {
            rules: Arc::new(RwLock::new(rules)),
            may_change: false,
        }
    }

    /// Has the secrets of `other` count from now on, for all clones.
    pub fn replace(&self, other: Access) {
        let rules = other.rules().clone();
        // Nothing between a lock and its release can panic.
        let mut held = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        *held = rules;
    }

    fn rules(&self) -> RwLockReadGuard<'_, Vec<Rule>> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a secret names `scope`. Without one, uploads and downloads are open, and
    /// administration is closed.
    pub fn guards(&self, scope: Scope) -> bool {
        let rules = self.rules();
        rules.iter().any(|rule| rule.scopes.contains(&scope))
    }

    /// Whether a secret names `scope`, or may do so while the server runs.
    pub fn may_guard(&self, scope: Scope) -> bool {
        self.may_change || self.guards(scope)
    }

    /// Whether the request carries a secret for `scope`.
    pub fn allows(&self, scope: Scope, headers: &HeaderMap) -> bool {
        let Some(secret) = secret(headers) else {
            return false;
        };
        let given = hash(&secret);
        let mut allowed = subtle::Choice::from(0);
        let rules = self.rules();
        for rule in rules.iter().filter(|rule| rule.scopes.contains(&scope)) {
            allowed |= rule.hash.ct_eq(&given);
        }
        allowed.into()
    }

    /// Refuses a request without a secret for `scope`.
    ///
    /// # Errors
    /// 401 without a secret, 403 with another one.
    pub fn require(&self, scope: Scope, headers: &HeaderMap) -> Result<(), Problem> {
        if self.allows(scope, headers) {
            return Ok(());
        }
        Err(self.refusal(scope, headers))
    }

    /// 401 for a request without a secret or with an unknown one, 403 for one that has a secret for
    /// other scopes.
    pub fn refusal(&self, scope: Scope, headers: &HeaderMap) -> Problem {
        let challenge = HeaderValue::from_static(
            "Basic realm=\"wharf\", charset=\"UTF-8\", Bearer realm=\"wharf\"",
        );
        let unknown = |code, detail| {
            let problem = Problem::new(code, detail).scope(scope.name());
            problem.header(header::WWW_AUTHENTICATE, challenge)
        };
        let detail = "give the secret as a Bearer token or as the password of Basic";
        let others = [Scope::Upload, Scope::Download, Scope::List, Scope::Admin];
        if secret(headers).is_none() {
            unknown(Code::MissingSecret, detail)
        } else if others.iter().any(|scope| self.allows(*scope, headers)) {
            let detail = format!("the secret does not have the scope {}", scope.name());
            Problem::new(Code::MissingScope, detail).scope(scope.name())
        } else {
            unknown(Code::BadSecret, "the secret is none of this server's")
        }
    }

    /// The same, where `scope` is open unless a secret names it.
    ///
    /// # Errors
    /// As [`require`](Self::require).
    pub fn require_if_guarded(&self, scope: Scope, headers: &HeaderMap) -> Result<(), Problem> {
        if self.guards(scope) {
            self.require(scope, headers)
        } else {
            Ok(())
        }
    }
}

/// A layer of routes that need a secret for a scope, if one names it.
///
/// # Errors
/// As [`Access::require`].
pub async fn required(
    State((access, scope)): State<(Access, Scope)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    access.require_if_guarded(scope, request.headers())?;
    Ok(next.run(request).await)
}

/// The secret of a request: a Bearer token (RFC 6750), or the password of Basic (RFC 7617).
pub fn secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (_user, password) = decoded.split_once(':')?;
    Some(password.to_owned())
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
            Rule::new(vec![Scope::Upload, Scope::Download], "both"),
            Rule::new(vec![Scope::Upload], "up"),
        ]);
        assert!(access.guards(Scope::Upload) && access.guards(Scope::Download));
        assert!(!access.guards(Scope::Admin));
        assert!(access.allows(Scope::Upload, &with("Bearer up")));
        assert!(access.allows(Scope::Upload, &with("bearer both")));
        assert!(access.allows(
            Scope::Upload,
            &with(&format!("Basic {}", STANDARD.encode("me:up")))
        ));
        assert!(!access.allows(Scope::Download, &with("Bearer up")));
        assert!(!access.allows(Scope::Upload, &with("Bearer nope")));
        assert!(!access.allows(Scope::Upload, &with("Digest up")));
        assert!(
            access
                .require_if_guarded(Scope::Admin, &HeaderMap::new())
                .is_ok()
        );
        assert!(access.require(Scope::Admin, &with("Bearer up")).is_err());
        let clone = access.clone();
        access.replace(Access::new(vec![Rule::new(vec![Scope::Admin], "root")]));
        assert!(clone.allows(Scope::Admin, &with("Bearer root")));
        assert!(!clone.guards(Scope::Upload) && !clone.may_guard(Scope::Upload));
    }
}
