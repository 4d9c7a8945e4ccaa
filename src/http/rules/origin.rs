//! The origin of a request: the address of its client, and the name by which the client knows this
//! server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};
use ipnet::IpNet;

use crate::http::tls::Secured;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub enum Peer {
    /// A client or a proxy over TCP.
    Tcp(SocketAddr),
    /// The same with TLS, which ends here.
    Tls(SocketAddr, Arc<Secured>),
    /// A process on this machine over a unix socket: trusted like a proxy.
    Unix,
}

const HTTPS: &str = "https";

/// The origin of a request, by its head and by a trusted proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, as far as it is known.
    pub client: Option<IpAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port as the client knows them.
    pub host: String,
    /// Whether a program on this machine sent it to a server that is for this machine alone.
    pub local: bool,
}

/// The proxies whose `Forwarded` and `X-Forwarded-*` fields are believed.
#[derive(Debug, Clone, Default)]
pub struct Trusted(pub Vec<IpNet>);

impl Trusted {
    fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Whether this peer is believed.
    pub(in crate::http) fn trusts(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Tcp(address) | Peer::Tls(address, _) => self.contains(address.ip()),
            Peer::Unix => true,
        }
    }
}

/// The fields of proxies that do not know `Forwarded`.
const X_FORWARDED: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// One element of `Forwarded` (RFC 7239 section 4), or what `X-Forwarded-*` says instead.
#[derive(Debug, Default)]
struct Hop {
    client: Option<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<String>,
}

impl Origin {
    /// Reads the origin of a request.
    pub fn of(peer: &Peer, uri: &Uri, headers: &HeaderMap, trusted: &Trusted) -> Self {
        let address = match peer {
            Peer::Tcp(address) | Peer::Tls(address, _) => Some(address.ip().to_canonical()),
            Peer::Unix => None,
        };
        let scheme = match peer {
            Peer::Tls(..) => HTTPS,
            Peer::Tcp(_) | Peer::Unix => "http",
        };
        let host = uri.authority().map(Authority::as_str);
        let host = host
            .or_else(|| field(headers, header::HOST.as_str()))
            .and_then(authority);
        let mut origin = Origin {
            client: address,
            scheme,
            host: host.unwrap_or_else(|| "localhost".to_owned()),
            // Known when the hosts of the server were looked at.
            local: false,
        };
        if trusted.trusts(peer) {
            // A proxy sets one kind and passes the other on as the client sent it. Nearly all set
            // the older one, so beside it the newer one is the client's.
            let hop = if X_FORWARDED.iter().any(|name| headers.contains_key(*name)) {
                x_forwarded(headers, trusted)
            } else {
                forwarded(headers, trusted)
            };
            origin.client = hop.client.or(origin.client);
            origin.scheme = hop.scheme.unwrap_or(origin.scheme);
            origin.host = hop.host.unwrap_or(origin.host);
        }
        origin
    }

    /// Whether no machine on the way could read or change it, as far as the client knows.
    pub(in crate::http) fn is_secure(&self) -> bool {
        self.scheme == HTTPS
    }

    /// Scheme, host and port as the client knows them: `public_url` where it is set.
    pub(in crate::http) fn public(&self, public_url: Option<&str>) -> String {
        public_url.map_or_else(|| format!("{}://{}", self.scheme, self.host), str::to_owned)
    }

    /// The client's address where it is one client's: not that of this machine, nor of a proxy,
    /// which may have many behind it.
    pub(in crate::http) fn one_client(&self, proxies: &Trusted) -> Option<IpAddr> {
        self.client
            .filter(|client| !client.is_loopback() && !proxies.contains(*client))
    }
}

/// The last value of a field that a proxy sets.
fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?;
    value.to_str().ok()
}

fn authority(text: &str) -> Option<String> {
    let authority: Authority = text.trim().parse().ok()?;
    let plain = !text.contains('@') && !authority.host().is_empty();
    plain.then(|| authority.to_string())
}

fn scheme(text: &str) -> Option<&'static str> {
    let is = |scheme: &&str| text.trim().eq_ignore_ascii_case(scheme);
    ["http", HTTPS].into_iter().find(is)
}

/// The nearest client that is no trusted proxy, from the last to the first: only what a trusted
/// proxy added is believed.
fn nearest(
    addresses: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    trusted: &Trusted,
) -> Option<IpAddr> {
    let mut last = None;
    for address in addresses.rev() {
        let address = address?;
        last = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    last
}

fn x_forwarded(headers: &HeaderMap, trusted: &Trusted) -> Hop {
    let list = headers.get_all("x-forwarded-for").iter();
    let list: Vec<&str> = list
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let last = |name| field(headers, name).and_then(|value| value.split(',').next_back());
    Hop {
        client: nearest(list.iter().map(|text| node(text.trim())), trusted),
        scheme: last("x-forwarded-proto").and_then(scheme),
        host: last("x-forwarded-host").and_then(authority),
    }
}

fn forwarded(headers: &HeaderMap, trusted: &Trusted) -> Hop {
    let values = headers.get_all(header::FORWARDED).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let hops: Vec<Hop> = values
        .flat_map(|value| split(value, ','))
        .map(forwarded_hop)
        .collect();
    let client = nearest(hops.iter().map(|hop| hop.client), trusted);
    let last = hops.into_iter().next_back().unwrap_or_default();
    Hop { client, ..last }
}

fn forwarded_hop(text: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(text, ';') {
        let Some((name, value)) = pair.trim().split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.client = node(value),
            "proto" => hop.scheme = scheme(value),
            "host" => hop.host = authority(value),
            _ => {}
        }
    }
    hop
}

/// Splits at `separator`, but not within a quoted string (RFC 9110 section 5.6.4): a quoted
/// string of a client is one value, and ends no element.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let here = !quoted && c == separator;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        here
    })
}

/// An address, with or without a port, IPv6 with or without brackets.
fn node(text: &str) -> Option<IpAddr> {
    let socket = text.parse::<SocketAddr>().map(|socket| socket.ip());
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    socket
        .ok()
        .or_else(|| bare.parse().ok())
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(peer: &str, fields: &[(&'static str, &str)]) -> Origin {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted = Trusted(vec!["10.0.0.0/8".parse().unwrap()]);
        let peer = Peer::Tcp(SocketAddr::new(peer.parse().unwrap(), 1234));
        Origin::of(&peer, &Uri::from_static("/"), &headers, &trusted)
    }

    fn is(client: &str, scheme: &'static str, host: &str) -> Origin {
        Origin {
            client: Some(client.parse().unwrap()),
            scheme,
            host: host.to_owned(),
            local: false,
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let fields = [
            ("host", "inner:8080"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "files.example"),
        ];
        assert_eq!(
            origin("9.9.9.9", &fields),
            is("9.9.9.9", "http", "inner:8080")
        );
        assert_eq!(
            origin("10.1.1.1", &fields),
            is("1.2.3.4", "https", "files.example")
        );
        assert_eq!(
            origin("::ffff:10.1.1.1", &fields),
            is("1.2.3.4", "https", "files.example")
        );
    }

    #[test]
    fn what_a_client_forged_before_the_proxy_is_not_believed() {
        let chain = [("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.7")];
        assert_eq!(
            origin("10.1.1.1", &chain),
            is("1.2.3.4", "http", "localhost")
        );
        let forged = [(
            "forwarded",
            "for=6.6.6.6, for=\"1.2.3.4:5\";proto=https;host=\"a.example:8\"",
        )];
        assert_eq!(
            origin("10.1.1.1", &forged),
            is("1.2.3.4", "https", "a.example:8")
        );
    }

    #[test]
    fn one_kind_of_field_is_believed() {
        let both = [
            ("forwarded", "for=6.6.6.6;host=evil.example;proto=https"),
            ("x-forwarded-for", "1.2.3.4"),
            ("host", "files.example"),
        ];
        assert_eq!(
            origin("10.1.1.1", &both),
            is("1.2.3.4", "http", "files.example")
        );
    }

    #[test]
    fn a_quoted_comma_ends_no_element() {
        let fields = [(
            "forwarded",
            "for=\"[2001:db8::1]:80\";host=\"a,b\";proto=https",
        )];
        assert_eq!(
            origin("10.1.1.1", &fields),
            is("2001:db8::1", "https", "a,b")
        );
        // A quote that the client left open takes the proxy's own element with it: nothing is
        // believed.
        let open = [("forwarded", "for=\"6.6.6.6, for=1.2.3.4;proto=https")];
        assert_eq!(
            origin("10.1.1.1", &open),
            is("10.1.1.1", "http", "localhost")
        );
    }

    #[test]
    fn hosts_that_are_none_are_passed_over() {
        for host in ["a b", "u@a", "", "a/b"] {
            assert_eq!(
                origin("9.9.9.9", &[("host", host)]).host,
                "localhost",
                "{host}"
            );
        }
    }
}
