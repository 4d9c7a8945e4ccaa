//! When uploads of the embedded index are due.

use std::sync::Arc;

use async_trait::async_trait;

use super::EmbeddedCatalog;
use crate::catalog::record::Record;
use crate::catalog::{CatalogError, Deadlines};
use crate::model::{Timestamp, UploadId};

#[async_trait]
impl Deadlines for EmbeddedCatalog {
    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        again: Timestamp,
    ) -> Result<Vec<UploadId>, CatalogError> {
        let due = self.read(move |shared| shared.due(now, limit)).await?;
        let mut taken = Vec::with_capacity(due.len());
        for (_, id) in due {
            self.postpone(&id, again).await?;
            taken.push(id);
        }
        Ok(taken)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, CatalogError> {
        let end = Timestamp::from_millis(i64::MAX);
        let due = self.read(move |shared| shared.due(end, 1)).await?;
        Ok(due.into_iter().map(|(at, _)| at).next())
    }

    async fn postpone(&self, id: &UploadId, until: Timestamp) -> Result<(), CatalogError> {
        let postponed = move |before: Option<&Record>| {
            let due = Some(until);
            let change = before.map(|before| {
                Some(Arc::new(Record {
                    due,
                    ..before.clone()
                }))
            });
            ((), change)
        };
        self.change(id, postponed).await?;
        Ok(())
    }

    async fn wait_for_earlier(&self) {
        self.shared.earlier.notified().await;
    }
}
