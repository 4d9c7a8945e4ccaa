//! What a connection is at, shared by its transport and its requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How long a head that was begun may still come when the server ends.
const QUIET: Duration = Duration::from_secs(1);
/// The most that one poll of a body gives over HTTP/2: about as much must be taken before the next,
/// and so polls tell a slow reader from one that stopped. Frames are no longer unless a client asks
/// (RFC 9113 section 4.2).
const PIECE: usize = 16 * 1024;

/// What a connection is at.
#[derive(Debug, Default)]
pub struct Phase {
    /// Requests whose answers are not yet handed over.
    active: AtomicUsize,
    /// Those of them whose answers have begun.
    answering: AtomicUsize,
    /// Requests that have begun: each is the end of a head.
    begun: AtomicU64,
    /// How often answers were asked for more.
    asked: AtomicU64,
    /// Whether a write waits: for the end of an answer, perhaps, that is handed over.
    writing: AtomicBool,
    http2: AtomicBool,
    linger: AtomicBool,
}

impl Phase {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether a request is being answered.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0 || self.writing.load(Ordering::Relaxed)
    }

    /// Says whether a write waits.
    pub fn writing(&self, waits: bool) {
        self.writing.store(waits, Ordering::Relaxed);
    }

    /// How many requests have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether the connection speaks HTTP/2, where bytes between requests begin no head.
    pub fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Says that part of a request's body was not read.
    pub fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    /// Whether the rest of a body is to be read and dropped before the connection closes.
    pub fn lingers(&self) -> bool {
        self.linger.load(Ordering::Relaxed)
    }

    /// Returns when nothing is under way: no request but, at most, the beginning of a head. Only
    /// the end of the server asks.
    pub async fn quiet(&self) {
        loop {
            tokio::time::sleep(QUIET).await;
            if !self.is_active() && !self.lingers() {
                return;
            }
        }
    }

    /// Returns when all that is under way are answers of which nothing is taken for `idle`: over
    /// HTTP/2 a reader's stop cannot be seen at the socket, nor one answer be ended alone.
    pub async fn stalled(&self, idle: Duration) {
        let mut before = None;
        loop {
            tokio::time::sleep(idle).await;
            let answering = self.answering.load(Ordering::Relaxed);
            let alone = answering > 0 && answering == self.active.load(Ordering::Relaxed);
            let now = alone.then(|| self.asked.load(Ordering::Relaxed));
            if now.is_some() && now == before {
                return;
            }
            before = now;
        }
    }
}

/// A request that is being answered.
pub struct Tracked(Arc<Phase>);

impl Tracked {
    pub fn begin(phase: Arc<Phase>, http2: bool) -> Self {
        phase.active.fetch_add(1, Ordering::Relaxed);
        phase.begun.fetch_add(1, Ordering::Relaxed);
        phase.http2.store(http2, Ordering::Relaxed);
        Tracked(phase)
    }

    /// Goes on to the end of the response's body.
    pub fn follow<B>(self, body: B) -> Followed<B> {
        self.0.answering.fetch_add(1, Ordering::Relaxed);
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Followed {
            body,
            rest: Bytes::new(),
            active: self,
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response's body, followed to its end.
pub struct Followed<B> {
    body: B,
    /// What of its last frame was not yet given.
    rest: Bytes,
    active: Tracked,
}

impl<B> Followed<B> {
    /// As much of `data` as one poll gives; the rest is kept.
    fn piece(&mut self, mut data: Bytes) -> Bytes {
        if self.active.0.is_http2() && data.len() > PIECE {
            self.rest = data.split_off(PIECE);
        }
        data
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Followed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.active.0.asked.fetch_add(1, Ordering::Relaxed);
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.piece(rest)))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(|data| self.piece(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
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

impl<B> Drop for Followed<B> {
    fn drop(&mut self) {
        self.active.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}
