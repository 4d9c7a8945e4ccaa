//! A request's body, which remembers whether it was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// Whether part of a body was left unread.
#[derive(Debug, Clone)]
pub struct Unread(Arc<AtomicBool>);

impl Unread {
    pub fn is_unread(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that remembers whether it was read to its end.
struct Remembering {
    incoming: Incoming,
    unread: Unread,
}

/// A request with a body that remembers whether it was read, if it has one.
pub fn remember(request: Request<Incoming>) -> (Request<axum::body::Body>, Option<Unread>) {
    if request.body().is_end_stream() {
        return (request.map(|_| axum::body::Body::empty()), None);
    }
    let unread = Unread(Arc::new(AtomicBool::new(true)));
    let remembering = |incoming| Remembering {
        incoming,
        unread: unread.clone(),
    };
    let request = request.map(|incoming| axum::body::Body::new(remembering(incoming)));
    (request, Some(unread))
}

impl Body for Remembering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.incoming.is_end_stream() {
            self.unread.0.store(false, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
