//! Ends that an operator has ordered, by removing the mark of an upload in Redis.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lease::{Claim, claimed};
use crate::model::{Clock, Manifest, Timestamp, UploadId};
use crate::repository::{Repository, RepositoryError};

/// More orders than this in a minute are none: the clock of Redis has jumped, and the marks of
/// what is to live on have come to their end before their time.
const MOST: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// A mark that ends so shortly before its upload has come to its end by itself: the clocks of
/// Redis and of this machine may differ by that much.
const SKEW: Duration = Duration::from_secs(1);

/// The orders that one instance obeys, while it has the claim.
pub struct Orders {
    uploads: Repository,
    claims: watch::Receiver<Option<Claim>>,
    clock: Clock,
    /// When those of the last minute were obeyed.
    obeyed: VecDeque<Timestamp>,
}

impl Orders {
    /// Orders to end some of `uploads`, obeyed under the claims published on `claims`.
    pub fn new(uploads: Repository, claims: watch::Receiver<Option<Claim>>, clock: Clock) -> Self {
        Orders {
            uploads,
            claims,
            clock,
            obeyed: VecDeque::new(),
        }
    }

    /// Looks into the end of every mark, and moves the deadline of its upload to now when
    /// somebody has ordered that, until `stop`.
    pub async fn obey(mut self, stop: &CancellationToken) {
        loop {
            let next = async {
                claimed(&mut self.claims).await;
                self.uploads.catalog().ended().await
            };
            let id = tokio::select! {
                () = stop.cancelled() => return,
                id = next => id,
            };
            // It may have gone while there was nothing to do; then another instance obeys.
            let claim = self.claims.borrow_and_update().clone();
            let Some(claim) = claim.filter(Claim::is_current) else {
                continue;
            };
            if let Err(error) = self.look(&id, &claim).await {
                tracing::warn!(%id, %error, "cannot look into the end of a mark");
            }
        }
    }

    async fn look(&mut self, id: &UploadId, claim: &Claim) -> Result<(), RepositoryError> {
        let now = self.clock.now();
        let due = |deadline: Timestamp| deadline.before(SKEW) <= now;
        let catalog = Arc::clone(self.uploads.catalog());
        // The mark of what is due has come to its end as it should.
        let recorded = catalog.find(id).await?;
        if recorded.is_none_or(|entry| entry.expires_at.is_none_or(due)) {
            return Ok(());
        }
        let Some(manifest) = self.uploads.store().manifest(id).await? else {
            return Ok(());
        };
        let over = manifest.is_over(now) || manifest.expires_at.is_none_or(due);
        // One that is there again was set to a time long past.
        if over || catalog.is_marked(id).await? || !claim.is_current() {
            return Ok(());
        }
        if !self.is_believable(now) {
            tracing::warn!(%id, "more than {MOST} uploads were ordered to end within a minute: the clock of Redis seems to have jumped, and this order is not obeyed");
            return Ok(catalog.mark(&manifest).await?);
        }
        tracing::info!(%id, "an operator has ended an upload");
        let end = move |manifest: &mut Manifest| {
            let live = !manifest.is_over(now);
            if live {
                manifest.expires_at = Some(now);
            }
            live
        };
        self.uploads.update(id, end).await?;
        Ok(())
    }

    /// Whether this may be one more order; then it is counted.
    fn is_believable(&mut self, now: Timestamp) -> bool {
        let old = |at: &Timestamp| now.since(*at) > MINUTE;
        while self.obeyed.front().is_some_and(old) {
            self.obeyed.pop_front();
        }
        let believable = self.obeyed.len() < MOST;
        if believable {
            self.obeyed.push_back(now);
        }
        believable
    }
}
