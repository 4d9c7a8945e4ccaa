//! The beginning of a connection with TLS: its handshake, and the answer to a client that sends
//! none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Server;
use super::connection_state::{ConnectionState, Waiting};
use crate::http::rules::origin::Peer;
use crate::http::tls::{Secured, Tls};

/// The first byte of a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// The protocol of HTTP/2 (RFC 9113 section 3.1).
const HTTP_2: &[u8] = b"h2";
/// The answer to a client that speaks HTTP without TLS.
const PLAIN: &str = "This port speaks HTTPS, and the request came without TLS: ask for https://.\n";
/// How long what such a client still sends is read, so that it sees the answer and no reset.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// A connection after its handshake.
pub struct Shaken {
    pub stream: TlsStream<TcpStream>,
    pub peer: Peer,
    /// Whether HTTP/2 was agreed upon; `None` where the client named no protocol.
    pub http2: Option<bool>,
}

impl Server {
    /// Takes the handshake of a client, in the time that a head may take. `None` if there was none.
    pub(super) async fn shake_hands(
        &self,
        stream: TcpStream,
        tls: &Tls,
        address: SocketAddr,
        state: &ConnectionState,
    ) -> Option<Shaken> {
        let shaken = timeout(
            self.timeouts().head,
            shake_hands(stream, tls, address, state),
        );
        let shaken = tokio::select! {
            biased;
            shaken = shaken => shaken,
            () = self.leaves(state) => return None,
        };
        let error = match shaken {
            Ok(Ok(shaken)) => {
                state.set_waiting(Some(Waiting::for_request(Instant::now())));
                return shaken;
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        tracing::debug!(%address, %error, "a handshake failed");
        None
    }
}

async fn shake_hands(
    mut stream: TcpStream,
    tls: &Tls,
    address: SocketAddr,
    state: &ConnectionState,
) -> io::Result<Option<Shaken>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    state.set_waiting(Some(Waiting::for_head(Instant::now())));
    // Every method begins with a capital letter, and so does the preface of HTTP/2.
    if first[0] != HANDSHAKE && first[0].is_ascii_uppercase() {
        refuse_plain(&mut stream).await?;
        return Ok(None);
    }
    let (certificates, config) = tls.current();
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let (_, session) = stream.get_ref();
    let secured = Secured::new(session.server_name(), certificates);
    Ok(Some(Shaken {
        http2: session.alpn_protocol().map(|protocol| protocol == HTTP_2),
        peer: Peer::Tls(address, Arc::new(secured)),
        stream,
    }))
}

/// Answers a client that speaks HTTP without TLS.
async fn refuse_plain(stream: &mut TcpStream) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{PLAIN}",
        PLAIN.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut dropped = [0; 4096];
    let rest = async { while stream.read(&mut dropped).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(LINGER_TIME, rest).await;
    Ok(())
}
