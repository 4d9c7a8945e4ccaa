//! Local or not: whether a server is meant for its own machine alone, and whether a request to such
//! a server comes from a program on that machine, and not by a proxy.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use http::{Version, header};

use super::proxy_signs::is_forwarded;

/// The addresses that a server listens on.
#[derive(Debug, Clone, Default)]
pub struct Listening {
    /// The TCP addresses.
    pub tcp: Vec<SocketAddr>,
    /// Whether there is a unix socket.
    pub unix: bool,
    /// The port of the first of the TCP addresses that has TLS.
    pub secure_port: Option<u16>,
}

/// Why a server is not meant for its own machine alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beyond {
    /// Other machines reach this address.
    Address(SocketAddr),
    /// A unix socket has a proxy in front, which serves others.
    UnixSocket,
    /// This setting says that others are served.
    Setting(&'static str),
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Beyond::Address(address) => write!(f, "it listens on {address}"),
            Beyond::UnixSocket => write!(f, "it listens on a unix socket"),
            Beyond::Setting(setting) => write!(f, "{setting} is set"),
        }
    }
}

/// Why a server is not local; `None` for one that is. `set` are those of the settings `public_url`,
/// `trusted_proxies` and `hosts` that are set.
pub fn beyond(listening: &Listening, set: Option<&'static str>) -> Option<Beyond> {
    let reached = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
    let reached = listening.tcp.iter().find(reached).copied();
    reached
        .map(Beyond::Address)
        .or(listening.unix.then_some(Beyond::UnixSocket))
        .or(set.map(Beyond::Setting))
}

/// The names of a machine.
#[derive(Debug, Clone)]
pub struct Machine(Vec<String>);

impl Machine {
    /// This machine's (uname(2)), whole and to the first dot.
    pub fn this() -> Self {
        let name = rustix::system::uname();
        let name = name.nodename().to_string_lossy().into_owned();
        let short = name.split('.').next().unwrap_or_default().to_owned();
        let mut names = vec![name, short];
        names.retain(|name| !name.is_empty());
        names.dedup();
        Machine(names)
    }

    /// Whether a name or address, without brackets, means this machine for every client.
    pub fn is(&self, host: &str) -> bool {
        const LOCALHOST: &[u8] = b".localhost";
        let bytes = host.as_bytes();
        let below = bytes.len().checked_sub(LOCALHOST.len());
        host.eq_ignore_ascii_case("localhost")
            || below.is_some_and(|at| bytes[at..].eq_ignore_ascii_case(LOCALHOST))
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
            || self.0.iter().any(|name| same_host(name, host))
    }
}

/// Whether two names or addresses are the same.
pub fn same_host(name: &str, host: &str) -> bool {
    // A name may be written with the dot of the root behind it.
    let host = host.strip_suffix('.').unwrap_or(host);
    name.eq_ignore_ascii_case(host)
        || matches!((name.parse::<IpAddr>(), host.parse::<IpAddr>()), (Ok(a), Ok(b)) if a == b)
}

/// Whether nothing of a request shows that a proxy passed it on. Proxies that ask for the server
/// under its own address say so by a field, or speak HTTP/1.0, as nginx does unless it is told
/// otherwise.
pub fn came_directly(request: &Request) -> bool {
    let has_host =
        request.uri().authority().is_some() || request.headers().contains_key(header::HOST);
    has_host && request.version() != Version::HTTP_10 && !is_forwarded(request.headers())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_server_is_local_while_nothing_says_otherwise() {
        let on = |tcp: &[&str], unix| Listening {
            tcp: tcp.iter().map(|text| text.parse().unwrap()).collect(),
            unix,
            secure_port: None,
        };
        let one = [
            "127.0.0.1:80",
            "[::1]:80",
            "127.3.2.1:1",
            "[::ffff:127.0.0.1]:1",
        ];
        assert_eq!(beyond(&on(&one, false), None), None);
        for (listening, set, reason) in [
            (
                on(&["127.0.0.1:80", "0.0.0.0:81"], false),
                None,
                "it listens on 0.0.0.0:81",
            ),
            (
                on(&["[::]:80"], true),
                Some("hosts"),
                "it listens on [::]:80",
            ),
            (
                on(&["10.0.0.1:80"], false),
                None,
                "it listens on 10.0.0.1:80",
            ),
            (on(&one, true), None, "it listens on a unix socket"),
            (on(&[], true), None, "it listens on a unix socket"),
            (on(&one, false), Some("public_url"), "public_url is set"),
        ] {
            let found = beyond(&listening, set).map(|beyond| beyond.to_string());
            assert_eq!(found.as_deref(), Some(reason), "{listening:?}");
        }
    }

    #[test]
    fn names_of_this_machine() {
        let machine = Machine(vec!["box.example".to_owned(), "box".to_owned()]);
        for host in [
            "localhost",
            "LocalHost",
            "a.localhost",
            "127.9.9.9",
            "::1",
            "BOX",
            "box.",
        ] {
            assert!(machine.is(host), "{host}");
        }
        for host in [
            "",
            "localhost.example",
            "10.0.0.1",
            "0.0.0.0",
            "other",
            "xlocalhost",
        ] {
            assert!(!machine.is(host), "{host}");
        }
    }

    #[test]
    fn what_a_proxy_passes_on_shows_it() {
        let request = |version, fields: &[(&str, &str)]| {
            let mut request = Request::builder().version(version).uri("/");
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            request.body(Body::empty()).unwrap()
        };
        let host = ("Host", "localhost:8080");
        assert!(came_directly(&request(Version::HTTP_11, &[host])));
        assert!(came_directly(&request(Version::HTTP_2, &[host])));
        for (version, fields) in [
            (Version::HTTP_10, &[host][..]),
            (Version::HTTP_2, &[]),
            (Version::HTTP_11, &[host, ("X-Forwarded-For", "1.2.3.4")]),
            (Version::HTTP_11, &[host, ("X-Forwarded-Server", "a")]),
            (Version::HTTP_11, &[host, ("Forwarded", "for=_x")]),
            (Version::HTTP_11, &[host, ("Via", "1.1 a")]),
            (Version::HTTP_11, &[host, ("X-Real-IP", "1.2.3.4")]),
        ] {
            assert!(!came_directly(&request(version, fields)), "{fields:?}");
        }
    }
}
