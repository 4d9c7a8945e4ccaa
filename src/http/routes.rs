//! The route table: which address is which resource, and which scope guards it.

use std::sync::Arc;

use ::http::Method;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, get, on};

use super::AppState;
use super::guard::{Guard, Guarded};
use super::resources::{
    api, archive, change, download, filepond, health, listing, manage, page, reindex, upload,
    uploads,
};
use super::route_labels::{RouteLabels, RouteMethods};
use super::rules::access::Action;
use super::rules::cors::CrossOrigin;
use super::rules::hosts::{HostSettings, Hosts, is_probe};
use super::rules::locality::Listening;
use super::rules::problem::{Code, Problem};
use super::rules::secure::SecureRules;
use super::service::Service;

/// The routes, and what stands around them, for a server that listens there.
pub fn service(state: AppState, listening: &Listening) -> Arc<Service> {
    let hosts = Hosts::new(state.options.host_settings(), listening);
    let routes = router(table().into_iter().chain(aliases())).with_state(state.clone());
    let based = match state.options.base_path.as_str() {
        "" => routes,
        base => Router::new()
            .nest(base, routes)
            .route(
                &format!("{base}/"),
                get(Guarded::new(Guard::Open, page::form)).with_state(state.clone()),
            )
            .merge(beside(probes()).with_state(state.clone()))
            .fallback(outside)
            .method_not_allowed_fallback(wrong_method),
    };
    let sites = CrossOrigin::of(&state.options.cors_origins);
    let labels = labels(&state.options.base_path, probes());
    let secure = SecureRules::new(
        state.options.tls_redirect,
        state.options.public_url.as_deref(),
        listening.secure_port,
        state.options.hsts,
    );
    Arc::new(Service::new(state, labels, hosts, based, sites, secure))
}

/// The routes for operators without a guard, with and without the base path, for the addresses of
/// `admin_listen`: the operator chooses the machines that reach these.
pub fn admin_service(state: AppState, listening: &Listening) -> Arc<Service> {
    let base = state.options.base_path.as_str();
    // Clients have another address: its settings say nothing of this one.
    let settings = HostSettings {
        named: &[],
        public_url: None,
        behind: false,
        base,
    };
    let hosts = Hosts::new(settings, listening);
    let operators = || probes().chain(table().into_iter().filter(|route| route.observes()));
    let routes = beside(operators().map(Route::unguarded));
    let routes = match base {
        "" => routes,
        base => routes.nest(base, beside(operators().map(Route::unguarded))),
    };
    let routes = routes
        .fallback(outside)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state.clone());
    let labels = labels(base, operators());
    let sites = CrossOrigin::of(&[]);
    let secure = SecureRules::default();
    Arc::new(Service::new(state, labels, hosts, routes, sites, secure))
}

/// A method at an address.
pub(super) struct Route {
    pub method: Method,
    pub path: &'static str,
    guard: Guard,
    /// The media types of its body, where `OPTIONS` says them.
    takes: Option<&'static str>,
    handler: Box<dyn FnOnce(Guard, MethodFilter) -> MethodRouter<AppState>>,
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
            takes: None,
            handler: Box::new(move |guard, filter| on(filter, Guarded::new(guard, handler))),
        }
    }

    /// With a body of these media types.
    fn takes(self, types: &'static str) -> Self {
        Route {
            takes: Some(types),
            ..self
        }
    }

    /// Whether operators read there how the server is.
    fn observes(&self) -> bool {
        self.guard == Guard::Secret(Action::Observe)
    }

    fn unguarded(self) -> Self {
        Route {
            guard: Guard::Open,
            ..self
        }
    }
}

/// Further addresses of resources in the route table, as people and programs write them. They are
/// in no description: the address to use is the table's.
#[rustfmt::skip]
fn aliases() -> Vec<Route> {
    vec![
        Route::new(Guard::Secret(Action::Upload), Method::POST, "/upload/", upload::form).takes("multipart/form-data"),
        Route::new(Guard::Open, Method::GET, "/problems/", page::problems),
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
    const OPEN: Guard = Guard::Open;
    const TOKEN: Guard = Guard::Token;
    const UPLOAD: Guard = Guard::Secret(Action::Upload);
    const DOWNLOAD: Guard = Guard::Secret(Action::Download);
    const LIST: Guard = Guard::Secret(Action::List);
    const OBSERVE: Guard = Guard::Secret(Action::Observe);
    const ADMIN: Guard = Guard::Secret(Action::Administer);
    vec![
        Route::new(OPEN, GET, "/", page::form),
        Route::new(OPEN, GET, "/static/{version}/{*name}", page::asset),
        Route::new(OPEN, GET, "/favicon.ico", page::favicon),
        Route::new(OPEN, GET, "/robots.txt", page::robots),
        Route::new(OPEN, GET, "/openapi.json", api::openapi),
        Route::new(OPEN, GET, "/postman.json", api::postman),
        Route::new(OPEN, GET, "/problems", page::problems),
        Route::new(OPEN, GET, "/problems/{code}", page::problem),
        Route::new(OPEN, GET, "/healthz", health::alive),
        Route::new(OPEN, GET, "/readyz", health::ready),
        Route::new(UPLOAD, POST, "/upload", upload::form).takes("multipart/form-data"),
        Route::new(UPLOAD, PUT, "/files/{name}", upload::raw),
        Route::new(UPLOAD, POST, "/files", upload::raw_by_query).takes("*/*"),
        Route::new(UPLOAD, POST, "/compat/filepond", filepond::process).takes("multipart/form-data"),
        Route::new(DOWNLOAD, GET, "/download", download::several),
        Route::new(DOWNLOAD, GET, "/download/{name}", download::named),
        Route::new(DOWNLOAD, GET, "/download/{id}/{name}", download::file),
        Route::new(DOWNLOAD, GET, "/files/{name}", download::raw_named),
        Route::new(DOWNLOAD, GET, "/files/{id}/{name}", download::raw),
        Route::new(DOWNLOAD, GET, "/archive/{name}", archive::archive),
        Route::new(DOWNLOAD, GET, "/uploads/{id}", uploads::show),
        Route::new(DOWNLOAD, GET, "/uploads/{id}/view/{name}", page::view),
        Route::new(LIST, GET, "/uploads", listing::list),
        Route::new(TOKEN, DELETE, "/uploads/{id}", uploads::delete),
        Route::new(TOKEN, PATCH, "/uploads/{id}", change::change).takes("application/merge-patch+json, application/json"),
        Route::new(TOKEN, POST, "/uploads/{id}/delete", manage::delete).takes("application/x-www-form-urlencoded"),
        Route::new(TOKEN, POST, "/uploads/{id}/prolong", manage::prolong).takes("application/x-www-form-urlencoded"),
        Route::new(TOKEN, DELETE, "/compat/filepond", filepond::revert),
        Route::new(ADMIN, POST, "/admin/reindex", reindex::begin),
        Route::new(ADMIN, GET, "/admin/reindex", reindex::show),
        Route::new(OBSERVE, GET, "/status", health::status),
        Route::new(OBSERVE, GET, "/metrics", health::metrics),
    ]
}

/// The probes of the table.
fn probes() -> impl Iterator<Item = Route> {
    table().into_iter().filter(|route| is_probe("", route.path))
}

/// The routes as the log and the counters name them, of which those of `bare` lie beside `base` as
/// well.
fn labels(base: &str, bare: impl Iterator<Item = Route>) -> RouteLabels {
    let routes: Vec<Route> = table().into_iter().chain(aliases()).collect();
    let stores = |route: &&Route| route.guard == Guard::Secret(Action::Upload);
    let uploads = routes.iter().filter(stores);
    let uploads = uploads.map(|route| (route.method.clone(), route.path));
    let bodies = routes.iter().filter_map(|route| {
        let types = route.takes?;
        Some((route.method.clone(), route.path, types))
    });
    let methods = RouteMethods {
        uploads: uploads.collect(),
        bodies: bodies.collect(),
    };
    let paths = routes.iter().map(|route| route.path);
    RouteLabels::new(base, paths, bare.map(|route| route.path), methods)
}

/// The router of a table.
fn router(routes: impl Iterator<Item = Route>) -> Router<AppState> {
    beside(routes)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        // Bodies have the limits of the settings.
        .layer(DefaultBodyLimit::disable())
}

/// The router of routes beside others, which say what is at no address.
fn beside(routes: impl Iterator<Item = Route>) -> Router<AppState> {
    routes.fold(Router::new(), |router, route| {
        let filter = MethodFilter::try_from(route.method).expect("axum knows the method");
        router.route(route.path, (route.handler)(route.guard, filter))
    })
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
    let advice = advice(request);
    let detail = format!("there is nothing at {base}{path}{advice}");
    Problem::new(Code::NoSuchRoute, detail)
}

async fn wrong_method(request: Request) -> Problem {
    let (method, advice) = (request.method(), advice(&request));
    let detail = format!("{method} is not for this address{advice}");
    Problem::new(Code::MethodNotAllowed, detail)
}

/// What is meant by a path that has the folders of a file in it.
fn advice(request: &Request) -> &'static str {
    let puts = *request.method() == Method::PUT && request.uri().path().contains("/files/");
    if puts {
        ": PUT stores one file under one name, and its folders go into the query, /files/NAME?path=a/b"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_guarded_as_the_address_it_stands_for() {
        for alias in aliases() {
            let path = alias.path.trim_end_matches('/');
            let table = table();
            let mut routes = table.iter();
            let route = routes.find(|route| route.method == alias.method && route.path == path);
            let route = route.expect("it stands for a route of the table");
            assert_eq!(route.guard, alias.guard, "{path}");
            assert_eq!(route.takes, alias.takes, "{path}");
        }
    }
}
