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

/// A body to be, once its request is taken apart.
pub struct RequestBody(Unread);

/// A body that remembers whether it was read to its end.
pub struct Remembering {
    incoming: Incoming,
    unread: Unread,
}

impl RequestBody {
    pub fn new(request: &Request<Incoming>) -> (Self, Unread) {
        let unread = Unread(Arc::new(AtomicBool::new(!request.body().is_end_stream())));
        (RequestBody(unread.clone()), unread)
    }

    pub fn of(self, incoming: Incoming) -> Remembering {
        let unread = self.0;
        Remembering { incoming, unread }
    }
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
