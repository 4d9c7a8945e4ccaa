//! The load: so many connections at once, a thread for each.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::connection::Connection;

/// The task.
#[derive(Clone, Copy)]
pub struct Load {
    /// How many connections there are.
    pub connections: usize,
    /// How many requests they share.
    pub requests: u64,
    /// No request is begun after this time: a slow contestant is measured on fewer.
    pub limit: Duration,
}

/// The result.
pub struct Outcome {
    pub wall: Duration,
    pub requests: u64,
    /// The content that was sent or received.
    pub bytes: u64,
    /// How long each request took, from the first byte sent to the last received; sorted.
    pub latencies: Vec<Duration>,
}

impl Load {
    /// Has `work` done for the numbers from 0, on connections that are open beforehand. It says
    /// how many bytes of content it moved.
    pub fn run<W>(self, address: SocketAddr, work: W) -> Result<Outcome>
    where
        W: Fn(&mut Connection, u64) -> Result<u64> + Sync,
    {
        let connections: Vec<Connection> = (0..self.connections)
            .map(|_| Connection::open(address))
            .collect::<Result<_>>()?;
        let start = Barrier::new(self.connections);
        let next = AtomicU64::new(0);
        let one = |mut connection: Connection| -> Result<Turn> {
            start.wait();
            let started = Instant::now();
            let (mut bytes, mut latencies) = (0, Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let began = Instant::now();
                if number >= self.requests || began - started > self.limit {
                    return Ok(Turn {
                        started,
                        ended: began,
                        bytes,
                        latencies,
                    });
                }
                bytes += work(&mut connection, number)?;
                latencies.push(began.elapsed());
            }
        };
        let turns = std::thread::scope(|scope| {
            let threads: Vec<_> = connections
                .into_iter()
                .map(|connection| {
                    std::thread::Builder::new()
                        .stack_size(128 * 1024)
                        .spawn_scoped(scope, || one(connection))
                        .expect("a thread")
                })
                .collect();
            let turns = threads.into_iter().map(|thread| {
                let turn = thread.join().map_err(|_| anyhow!("a client panicked"));
                turn.flatten()
            });
            // All of them, before the first error is looked at.
            turns.collect::<Vec<_>>()
        });
        let turns: Vec<Turn> = turns.into_iter().collect::<Result<_>>()?;
        let started = turns.iter().map(|turn| turn.started).min();
        let ended = turns.iter().map(|turn| turn.ended).max();
        let mut latencies: Vec<_> = turns
            .iter()
            .flat_map(|turn| &turn.latencies)
            .copied()
            .collect();
        latencies.sort_unstable();
        Ok(Outcome {
            wall: started
                .zip(ended)
                .map_or(Duration::ZERO, |(from, to)| to - from),
            requests: latencies.len() as u64,
            bytes: turns.iter().map(|turn| turn.bytes).sum(),
            latencies,
        })
    }
}

/// Where all connections wait for each other in the middle of a request.
pub struct Gate {
    expected: usize,
    /// Guards how many have come. A std mutex: held to count.
    come: Mutex<usize>,
    all: Condvar,
}

impl Gate {
    pub fn new(expected: usize) -> Self {
        Gate {
            expected,
            come: Mutex::default(),
            all: Condvar::new(),
        }
    }

    /// Waits until all have come.
    ///
    /// # Errors
    /// Some do not: the server does not take so many at once.
    pub fn wait(&self) -> Result<()> {
        let mut come = self.come.lock().unwrap_or_else(PoisonError::into_inner);
        *come += 1;
        self.all.notify_all();
        let missing = |come: &mut usize| *come < self.expected;
        let (come, waited) = self
            .all
            .wait_timeout_while(come, Duration::from_secs(30), missing)
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(!waited.timed_out(), "only {come} are under way at once");
        Ok(())
    }
}

/// The result of one connection.
struct Turn {
    started: Instant,
    ended: Instant,
    bytes: u64,
    latencies: Vec<Duration>,
}
