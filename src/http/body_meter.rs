//! The notes on a request while it is answered: the bytes of its body, and its upload.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::model::UploadId;

/// Counts bytes of a request's body as they are read, and knows the upload that it is about.
#[derive(Debug, Clone, Default)]
pub struct BodyMeter(Arc<Meter>);

#[derive(Debug, Default)]
struct Meter {
    bytes: AtomicU64,
    client: Option<IpAddr>,
    upload: OnceLock<UploadId>,
}

impl BodyMeter {
    /// Of a request from `client`; `None` where its address is not one client's.
    pub fn of(client: Option<IpAddr>) -> Self {
        BodyMeter(Arc::new(Meter {
            bytes: AtomicU64::new(0),
            client,
            upload: OnceLock::new(),
        }))
    }

    /// The client it comes from; `None` where the address is not one client's.
    pub fn client(&self) -> Option<IpAddr> {
        self.0.client
    }

    /// Notes that it has become this upload, or that its name has led there.
    pub fn concerns(&self, id: UploadId) {
        // A request stores one, and one name leads to one.
        let _ = self.0.upload.set(id);
    }

    /// The upload that it has become, or to which its name has led.
    pub fn upload(&self) -> Option<UploadId> {
        self.0.upload.get().copied()
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
