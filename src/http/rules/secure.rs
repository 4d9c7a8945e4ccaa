//! The rules of TLS for requests: clients without it are sent to it, browsers are told to keep to
//! it, and a request that came by a connection of another name is refused.

use std::time::Duration;

use axum::extract::Request;
use http::header::Entry;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, header};

use super::hosts::bare;
use super::origin::{Origin, Peer};
use super::problem::{Code, Problem};

/// The port of https (RFC 9110 section 4.2.2).
const USUAL_PORT: u16 = 443;

/// The rules by the settings of TLS.
#[derive(Debug, Clone, Default)]
pub struct SecureRules {
    /// Where clients without TLS are sent, if they are.
    redirect: Option<Target>,
    /// The field that browsers remember.
    hsts: Option<HeaderValue>,
    /// Whether clients come by TLS to the proxies before it, whatever these say.
    behind_tls: bool,
}

/// The beginning of a secure address.
#[derive(Debug, Clone)]
enum Target {
    /// Scheme, host and port.
    Url(String),
    /// The host of the request, with this port.
    Port(u16),
}

impl SecureRules {
    /// The rules of a server: `redirect` sends clients to `public_url`, where that is secure, else
    /// to `port`, where there is one. Browsers keep to TLS for the time of `hsts`.
    pub fn new(
        redirect: bool,
        public_url: Option<&str>,
        port: Option<u16>,
        hsts: Option<Duration>,
    ) -> Self {
        let url = public_url.filter(|url| url.starts_with("https://"));
        let behind_tls = url.is_some();
        let url = url.map(|url| Target::Url(url.to_owned()));
        let target = url.or(port.map(Target::Port));
        let hsts = hsts.map(|age| format!("max-age={}", age.as_secs()));
        SecureRules {
            redirect: target.filter(|_| redirect),
            hsts: hsts.and_then(|value| value.try_into().ok()),
            behind_tls,
        }
    }

    /// The secure address of what a client without TLS asks for, if it is sent there.
    pub fn redirects(&self, request: &Request) -> Option<String> {
        let origin = request.extensions().get::<Origin>()?;
        let target = self.redirect.as_ref().filter(|_| !origin.is_secure())?;
        let begin = match target {
            Target::Url(url) => url.clone(),
            Target::Port(port) => {
                let authority: Authority = origin.host.parse().ok()?;
                match *port {
                    USUAL_PORT => format!("https://{}", authority.host()),
                    port => format!("https://{}:{port}", authority.host()),
                }
            }
        };
        let path = request.uri().path_and_query();
        Some(begin + path.map_or("/", |path| path.as_str()))
    }

    /// Tells browsers to keep to TLS (RFC 6797 section 7.2: not over a connection without it), and to
    /// send the cookies of the answer over TLS alone (RFC 6265 section 4.1.2.5).
    pub fn mark(&self, secure: bool, fields: &mut HeaderMap) {
        if let Some(hsts) = self.hsts.as_ref().filter(|_| secure) {
            fields.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if (secure || self.behind_tls)
            && let Entry::Occupied(mut cookies) = fields.entry(header::SET_COOKIE)
        {
            for cookie in cookies.iter_mut() {
                let marked = [cookie.as_bytes(), b"; Secure"].concat();
                *cookie = HeaderValue::try_from(marked).unwrap_or_else(|_| cookie.clone());
            }
        }
    }
}

/// Refuses a request for a name that is not the certificate's of its connection: a browser sends it
/// again by another one (RFC 9110 section 7.4).
///
/// # Errors
/// 421, for such a request.
pub fn refuse_misdirected(peer: &Peer, request: &Request) -> Result<(), Problem> {
    let Peer::Tls(_, secured) = peer else {
        return Ok(());
    };
    let Some(origin) = request.extensions().get::<Origin>() else {
        return Ok(());
    };
    let authority = origin.host.parse::<Authority>();
    if authority.is_ok_and(|authority| !secured.serves(bare(authority.host()))) {
        let host = &origin.host;
        let detail = format!("the certificate of this connection is not for {host:?}");
        return Err(Problem::new(Code::WrongHost, detail).name(host));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(scheme: &'static str, host: &str) -> Request {
        let mut request = Request::builder()
            .uri("/files/a%20b?x=1")
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(Origin {
            client: None,
            scheme,
            host: host.to_owned(),
            local: false,
        });
        request
    }

    #[test]
    fn clients_without_tls_are_sent_to_it() {
        let to = |url, port| SecureRules::new(true, url, port, None);
        let asked = request("http", "files.example:8080");
        for (rules, place) in [
            (to(None, Some(443)), "https://files.example/files/a%20b?x=1"),
            (
                to(Some("http://other.example"), Some(8443)),
                "https://files.example:8443/files/a%20b?x=1",
            ),
            (
                to(Some("https://f.example"), Some(8443)),
                "https://f.example/files/a%20b?x=1",
            ),
        ] {
            assert_eq!(rules.redirects(&asked).as_deref(), Some(place));
        }
        let rules = to(None, Some(443));
        let address = request("http", "[::1]:80");
        assert_eq!(
            rules.redirects(&address).as_deref(),
            Some("https://[::1]/files/a%20b?x=1")
        );
        assert_eq!(rules.redirects(&request("https", "a")), None);
        let off = SecureRules::new(false, Some("https://f.example"), Some(443), None);
        assert_eq!(off.redirects(&asked), None);
        assert_eq!(to(None, None).redirects(&asked), None);
    }

    #[test]
    fn browsers_are_told_over_tls_alone() {
        let day = Duration::from_secs(24 * 60 * 60);
        let rules = SecureRules::new(false, None, None, Some(day));
        let mut fields = HeaderMap::new();
        rules.mark(false, &mut fields);
        assert!(fields.is_empty());
        rules.mark(true, &mut fields);
        assert_eq!(fields[header::STRICT_TRANSPORT_SECURITY], "max-age=86400");
    }

    #[test]
    fn every_cookie_of_an_answer_over_tls_is_marked() {
        let cookies = |url, secure| {
            let mut fields = HeaderMap::new();
            for cookie in ["a=1; Path=/", "b=2"] {
                fields.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
            }
            SecureRules::new(false, url, None, None).mark(secure, &mut fields);
            let all = fields.get_all(header::SET_COOKIE).iter();
            all.map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let marked = ["a=1; Path=/; Secure", "b=2; Secure"];
        assert_eq!(cookies(None, true), marked);
        assert_eq!(cookies(Some("https://f.example"), false), marked);
        let plain = ["a=1; Path=/", "b=2"];
        assert_eq!(cookies(Some("http://f.example"), false), plain);
        assert_eq!(cookies(None, false), plain);
    }
}
