//! The resources over HTTP: routes, headers, status codes. It knows the use cases, and nothing
//! below them.

mod accept;
pub mod access;
pub mod admission;
mod api;
mod coding;
mod conditional;
pub mod cors;
mod cross_site;
mod download;
mod extract;
mod filepond;
mod front;
mod health;
pub mod hosts;
mod listing;
mod log;
mod manage;
mod metrics;
pub mod origin;
mod page;
mod problem;
pub mod range;
mod reindex;
mod request_body;
mod respond;
pub mod server;
mod upload;
mod upload_json;
mod uploads;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::Method;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::delivery::Delivery;
use crate::expiry;
use crate::ingest::Ingest;
use crate::lease::Claim;
use crate::manage::Manage;
use crate::model::Clock;
use crate::repository::Repository;
use access::{Access, Scope};
use admission::{Admission, Limits};
use cors::Site;
pub use front::Front;
use hosts::{HostPattern, Hosts};
use metrics::Metrics;
use origin::{Origin, Trusted};
use problem::Problem;

/// How the server presents itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// The path everything lies under: empty, or `/x` without a slash at the end.
    pub base_path: String,
    /// Scheme, host and port of absolute URLs; else they are the request's.
    pub public_url: Option<String>,
    /// Proxies whose word on the client is believed.
    pub trusted_proxies: Trusted,
    /// The hosts that are served; empty is any.
    pub hosts: Vec<HostPattern>,
    /// Sites whose pages may use this server.
    pub cors_origins: Vec<Site>,
    /// Secrets by scope.
    pub access: Access,
    /// How long a body may make no progress.
    pub idle_timeout: Duration,
    /// Which uploads may run at once.
    pub limits: Limits,
    /// The name of this process.
    pub instance: String,
}

/// The use cases behind HTTP. It is cloned for every request, and more than once.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What the requests share.
pub struct Shared {
    ingest: Ingest,
    delivery: Delivery,
    manage: Manage,
    repository: Repository,
    clock: Clock,
    options: Options,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
    trouble: watch::Receiver<Option<String>>,
    /// Why the server could not store at the last look, as the log has it. A std mutex: held to
    /// compare and replace the text.
    logged_trouble: Mutex<Option<String>>,
    claims: watch::Receiver<Option<Claim>>,
    abort: CancellationToken,
}

/// What the resources are made of.
pub struct Parts {
    /// Uploads.
    pub ingest: Ingest,
    /// Downloads.
    pub delivery: Delivery,
    /// Changes of uploads.
    pub manage: Manage,
    /// Store and index, to be asked whether they are well and what they hold.
    pub repository: Repository,
    /// What else keeps the server from storing, if anything does.
    pub trouble: watch::Receiver<Option<String>>,
    /// What the cleaner counts.
    pub expiry: expiry::Metrics,
    /// Whether this instance is the cleaner.
    pub claims: watch::Receiver<Option<Claim>>,
    /// The time.
    pub clock: Clock,
    /// The settings.
    pub options: Options,
    /// Cancelled when bodies that are still being read are given up.
    pub abort: CancellationToken,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Puts the use cases behind HTTP.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            ingest,
            delivery,
            manage,
            repository,
            trouble,
            expiry,
            claims,
            clock,
            options,
            abort,
        } = parts;
        App(Arc::new(Shared {
            admission: Admission::new(options.limits),
            options,
            metrics: Arc::new(Metrics::new(&expiry)),
            draining: AtomicBool::new(false),
            ingest,
            delivery,
            manage,
            repository,
            trouble,
            logged_trouble: Mutex::new(None),
            claims,
            clock,
            abort,
        }))
    }

    /// Drops readiness: the server is ending.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why the server cannot store now, if so, in words for clients: the exact reason may hold
    /// addresses, and goes to the log, once.
    fn unready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("the server is shutting down");
        }
        let trouble = self.trouble.borrow().clone();
        let store = || self.repository.store().ready().err();
        let index = || self.repository.catalog().ready().err();
        let found = trouble
            .map(|reason| ("the storage and the index are not ready", reason))
            .or_else(|| Some(("the storage cannot store now", store()?)))
            .or_else(|| Some(("the index cannot be reached now", index()?)));
        let (words, reason) = found.unzip();
        // Nothing between the lock and its release can panic half-way.
        let logged = self.logged_trouble.lock();
        let mut logged = logged.unwrap_or_else(PoisonError::into_inner);
        if *logged != reason {
            if let Some(reason) = &reason {
                tracing::error!(reason, "not ready");
            }
            *logged = reason;
        }
        words
    }

    /// Scheme, host and port as the client of a request knows them, for absolute URLs.
    fn origin_of(&self, origin: &Origin) -> String {
        let public = self.options.public_url.clone();
        public.unwrap_or_else(|| format!("{}://{}", origin.scheme, origin.host))
    }

    /// Who looks at a page, for a request.
    fn reader(&self, query: Option<&str>, headers: &http::HeaderMap) -> page::Reader<'_> {
        page::Reader {
            language: page::Language::of(query, headers),
            base: &self.options.base_path,
        }
    }

    /// The routes, and what stands around them, for a server that listens on these addresses.
    pub fn front(self, listening: &[SocketAddr]) -> Arc<Front> {
        let hosts = Hosts::new(&self.options, listening);
        let routes = routes(&self).with_state(self.clone());
        let based = match self.options.base_path.as_str() {
            "" => routes,
            base => Router::new()
                .nest(base, routes)
                .route(
                    &format!("{base}/"),
                    get(page::form).with_state(self.clone()),
                )
                .fallback(outside)
                .method_not_allowed_fallback(wrong_method),
        };
        let cors = cors::layer(&self.options.cors_origins);
        Arc::new(Front::new(self, hosts, based, cors))
    }
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
    routes.route_layer(from_fn_with_state((app.clone(), scope), access::required))
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
