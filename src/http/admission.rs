//! Which uploads may run: a limited number at once; where places become scarce, slow uploads end.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::body_meter::BodyMeter;

/// The time over which a rate is taken.
const WINDOW: Duration = Duration::from_secs(60);
/// How often in that time the progress of an upload is noted.
const MARKS_PER_WINDOW: u32 = 6;
/// How long the server must have waited for a client before it calls it slow.
const MIN_WAIT: Duration = Duration::from_secs(10);
/// How long a new upload waits for the place of an upload that was ended.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The limits of uploads under way.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// Uploads at once.
    pub uploads: usize,
    /// Uploads of one client at once; `None` is any number.
    pub per_client: Option<usize>,
    /// Bytes a second that a client has to send while the server waits for it, where places are
    /// scarce.
    pub min_rate: Option<u64>,
}

/// Why an upload may not begin.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The most uploads are under way.
    Full,
    /// Places are scarce, and its client has half of them.
    Half,
    /// Its client has the most uploads that one client may have.
    Client(usize),
}

/// The uploads under way.
#[derive(Debug)]
pub struct Admission {
    /// A std lock: held to copy them, or to put others in their place.
    limits: RwLock<AdmissionLimits>,
    permits: Arc<Semaphore>,
    /// A std mutex: held to add or remove an upload, and to read all when places are scarce or
    /// counted by client. Only the task of an upload that is to end is woken meanwhile.
    under_way: Mutex<ActiveUploads>,
}

#[derive(Debug, Default)]
struct ActiveUploads {
    next: u64,
    paces: HashMap<u64, Arc<Pace>>,
    /// How many permits are not to come back: the limit is lower than it was.
    too_many: usize,
}

/// An upload that was admitted, until it is dropped.
#[derive(Debug)]
pub struct Admitted {
    number: u64,
    pace: Arc<Pace>,
    admission: Arc<Admission>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Admission {
    /// One with these limits.
    pub fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Admission {
            permits: Arc::new(Semaphore::new(places(limits))),
            limits: RwLock::new(limits),
            under_way: Mutex::default(),
        })
    }

    /// Has these limits count from now on. Uploads under way stay, and keep the rate they began with.
    pub fn limit(&self, limits: AdmissionLimits) {
        let mut held = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let before = places(std::mem::replace(&mut held, limits));
        let mut under_way = self.under_way();
        let after = places(limits);
        let paid = under_way.too_many.min(after.saturating_sub(before));
        under_way.too_many -= paid;
        self.permits
            .add_permits(after.saturating_sub(before) - paid);
        let fewer = before.saturating_sub(after);
        under_way.too_many += fewer - self.permits.forget_permits(fewer);
    }

    fn limits(&self) -> AdmissionLimits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits the upload of `client`, which is `None` where the address is not one client's. Where
    /// three quarters of the places are taken, the slowest upload below the least rate is ended.
    ///
    /// # Errors
    /// It may not begin now.
    pub async fn admit(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        received: BodyMeter,
    ) -> Result<Admitted, Refused> {
        let client = client.map(network);
        let limits = self.limits();
        let most = limits.uploads;
        let scarce = self.count(most) >= most - most / 4;
        self.refuse_greedy(limits, client, scarce)?;
        let ended = scarce && self.end_slowest();
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if ended => {
                let next = Arc::clone(&self.permits).acquire_owned();
                let next = tokio::time::timeout(LEAVE_TIMEOUT, next).await;
                let next = next.map_err(|_| Refused::Full)?;
                next.expect("the semaphore is never closed")
            }
            Err(_) => return Err(Refused::Full),
        };
        let pace = Arc::new(Pace::new(client, received, limits.min_rate));
        let mut under_way = self.under_way();
        let number = under_way.next;
        under_way.next += 1;
        under_way.paces.insert(number, Arc::clone(&pace));
        drop(under_way);
        Ok(Admitted {
            number,
            pace,
            admission: Arc::clone(self),
            permit: Some(permit),
        })
    }

    /// How many of the places are taken.
    fn count(&self, most: usize) -> usize {
        most.saturating_sub(self.permits.available_permits())
    }

    fn refuse_greedy(
        &self,
        limits: AdmissionLimits,
        client: Option<IpAddr>,
        scarce: bool,
    ) -> Result<(), Refused> {
        let per_client = limits.per_client;
        if client.is_none() || (per_client.is_none() && !scarce) {
            return Ok(());
        }
        let under_way = self.under_way();
        let own = under_way.paces.values();
        let own = own.filter(|pace| pace.client == client).count();
        drop(under_way);
        match per_client {
            Some(most) if own >= most => Err(Refused::Client(most)),
            _ if scarce && own >= (limits.uploads / 2).max(1) => Err(Refused::Half),
            _ => Ok(()),
        }
    }

    /// Ends the slowest upload below the least rate. False if there is none.
    pub fn end_slowest(&self) -> bool {
        let Some(least) = self.limits().min_rate else {
            return false;
        };
        let now = Instant::now();
        let under_way = self.under_way();
        let rates = under_way
            .paces
            .values()
            .filter_map(|pace| Some((pace.rate(now)?, pace)));
        let slowest = rates
            .filter(|(rate, _)| *rate < least)
            .min_by_key(|(rate, _)| *rate);
        if let Some((_, pace)) = slowest {
            pace.end();
        }
        slowest.is_some()
    }

    fn under_way(&self) -> MutexGuard<'_, ActiveUploads> {
        // A panic cannot leave the map half changed.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Its pace.
    pub fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut under_way = self.admission.under_way();
        under_way.paces.remove(&self.number);
        if under_way.too_many > 0
            && let Some(permit) = self.permit.take()
        {
            under_way.too_many -= 1;
            permit.forget();
        }
    }
}

/// How many uploads there may be at once, as many as can be counted.
fn places(limits: AdmissionLimits) -> usize {
    limits.uploads.min(Semaphore::MAX_PERMITS)
}

/// The address of one client: in IPv6 the network that one subscriber has at least.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// How fast an upload comes: only time in which the server waits for the client counts, and not for
/// the disk, a digest or Redis. The upload's task writes here when it begins and ends to wait, and
/// not for a block that is there.
#[derive(Debug)]
pub struct Pace {
    client: Option<IpAddr>,
    received: BodyMeter,
    /// The least rate, in bytes a second: below it an upload is ended for others.
    least: Option<u64>,
    begun: Instant,
    /// Milliseconds of all waits for the client that have ended.
    waited: AtomicU64,
    /// The beginning of the current wait, in milliseconds since `begun`, + 1; 0 without one.
    waiting: AtomicU64,
    /// When the next mark is due, in milliseconds since `begun`.
    next_mark: AtomicU64,
    /// A std mutex: held for a push or a read.
    marks: Mutex<VecDeque<Mark>>,
    ended: AtomicBool,
    task: AtomicWaker,
}

/// The progress of an upload at some time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// All in milliseconds since its beginning, and in bytes.
    at: u64,
    waited: u64,
    received: u64,
}

impl Pace {
    fn new(client: Option<IpAddr>, received: BodyMeter, least: Option<u64>) -> Self {
        Pace {
            client,
            least,
            begun: Instant::now(),
            waited: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            next_mark: AtomicU64::new(span(WINDOW / MARKS_PER_WINDOW)),
            marks: Mutex::new(VecDeque::new()),
            ended: AtomicBool::new(false),
            task: AtomicWaker::new(),
            received,
        }
    }

    /// Begins a wait for the client, unless one goes on.
    pub fn begin_wait(&self) {
        // Only its own task writes it.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            let since = self.at(Instant::now()) + 1;
            self.waiting.store(since, Ordering::Relaxed);
        }
    }

    /// Ends the wait: bytes came, which are counted as received.
    pub fn end_wait(&self, now: Instant) {
        let since = self.waiting.load(Ordering::Relaxed);
        if since == 0 {
            return;
        }
        let at = self.at(now);
        let waited = at.saturating_sub(since - 1);
        self.waited.fetch_add(waited, Ordering::Relaxed);
        self.waiting.store(0, Ordering::Relaxed);
        if at >= self.next_mark.load(Ordering::Relaxed) {
            self.mark(at);
        }
    }

    fn mark(&self, at: u64) {
        self.next_mark
            .store(at + span(WINDOW / MARKS_PER_WINDOW), Ordering::Relaxed);
        let mut marks = self.marks();
        marks.push_back(Mark {
            at,
            waited: self.waited.load(Ordering::Relaxed),
            received: self.received.get(),
        });
        // The oldest that is left is as old as the window.
        while marks.len() > 1 && marks[1].at + span(WINDOW) <= at {
            marks.pop_front();
        }
    }

    /// Bytes a second over the last `WINDOW`, of the time in which the server waited for the
    /// client; `None` where that was shorter than `MIN_WAIT`.
    fn rate(&self, now: Instant) -> Option<u64> {
        let at = self.at(now);
        let waiting = self.waiting.load(Ordering::Relaxed);
        let open = if waiting == 0 {
            0
        } else {
            at.saturating_sub(waiting - 1)
        };
        let marks = self.marks();
        let within = marks.iter().rev();
        let base = within
            .copied()
            .find(|mark| mark.at + span(WINDOW) <= at)
            .unwrap_or(Mark {
                at: 0,
                waited: 0,
                received: 0,
            });
        drop(marks);
        let waited = (self.waited.load(Ordering::Relaxed) + open).saturating_sub(base.waited);
        let received = self.received.get().saturating_sub(base.received);
        (waited >= span(MIN_WAIT)).then(|| received.saturating_mul(1000) / waited)
    }

    /// The rate below which it is ended for others, in bytes a second.
    pub fn least(&self) -> u64 {
        self.least.unwrap_or(0)
    }

    /// Wakes its task, which ends it.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Ready when the upload was ended for others.
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.register(cx.waker());
        if self.ended.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn at(&self, now: Instant) -> u64 {
        span(now.saturating_duration_since(self.begun))
    }

    fn marks(&self) -> MutexGuard<'_, VecDeque<Mark>> {
        // A panic cannot leave the list half changed.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In milliseconds.
fn span(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
