//! The steps that every request passes on its way to the routes, and every answer on its way out.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use tower::ServiceExt as _;

use crate::delivery::Ways;
use crate::http::AppState;
use crate::http::date::date;
use crate::http::log::{LoggedBody, RequestLog};
use crate::http::metrics::CountedNow;
use crate::http::resources::places;
use crate::http::route_labels::RouteLabels;
use crate::http::rules::coding;
use crate::http::rules::cors::{CrossOrigin, is_preflight};
use crate::http::rules::cross_site::{self, OwnSite};
use crate::http::rules::hosts::{self, Hosts};
use crate::http::rules::origin::{Origin, Peer};
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::secure::{SecureRules, refuse_misdirected};
use crate::http::server::Stream;

/// The routes, and what stands around them: the log, the fields of every answer, panics, and
/// requests from other sites. It is called, and not put around them as layers: a layer of axum
/// costs each request a clone of the service below and its future in a box.
pub struct Service {
    app: AppState,
    labels: RouteLabels,
    hosts: Hosts,
    routes: Router,
    sites: CrossOrigin,
    secure: SecureRules,
    /// Done when the log has said that others than this machine are served.
    others: Once,
}

impl Service {
    /// Puts `routes` behind.
    pub(super) fn new(
        app: AppState,
        labels: RouteLabels,
        hosts: Hosts,
        routes: Router,
        sites: CrossOrigin,
        secure: SecureRules,
    ) -> Self {
        Service {
            app,
            labels,
            hosts,
            routes,
            sites,
            secure,
            others: Once::new(),
        }
    }

    /// Answers a request that came from `peer`.
    pub async fn answer(&self, peer: Peer, mut request: Request) -> Response<LoggedBody> {
        let log = RequestLog::new(&self.app, &self.labels, &peer, &mut request);
        let origin = request.extensions().get::<Origin>();
        let secure = origin.is_some_and(Origin::is_secure);
        let site = self.sites.origin(request.headers());
        let preflight = site.is_some() && is_preflight(request.method(), request.headers());
        let answered = AssertUnwindSafe(self.pass(&peer, request, preflight))
            .catch_unwind()
            .await;
        let mut response = answered.unwrap_or_else(panicked);
        let nosniff = HeaderValue::from_static("nosniff");
        let fields = response.headers_mut();
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        if let Some(date) = date(self.app.clock.now()) {
            fields.insert(header::DATE, date);
        }
        self.secure.mark(secure, fields);
        self.sites.allow(site, fields);
        log.end(&self.app, response)
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connected(&self) -> CountedNow {
        self.app.metrics.connected()
    }

    /// How long a body, or the reader of an answer, may make no progress.
    pub fn idle_timeout(&self) -> Duration {
        self.app.options.idle_timeout
    }

    /// The ways of stored files to their readers; `None` where the kernel cannot send them.
    pub fn ways(&self) -> Option<Arc<Ways>> {
        self.app.delivery.ways()
    }

    /// Makes room for others: ends the slowest of the uploads that are too slow, if one is.
    pub fn make_room(&self) {
        self.app.admission.end_slowest();
    }

    /// Answers a request; a `preflight` is that of a browser for a page of a site that is named.
    async fn pass(&self, peer: &Peer, mut request: Request, preflight: bool) -> Response {
        match self.admit(peer, &request) {
            Err(problem) => return problem.into_response(),
            Ok(false) => {}
            Ok(true) => {
                if let Some(origin) = request.extensions_mut().get_mut::<Origin>() {
                    origin.local = true;
                }
            }
        }
        if !self.is_beside(peer, &request)
            && let Some(place) = self.secure.redirects(&request)
        {
            return places::moved(&place, None);
        }
        if preflight {
            return self.sites.preflight();
        }
        if *request.method() == Method::OPTIONS {
            return self.options(request).await;
        }
        if let Some(moved) = self.labels.moved(request.uri()) {
            return places::moved(&moved, None);
        }
        if let Some(stream) = self.needs_turn(&request)
            && !stream.take_turn().await
        {
            let detail = "as many answers as there may be over HTTP/2 wait for their readers";
            return Problem::new(Code::TooManyDownloads, detail).into_response();
        }
        let Ok(response) = self.routes.clone().oneshot(request).await;
        response
    }

    /// Refuses what no resource is asked for. Answers whether the request is local.
    fn admit(&self, peer: &Peer, request: &Request) -> Result<bool, Problem> {
        let local = self.hosts.admit(request)?;
        let options = &self.app.options;
        if !self.is_beside(peer, request) {
            refuse_misdirected(peer, request)?;
        }
        if !local && self.hosts.are_local() {
            self.tell_of_others(request);
        }
        coding::refuse(request)?;
        let own = OwnSite {
            base_path: &options.base_path,
            public_url: options.public_url.as_deref(),
            allowed: &options.cors_origins,
        };
        cross_site::refuse(&own, request)?;
        Ok(local)
    }

    /// Whether the rules of TLS are not for this request: that of a probe, or of a proxy, which has
    /// one connection for the requests of many names, and has its own rules for its clients.
    fn is_beside(&self, peer: &Peer, request: &Request) -> bool {
        let options = &self.app.options;
        is_probe(&options.base_path, request) || options.trusted_proxies.trusts(peer)
    }

    /// Says once that a server for its own machine has a proxy before it.
    fn tell_of_others(&self, request: &Request) {
        if is_probe(&self.app.options.base_path, request) {
            return;
        }
        self.others.call_once(|| {
            let host = request
                .extensions()
                .get()
                .map(|origin: &Origin| origin.host.as_str());
            tracing::warn!(
                host,
                "requests come by a proxy, it seems: they get no names, no listing and no upload \
                 without a secret. Name the proxy in trusted_proxies, so that none of its clients \
                 passes for this machine; access and open say who may upload"
            );
        });
    }

    /// The methods of an address (RFC 9110 section 9.3.7): the router lists them when it refuses
    /// the method.
    async fn options(&self, request: Request) -> Response {
        let mut answer = StatusCode::NO_CONTENT.into_response();
        let label = self.labels.of(request.uri().path());
        if request.uri().path() == "*" {
            // The server as a whole.
            let all = HeaderValue::from_static("GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS");
            answer.headers_mut().insert(header::ALLOW, all);
            return answer;
        }
        let Ok(response) = self.routes.clone().oneshot(request).await;
        let Some(allowed) = response.headers().get(header::ALLOW) else {
            return response;
        };
        let fields = answer.headers_mut();
        let allowed = [allowed.as_bytes(), b",OPTIONS"].concat();
        if let Ok(allowed) = HeaderValue::from_bytes(&allowed) {
            fields.insert(header::ALLOW, allowed);
        }
        for (method, name) in [
            (Method::POST, HeaderName::from_static("accept-post")),
            (Method::PATCH, HeaderName::from_static("accept-patch")),
        ] {
            let types = self.labels.takes(&method, label);
            fields.extend(types.map(|types| (name, HeaderValue::from_static(types))));
        }
        answer
    }

    /// The stream whose request has to wait until there is room for one more answer: one of many
    /// on a connection of HTTP/2. Every `GET` counts, except for the probes.
    fn needs_turn(&self, request: &Request) -> Option<Arc<Stream>> {
        if request.version() != Version::HTTP_2 || request.method() != Method::GET {
            return None;
        }
        match is_probe(&self.app.options.base_path, request) {
            true => None,
            false => Stream::current(),
        }
    }
}

/// Whether a probe sent it, which does not care for names and TLS.
fn is_probe(base: &str, request: &Request) -> bool {
    hosts::is_probe(base, request.uri().path())
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Problem::internal(format!("panic: {}", text.unwrap_or_default())).into_response()
}
