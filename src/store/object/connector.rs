//! The HTTP client under the library's: it takes no redirection to another host.

use std::time::Duration;

use object_store::client::{HttpClient, HttpConnector};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::redirect::{Attempt, Policy};

/// More redirections than this are a circle.
const MAX_REDIRECTS: usize = 5;

/// Makes clients as the library's own connector does, from the options that variables can set.
///
/// A request is signed for one host. Followed to another it would fail there, and take the session
/// token of its credentials along, which is in a header field that HTTP clients do not treat as a
/// secret.
#[derive(Debug)]
pub struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        use ClientConfigKey as Key;
        let value = |key| options.get_config_value(&key);
        let is = |key| value(key).is_some_and(|value| value == "true");
        let time = |key| value(key).and_then(|value| parse_time(&value));
        let agent = concat!("wharf/", env!("CARGO_PKG_VERSION"));
        let mut builder = reqwest::Client::builder()
            .user_agent(value(Key::UserAgent).unwrap_or_else(|| agent.to_owned()))
            .redirect(Policy::custom(within_the_host))
            .https_only(!is(Key::AllowHttp))
            .tls_danger_accept_invalid_certs(is(Key::AllowInvalidCertificates));
        if let Some(address) = value(Key::ProxyUrl) {
            let proxy = reqwest::Proxy::all(address).map_err(failed)?;
            let excludes = value(Key::ProxyExcludes);
            let excludes = excludes.and_then(|list| reqwest::NoProxy::from_string(&list));
            builder = builder.proxy(proxy.no_proxy(excludes));
        }
        if let Some(authority) = value(Key::ProxyCaCertificate) {
            let authority = reqwest::Certificate::from_pem(authority.as_bytes()).map_err(failed)?;
            builder = builder.tls_certs_merge([authority]);
        }
        if let Some(timeout) = time(Key::Timeout) {
            builder = builder.timeout(timeout);
        }
        if let Some(timeout) = time(Key::ConnectTimeout) {
            builder = builder.connect_timeout(timeout);
        }
        if let Some(timeout) = time(Key::ReadTimeout) {
            builder = builder.read_timeout(timeout);
        }
        if is(Key::Http1Only) {
            builder = builder.http1_only();
        }
        if is(Key::Http2Only) {
            builder = builder.http2_prior_knowledge();
        }
        Ok(HttpClient::new(builder.build().map_err(failed)?))
    }
}

fn failed(error: reqwest::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: error.into(),
    }
}

/// A time as the library prints it.
fn parse_time(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    Duration::try_from(span.ok()?).ok()
}

fn within_the_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let origin = |url: &url::Url| {
        let port = url.port_or_known_default();
        (
            url.scheme().to_owned(),
            url.host_str().map(str::to_owned),
            port,
        )
    };
    let previous = attempt.previous();
    let same = previous
        .last()
        .is_some_and(|last| origin(last) == origin(attempt.url()));
    if same && previous.len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_library_prints_them() {
        for (key, set, expected) in [
            (ClientConfigKey::Timeout, "15s", 15),
            (ClientConfigKey::ReadTimeout, "1day", 86_400),
            (ClientConfigKey::ConnectTimeout, "2 minutes", 120),
        ] {
            let options = ClientOptions::new().with_config(key, set);
            let printed = options.get_config_value(&key).unwrap();
            assert_eq!(
                parse_time(&printed),
                Some(Duration::from_secs(expected)),
                "{printed}"
            );
        }
    }
}
