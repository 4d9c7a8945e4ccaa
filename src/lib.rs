//! wharf: a server for `multipart/form-data`, in both directions.

pub mod catalog;
pub mod delivery;
pub mod expiry;
pub mod form;
pub mod http;
pub mod ingest;
pub mod lease;
pub mod model;
pub mod shutdown;
pub mod store;
