//! The state of a connection, shared by its transport and its requests.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long the rest of a head may still take to come when the server ends.
pub const IDLE_PAUSE: Duration = Duration::from_secs(1);

/// The state of a connection: active, idle, or closing with a body unread.
#[derive(Debug, Default)]
pub struct ConnectionState {
    /// Requests whose answers are not yet handed over.
    active: AtomicUsize,
    /// Requests that have begun: each is the end of a head.
    begun: AtomicU64,
    /// Whether a write waits; it may be the end of an answer that was handed over.
    writing: AtomicBool,
    http2: AtomicBool,
    linger: AtomicBool,
    /// Since when it waits for a request or the rest of a head, as [`Waiting`] has it; 0 while it
    /// does neither.
    waiting_since: AtomicU64,
    /// Notified when the connection is to make room for another.
    leave: Notify,
}

impl ConnectionState {
    /// The state of a connection that waits for its first request.
    pub fn new() -> Arc<Self> {
        let state = Self::default();
        state.set_waiting(Some(Waiting::for_request(Instant::now())));
        Arc::new(state)
    }

    /// Notes since when the connection waits; `None` while it is being answered.
    pub fn set_waiting(&self, since: Option<Waiting>) {
        self.waiting_since
            .store(since.map_or(0, |waiting| waiting.0), Ordering::Relaxed);
    }

    /// Since when it waits; `None` while it is being answered.
    pub fn waiting(&self) -> Option<Waiting> {
        Some(self.waiting_since.load(Ordering::Relaxed))
            .filter(|since| *since > 0)
            .map(Waiting)
    }

    /// Asks the connection to make room for another.
    pub fn ask_to_leave(&self) {
        self.leave.notify_one();
    }

    /// Returns when the connection is to make room for another.
    pub async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    /// Whether a request is being answered.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0 || self.writing.load(Ordering::Relaxed)
    }

    /// Whether a write waits: the socket takes no more.
    pub fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Relaxed)
    }

    /// Notes whether a write waits.
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

    /// Whether the rest of a body is to be read and dropped before the connection closes.
    pub fn lingers(&self) -> bool {
        self.linger.load(Ordering::Relaxed)
    }

    /// Returns when no request is under way; the beginning of a head counts for none. It looks
    /// after each `pause`.
    pub async fn until_idle(&self, pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            if !self.is_active() && !self.lingers() {
                return;
            }
        }
    }
}

/// Since when a connection waits for its client. The least one is the first to make room: the one
/// that waits longest for a request, and where none does, for the rest of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting(u64);

impl Waiting {
    /// More than any number of milliseconds that a process may last.
    const HEAD: u64 = 1 << 63;

    /// For the first byte of a request.
    pub fn for_request(since: Instant) -> Self {
        Waiting(millis(since))
    }

    /// For the rest of a head that has begun.
    pub fn for_head(since: Instant) -> Self {
        Waiting(millis(since) | Self::HEAD)
    }

    /// Whether it has lasted for `time`.
    pub fn has_lasted(self, time: Duration) -> bool {
        let lasted = millis(Instant::now()).saturating_sub(self.0 & !Self::HEAD);
        u128::from(lasted) >= time.as_millis()
    }
}

/// Milliseconds of `instant` on the clock of this process, more than 0.
fn millis(instant: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = instant.saturating_duration_since(*START);
    u64::try_from(since.as_millis()).unwrap_or(Waiting::HEAD - 2) + 1
}

/// A request that is being answered, up to the end of its answer.
pub struct ActiveRequest(Arc<ConnectionState>);

impl ActiveRequest {
    /// Begins with the request's head.
    pub fn begin(state: Arc<ConnectionState>, http2: bool) -> Self {
        state.active.fetch_add(1, Ordering::Relaxed);
        state.begun.fetch_add(1, Ordering::Relaxed);
        state.http2.store(http2, Ordering::Relaxed);
        ActiveRequest(state)
    }

    /// Notes that part of the request's body was not read.
    pub fn linger(&self) {
        self.0.linger.store(true, Ordering::Relaxed);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
