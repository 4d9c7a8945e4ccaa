//! The rules of HTTP that all resources follow: who may, what a request means, what is refused.

pub(super) mod accept;
pub mod access;
pub(super) mod coding;
pub(super) mod conditional;
pub mod cors;
pub(super) mod cross_site;
pub(super) mod extract;
pub mod hosts;
pub mod origin;
pub(super) mod problem;
pub mod range;
pub(super) mod request_id;
