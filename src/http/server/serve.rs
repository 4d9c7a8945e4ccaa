//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpStream, UnixStream};

use super::Server;
use super::connection_state::{ActiveRequest, ConnectionState, IDLE_PAUSE};
use super::end_tracking::track_end;
use super::executor::Streams;
use super::files::{AnswerBody, FileQueue, FileSender};
use super::listen::Socket;
use super::portions::Portions;
use super::stream::Stream;
use super::tls::Shaken;
use super::transport::Transport;
use super::wire::Wire;
use crate::http::Service;
use crate::http::rules::origin::Peer;
use crate::http::tls::Tls;

/// The bytes that the buffers of all connections hold together, as long as each has its least.
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

/// How many bytes the kernel holds at most of an answer that are not sent yet: readers that stand still
/// would have megabytes each.
const CROWDED_UNSENT: u32 = 128 * 1024;

/// The most streams of one connection. A proxy that has more requests opens another.
const STREAMS: u32 = 32;
/// How much of an answer waits to be sent in one stream, about.
const SEND_BUFFER: usize = 64 * 1024;
/// How many bytes a client may send before the server has read them, in one stream. A connection
/// has twice as much, so that a stream that is not read does not stop the others.
const WINDOW: u32 = 1024 * 1024;
/// The same beyond a `CROWD` of connections.
const CROWDED_WINDOW: u32 = 128 * 1024;
/// How many streams may be reset because of what a client does wrong, before its connection ends.
const FAULTS: usize = 128;
/// How soon a connection that was asked to leave is looked at, to see whether a request came in
/// the same moment.
const AT_ONCE: Duration = Duration::from_millis(1);

/// A connection whose protocol is known.
struct Served<'a, T> {
    io: T,
    peer: Peer,
    state: &'a Arc<ConnectionState>,
    /// How many connections there were when it began to be served.
    connections: usize,
}

impl Server {
    pub(super) async fn serve_socket(
        &self,
        socket: Socket,
        peer: Peer,
        state: &Arc<ConnectionState>,
    ) {
        if self.connections.count() > CROWD {
            socket.bound_unsent(CROWDED_UNSENT);
        }
        let failed = match (socket, peer) {
            (Socket::Tcp(stream), peer) => match TcpStream::from_std(stream) {
                Ok(stream) => return self.serve(stream, peer, state, None).await,
                Err(error) => error,
            },
            (Socket::Unix(stream), peer) => match UnixStream::from_std(stream) {
                Ok(stream) => return self.serve(stream, peer, state, None).await,
                Err(error) => error,
            },
            (Socket::Tls(stream, address, tls), _) => match TcpStream::from_std(stream) {
                // Boxed: it is larger than the state of a connection without TLS.
                Ok(stream) => return Box::pin(self.serve_tls(stream, address, &tls, state)).await,
                Err(error) => error,
            },
        };
        tracing::error!(error = %failed, "a connection cannot be served; it is closed");
    }

    async fn serve_tls(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        tls: &Tls,
        state: &Arc<ConnectionState>,
    ) {
        if let Some(shaken) = self.shake_hands(stream, tls, address, state).await {
            let Shaken {
                stream,
                peer,
                http2,
            } = shaken;
            self.serve(stream, peer, state, http2).await;
        }
    }

    /// Returns when a connection that has had no request is to end: another one needs its place, or
    /// the server ends, and the bytes that the client sent by then have had the time to come.
    pub(super) async fn leaves(&self, state: &ConnectionState) {
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(IDLE_PAUSE).await;
        };
        let asked = async {
            state.asked_to_leave().await;
            // Bytes that have come before are seen only when the runtime has asked the system.
            tokio::time::sleep(AT_ONCE).await;
        };
        tokio::select! {
            () = stopped => {}
            () = self.abort.cancelled() => {}
            () = asked => {}
        }
    }

    /// Serves a connection; `agreed` is whether HTTP/2 was agreed upon, where something was.
    async fn serve(
        &self,
        stream: impl Wire + Send + 'static,
        peer: Peer,
        state: &Arc<ConnectionState>,
        agreed: Option<bool>,
    ) {
        let connections = self.connections.count().max(1);
        let most = if connections > CROWD {
            CROWDED_READ
        } else {
            MOST_BUFFER
        };
        let plain = stream.plain().is_some();
        let mut transport = Transport::new(stream, most, Arc::clone(state), self.timeouts());
        let http2 = tokio::select! {
            biased;
            http2 = transport.speaks_http2() => http2,
            () = self.leaves(state) => return,
        };
        let as_agreed = |http2: bool| agreed.is_none_or(|agreed| agreed == http2);
        // Over HTTP/2 a file is cut into frames, over TLS it is encrypted: both need its bytes.
        let takes_files = plain && matches!(http2, Ok(Some(false)));
        let ways = self.front.current().ways().filter(|_| takes_files);
        let queue = ways.map(FileQueue::new);
        if let Some(queue) = &queue {
            transport.send_files(FileSender::new(queue.clone()));
        }
        let served = Served {
            io: TokioIo::new(transport),
            peer: peer.clone(),
            state,
            connections,
        };
        let ended = match http2 {
            Ok(None) => return,
            // RFC 7301 section 3.1.
            Ok(Some(http2)) if !as_agreed(http2) => {
                Err("it speaks another version of HTTP than was agreed upon".to_owned())
            }
            Ok(Some(false)) => FileQueue::scope(queue, self.serve_http1(served)).await,
            // Boxed: a task has room for its largest state, and most are of HTTP/1.1.
            Ok(Some(true)) => Box::pin(self.serve_http2(served)).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = ended {
            // A request that broke has its own log line; this one is for trouble before or between
            // requests.
            tracing::debug!(?peer, error, "connection ended");
        }
    }

    async fn serve_http1(
        &self,
        served: Served<'_, impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static>,
    ) -> Result<(), String> {
        let (peer, state) = (served.peer, served.state);
        let service = service_fn(|request| {
            let active = ActiveRequest::begin(Arc::clone(state), false);
            // A connection that waits for a request has no room for an answer.
            Box::pin(answer(self, request, peer.clone(), active))
        });
        // The transport times heads and idle connections itself: hyper's timer runs in both.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size((BUFFERS / served.connections).clamp(LEAST_BUFFER, MOST_BUFFER))
            .half_close(true)
            // Buffers are queued, and not copied: see `files`.
            .writev(true)
            .serve_connection(served.io, service);
        let end = http1::Connection::graceful_shutdown;
        self.follow(connection, end, state).await
    }

    async fn serve_http2(
        &self,
        served: Served<'_, impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static>,
    ) -> Result<(), String> {
        let (peer, state) = (served.peer, served.state);
        let service = service_fn(|request| {
            let active = ActiveRequest::begin(Arc::clone(state), true);
            answer_stream(self.front.current(), request, peer.clone(), active)
        });
        let window = if served.connections > CROWD {
            CROWDED_WINDOW
        } else {
            WINDOW
        };
        let connection = http2::Builder::new(Streams::new(self, Arc::clone(state)))
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(SEND_BUFFER)
            .initial_stream_window_size(window)
            .initial_connection_window_size(2 * window)
            .max_header_list_size(LEAST_BUFFER as u32)
            .max_local_error_reset_streams(FAULTS)
            .serve_connection(served.io, service);
        let end = http2::Connection::graceful_shutdown;
        self.follow(connection, end, state).await
    }

    /// Follows a connection to its end, which `end` brings about when the server ends, or when
    /// another one needs its place.
    async fn follow<C>(
        &self,
        connection: C,
        end: fn(Pin<&mut C>),
        state: &ConnectionState,
    ) -> Result<(), String>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = pin!(connection);
        let pause = tokio::select! {
            // Bytes that have come are read before the end: they may be a request.
            biased;
            ended = connection.as_mut() => return ended.map_err(|error| error_chain(&error)),
            () = self.abort.cancelled() => return Ok(()),
            () = self.stop.cancelled() => IDLE_PAUSE,
            () = state.asked_to_leave() => AT_ONCE,
        };
        end(connection.as_mut());
        tokio::select! {
            ended = connection.as_mut() => ended.map_err(|error| error_chain(&error)),
            () = self.abort.cancelled() => Ok(()),
            () = state.until_idle(pause) => Ok(()),
        }
    }
}

/// Answers the one request that a connection of HTTP/1.1 is at.
async fn answer(
    server: &Server,
    request: Request<Incoming>,
    peer: Peer,
    active: ActiveRequest,
) -> Result<Response<AnswerBody>, Infallible> {
    let (request, unread) = track_end(request);
    let mut response = server.front.current().answer(peer, request).await;
    // A client that stopped has been waited for long enough.
    let stopped = response.status() == StatusCode::REQUEST_TIMEOUT;
    if let Some(unread) = unread
        && (stopped || !unread.finish().await)
    {
        // The rest of the body is drained by the transport when the connection ends.
        close(&mut response);
        active.linger();
    }
    if server.connections.are_wanted() {
        close(&mut response);
    }
    let queue = FileQueue::current();
    Ok(response.map(|body| AnswerBody::new(body, active, queue)))
}

/// Has the connection end with this answer (RFC 9112 section 9.6).
fn close<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// Answers a request in the task of its stream.
async fn answer_stream(
    front: Arc<Service>,
    request: Request<Incoming>,
    peer: Peer,
    active: ActiveRequest,
) -> Result<Response<Portions>, Infallible> {
    let stream = Stream::current().expect("each stream runs in a task of its own");
    let (request, _) = track_end(request);
    let response = Box::pin(front.answer(peer, request)).await;
    Ok(response.map(|body| Portions::new(body, stream, active)))
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
