//! The lease of a server that has its store for itself: no other instance can ask for it.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Claim, Lease};
use crate::model::Clock;

/// A lease held from the start to the end.
#[derive(Debug)]
pub struct Solo(watch::Sender<Option<Claim>>);

impl Solo {
    /// The lease of `holder`, in epoch 0.
    pub fn new(holder: String) -> Self {
        let claim = Claim {
            holder,
            epoch: 0,
            acquired_at: Clock::system().now(),
            valid_until: None,
        };
        Solo(watch::Sender::new(Some(claim)))
    }
}

#[async_trait]
impl Lease for Solo {
    fn claims(&self) -> watch::Receiver<Option<Claim>> {
        self.0.subscribe()
    }

    async fn release(&self) {
        self.0.send_replace(None);
    }
}
