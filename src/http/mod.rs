//! The resources over HTTP: routes, headers, status codes. It knows the use cases and the pure
//! types, and nothing below the use cases.

pub mod admission;
mod body_meter;
mod date;
mod guard;
mod log;
mod metrics;
mod options;
mod render;
mod resources;
mod route_labels;
mod routes;
pub mod rules;
pub mod server;
mod service;
mod state;
pub mod tls;

pub use options::HttpOptions;
pub use routes::{admin_service, service};
pub use service::Service;
pub use state::{AppState, StateParts};
