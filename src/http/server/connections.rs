//! The limit of connections, and which of them closes when another one comes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection_state::{ConnectionState, Waiting};

/// How long a connection that was asked to leave may take before another is asked as well.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a connection waits at least before it is asked to leave. The request of one that has
/// just come, or was just answered, may lie unread in its socket, and would be lost.
const MIN_WAIT: Duration = Duration::from_millis(200);
/// How many of the longest waiting connections one look finds: a look at all connections for each new
/// one would let an attacker choose how much work the server does.
const MAX_CANDIDATES: usize = 128;

/// All connections of a server.
#[derive(Debug)]
pub struct Connections {
    max: usize,
    permits: Arc<Semaphore>,
    /// How many connections wait to be admitted: at most one for each listener.
    waiting: AtomicUsize,
    open: Mutex<OpenConnections>,
}

/// Counts one that waits to be admitted, until it is dropped.
struct WaitsForAdmission<'a>(&'a AtomicUsize);

/// A std mutex guards it: it is held to add or take one, and to look at all when all permits are
/// taken; no other task is woken meanwhile than the connection that is asked to leave.
#[derive(Debug, Default)]
struct OpenConnections {
    next: u64,
    states: HashMap<u64, Arc<ConnectionState>>,
    /// The connections that waited longest at the last look: since when, and their numbers, the
    /// longest last.
    longest: Vec<(Waiting, u64)>,
}

/// A connection that was admitted, until it is dropped.
#[derive(Debug)]
pub struct AdmittedConnection {
    number: u64,
    /// Its state.
    pub state: Arc<ConnectionState>,
    all: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// At most `max` at once.
    pub fn new(max: usize) -> Arc<Self> {
        let max = max.min(Semaphore::MAX_PERMITS);
        Arc::new(Connections {
            max,
            permits: Arc::new(Semaphore::new(max)),
            waiting: AtomicUsize::new(0),
            open: Mutex::default(),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.max - self.permits.available_permits()
    }

    /// Whether three quarters of them are taken.
    pub fn are_scarce(&self) -> bool {
        self.count() >= self.max - self.max / 4
    }

    /// Whether a new one waits until another one ends: those that are answered end with their answer.
    pub fn are_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Admits one more. While there are as many as there may be, the one that waits longest for a
    /// request, or for the rest of its head, is asked to leave, if that has lasted for
    /// [`MIN_WAIT`]; where none has, `make_room` may end one; else this waits.
    pub async fn admit(self: &Arc<Self>, make_room: impl Fn()) -> AdmittedConnection {
        let permit = self.permit(make_room).await;
        let state = ConnectionState::new();
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        open.states.insert(number, Arc::clone(&state));
        drop(open);
        AdmittedConnection {
            number,
            state,
            all: Arc::clone(self),
            _permit: permit,
        }
    }

    async fn permit(&self, make_room: impl Fn()) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return permit;
        }
        let _waits = WaitsForAdmission::count(&self.waiting);
        loop {
            if !self.open().ask_one_to_leave() {
                make_room();
            }
            let next = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(LEAVE_TIMEOUT, next).await {
                return permit.expect("the semaphore is never closed");
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        // A panic cannot leave the map half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> WaitsForAdmission<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        WaitsForAdmission(waiting)
    }
}

impl Drop for WaitsForAdmission<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OpenConnections {
    /// Asks the one that waits longest to leave. False if none has waited long enough.
    fn ask_one_to_leave(&mut self) -> bool {
        for find in [false, true] {
            if find {
                self.find_longest();
            }
            while let Some((since, number)) = self.longest.pop() {
                let Some(state) = self.states.get(&number) else {
                    continue;
                };
                // Since it was found it may have had a request.
                if state.waiting() == Some(since) {
                    // It is asked once: if it is still there the next time, another is asked.
                    state.set_waiting(None);
                    state.ask_to_leave();
                    return true;
                }
            }
        }
        false
    }

    fn find_longest(&mut self) {
        let waiting = |(number, state): (&u64, &Arc<ConnectionState>)| {
            let since = state.waiting().filter(|it| it.has_lasted(MIN_WAIT))?;
            Some((since, *number))
        };
        self.longest.extend(self.states.iter().filter_map(waiting));
        self.longest.sort_unstable();
        self.longest.truncate(MAX_CANDIDATES);
        self.longest.shrink_to(MAX_CANDIDATES);
        self.longest.reverse();
    }
}

impl Drop for AdmittedConnection {
    fn drop(&mut self) {
        self.all.open().states.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waits_longest_gives_way() {
        let connections = Connections::new(4);
        assert!(!connections.are_scarce());
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(connections.admit(|| panic!("there is room")).await);
        }
        assert!(connections.are_scarce() && connections.count() == 4);
        for (age, connection) in [5, 20, 3, 10].into_iter().zip(&open) {
            tokio::time::advance(SECOND).await;
            let since = Instant::now() + (20 - age) * SECOND;
            let waiting = Waiting::for_request(since);
            connection.state.set_waiting(Some(waiting));
        }
        tokio::time::advance(20 * SECOND).await;
        // The one that would be first is answering.
        open[1].state.set_waiting(None);
        let longest = open.remove(3);
        let leaves = async {
            longest.state.asked_to_leave().await;
            drop(longest);
        };
        let (admitted, ()) = tokio::join!(connections.admit(|| panic!("one is idle")), leaves);
        assert!(admitted.state.waiting().is_some());
    }

    #[test]
    fn a_head_gives_way_after_all_that_wait_for_a_request() {
        let now = Instant::now();
        let (request, head) = (Waiting::for_request, Waiting::for_head);
        assert!(request(now) < request(now + SECOND));
        assert!(request(now + SECOND) < head(now));
        assert!(head(now) < head(now + SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_just_come_is_not_asked_to_leave() {
        let connections = Connections::new(1);
        let first = connections.admit(|| {}).await;
        let admission = connections.admit(|| {});
        assert!(timeout(MIN_WAIT / 2, admission).await.is_err());
        assert!(!connections.are_wanted(), "it waits no longer");
        assert!(first.state.waiting().is_some());
        let leaves = async {
            first.state.asked_to_leave().await;
            assert!(connections.are_wanted());
            drop(first);
        };
        tokio::join!(connections.admit(|| {}), leaves);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_busy_a_new_one_waits() {
        let connections = Connections::new(1);
        let busy = connections.admit(|| {}).await;
        busy.state.set_waiting(None);
        let asked = std::cell::Cell::new(0);
        let admission = connections.admit(|| asked.set(asked.get() + 1));
        assert!(timeout(SECOND, admission).await.is_err());
        assert!(asked.get() > 0);
        drop(busy);
        connections.admit(|| {}).await;
    }
}
