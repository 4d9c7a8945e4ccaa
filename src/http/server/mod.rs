//! Listening, and the connections: HTTP/1.1 and cleartext HTTP/2 over TCP and unix sockets.

mod deadline;
mod phase;
mod request_body;
mod transport;
mod version;
mod workers;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Front;
use super::log::Logged;
use super::origin::Peer;
pub use deadline::Deadline;
use phase::{Followed, Phase, Tracked};
use request_body::remember;
use transport::Transport;
pub use workers::Workers;

/// How long to wait when the process has no descriptors left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What the buffers of all connections hold together, as long as each has its least, in bytes.
const BUFFERS: usize = 6 * 1024 * 1024;
/// More in one read makes nothing faster; less would send one block of a file at a time.
const MOST_BUFFER: usize = 400 * 1024;
/// The longest head of a request: a URI may have 64 KiB (the `http` crate), as 100 names to be
/// downloaded can, and fields come on top.
const LEAST_BUFFER: usize = 72 * 1024;
/// Beyond so many connections memory counts for more than speed, and one reads no more than
/// `CROWDED_READ` at once: hyper's buffers stay at 32 KiB then, and would be 64 KiB otherwise.
const CROWD: usize = 256;
const CROWDED_READ: usize = 28 * 1024;

/// A socket that is listened on.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, removed at the end.
    Unix(UnixListener, PathBuf),
}

/// The time-outs of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long the head of a request may take.
    pub head: Duration,
    /// How long a connection may be without a request.
    pub keep_alive: Duration,
    /// How long a reader may take nothing.
    pub idle: Duration,
}

impl Timeouts {
    /// Those of the contract, with the `idle` that is set.
    pub fn new(idle: Duration) -> Self {
        Timeouts {
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            idle,
        }
    }
}

/// What all connections share.
#[derive(Clone)]
pub struct Server {
    /// The routes, and what stands around them.
    pub front: Arc<Front>,
    /// The time-outs.
    pub timeouts: Timeouts,
    /// One permit for each connection there may be.
    pub connections: Arc<Semaphore>,
    /// Cancelled when no new connections are to be taken and those there are to end after the
    /// request they are at.
    pub stop: CancellationToken,
    /// Cancelled when connections are to end at once.
    pub abort: CancellationToken,
    /// Follows the connections.
    pub tracker: TaskTracker,
}

impl Server {
    /// Takes connections until `stop`, and gives them to `workers`. A permit comes before each connection: one too many waits
    /// in the system's queue.
    ///
    /// # Errors
    /// The listener fails for a reason that is not one connection's.
    pub async fn accept(self, listener: Listener, workers: Arc<Workers>) -> io::Result<()> {
        let result = self
            .stop
            .clone()
            .run_until_cancelled(self.accept_all(&listener, &workers))
            .await;
        if let Listener::Unix(_, path) = &listener {
            // Nobody else owns the name; a failure leaves a dead socket, which the next start removes.
            let _ = std::fs::remove_file(path);
        }
        result.unwrap_or(Ok(()))
    }

    async fn accept_all(&self, listener: &Listener, workers: &Workers) -> io::Result<()> {
        loop {
            let permit = Arc::clone(&self.connections).acquire_owned().await;
            let permit = permit.map_err(io::Error::other)?;
            match accept_one(listener).await {
                Ok((socket, peer)) => {
                    let server = self.clone();
                    workers.spawn(self.tracker.track_future(async move {
                        server.serve_socket(socket, peer).await;
                        drop(permit);
                    }));
                }
                Err(error) => after_accept_error(error).await?,
            }
        }
    }

    async fn serve_socket(&self, socket: Socket, peer: Peer) {
        let ended = match socket {
            Socket::Tcp(stream) => match TcpStream::from_std(stream) {
                Ok(stream) => return self.serve(stream, peer).await,
                Err(error) => error,
            },
            Socket::Unix(stream) => match UnixStream::from_std(stream) {
                Ok(stream) => return self.serve(stream, peer).await,
                Err(error) => error,
            },
        };
        tracing::error!(?peer, error = %ended, "a connection cannot be served");
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let phase = Phase::new();
        let connections = self.tracker.len().max(1);
        let most = if connections > CROWD {
            CROWDED_READ
        } else {
            MOST_BUFFER
        };
        let mut transport = Transport::new(stream, most, Arc::clone(&phase), self.timeouts);
        let http2 = tokio::select! {
            biased;
            http2 = transport.speaks_http2() => http2,
            () = self.stop.cancelled() => return,
        };
        let service = {
            let (phase, front) = (Arc::clone(&phase), Arc::clone(&self.front));
            hyper::service::service_fn(move |request| {
                let phase = Arc::clone(&phase);
                // A connection that waits for a request has no room for an answer.
                Box::pin(answer(Arc::clone(&front), request, peer, phase))
            })
        };
        let io = TokioIo::new(transport);
        let ended = match http2 {
            Ok(None) => return,
            // The transport times heads and idle connections itself: hyper's timer runs in both.
            Ok(Some(false)) => {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(None)
                    .max_buf_size((BUFFERS / connections).clamp(LEAST_BUFFER, MOST_BUFFER))
                    .half_close(true)
                    .serve_connection(io, service);
                let end = http1::Connection::graceful_shutdown;
                self.follow(connection, end, &phase).await
            }
            Ok(Some(true)) => {
                let connection = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(100)
                    .serve_connection(io, service);
                let end = http2::Connection::graceful_shutdown;
                // Boxed: a task has room for its largest state, and most are of HTTP/1.1.
                Box::pin(async {
                    tokio::select! {
                        ended = self.follow(connection, end, &phase) => ended,
                        () = phase.stalled(self.timeouts.idle) => Ok(()),
                    }
                })
                .await
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = ended {
            // Requests that broke have their own line; this is what came before or between them.
            tracing::debug!(?peer, error, "connection ended");
        }
    }

    /// Follows a connection to its end, which `end` brings about when the server ends.
    async fn follow<C>(
        &self,
        connection: C,
        end: fn(Pin<&mut C>),
        phase: &Phase,
    ) -> Result<(), String>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            // What has come is looked at before the end: a request may be among it.
            biased;
            ended = connection.as_mut() => ended,
            () = self.abort.cancelled() => return Ok(()),
            () = self.stop.cancelled() => {
                end(connection.as_mut());
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.abort.cancelled() => return Ok(()),
                    () = phase.quiet() => return Ok(()),
                }
            }
        };
        ended.map_err(|error| error_chain(&error))
    }
}

/// Answers one request.
async fn answer(
    front: Arc<Front>,
    request: Request<Incoming>,
    peer: Peer,
    phase: Arc<Phase>,
) -> Result<Response<Followed<Logged>>, Infallible> {
    let http2 = request.version() == Version::HTTP_2;
    let active = Tracked::begin(Arc::clone(&phase), http2);
    let (request, unread) = remember(request);
    let mut response = front.answer(peer, request).await;
    if unread.is_some_and(|unread| unread.is_unread()) && !http2 {
        // What still comes of the body is drained by the transport when the connection ends.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        phase.linger();
    }
    Ok(response.map(|body| active.follow(body)))
}

/// A connection between two runtimes.
enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

async fn accept_one(listener: &Listener) -> io::Result<(Socket, Peer)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // Without it the end of a small answer can wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            Ok((Socket::Tcp(stream.into_std()?), Peer::Tcp(peer)))
        }
        Listener::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            Ok((Socket::Unix(stream.into_std()?), Peer::Unix))
        }
    }
}

/// Decides what an error of accept(2) means: one connection's own troubles, or the process's.
async fn after_accept_error(error: io::Error) -> io::Result<()> {
    use rustix::io::Errno;
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    if [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .into_iter()
        .any(is)
    {
        tracing::error!(%error, "no room for another connection");
        tokio::time::sleep(EXHAUSTED).await;
        return Ok(());
    }
    if [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP]
        .into_iter()
        .any(is)
    {
        return Err(error);
    }
    Ok(())
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Opens a TCP listener.
///
/// # Errors
/// The address cannot be listened on.
pub async fn listen_tcp(address: SocketAddr) -> io::Result<Listener> {
    Ok(Listener::Tcp(TcpListener::bind(address).await?))
}

/// Opens a unix socket; a dead one of an earlier process in its place is removed.
///
/// # Errors
/// The path is taken by a living socket or another file, or cannot be made.
pub async fn listen_unix(path: PathBuf) -> io::Result<Listener> {
    match UnixListener::bind(&path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            use std::os::unix::fs::FileTypeExt as _;
            let is_socket = std::fs::symlink_metadata(&path)?.file_type().is_socket();
            if !is_socket || UnixStream::connect(&path).await.is_ok() {
                return Err(error);
            }
            std::fs::remove_file(&path)?;
            Ok(Listener::Unix(UnixListener::bind(&path)?, path))
        }
        bound => Ok(Listener::Unix(bound?, path)),
    }
}
