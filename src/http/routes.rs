//! The route table: which address is which resource, and which scope guards it.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::Method;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, get, on};

use super::AppState;
use super::resources::{
    api, download, filepond, health, listing, manage, page, reindex, upload, uploads,
};
use super::rules::access::{self, Scope};
use super::rules::cors;
use super::rules::hosts::Hosts;
use super::rules::problem::{Code, Problem};
use super::service::Service;

/// The routes, and what stands around them, for a server that listens on these addresses.
pub fn service(state: AppState, listening: &[SocketAddr]) -> Arc<Service> {
    let hosts = Hosts::new(
        &state.options.hosts,
        state.options.public_url.as_deref(),
        !state.options.trusted_proxies.0.is_empty(),
        &state.options.base_path,
        listening,
    );
    let routes = routes(&state).with_state(state.clone());
    let based = match state.options.base_path.as_str() {
        "" => routes,
        base => Router::new()
            .nest(base, routes)
            .route(
                &format!("{base}/"),
                get(page::form).with_state(state.clone()),
            )
            .fallback(outside)
            .method_not_allowed_fallback(wrong_method),
    };
    let cors = cors::layer(&state.options.cors_origins);
    Arc::new(Service::new(state, hosts, based, cors))
}

/// The guard of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// None, or the handler itself: the listing, and changes of an upload.
    Handler,
    /// The secret of a scope, where the settings name one.
    Secret(Scope),
}

/// A method at an address.
pub(super) struct Route {
    pub method: Method,
    pub path: &'static str,
    guard: Guard,
    handler: Box<dyn FnOnce(MethodFilter) -> MethodRouter<AppState>>,
}

impl Route {
    fn new<H, T>(guard: Guard, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Route {
            method,
            path,
            guard,
            handler: Box::new(move |filter| on(filter, handler)),
        }
    }
}

/// Further addresses of resources in the route table, as people and programs write them. They are
/// in no description: the address to use is the table's.
#[rustfmt::skip]
fn aliases() -> Vec<Route> {
    vec![
        Route::new(Guard::Secret(Scope::Upload), Method::POST, "/upload/", upload::form),
        Route::new(Guard::Handler, Method::GET, "/problems/", page::problems),
    ]
}

/// The route table: each address with its guard.
#[rustfmt::skip]
pub(super) fn table() -> Vec<Route> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    const OPEN: Guard = Guard::Handler;
    const UPLOAD: Guard = Guard::Secret(Scope::Upload);
    const DOWNLOAD: Guard = Guard::Secret(Scope::Download);
    const ADMIN: Guard = Guard::Secret(Scope::Admin);
    vec![
        Route::new(OPEN, GET, "/", page::form),
        Route::new(OPEN, GET, "/static/{version}/{*name}", page::asset),
        Route::new(OPEN, GET, "/openapi.json", api::openapi),
        Route::new(OPEN, GET, "/postman.json", api::postman),
        Route::new(OPEN, GET, "/problems", page::problems),
        Route::new(OPEN, GET, "/problems/{code}", page::problem),
        Route::new(OPEN, GET, "/healthz", health::alive),
        Route::new(OPEN, GET, "/readyz", health::ready),
        Route::new(UPLOAD, POST, "/upload", upload::form),
        Route::new(UPLOAD, PUT, "/files/{name}", upload::raw),
        Route::new(UPLOAD, POST, "/compat/filepond", filepond::process),
        Route::new(DOWNLOAD, GET, "/download", download::several),
        Route::new(DOWNLOAD, GET, "/download/{name}", download::named),
        Route::new(DOWNLOAD, GET, "/download/{id}/{name}", download::file),
        Route::new(DOWNLOAD, GET, "/files/{name}", download::raw_named),
        Route::new(DOWNLOAD, GET, "/files/{id}/{name}", download::raw),
        Route::new(DOWNLOAD, GET, "/uploads/{id}", uploads::show),
        Route::new(OPEN, GET, "/uploads", listing::list),
        Route::new(OPEN, DELETE, "/uploads/{id}", uploads::delete),
        Route::new(OPEN, PATCH, "/uploads/{id}", uploads::prolong),
        Route::new(OPEN, POST, "/uploads/{id}/delete", manage::delete),
        Route::new(OPEN, POST, "/uploads/{id}/prolong", manage::prolong),
        Route::new(OPEN, DELETE, "/compat/filepond", filepond::revert),
        Route::new(OPEN, POST, "/reindex", reindex::reindex),
        Route::new(ADMIN, GET, "/status", health::status),
        Route::new(ADMIN, GET, "/metrics", health::metrics),
    ]
}

/// The router of the table.
fn routes(app: &AppState) -> Router<AppState> {
    let access = &app.options.access;
    let routes = table().into_iter().chain(aliases());
    let router = routes.fold(Router::new(), |router, route| {
        let filter = MethodFilter::try_from(route.method).expect("axum knows the method");
        let mut handler = (route.handler)(filter);
        // A secret may name the scope now, or later.
        if let Guard::Secret(scope) = route.guard
            && access.may_guard(scope)
        {
            let guard = from_fn_with_state((access.clone(), scope), access::required);
            handler = handler.route_layer(guard);
        }
        router.route(route.path, handler)
    });
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        // Bodies have the limits of the settings.
        .layer(DefaultBodyLimit::disable())
}

/// An address under the base path, which the router has taken off.
async fn unknown(State(app): State<AppState>, request: Request) -> Problem {
    nothing_at(&app.options.base_path, &request)
}

async fn outside(request: Request) -> Problem {
    nothing_at("", &request)
}

fn nothing_at(base: &str, request: &Request) -> Problem {
    let path = request.uri().path();
    Problem::new(
        Code::NoSuchRoute,
        format!("there is nothing at {base}{path}"),
    )
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    if method == Method::PUT && path.contains("/files/") {
        let detail =
            format!("PUT stores one file under one name, /files/NAME: {path} has more than a name");
        return Problem::new(Code::MethodNotAllowed, detail);
    }
    let detail = format!("{method} is not for this address");
    Problem::new(Code::MethodNotAllowed, detail)
}
