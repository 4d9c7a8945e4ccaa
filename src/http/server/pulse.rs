//! Whether a server still does its work: its threads run tasks, and its loops take connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Workers;

/// How often the answers of the loops are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The answer of a loop that waits until there is room for a connection: no standstill.
const WAITING: u64 = u64::MAX;

/// The loops that take connections, to be asked whether they go on.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// The number of the last question.
    asked: Arc<watch::Sender<u64>>,
    /// The last answer of each loop. A std mutex: held to add one, and to read all.
    answers: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
}

/// One loop, as it answers.
#[derive(Debug)]
pub struct Beat {
    asked: watch::Receiver<u64>,
    answer: Arc<AtomicU64>,
}

impl Pulse {
    /// One more loop.
    pub fn beat(&self) -> Beat {
        let answer = Arc::new(AtomicU64::new(WAITING));
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push(Arc::clone(&answer));
        let mut asked = self.asked.subscribe();
        asked.mark_changed();
        Beat { asked, answer }
    }

    /// Whether all loops and all threads answer within this time.
    pub async fn is_felt(&self, workers: &Workers, within: Duration) -> bool {
        let end = Instant::now() + within;
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        if timeout(within, workers.answer()).await.is_err() {
            return false;
        }
        while !self.answered(number) {
            if Instant::now() >= end {
                return false;
            }
            sleep(POLL_INTERVAL).await;
        }
        true
    }

    fn answered(&self, number: u64) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = answers.iter();
        answers.all(|answer| answer.load(Ordering::Relaxed) >= number)
    }
}

impl Beat {
    /// Waits for the next question, and answers it.
    pub async fn answer(&mut self) {
        if self.asked.changed().await.is_err() {
            // No task is left to ask.
            std::future::pending::<()>().await;
        }
        self.go_on();
    }

    /// The loop waits for room, however long.
    pub fn wait(&self) {
        self.answer.store(WAITING, Ordering::Relaxed);
    }

    /// The loop goes on.
    pub fn go_on(&mut self) {
        let number = *self.asked.borrow_and_update();
        self.answer.store(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_felt_while_all_loops_answer() {
        let workers = Workers::start().unwrap();
        let (pulse, soon) = (Pulse::default(), Duration::from_millis(50));
        assert!(pulse.is_felt(&workers, soon).await);
        let mut beat = pulse.beat();
        assert!(pulse.is_felt(&workers, soon).await, "it has not begun");
        beat.go_on();
        assert!(!pulse.is_felt(&workers, soon).await, "it stands still");
        beat.wait();
        assert!(pulse.is_felt(&workers, soon).await, "it waits for room");
        let answering = tokio::spawn(async move {
            loop {
                beat.answer().await;
            }
        });
        let long = Duration::from_secs(60);
        for _ in 0..3 {
            assert!(pulse.is_felt(&workers, long).await);
        }
        answering.abort();
    }
}
