//! A request's body as the use cases read it: timed, each within the idle time-out.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::http::AppState;
use crate::http::admission::Pace;
use crate::http::body_meter::BodyMeter;
use crate::http::rules::problem::{Code, Problem};
use crate::http::server::Deadline;
use crate::ingest::BodyError;
use crate::model::Limit;

/// The timed of a request's body.
pub struct TimedBody {
    body: Body,
    received: BodyMeter,
    idle: Duration,
    deadline: Deadline,
    /// Whether the server waits for the client. While it waits for the disk, for memory or for
    /// another machine, the client's time does not run.
    waiting: bool,
    abort: Pin<Box<WaitForCancellationFutureOwned>>,
    pace: Arc<Pace>,
}

impl TimedBody {
    /// Reads `body` until `abort`, or until it is ended because it comes at too slow a `pace`; each
    /// frame may take `idle`.
    pub fn new(
        body: Body,
        received: BodyMeter,
        idle: Duration,
        abort: CancellationToken,
        pace: Arc<Pace>,
    ) -> Self {
        TimedBody {
            body,
            received,
            idle,
            deadline: Deadline::after(idle),
            waiting: false,
            abort: Box::pin(abort.cancelled_owned()),
            pace,
        }
    }
}

impl Stream for TimedBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        use std::future::Future as _;
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are passed over: no field of them has a meaning here.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    self.received.add(data.len() as u64);
                    let idle = self.idle;
                    let now = self.deadline.set(idle);
                    self.pace.end_wait(now);
                    self.waiting = false;
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let broken = BodyError::Broken(innermost(&error));
                    return Poll::Ready(Some(Err(broken)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => self.pace.begin_wait(),
            }
            if !self.waiting {
                self.waiting = true;
                let idle = self.idle;
                self.deadline.set(idle);
            }
            if self.pace.poll_ended(cx).is_ready() {
                let least = Limit::bytes("min_rate", self.pace.least());
                return Poll::Ready(Some(Err(BodyError::TooSlow(least))));
            }
            if self.deadline.poll(cx).is_ready() {
                return Poll::Ready(Some(Err(idle(self.idle))));
            }
            if self.abort.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Err(BodyError::ShuttingDown)));
            }
            return Poll::Pending;
        }
    }
}

impl AppState {
    /// A body of at most `limit` bytes, which comes within the idle time-out.
    pub(super) async fn small_body(&self, body: Body, limit: usize) -> Result<Bytes, Problem> {
        let timeout = self.options.idle_timeout;
        let mut deadline = Deadline::after(timeout);
        let read = tokio::select! {
            biased;
            read = Limited::new(body, limit).collect() => read,
            () = poll_fn(|cx| deadline.poll(cx)) => return Err(idle(timeout).into()),
        };
        match read {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                let detail = format!("the body has more than {limit} bytes");
                Err(Problem::new(Code::LimitExceeded, detail).most(limit as u64))
            }
            Err(error) => Err(BodyError::Broken(innermost(&*error)).into()),
        }
    }
}

fn idle(timeout: Duration) -> BodyError {
    BodyError::Idle(Limit::span("idle_timeout", timeout))
}

/// The innermost cause of an error.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
