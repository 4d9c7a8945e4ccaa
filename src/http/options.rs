//! The settings of HTTP.

use std::time::Duration;

use super::admission::AdmissionLimits;
use super::rules::access::{Access, Policy};
use super::rules::brand::Brand;
use super::rules::cors::Site;
use super::rules::hosts::{HostPattern, HostSettings};
use super::rules::locality::{Beyond, Listening, beyond};
use super::rules::origin::Trusted;
use super::tls::Tls;

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
    /// Whether these pages may show files of this server, as pictures for instance.
    pub embed: bool,
    /// Whether clients without TLS are sent to it.
    pub tls_redirect: bool,
    /// How long browsers are told to keep to TLS, if they are.
    pub hsts: Option<Duration>,
    /// The certificates in force, where TLS ends here.
    pub tls: Option<Tls>,
    /// Secrets by scope.
    pub access: Access,
    /// The actions that are open without one.
    pub policy: Policy,
    /// How long a body may make no progress.
    pub idle_timeout: Duration,
    /// Which uploads may run at once.
    pub limits: AdmissionLimits,
    /// The operator of the server, as its pages show it.
    pub brand: Brand,
    /// The name of this process.
    pub instance: String,
}

impl HttpOptions {
    /// The settings of the hosts that are served.
    pub(super) fn host_settings(&self) -> HostSettings<'_> {
        HostSettings {
            named: &self.hosts,
            public_url: self.public_url.as_deref(),
            behind: !self.trusted_proxies.0.is_empty(),
            base: &self.base_path,
        }
    }

    /// Why a server that listens there is not meant for its own machine alone; `None` for one
    /// that is.
    pub fn beyond(&self, listening: &Listening) -> Option<Beyond> {
        beyond(listening, self.host_settings().set())
    }
}
