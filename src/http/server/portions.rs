//! An answer's body over HTTP/2, sent in portions: the stream knows which of them its reader took.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::connection_state::ActiveRequest;
use super::stream::Stream;
use crate::http::log::LoggedBody;

/// The most that one poll gives: hyper takes all bytes of a poll, even where its buffer has less
/// room.
const PORTION: usize = 16 * 1024;

/// A body that ends when its reader has taken all of it, and not when hyper has: until then hyper
/// keeps the stream's future, by which the stream can be reset.
pub struct Portions {
    body: LoggedBody,
    /// The part of its last frame that was not yet given.
    rest: Bytes,
    /// Whether it is given at once, and its end with it.
    short: bool,
    ended: bool,
    /// Whether its end was given too.
    whole: bool,
    stream: Arc<Stream>,
    _active: ActiveRequest,
}

impl Portions {
    /// `body`, as the answer of `stream`.
    pub fn new(body: LoggedBody, stream: Arc<Stream>, active: ActiveRequest) -> Self {
        let len = body.size_hint().exact();
        Portions {
            short: len.is_some_and(|len| len <= PORTION as u64),
            body,
            rest: Bytes::new(),
            ended: false,
            whole: false,
            stream,
            _active: active,
        }
    }

    /// As much of `data` as one poll gives; the rest is kept.
    fn portion(&mut self, mut data: Bytes) -> Portion {
        if data.len() > PORTION {
            self.rest = data.split_off(PORTION);
        }
        self.stream.offer(data.len());
        let stream = Arc::clone(&self.stream);
        Portion { data, stream }
    }
}

impl Body for Portions {
    type Data = Portion;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Portion>, axum::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.portion(rest)))));
        }
        if !self.ended {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            if let Some(frame) = frame {
                return Poll::Ready(Some(
                    frame.map(|frame| frame.map_data(|data| self.portion(data))),
                ));
            }
            self.ended = true;
        }
        if !self.short {
            ready!(self.stream.poll_taken(cx));
        }
        self.whole = true;
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.short && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

impl Drop for Portions {
    fn drop(&mut self) {
        if !self.short && !self.whole {
            self.body.broken_off();
        }
    }
}

/// Some bytes of an answer, until they are taken.
pub struct Portion {
    data: Bytes,
    stream: Arc<Stream>,
}

impl Buf for Portion {
    fn remaining(&self) -> usize {
        self.data.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.data
    }

    fn advance(&mut self, bytes: usize) {
        self.data.advance(bytes);
        self.stream.take(bytes);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.stream.take(len);
        self.data.copy_to_bytes(len)
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        // The stream is given up, and these bytes with it: they count as taken.
        if !self.data.is_empty() {
            self.stream.take(self.data.len());
        }
    }
}
