//! A request's body, which remembers whether it was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// An HTTP/2 stream that was reset with the code for no error.
#[derive(Debug, thiserror::Error)]
#[error("the stream was reset")]
struct Reset;

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
    http2: bool,
    unread: Unread,
}

/// A request with a body that remembers whether it was read, if it has one.
pub fn remember(request: Request<Incoming>) -> (Request<axum::body::Body>, Option<Unread>) {
    if request.body().is_end_stream() {
        return (request.map(|_| axum::body::Body::empty()), None);
    }
    let unread = Unread(Arc::new(AtomicBool::new(true)));
    let http2 = request.version() == Version::HTTP_2;
    let remembering = |incoming| Remembering {
        incoming,
        http2,
        unread: unread.clone(),
    };
    let request = request.map(|incoming| axum::body::Body::new(remembering(incoming)));
    (request, Some(unread))
}

impl Body for Remembering {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let polled = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if polled.is_none() || self.incoming.is_end_stream() {
            self.unread.0.store(false, Ordering::Relaxed);
        }
        // hyper takes a reset for the end of a body, where its code is that of no error.
        if polled.is_none() && self.http2 && !self.incoming.is_end_stream() {
            return Poll::Ready(Some(Err(Reset.into())));
        }
        Poll::Ready(polled.map(|frame| Ok(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
