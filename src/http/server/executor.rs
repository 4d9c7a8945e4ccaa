//! The streams of an HTTP/2 connection: each is a task that is tracked, and can be ended alone.

use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Server;
use super::connection_state::ConnectionState;
use super::stream::Stream;
use super::turns::Turns;

/// Runs the streams of one connection. hyper gives it each stream as one future, from the request's
/// head to the last byte of the answer; dropping that future resets the stream, and no other.
#[derive(Clone)]
pub struct Streams {
    state: Arc<ConnectionState>,
    turns: Turns,
    idle: Duration,
    abort: CancellationToken,
    tracker: TaskTracker,
}

impl Streams {
    /// Runs the streams of a connection of `server`, whose state is `state`.
    pub fn new(server: &Server, state: Arc<ConnectionState>) -> Self {
        Streams {
            state,
            turns: server.answers.of_connection(),
            idle: server.timeouts().idle,
            abort: server.abort.clone(),
            tracker: server.tracker.clone(),
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, whole: F) {
        let stream = Arc::new(Stream::new(self.turns.clone()));
        let (own, connection) = (Arc::clone(&stream), self.clone());
        let task = async move {
            tokio::select! {
                // A stream that waits for nothing sets no timer.
                biased;
                () = whole => {}
                () = own.stalled(&connection.state, connection.idle) => {
                    tracing::debug!("a stream is reset: nothing of its answer is taken");
                }
                () = connection.abort.cancelled() => {}
            }
        };
        tokio::spawn(self.tracker.track_future(stream.scope(task)));
    }
}
