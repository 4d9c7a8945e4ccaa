//! The server at the other end: its address, and requests to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, Url, header};
use serde_json::Value;

use super::address::{parse_address, proxy_has_tls, server_name};
use super::problem::Problem;
use super::{ClientError, tls};

/// Where a server listens by default.
pub const DEFAULT_ADDRESS: &str = "http://localhost:8080";
/// How long a connection may take to be made, and be silent, by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of a JSON answer. A page of a listing may hold a thousand large forms.
const JSON_LIMIT: usize = 256 << 20;
/// The most bytes of an error that are read.
const PROBLEM_LIMIT: usize = 64 * 1024;
/// The field of the token of an upload, beside the secret of the server in `Authorization`.
const UPLOAD_TOKEN: header::HeaderName = header::HeaderName::from_static("wharf-token");

/// A secret: an access secret or a delete token. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, without white space around it.
    pub fn new(text: &str) -> Self {
        Token(text.trim().to_owned())
    }

    /// The token as it is, to be kept where no other user reads it.
    pub fn reveal(&self) -> &str {
        &self.0
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
    ca_file: Option<PathBuf>,
    /// For addresses of others that the server leads to: it sends no secret. Made when it is needed.
    elsewhere: Arc<OnceLock<reqwest::Client>>,
    /// The token of the upload that is to be changed.
    upload_token: Option<header::HeaderValue>,
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
    /// Sends this secret with every request; a delete token may stand in its place.
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
        let mut headers = header::HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert(
                header::AUTHORIZATION,
                secret(&format!("Bearer {}", token.0))?,
            );
        }
        let verified = base.scheme() == "https" || (socket.is_none() && proxy_has_tls());
        let builder = transport(self.timeout, verified, self.ca_file.as_deref())?;
        let mut builder = builder.default_headers(headers);
        let name = server_name(&self.address)?;
        let local = socket.is_some();
        if let Some(path) = socket {
            #[cfg(unix)]
            {
                builder = builder.unix_socket(path).no_proxy();
            }
            #[cfg(not(unix))]
            {
                let reason = format!("this system has no unix sockets: {}", path.display());
                return Err(ClientError::Address(reason));
            }
        }
        let http = builder.build();
        let http = http.map_err(|error| ClientError::request(&name, error))?;
        Ok(Client {
            http,
            base,
            local,
            name,
            timeout: self.timeout,
            ca_file: self.ca_file,
            elsewhere: Arc::default(),
            upload_token: None,
        })
    }
}

/// The settings that all connections have in common.
fn transport(
    timeout: Duration,
    verified: bool,
    ca_file: Option<&Path>,
) -> Result<reqwest::ClientBuilder, ClientError> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        // A form is sent once, and a token to no other host: redirects are followed in `redirect`.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(timeout)
        .tcp_keepalive(timeout);
    // A peer that takes no bytes, or is gone (tcp(7)).
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(timeout);
    let tls = tls::configuration(verified, ca_file)?;
    Ok(builder.tls_backend_preconfigured(tls))
}

/// The value of a header that is shown nowhere.
fn secret(text: &str) -> Result<header::HeaderValue, ClientError> {
    let mut value = header::HeaderValue::from_str(text).map_err(|_| {
        ClientError::Setup("the token holds characters that no header may".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
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

    /// The same client with the delete token of an upload (or its manage key), beside the secret
    /// that it has.
    ///
    /// # Errors
    /// The token holds characters that no header may.
    pub fn with_upload_token(&self, token: &Token) -> Result<Client, ClientError> {
        let mut client = self.clone();
        client.upload_token = Some(secret(&token.0)?);
        Ok(client)
    }

    /// The address of the server as messages name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of a resource, given the segments of its path.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("http URLs have paths")
            .pop_if_empty()
            .extend(segments);
        url
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.upload_token {
            Some(token) => request.header(UPLOAD_TOKEN, token.clone()),
            None => request,
        }
    }

    /// A request without any secret, to an address that is not the server's.
    pub(super) fn request_elsewhere(
        &self,
        method: Method,
        url: Url,
    ) -> Result<RequestBuilder, ClientError> {
        let http = match self.elsewhere.get() {
            Some(http) => http,
            None => {
                let builder = transport(self.timeout, true, self.ca_file.as_deref())?;
                let http = builder.build();
                let http = http.map_err(|error| ClientError::request(&self.name, error))?;
                // Another clone may have been first.
                self.elsewhere.get_or_init(|| http)
            }
        };
        Ok(http.request(method, url))
    }

    /// Whether an address is one of this server, below its base path.
    pub(super) fn owns(&self, url: &Url) -> bool {
        let base = self.base.path().trim_end_matches('/');
        let below = url.path().strip_prefix(base);
        url.origin() == self.base.origin()
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
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
            // Behind the question mark may be a signature.
            let to = to.and_then(|to| to.as_bytes().split(|byte| b"?#".contains(byte)).next());
            let to = to.map(|to| to.escape_ascii().to_string());
            let detail = match to {
                Some(to) => format!("it has moved to {to}: name that server"),
                None => "it has moved".to_owned(),
            };
            return Err(Problem::local(status, detail).into());
        }
        let headers = response.headers().clone();
        // An error while the reason is read is not the reason.
        let body = self.read(&mut response, PROBLEM_LIMIT).await;
        let (body, _) = body.unwrap_or_default();
        Err(Problem::read(status, &headers, &body).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
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
}
