//! wharf: a server for `multipart/form-data`, in both directions.

pub mod form;
pub mod model;
