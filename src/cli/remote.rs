//! Asking a running server.

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is not one that can be asked.
    #[error(
        "{0:?} is not an address http://HOST:PORT (https is not built in yet: ask behind the proxy)"
    )]
    Address(String),
    /// The server could not be reached, or went away.
    #[error("cannot reach {url}: {reason}")]
    Network {
        /// The server.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// It refused.
    #[error("the server answers {status}: {detail}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The `detail` of its problem document.
        detail: String,
    },
}

/// Sends an empty `POST` to `path` below `url`, with `token` as the secret; the answer's JSON.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn post(
    url: &str,
    path: &str,
    token: Option<&str>,
) -> Result<serde_json::Value, RemoteError> {
    let address = || RemoteError::Address(url.to_owned());
    let network = |error: &dyn std::error::Error| RemoteError::Network {
        url: url.to_owned(),
        reason: error.to_string(),
    };
    let uri: Uri = url.parse().map_err(|_| address())?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(address());
    };
    let stream = TcpStream::connect((
        authority.host().trim_matches(['[', ']']),
        authority.port_u16().unwrap_or(80),
    ));
    let stream = stream.await.map_err(|error| network(&error))?;
    let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| network(&error))?;
    // Its errors come out of the request as well.
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}{path}", uri.path().trim_end_matches('/')))
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_LENGTH, 0);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| address())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| network(&error))?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| network(&error))?
        .to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() {
        return Ok(json);
    }
    let detail = json["detail"].as_str().unwrap_or_default().to_owned();
    Err(RemoteError::Refused { status, detail })
}
