//! Ends that an operator has ordered, by removing the mark of an upload in Redis.

use std::collections::VecDeque;
use std::time::Duration;

use super::ExpiryError;
use crate::lease::Claim;
use crate::model::{Manifest, Timestamp, UploadId};
use crate::repository::Repository;

/// More orders than this in a minute are none: the clock of Redis has jumped, and the marks of
/// what is to live on have come to their end before their time.
const MOST: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// The orders of the last minute.
#[derive(Debug, Default)]
pub struct Orders {
    obeyed: VecDeque<Timestamp>,
}

impl Orders {
    /// Looks into the end of a mark, and moves the deadline of its upload to `now` when somebody
    /// has ordered that.
    pub async fn obey(
        &mut self,
        uploads: &Repository,
        id: &UploadId,
        claim: &Claim,
        now: Timestamp,
    ) {
        if let Err(error) = self.look(uploads, id, claim, now).await {
            tracing::warn!(%id, %error, "cannot look into the end of a mark");
        }
    }

    async fn look(
        &mut self,
        uploads: &Repository,
        id: &UploadId,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<(), ExpiryError> {
        let Some(manifest) = uploads.store().manifest(id).await? else {
            return Ok(());
        };
        // The mark of what is due has come to its end as it should; one that is there again was
        // set to a time long past.
        if manifest.is_over(now) || uploads.catalog().is_marked(id).await? || !claim.is_current() {
            return Ok(());
        }
        while self
            .obeyed
            .front()
            .is_some_and(|at| now.since(*at) > MINUTE)
        {
            self.obeyed.pop_front();
        }
        if self.obeyed.len() >= MOST {
            tracing::warn!(%id, "more than {MOST} uploads were ordered to end within a minute: the clock of Redis seems to have jumped, and this order is not obeyed");
            return Ok(uploads.catalog().mark(&manifest).await?);
        }
        self.obeyed.push_back(now);
        tracing::info!(%id, "an operator has ended an upload");
        let end = |manifest: &mut Manifest| {
            let live = !manifest.is_over(now);
            if live {
                manifest.expires_at = Some(now);
            }
            live
        };
        uploads.update(id, end).await?;
        Ok(())
    }
}
