//! The load: so many connections at once, a thread for each.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::connection::Connection;

/// What is to be done.
#[derive(Clone, Copy)]
pub struct Load {
    /// How many connections there are.
    pub connections: usize,
    /// How many requests they share.
    pub requests: u64,
    /// No request is begun after this time: what is slow is measured on fewer.
    pub limit: Duration,
}

/// What came of it.
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
        let start = Barrier::new(self.connections + 1);
        let next = AtomicU64::new(0);
        let one = |mut connection: Connection| -> Result<(u64, Vec<Duration>)> {
            let (mut bytes, mut latencies) = (0, Vec::new());
            start.wait();
            let started = Instant::now();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.requests || started.elapsed() > self.limit {
                    return Ok((bytes, latencies));
                }
                let began = Instant::now();
                bytes += work(&mut connection, number)?;
                latencies.push(began.elapsed());
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = connections
                .into_iter()
                .map(|connection| {
                    std::thread::Builder::new()
                        .stack_size(128 * 1024)
                        .spawn_scoped(scope, || one(connection))
                        .expect("a thread")
                })
                .collect();
            start.wait();
            let started = Instant::now();
            let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            let wall = started.elapsed();
            let (mut bytes, mut latencies) = (0, Vec::new());
            for end in ended {
                let (moved, times) = end.map_err(|_| anyhow!("a client panicked"))??;
                bytes += moved;
                latencies.extend(times);
            }
            latencies.sort_unstable();
            Ok(Outcome {
                wall,
                requests: latencies.len() as u64,
                bytes,
                latencies,
            })
        })
    }
}
