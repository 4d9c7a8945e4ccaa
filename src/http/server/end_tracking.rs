//! A request's body that knows whether it was read to its end, and keeps its unread rest.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::timeout;

/// How much of a refused body is read before the answer, so that the connection is kept, and a
/// client that does not read before it has sent all sees the answer.
const SMALL_REST: u64 = 64 * 1024;
/// How long reading that rest may take, and how long the client may pause.
const REST_TIME: Duration = Duration::from_secs(3);
const REST_SILENCE: Duration = Duration::from_secs(1);

/// An HTTP/2 stream that was reset with the code for no error.
#[derive(Debug, thiserror::Error)]
#[error("the stream was reset")]
struct Reset;

/// The rest of a body that its reader left.
#[derive(Debug)]
pub struct BodyUnread(Arc<BodyEnd>);

/// The state that a body and the answer to its request share.
#[derive(Debug)]
struct BodyEnd {
    unread: AtomicBool,
    /// Whether a client that waits for 100 (Continue) before it sends anything still waits.
    awaits_100: AtomicBool,
    /// The rest of the body when its reader is done with it. A std mutex: held to put it there and
    /// to take it.
    rest: Mutex<Option<Incoming>>,
}

/// A body that tells whether it was read to its end.
struct EndTrackingBody {
    /// `None` once the rest is kept for the answer.
    incoming: Option<Incoming>,
    http2: bool,
    shared: Arc<BodyEnd>,
}

/// Wraps the body of a request, if it has one, to track whether it is read to its end.
pub fn track_end(request: Request<Incoming>) -> (Request<axum::body::Body>, Option<BodyUnread>) {
    if request.body().is_end_stream() {
        return (request.map(|_| axum::body::Body::empty()), None);
    }
    let http2 = request.version() == Version::HTTP_2;
    let expects = request.headers().contains_key(header::EXPECT);
    let shared = Arc::new(BodyEnd {
        unread: AtomicBool::new(true),
        awaits_100: AtomicBool::new(expects),
        rest: Mutex::new(None),
    });
    let tracking = |incoming| EndTrackingBody {
        incoming: Some(incoming),
        http2,
        shared: Arc::clone(&shared),
    };
    let request = request.map(|incoming| axum::body::Body::new(tracking(incoming)));
    (request, Some(BodyUnread(shared)))
}

impl BodyUnread {
    /// Reads the rest, if it is short. True when the body is at its end.
    pub async fn finish(self) -> bool {
        if !self.0.unread.load(Ordering::Relaxed) {
            return true;
        }
        // Reading would send the 100.
        if self.0.awaits_100.load(Ordering::Relaxed) {
            return false;
        }
        let rest = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rest) = { rest }.take() else {
            return false;
        };
        let announced = rest.size_hint().exact();
        if announced.is_some_and(|len| len > SMALL_REST) {
            return false;
        }
        timeout(REST_TIME, drain(rest)).await.unwrap_or(false)
    }
}

/// Reads `body`. True at its end, unless that is too far away.
async fn drain(mut body: Incoming) -> bool {
    let mut left = SMALL_REST;
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let len = match timeout(REST_SILENCE, frame).await {
            Ok(None) => return true,
            Ok(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
            Ok(Some(Err(_))) | Err(_) => return false,
        };
        match left.checked_sub(len) {
            Some(less) => left = less,
            None => return false,
        }
    }
}

impl Body for EndTrackingBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        this.shared.awaits_100.store(false, Ordering::Relaxed);
        let polled = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        let ended = incoming.is_end_stream();
        if polled.is_none() || ended {
            this.shared.unread.store(false, Ordering::Relaxed);
        }
        // hyper takes a reset for the end of a body, where its code is that of no error.
        if polled.is_none() && this.http2 && !ended {
            return Poll::Ready(Some(Err(Reset.into())));
        }
        Poll::Ready(polled.map(|frame| Ok(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for EndTrackingBody {
    fn drop(&mut self) {
        // Over HTTP/2 the stream tells the client that no more is wanted.
        if self.shared.unread.load(Ordering::Relaxed) && !self.http2 {
            let rest = self.shared.rest.lock();
            *rest.unwrap_or_else(PoisonError::into_inner) = self.incoming.take();
        }
    }
}
