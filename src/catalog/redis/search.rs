//! Searches that ask many shards, or many candidates.

use std::cmp::Reverse;

use futures_util::future::join_all;
use redis::cmd;

use super::answers::{failed, millis};
use super::fields::entry;
use super::shards::Shards;
use super::{RedisCatalog, scripts};
use crate::catalog::{CatalogError, Cursor, IndexEntry, ListFilter, Listed, Stretch};
use crate::model::{FileName, IdBeginning, Prefix, Timestamp, UploadId};

/// How many candidates for a name are asked for at once.
const CANDIDATES: usize = 16;
/// How many uploads each shard is asked for, at the least, for a listing.
const MIN_PER_SHARD: usize = 8;
/// How many uploads a shard reads for that: some hundred microseconds.
const MAX_READS: usize = 200;

impl RedisCatalog {
    /// See [`newest`](super::Index::newest).
    pub async fn find_newest(
        &self,
        name: &FileName,
        now: Timestamp,
        skip: &[UploadId],
    ) -> Result<Option<UploadId>, CatalogError> {
        let keys = self.shards.name_and_built(name);
        // By their times: places would shift while others are removed.
        let (mut before, mut last) = ("+inf".to_owned(), String::new());
        loop {
            let args = [before, last, CANDIDATES.to_string()];
            let (whole, found): (u8, Vec<(String, String)>) =
                self.eval(scripts::NEWEST, &keys, &args).await?;
            // The index may lack an upload that is newer than those it has found.
            if whole != 1 {
                return Err(CatalogError::Rebuilding);
            }
            let Some((id, created)) = found.last() else {
                return Ok(None);
            };
            (last, before) = (id.clone(), created.clone());
            for id in found.iter().filter_map(|(id, _)| id.parse().ok()) {
                if skip.contains(&id) {
                    continue;
                }
                let keys = self.shards.of(&id, &["upload", "built!"]);
                let found: u8 = self.eval(scripts::FOUND, &keys, &[millis(now)]).await?;
                if found == 1 {
                    return Ok(Some(id));
                }
            }
        }
    }

    /// See [`list`](super::Index::list).
    pub async fn list_all(
        &self,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        filter: &ListFilter,
    ) -> Result<Stretch, CatalogError> {
        let (before, id) = match after {
            Some(cursor) => (millis(cursor.created_at), cursor.id.to_string()),
            None => ("+inf".to_owned(), String::new()),
        };
        // Uploads are spread evenly: each shard is asked for somewhat more than its part. Those whose
        // ids begin alike lie in one, and most of the others are passed without a read.
        let (part, reads) = match &filter.id {
            Some(_) => (limit, 10 * MAX_READS),
            None => (
                limit.min(MIN_PER_SHARD + 4 * limit / Shards::COUNT),
                MAX_READS,
            ),
        };
        let all = u8::from(filter.listed == Listed::All).to_string();
        let beginning = filter.id.as_ref().map_or("", IdBeginning::as_str);
        let (part, reads) = (part.to_string(), reads.to_string());
        let mut args = vec![
            before,
            id,
            part,
            millis(now),
            reads,
            all,
            beginning.to_owned(),
        ];
        args.extend(filter.names.iter().map(|name| format!("/{name}/")));
        let keys = |tag: &str| {
            let names = ["all", "built", "upload:"];
            names.map(|name| self.shards.key(tag, name)).to_vec()
        };
        type Row = Vec<String>;
        type Rows = Option<(String, String, Vec<Row>)>;
        let shards: Vec<Rows> = match &filter.id {
            Some(beginning) => {
                let tag = self.shards.tag_of(beginning.prefix());
                vec![self.eval(scripts::LIST, &keys(&tag), &args).await?]
            }
            None => self.each(scripts::LIST, keys, &args).await?,
        };
        let shards = shards.into_iter().collect::<Option<Vec<_>>>();
        let (mut entries, mut end) = (Vec::new(), None);
        for (time, id, rows) in shards.ok_or(CatalogError::Rebuilding)? {
            end = end.max(place(&time, &id));
            let found = rows.iter();
            entries
                .extend(found.filter_map(|row| entry(row.first()?.parse().ok()?, row.get(1..)?)));
        }
        let place = |entry: &IndexEntry| Cursor {
            created_at: entry.created_at,
            id: entry.id,
        };
        // Behind the place where the first of the shards has stopped, that shard could have others.
        entries.retain(|entry| end.is_none_or(|end| place(entry) >= end));
        entries.sort_by_key(|entry| Reverse(place(entry)));
        let mut next = end;
        if entries.len() > limit {
            entries.truncate(limit);
            next = entries.last().map(place);
        }
        Ok(Stretch { entries, next })
    }

    /// See [`with_prefix`](super::Index::with_prefix).
    pub async fn all_with_prefix(&self, prefix: Prefix) -> Result<Vec<UploadId>, CatalogError> {
        let mut all = cmd("ZRANGE");
        all.arg(self.shards.key(&self.shards.tag_of(prefix), "all"));
        let mut all: Vec<String> = self.link.run(all.arg(0).arg(-1)).await.map_err(failed)?;
        if self.room.is_some() {
            // Finds uploads whose room is still counted, although their record is gone.
            let mut counted = cmd("HKEYS");
            counted.arg(self.shards.room_of(prefix));
            let counted: Vec<String> = self.link.run(&counted).await.map_err(failed)?;
            all.extend(counted);
        }
        let ids = all.iter().filter_map(|id| id.parse().ok());
        let mut ids: Vec<UploadId> = ids.filter(|id: &UploadId| id.prefix() == prefix).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// When the first upload of each shard is due.
    pub async fn earliest(&self) -> Result<Vec<(Timestamp, String)>, CatalogError> {
        let asked = self.shards.uploads().map(async |tag| {
            let key = self.shards.key(&tag, "due");
            let mut first = cmd("ZRANGE");
            first.arg(&key).arg(0).arg(0).arg("WITHSCORES");
            let first: Vec<(String, f64)> = self.link.run(&first).await.map_err(failed)?;
            let millis = first.first().map(|(_, score)| *score as i64);
            Ok(millis.map(|millis| (Timestamp::from_millis(millis), key)))
        });
        // A shard that does not answer does not hide the others.
        let answers: Vec<Result<_, CatalogError>> = join_all(asked).await;
        let mut earliest = Vec::new();
        let mut failure = None;
        let mut answered = false;
        for answer in answers {
            match answer {
                Ok(first) => {
                    answered = true;
                    earliest.extend(first);
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if !answered => Err(error),
            _ => Ok(earliest),
        }
    }
}

/// A place in a shard.
fn place(time: &str, id: &str) -> Option<Cursor> {
    Some(Cursor {
        created_at: Timestamp::from_millis(time.parse().ok()?),
        id: id.parse().ok()?,
    })
}
