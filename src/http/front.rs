//! What every request passes on its way to the routes, and every answer on its way out.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderValue, header};
use tower::ServiceExt as _;
use tower_http::cors::{Cors, CorsLayer};

use super::log::{Begun, Logged};
use super::origin::Peer;
use super::problem::Problem;
use super::{App, cross_site, origin};

/// The routes, and what stands around them: the log, the fields of every answer, panics, and
/// requests from other sites. It is called, and not put around them as layers: a layer of axum
/// costs each request a clone of the service below and its future in a box.
pub struct Front {
    app: App,
    routes: Cors<Router>,
}

impl Front {
    /// Puts `routes` behind.
    pub(super) fn new(app: App, routes: Router, cors: CorsLayer) -> Self {
        use tower::Layer as _;
        let routes = cors.layer(routes);
        Front { app, routes }
    }

    /// Answers a request that came from `peer`.
    pub async fn answer(&self, peer: Peer, mut request: Request) -> Response<Logged> {
        let begun = Begun::new(&self.app, peer, &mut request);
        let answered = AssertUnwindSafe(self.pass(request)).catch_unwind().await;
        let mut response = answered.unwrap_or_else(panicked);
        let nosniff = HeaderValue::from_static("nosniff");
        let fields = response.headers_mut();
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        begun.end(&self.app, response)
    }

    async fn pass(&self, request: Request) -> Response {
        let accepted = origin::refuse(&request);
        if let Err(problem) = accepted.and_then(|()| cross_site::refuse(&self.app, &request)) {
            return problem.into_response();
        }
        let Ok(response) = self.routes.clone().oneshot(request).await;
        response
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Problem::internal(format!("panic: {}", text.unwrap_or_default())).into_response()
}
