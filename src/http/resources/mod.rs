//! The resources, one file for each, and what several of them need.

#[macro_use]
mod embed;

mod about;
pub(super) mod api;
pub(super) mod archive;
pub(super) mod change;
mod document;
pub(super) mod download;
pub(super) mod filepond;
pub(super) mod health;
pub(super) mod listing;
pub(super) mod manage;
pub(super) mod page;
pub(super) mod places;
mod record;
pub(super) mod reindex;
mod respond;
mod timed_body;
pub(super) mod upload;
pub(super) mod uploads;
