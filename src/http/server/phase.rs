//! What a connection is at, shared by its transport and its requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

/// How long a head that was begun may still come when the server ends.
const QUIET: Duration = Duration::from_secs(1);

/// What a connection is at.
#[derive(Debug)]
pub struct Phase {
    /// Requests whose answers are not yet out.
    active: AtomicUsize,
    /// Requests that have begun: each is the end of a head.
    begun: AtomicU64,
    http2: AtomicBool,
    linger: AtomicBool,
    killed: CancellationToken,
}

impl Phase {
    pub fn new() -> Arc<Self> {
        Arc::new(Phase {
            active: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            http2: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            killed: CancellationToken::new(),
        })
    }

    /// Whether a request is being answered.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
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

    /// Returns when the connection is to be dropped.
    pub async fn killed(&self) {
        self.killed.cancelled().await;
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

    /// Goes on to the end of the response's body. With `idle`, the connection is dropped when
    /// nothing of the body is taken for so long: over HTTP/2 one reader's stop cannot be seen at
    /// the socket.
    pub fn follow<B>(self, body: B, idle: Option<Duration>) -> Followed<B> {
        let watch = idle.map(|idle| Watch::start(Arc::clone(&self.0), idle));
        Followed {
            body,
            _watch: watch,
            _active: self,
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
    _watch: Option<Watch>,
    _active: Tracked,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Followed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(watch) = &self._watch {
            watch.polls.fetch_add(1, Ordering::Relaxed);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A task that looks whether a body is still asked for.
struct Watch {
    polls: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn start(phase: Arc<Phase>, idle: Duration) -> Self {
        let polls = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&polls);
        let task = tokio::spawn(async move {
            let mut before = None;
            loop {
                tokio::time::sleep(idle).await;
                let now = seen.load(Ordering::Relaxed);
                if before == Some(now) {
                    return phase.killed.cancel();
                }
                before = Some(now);
            }
        });
        Watch { polls, task }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
