//! The route table: which address is which resource, and what a secret closes.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::Method;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

use super::App;
use super::resources::{
    api, download, filepond, health, listing, manage, page, reindex, upload, uploads,
};
use super::rules::access::{self, Scope};
use super::rules::cors;
use super::rules::hosts::Hosts;
use super::rules::problem::Problem;
use super::service::Service;

/// The routes, and what stands around them, for a server that listens on these addresses.
pub fn service(state: App, listening: &[SocketAddr]) -> Arc<Service> {
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

/// Further addresses of what the route table has, as people and programs write them. They are in no
/// description: the address to use is the table's.
fn aliases() -> Router<App> {
    Router::new().route("/upload/", post(upload::form))
}

/// The route table: what is open and what a secret can close, in one place. The listing and the
/// changes of an upload decide for themselves.
fn routes(app: &App) -> Router<App> {
    let uploads = Router::new()
        .route("/upload", post(upload::form))
        .merge(aliases())
        .route("/files/{name}", put(upload::raw))
        .route("/compat/filepond", post(filepond::process));
    let downloads = Router::new()
        .route("/download", get(download::several))
        .route("/download/{name}", get(download::named))
        .route("/download/{id}/{name}", get(download::file))
        .route("/files/{name}", get(download::raw_named))
        .route("/files/{id}/{name}", get(download::raw))
        .route("/uploads/{id}", get(uploads::show));
    let changes = Router::new()
        .route("/uploads", get(listing::list))
        .route(
            "/uploads/{id}",
            delete(uploads::delete).patch(uploads::prolong),
        )
        .route("/uploads/{id}/delete", post(manage::delete))
        .route("/uploads/{id}/prolong", post(manage::prolong))
        .route(
            "/compat/filepond",
            delete(filepond::revert).get(filepond::fetch),
        )
        .route("/reindex", post(reindex::reindex));
    let operation = Router::new()
        .route("/status", get(health::status))
        .route("/metrics", get(health::metrics));
    Router::new()
        .route("/", get(page::form))
        .route("/static/{version}/{*name}", get(page::asset))
        .route("/openapi.json", get(api::openapi))
        .route("/postman.json", get(api::postman))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(guarded(uploads, app, Scope::Upload))
        .merge(guarded(downloads, app, Scope::Download))
        .merge(changes)
        .merge(guarded(operation, app, Scope::Admin))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        // Bodies have the limits of the settings.
        .layer(DefaultBodyLimit::disable())
}

/// `routes`, closed where a secret names their scope, now or later.
fn guarded(routes: Router<App>, app: &App, scope: Scope) -> Router<App> {
    if !app.options.access.may_guard(scope) {
        return routes;
    }
    routes.route_layer(from_fn_with_state(
        (app.options.access.clone(), scope),
        access::required,
    ))
}

/// An address under the base path, which the router has taken off.
async fn unknown(State(app): State<App>, request: Request) -> Problem {
    nothing_at(&app.options.base_path, &request)
}

async fn outside(request: Request) -> Problem {
    nothing_at("", &request)
}

fn nothing_at(base: &str, request: &Request) -> Problem {
    let path = request.uri().path();
    Problem::not_found(format!("there is nothing at {base}{path}"))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    if method == Method::PUT && path.contains("/files/") {
        return Problem::method_not_allowed(format!(
            "PUT stores one file under one name, /files/NAME: {path} has more than a name"
        ));
    }
    Problem::method_not_allowed(format!("{method} is not for this address"))
}
