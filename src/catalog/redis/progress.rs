//! How far the instances together have compared store and index.

use async_trait::async_trait;
use redis::cmd;

use super::RedisCatalog;
use super::answers::failed;
use crate::catalog::{CatalogError, ComparisonProgress, SharedProgress};
use crate::model::Timestamp;

#[async_trait]
impl SharedProgress for RedisCatalog {
    async fn progress(&self) -> Result<ComparisonProgress, CatalogError> {
        let mut get = cmd("HMGET");
        get.arg(self.shards.scan()).arg(&["next", "finished"]);
        let (next, finished): (Option<usize>, Option<i64>) =
            self.link.run(&get).await.map_err(failed)?;
        Ok(ComparisonProgress {
            next: next.unwrap_or(0),
            finished_at: Timestamp::from_millis(finished.unwrap_or(0)),
        })
    }

    async fn set_progress(&self, progress: ComparisonProgress) -> Result<(), CatalogError> {
        let mut set = cmd("HSET");
        set.arg(self.shards.scan()).arg("next").arg(progress.next);
        set.arg("finished").arg(progress.finished_at.as_millis());
        self.link.run::<u64>(&set).await.map_err(failed)?;
        Ok(())
    }
}
