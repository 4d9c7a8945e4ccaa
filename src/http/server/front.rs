//! The service that answers: another one takes its place when the settings are read anew.

use std::sync::{Arc, PoisonError, RwLock};

use crate::http::Service;

/// The service in force. A request keeps the one it began with.
pub struct Front(RwLock<Arc<Service>>);

impl Front {
    /// With this service.
    pub fn new(service: Arc<Service>) -> Arc<Self> {
        Arc::new(Front(RwLock::new(service)))
    }

    /// The service of a request that begins now.
    pub fn current(&self) -> Arc<Service> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has requests from now on answered by this one.
    pub fn replace(&self, service: Arc<Service>) {
        let before = {
            let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, service)
        };
        // Outside of the lock: it may be the last of its kind.
        drop(before);
    }
}
