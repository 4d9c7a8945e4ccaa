//! The server at the other end: its address, and requests to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde_json::Value;

use super::ClientError;

/// Where a server listens by default.
pub const DEFAULT_ADDRESS: &str = "http://localhost:8080";
/// How long a connection may take to be made, and be silent, by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of a JSON answer. A page of a listing may hold a thousand large forms.
const JSON_LIMIT: usize = 256 << 20;
/// The most bytes of an error that are read, and shown where it is no problem document.
const PROBLEM_LIMIT: usize = 64 * 1024;
const SHOWN_LIMIT: usize = 300;

/// A secret: an access secret or a delete token. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, without white space around it.
    pub fn new(text: &str) -> Self {
        Token(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A server, and how to talk to it. Cloning is cheap, and clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// Whether it is at a unix socket.
    local: bool,
    /// The server as errors name it.
    name: String,
    timeout: Duration,
}

/// Makes a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    address: String,
    token: Option<Token>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
}

impl ClientBuilder {
    /// Sends this token with every request.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Trusts the certificates in this PEM file, beside those of the system.
    #[must_use]
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Self {
        self.ca_file = Some(path.as_ref().to_owned());
        self
    }

    /// Gives up when a connection is not made, or when nothing moves on it, for so long. The
    /// default is [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The client. Proxies come from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
    /// `NO_PROXY`), but for unix sockets.
    ///
    /// # Errors
    /// The address, the token or the certificates cannot be used.
    pub fn build(self) -> Result<Client, ClientError> {
        let (base, socket) = parse_address(&self.address)?;
        // A provider that was installed before is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = header::HeaderMap::new();
        if let Some(token) = &self.token {
            let value = header::HeaderValue::from_str(&format!("Bearer {}", token.0));
            let mut value = value.map_err(|_| {
                ClientError::Setup("the token holds characters that no header may".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A form is sent once, and a token to no other host.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.timeout)
            // A peer that takes no bytes, or is gone (tcp(7)).
            .tcp_user_timeout(self.timeout)
            .tcp_keepalive(self.timeout);
        let certificates = match &self.ca_file {
            Some(path) => read_certificates(path)?,
            None => Vec::new(),
        };
        builder = if base.scheme() == "https" || (socket.is_none() && proxy_has_tls()) {
            builder.tls_certs_merge(certificates)
        } else {
            // No certificate is verified: those of the system need not be read.
            builder.tls_certs_only(certificates)
        };
        let name = match &socket {
            Some(path) => format!("unix:{}", path.display()),
            None => base.as_str().trim_end_matches('/').to_owned(),
        };
        let local = socket.is_some();
        if let Some(path) = socket {
            builder = builder.unix_socket(path).no_proxy();
        }
        let http = builder.build();
        let http = http.map_err(|error| ClientError::request(&name, error))?;
        Ok(Client {
            http,
            base,
            local,
            name,
            timeout: self.timeout,
        })
    }
}

impl Client {
    /// A client of the server at `address`: `http://HOST:PORT`, `https://HOST`, with a path where
    /// the server has one, or `unix:/PATH`. Without a scheme it is `http`.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(address: &str) -> Result<Self, ClientError> {
        Self::builder(address).build()
    }

    /// The same with more settings.
    pub fn builder(address: &str) -> ClientBuilder {
        ClientBuilder {
            address: address.to_owned(),
            token: None,
            ca_file: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// The address of a resource, given the segments of its path.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("http URLs have paths")
            .pop_if_empty()
            .extend(segments);
        url
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the server is at a unix socket, where no kernel notices a peer that takes nothing.
    pub(super) fn is_local(&self) -> bool {
        self.local
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn timed_out(&self, after: Duration) -> ClientError {
        let server = self.name.clone();
        ClientError::Timeout { server, after }
    }

    pub(super) fn failed(&self, error: reqwest::Error) -> ClientError {
        ClientError::request(&self.name, error)
    }

    /// The answer's head, in time.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        match tokio::time::timeout(self.timeout, request.send()).await {
            Ok(answer) => answer.map_err(|error| self.failed(error)),
            Err(_) => Err(self.timed_out(self.timeout)),
        }
    }

    /// The next block of a body, in time.
    pub(super) async fn chunk(
        &self,
        response: &mut Response,
    ) -> Result<Option<Bytes>, ClientError> {
        match tokio::time::timeout(self.timeout, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| self.failed(error)),
            Err(_) => Err(self.timed_out(self.timeout)),
        }
    }

    /// The JSON of an answer that is no refusal; text where it is not JSON; null when empty.
    pub(super) async fn json(&self, response: Response) -> Result<Value, ClientError> {
        let mut response = self.accepted(response).await?;
        let (body, whole) = self.read(&mut response, JSON_LIMIT).await?;
        if !whole {
            let reason = format!("it has more than {JSON_LIMIT} bytes");
            return Err(ClientError::Answer(reason));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        Ok(serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    }

    /// The answer, unless it is a refusal.
    pub(super) async fn accepted(&self, mut response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            let to = response.headers().get(header::LOCATION);
            let to = to.map(|to| to.as_bytes().escape_ascii().to_string());
            let detail = match to {
                Some(to) => format!("it has moved to {to}: name that server"),
                None => "it has moved".to_owned(),
            };
            let code = None;
            return Err(ClientError::Refused {
                status,
                code,
                detail,
            });
        }
        // An error while the reason is read is not the reason.
        let body = self.read(&mut response, PROBLEM_LIMIT).await;
        let (code, detail) = explain(status, &body.unwrap_or_default().0);
        Err(ClientError::Refused {
            status,
            code,
            detail,
        })
    }

    /// The body, up to `limit` bytes, and whether that is all.
    async fn read(
        &self,
        response: &mut Response,
        limit: usize,
    ) -> Result<(Vec<u8>, bool), ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(response).await? {
            let room = limit - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Ok((body, false));
            }
        }
        Ok((body, true))
    }
}

/// The reason in an error's body: the `code` and the `detail` of a problem document, else its own
/// text on one line.
fn explain(status: StatusCode, body: &[u8]) -> (Option<String>, String) {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let code = json.as_ref().and_then(|json| json["code"].as_str());
    let code = code.map(str::to_owned);
    let detail = json.as_ref().and_then(|json| json["detail"].as_str());
    let text = detail.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    // Control characters could command the terminal.
    let shown: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_LIMIT)
        .collect();
    if shown.is_empty() || (detail.is_none() && shown.starts_with('<')) {
        let reason = status.canonical_reason().unwrap_or("without a word");
        return (code, reason.to_owned());
    }
    (code, shown)
}

fn parse_address(address: &str) -> Result<(Url, Option<PathBuf>), ClientError> {
    if let Some(path) = address.strip_prefix("unix:") {
        if !path.starts_with('/') {
            let reason = format!("{address:?} is not of the form unix:/PATH");
            return Err(ClientError::Address(reason));
        }
        let base = Url::parse("http://localhost/").expect("it is a URL");
        return Ok((base, Some(PathBuf::from(path))));
    }
    let full = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let url = Url::parse(&full).ok();
    if let Some(url) = &url
        && (!url.username().is_empty() || url.password().is_some())
    {
        let reason = "the server's address holds a secret: give that as WHARF_TOKEN or in a file";
        return Err(ClientError::Address(reason.to_owned()));
    }
    let usable = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    url.filter(usable).map(|url| (url, None)).ok_or_else(|| {
        // Half a URL may hold a secret as well.
        let shown = address.rsplit('@').next().unwrap_or_default();
        ClientError::Address(format!(
            "{shown:?} is not an address such as http://HOST:PORT, https://HOST or unix:/PATH"
        ))
    })
}

/// Whether the environment names a proxy for `http` that is itself asked over TLS.
fn proxy_has_tls() -> bool {
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let mut values = names.iter().filter_map(std::env::var_os);
    values.any(|value| value.as_encoded_bytes().starts_with(b"https:"))
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let pem = std::fs::read(path).map_err(|error| ClientError::file(path, error))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ClientError::Setup(format!(
            "there are no PEM certificates in {}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let base = |text: &str| parse_address(text).map(|(url, _)| url.to_string());
        assert_eq!(base("localhost:8080").unwrap(), "http://localhost:8080/");
        assert_eq!(base("https://a.example/w").unwrap(), "https://a.example/w");
        assert_eq!(base("[::1]:81").unwrap(), "http://[::1]:81/");
        let (_, socket) = parse_address("unix:/run/wharf.sock").unwrap();
        assert_eq!(socket, Some(PathBuf::from("/run/wharf.sock")));
        for bad in [
            "",
            "ftp://a",
            "http://",
            "unix:run",
            "http://a/?b",
            "http://a/#b",
        ] {
            let error = base(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
        for secret in ["http://u:hush@a", "hush@a", "ftp://u:hush@a/"] {
            let error = base(secret).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
        assert_eq!(format!("{:?}", Token::new("hush")), "***");
    }

    #[test]
    fn paths_are_encoded_below_the_base() {
        let client = Client::new("http://a.example/w/").unwrap();
        let url = client.url(&["download", "a b/\u{e9}?#.txt"]);
        assert_eq!(
            url.as_str(),
            "http://a.example/w/download/a%20b%2F%C3%A9%3F%23.txt"
        );
    }

    #[test]
    fn refusals_are_one_line() {
        let detail = |body: &str| explain(StatusCode::BAD_GATEWAY, body.as_bytes()).1;
        assert_eq!(detail("{\"detail\":\"no\\nroom\"}"), "no room");
        assert_eq!(detail("a\r\n\u{1b}[31mb"), "a [31mb");
        assert_eq!(detail("<html>"), "Bad Gateway");
        assert_eq!(detail(""), "Bad Gateway");
    }
}
