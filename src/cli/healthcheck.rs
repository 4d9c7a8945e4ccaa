//! `wharf healthcheck`: asks the server of these settings, on this machine, whether it can store.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::config::{Config, ListenAddress};

/// How long the answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No answer of a probe is longer.
const MAX_ANSWER: usize = 64 * 1024;

/// Asks, and prints `ready`, or what is amiss.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(config)).await });
    let (status, said) = asked.map_err(|_| anyhow!("no answer within {TIMEOUT:?}"))??;
    if status != StatusCode::OK {
        bail!("not ready: {status}: {}", detail(&said));
    }
    writeln!(io::stdout(), "ready")?;
    Ok(ExitCode::SUCCESS)
}

/// The answer of the first address that can be asked; those for operators answer whatever `hosts`
/// are set.
async fn ask(config: &Config) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let endpoints = config.admin_listen.iter().chain(&config.listen);
    let mut endpoints = endpoints.filter(|endpoint| can_be_asked(&endpoint.address));
    let endpoint = endpoints.next().context(
        "no address of the server is known beforehand: name one with a port that is not 0 in listen or admin_listen",
    )?;
    let text = match &endpoint.address {
        ListenAddress::Unix(path) => {
            let connected = UnixStream::connect(path).await;
            return request(connected.with_context(|| format!("unix:{}", path.display()))?).await;
        }
        ListenAddress::Everywhere(port) => format!("localhost:{port}"),
        ListenAddress::Tcp(text) => text.clone(),
        ListenAddress::Descriptor(_) | ListenAddress::Named(_) => {
            unreachable!("it cannot be asked")
        }
    };
    let stream = connect(&text).await?;
    if !endpoint.tls {
        return request(stream).await;
    }
    // An address has no name, and none is sent (RFC 6066 section 3).
    let name = ServerName::from(stream.peer_addr()?.ip());
    request(unverified()?.connect(name, stream).await.context(text)?).await
}

/// TLS to a server of this machine, whose certificate is for the names that clients use.
fn unverified() -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let any = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(any)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes every certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn can_be_asked(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Unix(_) => true,
        ListenAddress::Everywhere(port) => *port != 0,
        ListenAddress::Tcp(text) => !text.ends_with(":0"),
        ListenAddress::Descriptor(_) | ListenAddress::Named(_) => false,
    }
}

/// A connection to an address that is listened on.
async fn connect(text: &str) -> anyhow::Result<TcpStream> {
    let mut failed = None;
    for address in tokio::net::lookup_host(text)
        .await
        .with_context(|| text.to_owned())?
    {
        match TcpStream::connect(on_this_machine(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or_else(|| anyhow!("no address"), Into::into)).context(text.to_owned())
}

/// The address to ask: for a server that listens at every address, that of this machine.
fn on_this_machine(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn request<S>(stream: S) -> anyhow::Result<(StatusCode, Vec<u8>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz")
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    // The status says it all.
    let body = body
        .map(|body| body.to_bytes().to_vec())
        .unwrap_or_default();
    Ok((head.status, body))
}

/// The words of a problem.
fn detail(said: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(said).unwrap_or_default();
    problem["detail"]
        .as_str()
        .unwrap_or("it does not say why")
        .to_owned()
}
