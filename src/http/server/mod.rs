//! Listening, and the connections: HTTP/1.1 and HTTP/2 over TCP, with and without TLS, and over unix
//! sockets.

mod connection_state;
mod connections;
mod deadline;
mod end_tracking;
mod executor;
mod files;
mod front;
mod listen;
mod portions;
mod preface;
mod pulse;
mod serve;
mod stream;
mod tls;
mod transport;
mod turn;
mod turns;
mod wire;
mod workers;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connections::Connections;
pub use deadline::Deadline;
pub use files::{AnswerEnd, FileQueue};
pub use front::Front;
pub use listen::{Listener, listen_everywhere, listen_passed, listen_tcp, listen_unix};
use listen::{accept_one, after_accept_error};
pub use pulse::Pulse;
pub use stream::Stream;
use turns::Answers;
pub use workers::Workers;

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

/// The parts of a server that all connections share.
#[derive(Clone)]
pub struct Server {
    /// The routes, and what stands around them, as the settings have them now.
    front: Arc<Front>,
    connections: Arc<Connections>,
    /// The budget of the answers over HTTP/2.
    answers: Answers,
    /// Cancelled when no new connections are to be taken and those there are to end after the
    /// request they are at.
    stop: CancellationToken,
    /// Cancelled when connections are to end at once.
    abort: CancellationToken,
    /// Follows the connections, and the streams of those of HTTP/2.
    tracker: TaskTracker,
    /// Whether connections are still taken.
    pulse: Pulse,
}

impl Server {
    /// One with at most `max_connections` at once, which are followed by `tracker`. After `stop` no
    /// new ones are taken, and those there are end after the request they are at; after `abort`
    /// they end at once. `pulse` tells whether it goes on.
    pub fn new(
        front: Arc<Front>,
        max_connections: usize,
        tracker: TaskTracker,
        (stop, abort): (CancellationToken, CancellationToken),
        pulse: Pulse,
    ) -> Self {
        Server {
            front,
            connections: Connections::new(max_connections),
            answers: Answers::new(turns::SHARED),
            stop,
            abort,
            tracker,
            pulse,
        }
    }

    /// The time-outs of a connection that begins now.
    fn timeouts(&self) -> Timeouts {
        Timeouts::new(self.front.current().idle_timeout())
    }

    /// Takes connections until `stop`, and gives them to `workers`. One that is taken while there
    /// are as many as there may be waits here, and all others in the system's queue.
    ///
    /// # Errors
    /// The listener fails for a reason that is not one connection's.
    pub async fn accept(self, listener: Listener, workers: Arc<Workers>) -> io::Result<()> {
        let result = self
            .stop
            .clone()
            .run_until_cancelled(self.accept_all(&listener, &workers))
            .await;
        if let Listener::Unix(_, Some(path)) = &listener {
            // The name is this process's own; if it stays, the next start removes the dead socket.
            let _ = std::fs::remove_file(path);
        }
        result.unwrap_or(Ok(()))
    }

    async fn accept_all(&self, listener: &Listener, workers: &Workers) -> io::Result<()> {
        let mut beat = self.pulse.beat();
        loop {
            let accepted = tokio::select! {
                biased;
                () = beat.answer() => continue,
                accepted = accept_one(listener) => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    // A slow upload has a connection that others could have.
                    let make_room = || self.front.current().make_room();
                    if self.connections.are_scarce() {
                        make_room();
                    }
                    beat.wait();
                    let connection = self.connections.admit(make_room).await;
                    beat.go_on();
                    let server = self.clone();
                    let counted = self.front.current().connected();
                    workers.spawn(self.tracker.track_future(async move {
                        server.serve_socket(socket, peer, &connection.state).await;
                        drop((connection, counted));
                    }));
                }
                Err(error) => after_accept_error(error).await?,
            }
        }
    }
}
