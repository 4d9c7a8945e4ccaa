//! Counts the bytes of a request's body.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts bytes of a request's body as they are read.
#[derive(Debug, Clone, Default)]
pub struct BodyMeter(Arc<Meter>);

#[derive(Debug, Default)]
struct Meter {
    bytes: AtomicU64,
    client: Option<IpAddr>,
}

impl BodyMeter {
    /// Of a request from `client`; `None` where its address is not one client's.
    pub fn of(client: Option<IpAddr>) -> Self {
        BodyMeter(Arc::new(Meter {
            bytes: AtomicU64::new(0),
            client,
        }))
    }

    /// The client it comes from; `None` where the address is not one client's.
    pub fn client(&self) -> Option<IpAddr> {
        self.0.client
    }

    /// Adds `bytes`.
    pub fn add(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many were read.
    pub fn get(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }
}
