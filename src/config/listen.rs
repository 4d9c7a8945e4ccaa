//! Where the server listens, as it is written.

use std::path::PathBuf;

/// Something to listen on, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub address: ListenAddress,
    /// Whether TCP has TLS there.
    pub tls: bool,
}

impl Endpoint {
    /// Reads what [`ListenAddress::parse`] does, and before an address of TCP `https://` and
    /// `http://`: with and without TLS. `usual` is what an address without them means.
    ///
    /// # Errors
    /// It is none of these; the error names it.
    pub fn parse(text: &str, bind: &str, usual: Option<Usual>) -> Result<Self, String> {
        let (bare, said) = without_scheme(text);
        let address = ListenAddress::parse(bare, bind)?;
        if said.is_some() && matches!(address, ListenAddress::Unix(_)) {
            return Err(format!("{text:?}: a unix socket has no scheme before it"));
        }
        if said == Some(true) && usual.is_none() {
            return Err(format!(
                "{text:?} needs a certificate, and tls_cert is not set"
            ));
        }
        let tls = said.unwrap_or(usual == Some(Usual::Tls));
        Ok(Endpoint { address, tls })
    }
}

/// The scheme of an address without one, to a server that has certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// TLS.
    Tls,
    /// No TLS.
    Plain,
}

/// An address without its scheme, and whether that says TLS.
pub(super) fn without_scheme(text: &str) -> (&str, Option<bool>) {
    for (scheme, tls) in [("https://", true), ("http://", false)] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return (rest.strip_suffix('/').unwrap_or(rest), Some(tls));
        }
    }
    (text, None)
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host and port.
    Tcp(String),
    /// This port of every address of the machine.
    Everywhere(u16),
    /// The path of a unix socket.
    Unix(PathBuf),
    /// A descriptor of this process that is a listening socket.
    Descriptor(i32),
    /// The listening sockets that were passed to this process under this name.
    Named(String),
}

impl ListenAddress {
    /// Reads `PORT` (on the address `bind`), `:PORT` and `*:PORT` (on every address), `HOST:PORT`,
    /// `unix:/PATH` or `fd:NUMBER`.
    ///
    /// # Errors
    /// It is none of these; the error names it.
    pub fn parse(text: &str, bind: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "{text:?} is none of PORT, :PORT, HOST:PORT, unix:/PATH and fd:NUMBER, as in 8080, :8080, 127.0.0.1:8080"
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: without a path".to_owned()),
                path => Ok(ListenAddress::Unix(path.into())),
            };
        }
        if let Some(number) = text.strip_prefix("fd:") {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            return match number.parse() {
                Ok(number @ 0..) => Ok(ListenAddress::Descriptor(number)),
                Err(_)
                    if number.starts_with(|first: char| first.is_ascii_alphabetic())
                        && number.bytes().all(is_name) =>
                {
                    Ok(ListenAddress::Named(number.to_owned()))
                }
                _ => Err(format!(
                    "{text:?} is not fd: and the number or name of a socket that was passed, as in fd:3, fd:web"
                )),
            };
        }
        if let Some(port) = parse_port(text) {
            return Self::on(bind, port);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = parse_port(port).ok_or_else(refused)?;
        Self::of(host, port).map_err(|reason| reason.unwrap_or_else(refused))
    }

    /// This port of the address `bind`; an address of IPv6 needs no brackets there.
    ///
    /// # Errors
    /// `bind` is no address.
    pub(super) fn on(bind: &str, port: u16) -> Result<Self, String> {
        let bracketed = format!("[{bind}]");
        let plain = !bind.contains(':') || bind.starts_with('[');
        Self::of(if plain { bind } else { &bracketed }, port)
            .map_err(|_| format!("{bind:?} is not an address or a name, without a port"))
    }

    /// This port of a host; `*` and no host at all are every address.
    ///
    /// # Errors
    /// The form that the host has to have, or nothing where that is plain.
    fn of(host: &str, port: u16) -> Result<Self, Option<String>> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let address = bare.unwrap_or(host);
        Ok(match host {
            "" | "*" => ListenAddress::Everywhere(port),
            _ if address.contains(':') => match is_ipv6(address) {
                true if bare.is_some() => ListenAddress::Tcp(format!("[{address}]:{port}")),
                true => {
                    return Err(Some(format!(
                        "an address of IPv6 before a port stands in brackets: [{address}]:{port}"
                    )));
                }
                false => return Err(None),
            },
            _ if bare.is_some() || host.contains(['/', ' ', '@', '[', ']']) => return Err(None),
            host => ListenAddress::Tcp(format!("{host}:{port}")),
        })
    }
}

/// Whether it is an address of IPv6, which may have a zone.
fn is_ipv6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

/// A port; 0 is any that is free.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form() {
        let tcp = |text: &str| ListenAddress::Tcp(text.to_owned());
        for (text, bind, address) in [
            ("8080", "127.0.0.1", tcp("127.0.0.1:8080")),
            ("8080", "[::1]", tcp("[::1]:8080")),
            ("8080", "::1", tcp("[::1]:8080")),
            ("[fe80::1%2]:1", "x", tcp("[fe80::1%2]:1")),
            ("8080", "*", ListenAddress::Everywhere(8080)),
            (":8080", "127.0.0.1", ListenAddress::Everywhere(8080)),
            ("*:0", "127.0.0.1", ListenAddress::Everywhere(0)),
            ("[::1]:0", "127.0.0.1", tcp("[::1]:0")),
            ("files.example:80", "x", tcp("files.example:80")),
            ("unix:/run/w", "x", ListenAddress::Unix("/run/w".into())),
            ("fd:3", "x", ListenAddress::Descriptor(3)),
            ("fd:web", "x", ListenAddress::Named("web".to_owned())),
        ] {
            assert_eq!(ListenAddress::parse(text, bind), Ok(address), "{text}");
        }
    }

    #[test]
    fn a_scheme_says_whether_there_is_tls() {
        let read = |text: &str, usual| Endpoint::parse(text, "127.0.0.1", usual);
        let tls = |text: &str, usual| read(text, usual).unwrap().tls;
        let (with, without) = (Some(Usual::Tls), Some(Usual::Plain));
        assert!(tls("8443", with) && tls("https://8443", with) && tls("https://a:1/", without));
        assert!(!tls("http://:80", with) && !tls("8080", without) && !tls("8080", None));
        let everywhere = ListenAddress::Everywhere(8443);
        assert_eq!(read("https://:8443/", with).unwrap().address, everywhere);
        let said = read("https://:8443", None).unwrap_err();
        assert!(said.contains("tls_cert is not set"), "{said}");
        let said = read("https://unix:/x", with).unwrap_err();
        assert!(said.contains("a unix socket"), "{said}");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for (text, said) in [
            ("", "is none of PORT"),
            ("localhost", "is none of PORT"),
            ("a:70000", "is none of PORT"),
            ("a:", "is none of PORT"),
            ("+80", "is none of PORT"),
            ("http://a:80", "is none of PORT"),
            ("[a]:80", "is none of PORT"),
            ("1:2:80", "is none of PORT"),
            ("::1:80", "in brackets: [::1]:80"),
            ("fe80::1:80", "in brackets: [fe80::1]:80"),
            ("unix:", "without a path"),
            ("fd:", "as in fd:3"),
            ("fd:-1", "as in fd:3"),
            ("fd:3x", "as in fd:3"),
            ("fd:a b", "as in fd:3"),
        ] {
            let error = ListenAddress::parse(text, "127.0.0.1").unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        for bind in ["a:80", "http://a", "[::1", "a b"] {
            let error = ListenAddress::parse("80", bind).unwrap_err();
            assert!(
                error.starts_with(&format!("{bind:?} is not an address")),
                "{error}"
            );
        }
    }
}
