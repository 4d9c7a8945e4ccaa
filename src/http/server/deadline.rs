//! A time-out that moves with every byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A point in time that moves often and is hardly ever reached: moving it touches no timer. The
/// timer is set when somebody waits, and only if it would go off too late; if it goes off too
/// early, it is set again.
#[derive(Debug)]
pub struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// One that is reached after `span`.
    pub fn after(span: Duration) -> Self {
        let at = from_now(span);
        let timer = Box::pin(sleep_until(at));
        Deadline { at, timer }
    }

    /// Moves it to `span` from now.
    pub fn set(&mut self, span: Duration) {
        self.at = from_now(span);
    }

    /// Ready once it is reached.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() > self.at {
            self.timer.as_mut().reset(self.at);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

/// `span` from now, or what is as good as never: a setting may be longer than a clock counts.
fn from_now(span: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    Instant::now() + span.min(NEVER)
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
}
