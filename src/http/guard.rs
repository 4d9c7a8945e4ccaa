//! The guard of a route: what a request is about to do there, and whether it needs a secret.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::Either;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::AppState;
use super::rules::accept::Accept;
use super::rules::access::{self, Access, Action, Caller, Gate};
use super::rules::cookies;
use super::rules::origin::Origin;
use super::rules::problem::Problem;
use crate::delivery::Lookup;

/// The guard of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: pages, descriptions and probes.
    Open,
    /// The delete token of the upload, or `admin`: the handler asks for it.
    Token,
    /// A secret, where the action needs one.
    Secret(Action),
}

/// A handler behind its guard. It is no layer: a layer of axum costs each request a clone of the
/// service below and its future in a box.
#[derive(Clone)]
pub struct Guarded<H> {
    guard: Guard,
    handler: H,
}

impl<H> Guarded<H> {
    /// Puts `handler` behind `guard`.
    pub fn new(guard: Guard, handler: H) -> Self {
        Guarded { guard, handler }
    }
}

impl<H, T> Handler<T, AppState> for Guarded<H>
where
    H: Handler<T, AppState>,
    T: 'static,
{
    type Future = Either<H::Future, Ready<Response>>;

    fn call(self, request: Request, state: AppState) -> Self::Future {
        let refused = match self.guard {
            Guard::Open | Guard::Token => None,
            Guard::Secret(action) => state.refuse_action(action, &request).err(),
        };
        match refused {
            None => Either::Left(self.handler.call(request, state)),
            Some(problem) => Either::Right(ready(state.turned_away(problem, &request))),
        }
    }
}

impl AppState {
    /// Whether `action` needs a secret of a request that is `local` or not.
    pub(super) fn gate(&self, action: Action, local: bool) -> Gate {
        let named = self.options.access.named();
        self.options.policy.gate(action, named, local)
    }

    /// Refuses a caller that may not do `action` as well, where a route does more than its guard
    /// asks for.
    ///
    /// # Errors
    /// 401 or 403.
    pub(super) fn require(
        &self,
        action: Action,
        origin: &Origin,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        match self.gate(action, origin.local) {
            Gate::Secret(scope) if !caller.may(scope) => Err(access::refusal(
                &self.options.access,
                caller,
                scope,
                headers,
            )),
            _ => Ok(()),
        }
    }

    fn refuse_action(&self, action: Action, request: &Request) -> Result<(), Problem> {
        let extensions = request.extensions();
        let Gate::Secret(scope) = self.gate(action, is_local(extensions)) else {
            return Ok(());
        };
        match extensions.get::<Caller>().unwrap_or(&Caller::Stranger) {
            caller if caller.may(scope) => Ok(()),
            caller => {
                let access = &self.options.access;
                Err(access::refusal(access, caller, scope, request.headers()))
            }
        }
    }

    /// The refusal as an answer. A browser that opens an address without a secret is sent to the
    /// first page to be asked there: a secret that it is given there it sends with every address of this
    /// server (RFC 7617 section 2.2), those that scripts and pictures ask for too. It is sent there
    /// once: one that has the secret in the address gives it when that address asks, and not before.
    fn turned_away(&self, problem: Problem, request: &Request) -> Response {
        let headers = request.headers();
        let opens = *request.method() == Method::GET
            && headers
                .get("sec-fetch-mode")
                .is_some_and(|mode| mode == "navigate")
            && Accept::of(headers).prefers_html();
        let secret = request.headers().contains_key(header::AUTHORIZATION);
        let asked = cookies::was_asked(headers);
        if !opens || secret || asked || !problem.asks_for_password() {
            return problem.into_response();
        }
        let place = request
            .uri()
            .path_and_query()
            .map_or("/", |place| place.as_str());
        let place = utf8_percent_encode(place, NON_ALPHANUMERIC);
        let base = &self.options.base_path;
        let mut response = see_other(&format!("{base}/?{SIGN_IN}={place}"));
        if let Ok(cookie) = HeaderValue::from_str(&cookies::asked_cookie(base)) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// The parameter of the first page with which a browser is asked for a secret; its value is the
/// path to go back to, below the base path.
pub const SIGN_IN: &str = "sign-in";

/// The way back after signing in to `place`, a path that [`SIGN_IN`] had: on this server, whatever
/// the parameter says.
pub fn back_to(base: &str, place: &str) -> Response {
    // Browsers take a backslash for a slash, and leave out tabs and line ends (WHATWG URL, section
    // 4.4): a path that begins with one slash for us begins with two for them.
    let misread = |c: char| c == '\\' || c.is_control();
    let own = place.starts_with('/') && !place.starts_with("//") && !place.contains(misread);
    see_other(&format!("{base}{}", if own { place } else { "/" }))
}

/// 303; never kept, for it depends on a secret.
fn see_other(location: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(location) = HeaderValue::from_str(location) {
        fields.insert(header::LOCATION, location);
    }
    response
}

/// Whether a request with these extensions is local.
pub fn is_local(extensions: &Extensions) -> bool {
    extensions.get().is_some_and(|origin: &Origin| origin.local)
}

/// Keeps the sender of a request for those that ask; answers the name of its secret.
pub fn identify(access: &Access, request: &mut Request) -> Option<Arc<str>> {
    if !request.headers().contains_key(header::AUTHORIZATION) {
        return None;
    }
    let caller = access.caller(request.headers());
    let id = caller.id().cloned();
    request.extensions_mut().insert(caller);
    id
}

impl FromRequestParts<AppState> for Lookup {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        let names = app
            .options
            .policy
            .resolves_names(is_local(&parts.extensions));
        Ok(if names { Lookup::Names } else { Lookup::Ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_on_this_server() {
        let location = |place: &str| {
            let response = back_to("/w", place);
            response.headers()[header::LOCATION]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(location("/uploads/x?changed"), "/w/uploads/x?changed");
        for place in [
            "",
            "x",
            "//evil.example",
            "/\t/evil.example",
            "/a\r\nb",
            "/\\evil.example",
            "https://evil.example",
        ] {
            assert_eq!(location(place), "/w/", "{place}");
        }
    }
}
