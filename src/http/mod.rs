//! The resources over HTTP: routes, headers, status codes. It knows the use cases, and nothing
//! below them.

pub mod admission;
mod log;
mod metrics;
mod options;
mod received;
mod render;
mod resources;
mod routes;
pub mod rules;
pub mod server;
mod service;
mod state;

pub use options::Options;
pub use routes::service;
pub use service::Service;
pub use state::{App, Parts};
