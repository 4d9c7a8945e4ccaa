//! One stream of an HTTP/2 connection, and how much of its answer its reader has taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::connection_state::ConnectionState;
use super::turns::{TurnPermit, Turns};

/// How often in `idle_timeout` a stream is checked.
const CHECKS_PER_TIMEOUT: u32 = 4;

tokio::task_local! {
    /// The stream of the current task.
    static STREAM: Arc<Stream>;
}

/// One stream: how much of its answer was offered to the reader, and how much taken.
#[derive(Debug)]
pub struct Stream {
    turns: Turns,
    /// Bytes given to hyper.
    offered: AtomicU64,
    /// Bytes of them that went into the socket, or were dropped with the stream.
    taken: AtomicU64,
    /// The task that waits until the reader has taken everything: the end of the body.
    end: AtomicWaker,
    /// The permit of its answer, from the budget of all answers.
    turn: std::sync::OnceLock<TurnPermit>,
}

impl Stream {
    /// One of a connection with these turns.
    pub fn new(turns: Turns) -> Self {
        Stream {
            turns,
            offered: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            end: AtomicWaker::new(),
            turn: std::sync::OnceLock::new(),
        }
    }

    /// `task`, as the task of this stream.
    pub fn scope<F: Future>(self: Arc<Self>, task: F) -> impl Future<Output = F::Output> {
        STREAM.scope(self, task)
    }

    /// The stream of the calling task; `None` outside one: over HTTP/1.1.
    pub fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    /// Waits until the budget of all answers has room for this one, which has it until its last
    /// byte is taken. False if it has none for too long.
    pub async fn take_turn(&self) -> bool {
        let Some(held) = self.turns.take().await else {
            return false;
        };
        // A second one goes back: a stream has one answer.
        let _ = self.turn.set(held);
        true
    }

    /// Counts `bytes` more as ready to be taken.
    pub fn offer(&self, bytes: usize) {
        self.offered.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts `bytes` more as taken.
    pub fn take(&self, bytes: usize) {
        let bytes = bytes as u64;
        let taken = self.taken.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if taken == self.offered.load(Ordering::Relaxed) {
            self.end.wake();
        }
    }

    /// Ready when all that was offered is taken.
    pub fn poll_taken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.end.register(cx.waker());
        if self.waits() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Whether something is ready and not taken.
    pub fn waits(&self) -> bool {
        self.taken.load(Ordering::Acquire) < self.offered.load(Ordering::Relaxed)
    }

    /// Returns when nothing was taken for `idle` although something was there to be taken. A slow
    /// store does not count; nor does a socket that takes no more, which the transport times.
    pub async fn stalled(&self, state: &ConnectionState, idle: Duration) {
        let (mut before, mut idle_checks) = (0, 0);
        // The first check without progress begins the time.
        while idle_checks <= CHECKS_PER_TIMEOUT {
            tokio::time::sleep(idle / CHECKS_PER_TIMEOUT).await;
            let now = self.taken.load(Ordering::Acquire);
            if now != before || !self.waits() {
                (before, idle_checks) = (now, 0);
            } else if !state.is_writing() {
                idle_checks += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::turns::Answers;
    use super::*;

    const IDLE: Duration = Duration::from_secs(30);

    fn stream() -> Stream {
        Stream::new(Answers::new(1).of_connection())
    }

    async fn stalls_within(stream: &Stream, state: &ConnectionState, span: Duration) -> bool {
        let stalled = stream.stalled(state, IDLE);
        tokio::time::timeout(span, stalled).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_offered_and_not_taken_stalls() {
        let (stream, state) = (stream(), ConnectionState::new());
        assert!(
            !stalls_within(&stream, &state, 10 * IDLE).await,
            "a slow store"
        );
        stream.offer(100);
        let start = tokio::time::Instant::now();
        assert!(stalls_within(&stream, &state, 2 * IDLE).await);
        assert!(start.elapsed() >= IDLE, "{:?}", start.elapsed());
        state.writing(true);
        assert!(
            !stalls_within(&stream, &state, 10 * IDLE).await,
            "the socket is full"
        );
        state.writing(false);
        stream.take(100);
        assert!(
            !stalls_within(&stream, &state, 10 * IDLE).await,
            "all was taken"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_does_not() {
        let (stream, state) = (stream(), ConnectionState::new());
        stream.offer(1000);
        let reads = async {
            for _ in 0..100 {
                tokio::time::sleep(IDLE * 9 / 10).await;
                stream.take(1);
            }
        };
        tokio::select! {
            () = stream.stalled(&state, IDLE) => panic!("it reads"),
            () = reads => {}
        }
    }
}
