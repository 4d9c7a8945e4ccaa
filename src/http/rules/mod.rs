//! The rules of HTTP that all resources follow: which requests are refused, and what their fields
//! mean. They know neither the state nor a resource.

pub(super) mod accept;
pub mod access;
pub mod brand;
pub(super) mod coding;
pub mod color;
pub(super) mod conditional;
pub(super) mod cookies;
pub mod cors;
pub(super) mod cross_site;
pub(super) mod extract;
pub mod hosts;
pub(super) mod json;
pub mod locality;
pub(super) mod look;
pub mod options;
pub mod origin;
pub(super) mod prefer;
pub(super) mod problem;
mod proxy_signs;
pub(super) mod query;
pub mod range;
pub(super) mod request_id;
pub(super) mod secure;
