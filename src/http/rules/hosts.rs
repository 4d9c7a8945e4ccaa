//! Which hosts are served: those that the settings name, else any. A server that listens for its
//! own machine alone refuses foreign names: by such a name another site's page could reach it (DNS
//! rebinding).

use std::net::IpAddr;

use axum::extract::Request;
use http::uri::Authority;
use http::{HeaderValue, Version, header};

use super::locality::{Listening, Machine, beyond, came_directly, same_host};
use super::origin::Origin;
use super::problem::{Code, Problem};

/// The paths that probes ask for, under any name, with and without the base path.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Whether a probe asks for this path of a server under `base`.
pub fn is_probe(base: &str, path: &str) -> bool {
    PROBES.contains(&path)
        || path
            .strip_prefix(base)
            .is_some_and(|path| PROBES.contains(&path))
}

/// A host of the setting `hosts`: a name or an address, or `*.` and a name for all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// In lower case.
    name: String,
    below: bool,
}

impl HostPattern {
    /// Reads a name, an address (IPv6 with or without brackets), or `*.NAME`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is neither a host without a port, nor *. and a name");
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if let Ok(address) = name.parse::<IpAddr>()
            && !below
        {
            let name = address.to_string();
            return Ok(HostPattern { name, below });
        }
        let authority: Authority = name.parse().map_err(|_| refused())?;
        if authority.as_str() != authority.host() || name.contains('*') {
            return Err(refused());
        }
        let name = bare(authority.host()).to_ascii_lowercase();
        Ok(HostPattern { name, below })
    }

    fn matches(&self, host: &str) -> bool {
        if !self.below {
            return same_host(&self.name, host);
        }
        let dot = host.len().checked_sub(self.name.len() + 1);
        dot.is_some_and(|dot| {
            dot > 0
                && host.as_bytes()[dot] == b'.'
                && host.as_bytes()[dot + 1..].eq_ignore_ascii_case(self.name.as_bytes())
        })
    }
}

/// The settings of the hosts of a server.
#[derive(Debug, Clone, Copy)]
pub struct HostSettings<'a> {
    /// The setting `hosts`.
    pub named: &'a [HostPattern],
    /// The setting `public_url`.
    pub public_url: Option<&'a str>,
    /// Whether `trusted_proxies` is set.
    pub behind: bool,
    /// The setting `base_path`.
    pub base: &'a str,
}

impl HostSettings<'_> {
    /// The first of the settings that says that others than this machine are served.
    pub fn set(&self) -> Option<&'static str> {
        let set = [
            ("public_url", self.public_url.is_some()),
            ("trusted_proxies", self.behind),
            ("hosts", !self.named.is_empty()),
        ];
        set.iter().find(|(_, set)| *set).map(|(name, _)| *name)
    }
}

/// The hosts that this server answers for.
pub struct Hosts {
    /// The hosts of the setting `hosts`, and that of `public_url`; empty is any.
    served: Vec<HostPattern>,
    machine: Machine,
    /// Whether the server is local: then a request may be so too.
    local: bool,
    /// The ports on which no foreign name is served that has the same port; none where the server
    /// is meant for others than this machine.
    guarded: Vec<u16>,
    base: String,
}

impl Hosts {
    /// The hosts of a server with these settings that listens there.
    pub fn new(settings: HostSettings, listening: &Listening) -> Self {
        let mut served = settings.named.to_vec();
        if !served.is_empty() {
            let url = settings.public_url;
            let host = url.and_then(|url| url.split_once("://")?.1.parse::<Authority>().ok());
            served.extend(host.and_then(|host| HostPattern::parse(host.host()).ok()));
        }
        // A unix socket beside them makes pages of other sites no less able to reach the others.
        let tcp = Listening {
            unix: false,
            ..listening.clone()
        };
        let own = beyond(&tcp, settings.set()).is_none();
        let ports = listening.tcp.iter().map(|address| address.port());
        Hosts {
            served,
            machine: Machine::this(),
            local: beyond(listening, settings.set()).is_none(),
            guarded: ports.filter(|_| own).collect(),
            base: settings.base.to_owned(),
        }
    }

    /// Whether the server is meant for its own machine alone.
    pub fn are_local(&self) -> bool {
        self.local
    }

    /// Refuses a request of which it is not certain what host it is for, and one for a host that
    /// is not served. Answers whether the request is local.
    ///
    /// # Errors
    /// 400: over HTTP/1.1 there is not exactly one `Host` (RFC 9112 section 3.2), or it is none;
    /// over HTTP/2 there is neither it nor `:authority`, which proxies leave out where they probe,
    /// or they differ (RFC 9113 section 8.3.1); the target has a user. 421: the host is not served.
    pub fn admit(&self, request: &Request) -> Result<bool, Problem> {
        let is_probe = is_probe(&self.base, request.uri().path());
        well_formed(request, is_probe)?;
        if self.served.is_empty() && self.guarded.is_empty() && !self.local {
            return Ok(false);
        }
        let Some(origin) = request.extensions().get::<Origin>() else {
            return Ok(false);
        };
        let Ok(authority) = origin.host.parse::<Authority>() else {
            return Ok(false);
        };
        let host = bare(authority.host());
        if self.machine.is(host) {
            return Ok(self.local && came_directly(request));
        }
        if is_probe {
            return Ok(false);
        }
        let text = &origin.host;
        if !self.served.is_empty() {
            if self.served.iter().any(|served| served.matches(host)) {
                return Ok(false);
            }
            let detail = format!("{text:?} is no host that the setting hosts names");
            return Err(Problem::new(Code::WrongHost, detail)
                .setting("hosts")
                .name(text));
        }
        // A process over a unix socket is no browser, and has no client address.
        let usual = if origin.is_secure() { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(usual);
        if origin.client.is_some() && self.guarded.contains(&port) {
            let detail = format!(
                "{text:?} is not this machine, and the server listens for this machine alone; where \
                 the name is meant, one of the settings hosts, public_url and trusted_proxies says so"
            );
            return Err(Problem::new(Code::WrongHost, detail)
                .setting("hosts")
                .name(text));
        }
        Ok(false)
    }
}

fn well_formed(request: &Request, is_probe: bool) -> Result<(), Problem> {
    let problem = |detail: &str| Problem::new(Code::MalformedRequest, detail).field("host");
    let refused = |detail: &str| Err(problem(detail));
    let mut fields = request.headers().get_all(header::HOST).iter();
    let (host, more) = (fields.next(), fields.next());
    if more.is_some() {
        return refused("the request has more than one Host");
    }
    let named = request.uri().authority();
    // Of `user@host` one program can take the first for the host, another the second (RFC 9110
    // section 4.2.4).
    if let Some(named) = named.filter(|named| !is_host(named)) {
        let detail = format!("what the request is for is no host: {:?}", named.as_str());
        return Err(problem(&detail));
    }
    let Some(host) = host else {
        return match (request.version(), named) {
            (Version::HTTP_11, _) => refused("the request has no Host"),
            (Version::HTTP_2, None) if !is_probe => {
                refused("the request has neither :authority nor Host")
            }
            _ => Ok(()),
        };
    };
    let Some(authority) = authority(host) else {
        let detail = format!("the Host of the request is none: {host:?}");
        return Err(problem(&detail));
    };
    // Over HTTP/1.1 the request line counts, and Host is passed over (RFC 9112 section 3.2.2).
    let differs = |named: &Authority| !named.as_str().eq_ignore_ascii_case(authority.as_str());
    if request.version() == Version::HTTP_2 && named.is_some_and(differs) {
        return refused("Host and :authority of the request differ");
    }
    Ok(())
}

/// A host and perhaps a port, if `value` is that.
fn authority(value: &HeaderValue) -> Option<Authority> {
    let authority: Authority = value.to_str().ok()?.trim().parse().ok()?;
    is_host(&authority).then_some(authority)
}

fn is_host(authority: &Authority) -> bool {
    let plain = !authority.as_str().contains('@') && !authority.host().is_empty();
    let port = authority.as_str().len() == authority.host().len() || authority.port_u16().is_some();
    plain && (port || authority.as_str().ends_with(':'))
}

/// A host without the brackets of an IPv6 address (RFC 3986 section 3.2.2).
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let matches =
            |pattern: &str, host: &str| HostPattern::parse(pattern).unwrap().matches(bare(host));
        assert!(matches("Files.example", "files.EXAMPLE"));
        assert!(matches("files.example", "files.example."));
        assert!(!matches("files.example", "a.files.example"));
        assert!(matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.example.com", "example.com"));
        assert!(!matches("*.example.com", "badexample.com"));
        assert!(!matches("*.example.com", ".example.com"));
        assert!(matches("::1", "[0:0::1]"));
        assert!(matches("[::1]", "[::1]"));
        for refused in ["", "*", "a:80", "a/b", "u@a", "*.*.a", "http://a"] {
            assert!(HostPattern::parse(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_host_field_is_a_host_and_perhaps_a_port() {
        let is_one = |text: &'static str| authority(&HeaderValue::from_static(text)).is_some();
        for host in [
            "a",
            "a:80",
            "a:",
            "[::1]",
            "[::1]:8080",
            "a_b.example",
            "1.2.3.4",
        ] {
            assert!(is_one(host), "{host:?}");
        }
        for host in [
            "", " ", "a b", "u@a", "a/b", "a:x", "a:99999", ":80", "a,b/", "[::1",
        ] {
            assert!(!is_one(host), "{host:?}");
        }
    }
}
