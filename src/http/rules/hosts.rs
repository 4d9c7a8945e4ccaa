//! Which hosts are served: those that the settings name, else any. A server that listens for its
//! own machine alone refuses foreign names: by such a name another site's page could reach it (DNS
//! rebinding).

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use http::uri::Authority;
use http::{HeaderValue, Version, header};

use super::origin::Origin;
use super::problem::{Code, Problem};

/// The paths that probes ask for, under any name.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

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

/// The hosts that this server answers for.
pub struct Hosts {
    /// The hosts of the setting `hosts`, and that of `public_url`; empty is any.
    served: Vec<HostPattern>,
    /// The names of this machine.
    machine: Vec<String>,
    /// The ports on which no foreign name is served that has the same port; none where the server
    /// is meant for others than this machine.
    guarded: Vec<u16>,
    /// The paths of the probes.
    probes: [String; 2],
}

impl Hosts {
    /// The hosts that are `named`, and that of `public_url`, for a server under `base` that
    /// listens on these addresses; `behind` says that a proxy may stand before it.
    pub fn new(
        named: &[HostPattern],
        public_url: Option<&str>,
        behind: bool,
        base: &str,
        listening: &[SocketAddr],
    ) -> Self {
        let mut served = named.to_vec();
        if !served.is_empty() {
            let host =
                public_url.and_then(|url| url.split_once("://")?.1.parse::<Authority>().ok());
            served.extend(host.and_then(|host| HostPattern::parse(host.host()).ok()));
        }
        let own = named.is_empty()
            && public_url.is_none()
            && !behind
            && listening.iter().all(|address| address.ip().is_loopback());
        let ports = listening.iter().map(SocketAddr::port);
        Hosts {
            served,
            machine: machine_names(),
            guarded: ports.filter(|_| own).collect(),
            probes: PROBES.map(|probe| format!("{base}{probe}")),
        }
    }

    /// Refuses a request of which it is not certain what host it is for, and one for a host that
    /// is not served.
    ///
    /// # Errors
    /// 400: over HTTP/1.1 there is not exactly one `Host` (RFC 9112 section 3.2), or it is none,
    /// or two fields name different hosts (RFC 9113 section 8.3.1). 421: the host is not served.
    pub fn refuse(&self, request: &Request) -> Result<(), Problem> {
        well_formed(request)?;
        if self.served.is_empty() && self.guarded.is_empty() {
            return Ok(());
        }
        let Some(origin) = request.extensions().get::<Origin>() else {
            return Ok(());
        };
        let Ok(authority) = origin.host.parse::<Authority>() else {
            return Ok(());
        };
        let host = bare(authority.host());
        if self.is_local(host)
            || self
                .probes
                .iter()
                .any(|probe| probe == request.uri().path())
        {
            return Ok(());
        }
        let text = &origin.host;
        if !self.served.is_empty() {
            if self.served.iter().any(|served| served.matches(host)) {
                return Ok(());
            }
            let detail = format!("{text:?} is no host that the setting hosts names");
            return Err(Problem::new(Code::WrongHost, detail)
                .setting("hosts")
                .name(text));
        }
        // A process over a unix socket is no browser, and has no client address.
        let port = authority.port_u16().unwrap_or(80);
        if origin.client.is_some() && self.guarded.contains(&port) {
            let detail = format!(
                "{text:?} is not this machine, and the server listens for this machine alone; where \
                 the name is meant, one of the settings hosts, public_url and trusted_proxies says so"
            );
            return Err(Problem::new(Code::WrongHost, detail)
                .setting("hosts")
                .name(text));
        }
        Ok(())
    }

    /// Whether a name or address means this machine for every client.
    fn is_local(&self, host: &str) -> bool {
        const LOCALHOST: &[u8] = b".localhost";
        let bytes = host.as_bytes();
        let below = bytes.len().checked_sub(LOCALHOST.len());
        host.eq_ignore_ascii_case("localhost")
            || below.is_some_and(|at| bytes[at..].eq_ignore_ascii_case(LOCALHOST))
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
            || self.machine.iter().any(|name| same_host(name, host))
    }
}

fn well_formed(request: &Request) -> Result<(), Problem> {
    let problem = |detail: &str| Problem::new(Code::MalformedRequest, detail).field("host");
    let refused = |detail: &str| Err(problem(detail));
    let mut fields = request.headers().get_all(header::HOST).iter();
    let (host, more) = (fields.next(), fields.next());
    if more.is_some() {
        return refused("the request has more than one Host");
    }
    let Some(host) = host else {
        return match request.version() {
            Version::HTTP_11 => refused("the request has no Host"),
            _ => Ok(()),
        };
    };
    let Some(authority) = authority(host) else {
        let detail = format!("the Host of the request is none: {host:?}");
        return Err(problem(&detail));
    };
    let named = request.uri().authority();
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
    let plain = !authority.as_str().contains('@') && !authority.host().is_empty();
    let port = authority.as_str().len() == authority.host().len() || authority.port_u16().is_some();
    (plain && (port || authority.as_str().ends_with(':'))).then_some(authority)
}

/// A host without the brackets of an IPv6 address (RFC 3986 section 3.2.2).
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn same_host(name: &str, host: &str) -> bool {
    // A name may be written with the dot of the root behind it.
    let host = host.strip_suffix('.').unwrap_or(host);
    name.eq_ignore_ascii_case(host)
        || matches!((name.parse::<IpAddr>(), host.parse::<IpAddr>()), (Ok(a), Ok(b)) if a == b)
}

/// The machine's name (uname(2)), whole and to its first dot.
fn machine_names() -> Vec<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    let short = name.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![name, short];
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
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
