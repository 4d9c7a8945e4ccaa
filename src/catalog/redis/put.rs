//! Records one upload: its names first, then its record.

use futures_util::future::join_all;
use redis::{FromRedisValue, cmd};

use super::answers::{failed, millis};
use super::{RedisCatalog, scripts};
use crate::catalog::record::Record;
use crate::catalog::{Capacity as _, CatalogError};
use crate::model::{FileName, Manifest, Timestamp, UploadId};

/// The facts that a listing shows, behind the generation that they are of: an older version that
/// records a later one leaves the text as it is.
fn shown(record: &Record) -> Result<String, CatalogError> {
    let facts = serde_json::to_string(&record.shown);
    let facts = facts.map_err(|error| CatalogError::Failed(error.into()))?;
    Ok(format!("{} {facts}", record.generation))
}

impl RedisCatalog {
    /// Records an upload; answers whether that was new, and the highest order of all others of
    /// its names that is not below its own.
    pub async fn put(
        &self,
        manifest: &Manifest,
        create: bool,
    ) -> Result<(bool, Option<Timestamp>), CatalogError> {
        let record = Record::of(manifest);
        let mut highest = None;
        if create && !record.found_by().is_empty() {
            self.orders.record(manifest);
            highest = self.name(&manifest.id, &record).await?;
        }
        let (id, with_marker) = (&manifest.id, self.events.has_key_events());
        let time = |time: Option<Timestamp>| time.map_or(String::new(), millis);
        let names: String = record.names.iter().map(|name| format!("/{name}")).collect();
        let args = [
            id.to_string(),
            record.generation.to_string(),
            millis(record.created_at),
            time(record.expires_at),
            time(record.due),
            record.size.to_string(),
            u8::from(record.spent).to_string(),
            names,
            u8::from(create).to_string(),
            u8::from(with_marker).to_string(),
            record.room.to_string(),
            record.downloads.map_or(String::new(), |downloads| {
                format!("{} {}", downloads.max, downloads.left)
            }),
            shown(&record)?,
        ];
        let keys = ["upload", "due!", "all!", "bytes!", "marker"];
        let mut keys = self.shards.of(id, &keys);
        keys.extend(self.room_keys(id).into_iter().flatten());
        let recorded: u8 = self.eval(scripts::RECORD, &keys, &args).await?;
        let newer = recorded != 0;
        if recorded == scripts::LIMIT_CHANGED {
            self.orders.record(manifest);
            self.settle_names(id, &record).await?;
        }
        if newer {
            self.settle(id, record.room).await?;
        } else if create {
            // Another instance has recorded a later version, and the room of the upload with it.
            if let Some(room) = &self.room {
                room.release_room(id);
            }
        }
        if record.due.is_some() {
            self.earlier.notify_one();
        }
        Ok((newer, highest))
    }

    /// Has the names of an upload lead to it, or no longer, as `record` says whose downloads are
    /// limited since, or no longer. Another instance may have changed that once more meanwhile: what
    /// is recorded last decides.
    async fn settle_names(&self, id: &UploadId, record: &Record) -> Result<(), CatalogError> {
        let (order, id_text) = (millis(record.order()), id.to_string());
        let mut limited = record.downloads.is_some();
        loop {
            if limited {
                self.each_name::<u8>(
                    scripts::UNNAME,
                    &record.names,
                    std::slice::from_ref(&id_text),
                )
                .await?;
            } else {
                let args = [order.clone(), id_text.clone()];
                self.each_name::<String>(scripts::NAME, &record.names, &args)
                    .await?;
            }
            let mut recorded = cmd("HGET");
            recorded.arg(self.shards.of(id, &["upload"])).arg("l");
            let recorded: Option<String> = self.link.run(&recorded).await.map_err(failed)?;
            // None is recorded of an upload that was removed: no name leads to it.
            let now = recorded.is_none_or(|downloads| !downloads.is_empty());
            if now == limited {
                return Ok(());
            }
            limited = now;
        }
    }

    async fn name(
        &self,
        id: &UploadId,
        record: &Record,
    ) -> Result<Option<Timestamp>, CatalogError> {
        let args = [millis(record.order()), id.to_string()];
        let highest: Vec<String> = self
            .each_name(scripts::NAME, record.found_by(), &args)
            .await?;
        let highest = highest.iter().filter_map(|order| order.parse().ok());
        Ok(highest.max().map(Timestamp::from_millis))
    }

    /// Runs `script` on the keys of `names`.
    pub async fn each_name<T: FromRedisValue>(
        &self,
        script: &str,
        names: &[FileName],
        args: &[String],
    ) -> Result<Vec<T>, CatalogError> {
        let shards = self.shards.of_names(names);
        let asked = shards.iter().map(|keys| self.eval(script, keys, args));
        join_all(asked).await.into_iter().collect()
    }
}
