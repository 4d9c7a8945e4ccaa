//! The tables, whose keys are in the order that callers ask for, and the searches in them.

use std::collections::HashSet;

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTable as _, Table,
    TableDefinition, Value, WriteTransaction,
};

use super::pending::RecordChange;
use crate::catalog::record::Record;
use crate::catalog::{Cursor, IndexEntry, ListFilter, Stats, Stretch};
use crate::model::{FileName, IdBeginning, Prefix, Timestamp, UploadId};

type Bytes = &'static [u8];

/// Id to record.
const UPLOADS: TableDefinition<Bytes, Bytes> = TableDefinition::new("uploads");
/// Time and id, in the order of the commits, to when the upload is over: a search passes expired
/// uploads without reading their records.
const BY_TIME: TableDefinition<Bytes, i64> = TableDefinition::new("by_time");
/// Name, NUL, order, id, to when the upload is over: the newest of a name is the last with it.
const BY_NAME: TableDefinition<Bytes, i64> = TableDefinition::new("by_name");
/// When an upload is due, and its id.
const BY_DUE: TableDefinition<Bytes, ()> = TableDefinition::new("by_due");

/// The end of an upload that has none.
const NEVER: i64 = i64::MAX;

/// Behind the start of a key: the end of all keys that start so, for no id has such a byte.
const LAST: u8 = 0xff;

fn time_key(time: Timestamp, id: &UploadId) -> Vec<u8> {
    // With the sign turned, the bytes of times are in the order of the times.
    let millis = time.as_millis().cast_unsigned() ^ (1 << 63);
    [&millis.to_be_bytes()[..], id.as_str().as_bytes()].concat()
}

fn read_time_key(key: &[u8]) -> Option<(Timestamp, UploadId)> {
    let (millis, id) = key.split_at_checked(8)?;
    let millis = u64::from_be_bytes(millis.try_into().ok()?) ^ (1 << 63);
    let id = str::from_utf8(id).ok()?.parse().ok()?;
    Some((Timestamp::from_millis(millis.cast_signed()), id))
}

fn name_key(name: &FileName, rest: &[u8]) -> Vec<u8> {
    // A name holds no NUL, so no name's keys lie among another's.
    [name.as_str().as_bytes(), &[0], rest].concat()
}

/// From when on an upload is over, in milliseconds: at once when all its downloads are used.
fn end(record: &Record) -> i64 {
    match record.expires_at {
        _ if record.spent => i64::MIN,
        None => NEVER,
        Some(deadline) => deadline.as_millis(),
    }
}

fn decode(value: &[u8]) -> Result<Record, redb::Error> {
    serde_json::from_slice(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

/// The tables of a write transaction.
pub struct Tables<'t> {
    uploads: Table<'t, Bytes, Bytes>,
    by_time: Table<'t, Bytes, i64>,
    by_name: Table<'t, Bytes, i64>,
    by_due: Table<'t, Bytes, ()>,
}

impl<'t> Tables<'t> {
    pub fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Tables {
            uploads: transaction.open_table(UPLOADS)?,
            by_time: transaction.open_table(BY_TIME)?,
            by_name: transaction.open_table(BY_NAME)?,
            by_due: transaction.open_table(BY_DUE)?,
        })
    }

    /// Replaces what is recorded of `id` by `change`.
    pub fn apply(&mut self, id: &UploadId, change: &RecordChange) -> Result<(), redb::Error> {
        let key = id.as_str().as_bytes();
        let before = self
            .uploads
            .remove(key)?
            .map(|value| decode(value.value()))
            .transpose()?;
        if let Some(record) = before {
            let time = time_key(record.created_at, id);
            self.by_time.remove(&time[..])?;
            let order = time_key(record.order(), id);
            for name in record.found_by() {
                self.by_name.remove(&name_key(name, &order)[..])?;
            }
            if let Some(due) = record.due {
                self.by_due.remove(&time_key(due, id)[..])?;
            }
        }
        if let Some(record) = change {
            let value = serde_json::to_vec(&**record)
                .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            self.uploads.insert(key, &value[..])?;
            let time = time_key(record.created_at, id);
            let end = end(record);
            self.by_time.insert(&time[..], end)?;
            let order = time_key(record.order(), id);
            for name in record.found_by() {
                self.by_name.insert(&name_key(name, &order)[..], end)?;
            }
            if let Some(due) = record.due {
                self.by_due.insert(&time_key(due, id)[..], ())?;
            }
        }
        Ok(())
    }
}

/// The order of an upload, its id, and when it is over.
pub type Placed = (Timestamp, UploadId, Option<Timestamp>);

/// The database at one moment.
pub struct Snapshot(ReadTransaction);

impl Snapshot {
    pub fn of(database: &Database) -> Result<Self, redb::Error> {
        Ok(Snapshot(database.begin_read()?))
    }

    pub fn find(&self, id: &UploadId) -> Result<Option<Record>, redb::Error> {
        let table = self.0.open_table(UPLOADS)?;
        let value = table.get(id.as_str().as_bytes())?;
        value.map(|value| decode(value.value())).transpose()
    }

    /// When the last upload was committed.
    pub fn last(&self) -> Result<Option<Timestamp>, redb::Error> {
        let table = self.0.open_table(BY_TIME)?;
        let last = table.last()?;
        Ok(last.and_then(|(key, _)| read_time_key(key.value()).map(|(time, _)| time)))
    }

    /// The highest order of a name.
    pub fn latest(&self, name: &FileName) -> Result<Option<Timestamp>, redb::Error> {
        let (first, last) = (name_key(name, &[]), name_key(name, &[LAST]));
        let table = self.0.open_table(BY_NAME)?;
        let Some(key) = table.range(&first[..]..&last[..])?.next_back() else {
            return Ok(None);
        };
        let key = key?.0;
        Ok(read_time_key(&key.value()[first.len()..]).map(|(order, _)| order))
    }

    /// The newest upload with that name that is alive and not `hidden`, its order and when it is
    /// over. The outer `None` says that the search has passed `steps` uploads of the name, and more
    /// are left.
    pub fn newest(
        &self,
        name: &FileName,
        now: Timestamp,
        hidden: &HashSet<UploadId>,
        steps: usize,
    ) -> Result<Option<Option<Placed>>, redb::Error> {
        let (first, last) = (name_key(name, &[]), name_key(name, &[LAST]));
        let table = self.0.open_table(BY_NAME)?;
        for (step, key) in table.range(&first[..]..&last[..])?.rev().enumerate() {
            if step == steps {
                return Ok(None);
            }
            let (key, end) = key?;
            let end = end.value();
            if end <= now.as_millis() {
                continue;
            }
            let Some((time, id)) = read_time_key(&key.value()[first.len()..]) else {
                continue;
            };
            if !hidden.contains(&id) {
                let end = (end != NEVER).then(|| Timestamp::from_millis(end));
                return Ok(Some(Some((time, id, end))));
            }
        }
        Ok(Some(None))
    }

    /// Up to `limit` of the uploads of `filter` before `after` that are alive and not `hidden`,
    /// newest first. Passes no more than `steps` uploads, and reads the records of those that are
    /// alive.
    pub fn list(
        &self,
        after: Option<Cursor>,
        limit: usize,
        steps: usize,
        now: Timestamp,
        filter: &ListFilter,
        hidden: &HashSet<UploadId>,
    ) -> Result<Stretch, redb::Error> {
        let end = after.map_or_else(
            || vec![LAST; 9],
            |cursor| time_key(cursor.created_at, &cursor.id),
        );
        let mut stretch = Stretch::default();
        let table = self.0.open_table(BY_TIME)?;
        let uploads = self.0.open_table(UPLOADS)?;
        for (step, item) in table.range(..&end[..])?.rev().enumerate() {
            let (key, end) = item?;
            let over = end.value() <= now.as_millis();
            let last = step + 1 >= steps;
            if over && !last {
                continue;
            }
            let Some((created_at, id)) = read_time_key(key.value()) else {
                continue;
            };
            if !over && !hidden.contains(&id) {
                let value = uploads.get(id.as_str().as_bytes())?;
                let record = value.map(|value| decode(value.value())).transpose()?;
                let record = record.filter(|record| record.is_in(filter, &id));
                stretch
                    .entries
                    .extend(record.map(|record| record.entry(id)));
            }
            if stretch.entries.len() == limit || last {
                stretch.next = Some(Cursor { created_at, id });
                break;
            }
        }
        Ok(stretch)
    }

    /// The same of the uploads whose ids begin so. All of them are read, and they are few: of ten
    /// million uploads some forty begin with the same four characters.
    pub fn list_beginning(
        &self,
        beginning: &IdBeginning,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        filter: &ListFilter,
        hidden: &HashSet<UploadId>,
    ) -> Result<Stretch, redb::Error> {
        let mut entries = Vec::new();
        self.each_beginning(beginning.as_str(), hidden, |id, record| {
            let created_at = record.created_at;
            let behind = after.is_none_or(|after| Cursor { created_at, id } < after);
            if behind && record.is_alive(now) && record.is_in(filter, &id) {
                entries.push(record.entry(id));
            }
        })?;
        let place = |entry: &IndexEntry| Cursor {
            created_at: entry.created_at,
            id: entry.id,
        };
        entries.sort_by_key(|entry| std::cmp::Reverse(place(entry)));
        let mut stretch = Stretch::default();
        if entries.len() > limit {
            entries.truncate(limit);
            stretch.next = entries.last().map(place);
        }
        stretch.entries = entries;
        Ok(stretch)
    }

    /// Up to `limit` uploads due by `now` that are not `hidden`, the longest overdue first.
    pub fn due(
        &self,
        now: Timestamp,
        limit: usize,
        hidden: &HashSet<UploadId>,
    ) -> Result<Vec<(Timestamp, UploadId)>, redb::Error> {
        let table: ReadOnlyTable<Bytes, ()> = self.0.open_table(BY_DUE)?;
        let mut due = Vec::new();
        for key in table.iter()? {
            let Some((time, id)) = read_time_key(key?.0.value()) else {
                continue;
            };
            if time > now || due.len() == limit {
                break;
            }
            if !hidden.contains(&id) {
                due.push((time, id));
            }
        }
        Ok(due)
    }

    /// All with that prefix that are not `hidden`.
    pub fn with_prefix(
        &self,
        prefix: Prefix,
        hidden: &HashSet<UploadId>,
    ) -> Result<Vec<IndexEntry>, redb::Error> {
        let mut entries = Vec::new();
        self.each_beginning(prefix.as_str(), hidden, |id, record| {
            entries.push(record.entry(id));
        })?;
        Ok(entries)
    }

    /// Reads the records of all uploads whose ids begin so and are not `hidden`, in the order of the
    /// ids.
    fn each_beginning(
        &self,
        beginning: &str,
        hidden: &HashSet<UploadId>,
        mut each: impl FnMut(UploadId, Record),
    ) -> Result<(), redb::Error> {
        let first = beginning.as_bytes();
        let last = [first, &[LAST]].concat();
        let table = self.0.open_table(UPLOADS)?;
        for item in table.range(first..&last[..])? {
            let (key, value) = item?;
            let id = str::from_utf8(key.value())
                .ok()
                .and_then(|id| id.parse().ok());
            if let Some(id) = id.filter(|id| !hidden.contains(id)) {
                each(id, decode(value.value())?);
            }
        }
        Ok(())
    }

    /// Counts all uploads, and reads every page for it, unless the caller has `given_up` meanwhile.
    pub fn count(&self, given_up: impl Fn() -> bool) -> Result<Stats, redb::Error> {
        let mut stats = Stats::default();
        for item in self.0.open_table(UPLOADS)?.iter()? {
            if given_up() {
                return Ok(stats);
            }
            stats.uploads += 1;
            stats.bytes += decode(item?.1.value())?.room;
        }
        // A damaged page should be found here, where the caller can still rebuild the index.
        self.walk(BY_TIME, &given_up)?;
        self.walk(BY_NAME, &given_up)?;
        self.walk(BY_DUE, &given_up)?;
        Ok(stats)
    }

    fn walk<V: Value + 'static>(
        &self,
        table: TableDefinition<Bytes, V>,
        given_up: impl Fn() -> bool,
    ) -> Result<(), redb::Error> {
        for item in self.0.open_table(table)?.iter()? {
            item?;
            if given_up() {
                break;
            }
        }
        Ok(())
    }
}
