//! A time-out that moves with every byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a peer gets once more after its time has passed. A process that was frozen
/// (SIGSTOP, a paused container) sees that the time has passed before it sees what the peer has
/// sent meanwhile: bytes that wait in the socket are known after the next turn of the runtime.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// A point in time that moves often and is hardly ever reached: moving it touches no timer. The
/// timer is set when a task waits, and only if it would go off too late; if it goes off too
/// early, it is set again. When it is reached, the waiting task is woken once more before the
/// deadline says so, and can look at its peer.
#[derive(Debug)]
pub struct Deadline {
    at: Instant,
    /// Whether the time has passed, and the peer is looked at once more.
    passed: bool,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// One that is reached after `span`.
    pub fn after(span: Duration) -> Self {
        let at = from(Instant::now(), span);
        let timer = Box::pin(sleep_until(at));
        let passed = false;
        Deadline { at, passed, timer }
    }

    /// Moves it to `span` from now, and says when now is.
    pub fn set(&mut self, span: Duration) -> Instant {
        let now = Instant::now();
        self.at = from(now, span);
        self.passed = false;
        now
    }

    /// Ready once it is reached, and one more look was taken.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() > self.at {
            self.timer.as_mut().reset(self.at);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= self.at {
                if self.passed {
                    return Poll::Ready(());
                }
                self.passed = true;
                self.at = Instant::now() + LAST_LOOK;
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

/// `span` after `now`, or a time so late that it never comes: a setting may be longer than a clock
/// counts.
fn from(now: Instant, span: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    now + span.min(NEVER)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_reached_where_it_was_moved_to() {
        let start = Instant::now();
        let mut deadline = Deadline::after(10 * SECOND);
        deadline.set(20 * SECOND);
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 20);
        deadline.set(60 * SECOND);
        assert!(
            tokio::time::timeout(SECOND, poll_fn(|cx| deadline.poll(cx)))
                .await
                .is_err()
        );
        // Earlier than the timer was set.
        deadline.set(5 * SECOND);
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 26);
    }

    #[tokio::test(start_paused = true)]
    async fn its_task_is_woken_once_more_before_it_is_reached() {
        let start = Instant::now();
        let mut deadline = Deadline::after(10 * SECOND);
        let mut looks = Vec::new();
        poll_fn(|cx| {
            looks.push(start.elapsed());
            deadline.poll(cx)
        })
        .await;
        // At the beginning, and for the last time after the time has passed.
        assert!(looks.len() >= 2 && looks[0] < SECOND, "{looks:?}");
        assert!(start.elapsed() >= 10 * SECOND + LAST_LOOK);
    }
}
