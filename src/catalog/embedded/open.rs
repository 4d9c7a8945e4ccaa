//! Opens the index, and creates it anew where it cannot be opened.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, ReadableTable as _, StorageError,
    TableDefinition,
};

use super::file::IndexFile;
use super::tables::{Snapshot, Tables};
use crate::catalog::Stats;
use crate::model::{Manifest, Timestamp, is_full};

/// The layout of the tables; an index of another layout is rebuilt.
const SCHEMA: u64 = 5;
/// How many bytes of the file redb may hold in memory.
pub const CACHE: usize = 64 * 1024 * 1024;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SCHEMA_KEY: &str = "schema";
/// How the index was left: [`CLOSED`] only between a clean end and the next start.
const CLEAN_KEY: &str = "clean";
const CLOSED: u64 = 1;
/// What it is while the index is open. Versions that know no journal of the store write 0.
const OPEN: u64 = 2;
/// The uploads and bytes of the index at a clean end.
const UPLOADS_KEY: &str = "uploads";
const BYTES_KEY: &str = "bytes";
/// An index of up to so many uploads is read at every start, which takes some milliseconds.
const MAX_CHECKED_AT_ONCE: u64 = 10_000;

/// Why the index cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum IndexOpenError {
    /// Another process has it open.
    #[error("another process has the index open")]
    Locked,
    /// The file cannot be used.
    #[error("the index cannot be opened: {0}")]
    Io(#[source] io::Error),
    /// A new index cannot be created.
    #[error("the index cannot be made: {0}")]
    Failed(#[source] Box<redb::Error>),
}

/// Whether an older version of wharf, which knows no journal of the store, was the last that had the
/// index at `path`. Blocks.
pub fn is_left_by_older(path: &Path) -> bool {
    // A clean end of this version leaves no records in a journal.
    left(path).is_some_and(|left| left != OPEN)
}

/// How the index at `path` was left; `None` where that cannot be told.
fn left(path: &Path) -> Option<u64> {
    let read = || -> Result<Option<u64>, redb::Error> {
        let file = File::options().read(true).write(true).open(path)?;
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create_with_backend(IndexFile::new(file)?)
            .map_err(flatten)?;
        let meta = database.begin_read()?.open_table(META)?;
        Ok(meta.get(CLEAN_KEY)?.map(|value| value.value()))
    };
    // On a damaged file redb can panic; it is only an index.
    let left = catch_unwind(AssertUnwindSafe(read)).ok()?;
    left.ok()?
}

/// An index as it was found.
pub struct OpenedIndex {
    pub database: Database,
    pub file: IndexFile,
    pub stats: Stats,
    /// No name has an order above this.
    pub latest: Timestamp,
    /// Whether it was closed cleanly.
    pub complete: bool,
    /// Whether all of it was read; else it may still be damaged.
    pub checked: bool,
}

/// When the file at `path` was last written; the start of time, if there is none.
pub fn written(path: &Path) -> Timestamp {
    let written = std::fs::metadata(path).and_then(|file| file.modified());
    written.map_or(Timestamp::default(), Timestamp::from)
}

pub fn open(path: &Path) -> Result<OpenedIndex, IndexOpenError> {
    // On a damaged file redb can panic; it is only an index.
    let found = catch_unwind(AssertUnwindSafe(|| open_file(path)));
    let why = match found {
        Ok(Ok(opened)) => return Ok(opened),
        Ok(Err(redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch)) => {
            return Err(IndexOpenError::Locked);
        }
        Ok(Err(redb::Error::Io(error))) if is_full(&error) => return open_in_memory(path, &error),
        Ok(Err(redb::Error::Io(error))) if !is_damage(&error) => {
            return Err(IndexOpenError::Io(error));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it is damaged".to_owned(),
    };
    tracing::warn!(path = %path.display(), why, "the index is rebuilt from the manifests");
    std::fs::remove_file(path).map_err(IndexOpenError::Io)?;
    match open_file(path) {
        Err(redb::Error::Io(error)) if is_full(&error) => open_in_memory(path, &error),
        opened => opened.map_err(|error| IndexOpenError::Failed(Box::new(error))),
    }
}

/// An index that is in memory to the end of this process, for a disk that has no room for its first
/// byte. The beginning of a file is removed: the next start would take it for the whole.
fn open_in_memory(path: &Path, why: &io::Error) -> Result<OpenedIndex, IndexOpenError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(IndexOpenError::Io(error));
        }
        _ => {}
    }
    tracing::error!(
        error = %why,
        "the index cannot be written; it goes on in memory until the next start"
    );
    let opened = IndexFile::over(Box::new(InMemoryBackend::new()))
        .map_err(redb::Error::Io)
        .and_then(open_database);
    opened.map_err(|error| IndexOpenError::Failed(Box::new(error)))
}

/// Whether `error` is that of a file of rubbish, or of one that is cut off.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
    )
}

fn open_file(path: &Path) -> Result<OpenedIndex, redb::Error> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    open_database(IndexFile::new(options.open(path)?)?)
}

fn open_database(file: IndexFile) -> Result<OpenedIndex, redb::Error> {
    let database = Database::builder()
        .set_cache_size(CACHE)
        .create_with_backend(file.clone())
        .map_err(flatten)?;
    let transaction = database.begin_write()?;
    let (complete, known) = {
        let mut meta = transaction.open_table(META)?;
        let schema = meta.insert(SCHEMA_KEY, SCHEMA)?.map(|value| value.value());
        if schema.is_some_and(|schema| schema != SCHEMA) {
            return Err(redb::Error::Corrupted(format!("its layout is {schema:?}")));
        }
        let clean = meta.insert(CLEAN_KEY, OPEN)?;
        let clean = clean.is_some_and(|value| value.value() == CLOSED);
        let number = |key| meta.get(key).map(|value| value.map(|value| value.value()));
        let known = match (number(UPLOADS_KEY)?, number(BYTES_KEY)?) {
            (Some(uploads), Some(bytes)) if clean => Some(Stats { uploads, bytes }),
            _ => None,
        };
        (clean, known)
    };
    // Creates what is missing.
    drop(Tables::open(&transaction)?);
    transaction.commit()?;
    // On the disk the index may still be marked as clean.
    match file.require_written() {
        Err(error) if is_full(&error) => file.disown()?,
        written => written?,
    }
    // A large index opens at once, and is read beside the first requests.
    let trusted = known.filter(|stats| stats.uploads > MAX_CHECKED_AT_ONCE);
    let stats = match trusted {
        Some(stats) => stats,
        None => Snapshot::of(&database)?.count(|| false)?,
    };
    let last = Snapshot::of(&database)?.last()?;
    Ok(OpenedIndex {
        latest: last.map_or(Timestamp::default(), Manifest::latest_order),
        database,
        file,
        stats,
        complete,
        checked: trusted.is_none(),
    })
}

fn flatten(error: DatabaseError) -> redb::Error {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => redb::Error::Io(error),
        error => error.into(),
    }
}

/// Marks the index, which holds what `stats` say, as closed cleanly. The mark is on the disk then.
pub fn mark_clean(database: &Database, file: &IndexFile, stats: Stats) -> Result<(), redb::Error> {
    file.rewrite();
    file.require_written()?;
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(UPLOADS_KEY, stats.uploads)?;
        meta.insert(BYTES_KEY, stats.bytes)?;
        meta.insert(CLEAN_KEY, CLOSED)?;
    }
    transaction.commit()?;
    Ok(file.require_written()?)
}
