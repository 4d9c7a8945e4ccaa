//! The core that all uploads of a bucket share: its client, its limits, its locks.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::client::BucketClient;
use super::error::message;
use super::layout::KeyLayout;
use super::options::{BucketError, BucketOptions};
use crate::model::UploadId;

/// How many locks the keys of uploads share.
const KEY_LOCKS: usize = 4096;

/// The bucket. The operations on what is stored are methods of it, in the files `key`, `removal`,
/// `scan`, `blob`, `notes`, `identity` and `unfinished`.
pub struct BucketInner {
    pub client: BucketClient,
    pub layout: KeyLayout,
    pub budget: Budget,
    /// The most bytes of one part.
    pub largest_part: usize,
    pub redirect: bool,
    pub stale_after: Duration,
    /// Guards the uploads under way here, whose files have no manifest yet. A std mutex: held
    /// for a look.
    under_way: Mutex<HashSet<UploadId>>,
    /// Changes of one key by this process wait for each other: at the store all but one would fail.
    key_locks: Vec<tokio::sync::Mutex<()>>,
    /// Removals of files that discarded uploads have left.
    pub cleaning: TaskTracker,
}

impl BucketInner {
    /// A bucket of which nothing was asked yet.
    ///
    /// # Errors
    /// The options are no address of a bucket.
    pub fn new(options: &BucketOptions) -> Result<Self, BucketError> {
        let client = BucketClient::new(options);
        let client = client.map_err(|error| BucketError::Refused(message(&error)).at(options))?;
        let half = usize::try_from(options.memory / 2).unwrap_or(usize::MAX);
        Ok(BucketInner {
            client,
            layout: KeyLayout::new(&options.prefix),
            budget: Budget::new(options.memory / 4 * 3),
            largest_part: half,
            redirect: options.redirect,
            stale_after: options.stale_after,
            under_way: Mutex::default(),
            key_locks: (0..KEY_LOCKS)
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
            cleaning: TaskTracker::new(),
        })
    }

    /// Waits until no other task here changes this key.
    pub async fn lock_key(&self, id: &UploadId) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        id.as_str().hash(&mut hasher);
        let lock = usize::try_from(hasher.finish() % KEY_LOCKS as u64).expect("below KEY_LOCKS");
        self.key_locks[lock].lock().await
    }

    /// The uploads under way here.
    pub fn under_way(&self) -> MutexGuard<'_, HashSet<UploadId>> {
        // A panic cannot leave the set half changed.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_under_way(&self, id: &UploadId) -> bool {
        self.under_way().contains(id)
    }
}
