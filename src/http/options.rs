//! The settings of HTTP.

use std::time::Duration;

use super::admission::AdmissionLimits;
use super::rules::access::Access;
use super::rules::cors::Site;
use super::rules::hosts::HostPattern;
use super::rules::origin::Trusted;

/// How the server presents itself.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The path everything lies under: empty, or `/x` without a slash at the end.
    pub base_path: String,
    /// Scheme, host and port of absolute URLs; else they are the request's.
    pub public_url: Option<String>,
    /// Proxies that are believed when they name the client.
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
    pub limits: AdmissionLimits,
    /// The name of this process.
    pub instance: String,
}
