//! Uploads that an operator ends, by removing their markers in Redis.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalog::Markers;
use crate::lease::{Claim, claimed};
use crate::model::{Clock, Manifest, Timestamp, UploadId};
use crate::repository::{Repository, RepositoryError};

/// The most uploads that an operator ends within [`WINDOW`]. If more markers expire before the
/// deadlines of their uploads, the clock of Redis has jumped, and the uploads stay.
const MAX_ENDED: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// A marker that expires so shortly before the deadline has expired by itself: the clocks of Redis
/// and of this machine may differ by that much.
const MAX_SKEW: Duration = Duration::from_secs(1);

/// Ends the uploads whose markers an operator has removed, while this instance has the claim.
pub struct MarkerListener<'a> {
    uploads: &'a Repository,
    markers: &'a dyn Markers,
    claims: watch::Receiver<Option<Claim>>,
    clock: Clock,
    /// When uploads were ended within the last [`WINDOW`].
    ended: VecDeque<Timestamp>,
}

impl<'a> MarkerListener<'a> {
    /// A listener to the `markers` of `uploads`, under the claims published on `claims`.
    pub fn new(
        uploads: &'a Repository,
        markers: &'a dyn Markers,
        claims: watch::Receiver<Option<Claim>>,
        clock: Clock,
    ) -> Self {
        MarkerListener {
            uploads,
            markers,
            claims,
            clock,
            ended: VecDeque::new(),
        }
    }

    /// Checks every marker that expires, and sets the deadline of its upload to now where an operator
    /// has removed it, until `stop`.
    pub async fn run(mut self, stop: &CancellationToken) {
        loop {
            let next = async {
                claimed(&mut self.claims).await;
                self.markers.marker_expired().await
            };
            let id = tokio::select! {
                () = stop.cancelled() => return,
                id = next => id,
            };
            // The claim may have been lost during the wait; then another instance ends the upload.
            let claim = self.claims.borrow_and_update().clone();
            let Some(claim) = claim.filter(Claim::is_current) else {
                continue;
            };
            if let Err(error) = self.check(&id, &claim).await {
                tracing::warn!(upload_id = %id, %error, "cannot check an expired marker; the upload stays until its deadline");
            }
        }
    }

    async fn check(&mut self, id: &UploadId, claim: &Claim) -> Result<(), RepositoryError> {
        let now = self.clock.now();
        let nearly = now.after(MAX_SKEW);
        // The marker of an upload that is due has expired by itself. One that is there again was
        // replaced: setting a past deadline sends the event too.
        if !self.markers.is_unmarked(id, nearly).await? {
            return Ok(());
        }
        let Some(manifest) = self.uploads.store().manifest(id).await? else {
            return Ok(());
        };
        let due = |deadline| deadline <= nearly;
        let over = manifest.is_over(now) || manifest.expires_at.is_none_or(due);
        if over || !claim.is_current() {
            return Ok(());
        }
        if !self.is_believable(now) {
            tracing::warn!(upload_id = %id, "more than {MAX_ENDED} markers expired early within a minute: the clock of Redis seems to have jumped, and the upload stays");
            return Ok(self.markers.set_marker(&manifest).await?);
        }
        tracing::info!(upload_id = %id, "an operator has ended the upload");
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

    /// Whether an operator may have ended one more upload; then it is counted.
    fn is_believable(&mut self, now: Timestamp) -> bool {
        let old = |at: &Timestamp| now.since(*at) > WINDOW;
        while self.ended.front().is_some_and(old) {
            self.ended.pop_front();
        }
        let believable = self.ended.len() < MAX_ENDED;
        if believable {
            self.ended.push_back(now);
        }
        believable
    }
}
