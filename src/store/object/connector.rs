//! The HTTP client under the library's: it takes no redirection to another host.

use std::time::Duration;

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::redirect::{Attempt, Policy};

use crate::measure;

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
        Ok(HttpClient::new(Measured(builder.build().map_err(failed)?)))
    }
}

/// A client whose requests are counted, each try for itself.
#[derive(Debug)]
struct Measured(reqwest::Client);

#[async_trait]
impl HttpService for Measured {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let timed = measure::S3.begin(operation(&request));
        let answer = self.0.call(request).await;
        let failed = match &answer {
            Ok(answer) => is_failure(answer.status().as_u16()),
            Err(_) => true,
        };
        timed.end(failed);
        answer
    }
}

/// Whether the store did not do its work, by the status of its answer: not where a condition was not
/// met, or nothing is there.
fn is_failure(status: u16) -> bool {
    status >= 500 || [403, 429].contains(&status)
}

/// What a request is, as the counters call it.
fn operation(request: &HttpRequest) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| {
        let mut pairs = query.split('&');
        pairs.any(|pair| pair.split('=').next() == Some(name))
    };
    match request.method().as_str() {
        "GET" if has("list-type") || has("uploads") => "list",
        "GET" => "get",
        "HEAD" => "head",
        "PUT" if has("partNumber") => "part",
        "PUT" => "put",
        "POST" if has("uploads") => "begin",
        "POST" if has("uploadId") => "complete",
        "POST" if has("delete") => "delete",
        "DELETE" if has("uploadId") => "abort",
        "DELETE" => "delete",
        _ => "other",
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
    fn requests_are_counted_by_what_they_are() {
        let of = |method: &str, uri: &str| {
            let mut request = HttpRequest::new(Vec::new().into());
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = uri.parse().unwrap();
            operation(&request)
        };
        for (method, query, expected) in [
            ("GET", "", "get"),
            ("GET", "?list-type=2&prefix=a", "list"),
            ("GET", "?uploads=&prefix=a", "list"),
            ("HEAD", "", "head"),
            ("PUT", "", "put"),
            ("PUT", "?partNumber=1&uploadId=x", "part"),
            ("POST", "?uploads", "begin"),
            ("POST", "?uploadId=x", "complete"),
            ("POST", "?delete", "delete"),
            ("DELETE", "?uploadId=x", "abort"),
            ("PATCH", "", "other"),
        ] {
            let uri = format!("http://store.example/bucket/key{query}");
            assert_eq!(of(method, &uri), expected, "{method} {query}");
        }
        assert!(is_failure(503) && is_failure(429));
        assert!(!is_failure(412) && !is_failure(404) && !is_failure(200));
    }

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
