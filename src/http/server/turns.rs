//! The limit of answers at once over HTTP/2: each holds blocks of a file, a descriptor, and bytes
//! that wait to be sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many answers all connections share. Each holds at most two blocks of a file, half a
/// megabyte, while its reader takes nothing.
pub const SHARED: usize = 192;
/// How long an answer waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// The budget of all connections.
#[derive(Debug, Clone)]
pub struct Answers(Arc<Semaphore>);

impl Answers {
    /// One of `shared` answers, beside one for each connection.
    pub fn new(shared: usize) -> Self {
        Answers(Arc::new(Semaphore::new(shared)))
    }

    /// The turns of one more connection.
    pub fn of_connection(&self) -> Turns {
        Turns {
            own: Arc::new(Semaphore::new(1)),
            shared: Arc::clone(&self.0),
        }
    }
}

/// The turns of the answers of one connection. One is its own, as over HTTP/1.1, where a connection
/// has one answer at a time: readers that stop can take all shared turns, and still each connection
/// gets one answer after the other.
#[derive(Debug, Clone)]
pub struct Turns {
    own: Arc<Semaphore>,
    shared: Arc<Semaphore>,
}

/// An answer's turn, as long as it is kept.
#[derive(Debug)]
pub struct TurnPermit(
    #[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit,
);

impl Turns {
    /// Waits for a turn; `None` if there is none for too long.
    pub async fn take(&self) -> Option<TurnPermit> {
        let own = Arc::clone(&self.own).acquire_owned();
        let shared = Arc::clone(&self.shared).acquire_owned();
        let either = async {
            tokio::select! {
                biased;
                permit = own => permit,
                permit = shared => permit,
            }
        };
        let permit = tokio::time::timeout(TURN_TIMEOUT, either).await.ok()?;
        permit.ok().map(TurnPermit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_connection_has_one_and_all_share_the_others() {
        let answers = Answers::new(2);
        let (greedy, other) = (answers.of_connection(), answers.of_connection());
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(greedy.take().await.expect("there is room"));
        }
        assert!(greedy.take().await.is_none());
        let only = other.take().await.expect("a connection has one of its own");
        assert!(other.take().await.is_none());
        drop(only);
        assert!(other.take().await.is_some());
        held.pop();
        assert!(greedy.take().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_waits_for_its_turn() {
        let turns = Answers::new(0).of_connection();
        let held = turns.take().await;
        let (next, ()) = tokio::join!(turns.take(), async {
            tokio::time::sleep(TURN_TIMEOUT / 2).await;
            drop(held);
        });
        assert!(next.is_some());
    }
}
