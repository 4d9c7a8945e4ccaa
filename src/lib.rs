//! wharf: a server for `multipart/form-data`, in both directions.

pub mod catalog;
pub mod delivery;
pub mod form;
pub mod http;
pub mod ingest;
pub mod model;
pub mod store;
