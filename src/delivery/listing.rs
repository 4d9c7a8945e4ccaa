//! The listing: entries of the index, some at a time, as the reader takes them.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Delivery, DeliveryError};
use crate::catalog::{Cursor, Downloads, IndexEntry, ListFilter, Listed, ShownFacts, Stretch};
use crate::model::{FileName, Manifest, Timestamp, UploadId};
use crate::repository::{Indexed, RepositoryError};
use crate::store::StoreError;

/// How many uploads the index is asked for at once.
const INDEX_BATCH: usize = 129;
/// How many are given out at once.
const ANSWER_BATCH: usize = 32;
/// How many manifests are read at once, for entries that an older version has recorded.
const COMPLETED_AT_ONCE: usize = 8;
/// How often the index is asked for more before the first upload is given out: a filter may pass
/// over all that it has.
const MAX_SEARCHES: usize = 50;

/// An upload in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The upload.
    pub id: UploadId,
    /// The name of its file, where there is exactly one.
    pub name: Option<FileName>,
    /// Bytes of its files together.
    pub size: u64,
    /// How many files it has.
    pub file_count: usize,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Its deadline, if it has one.
    pub expires_at: Option<Timestamp>,
    /// Its downloads, where they are limited.
    pub downloads: Option<Downloads>,
    /// The facts that are shown of it beside that.
    pub shown: ShownFacts,
}

/// A place in the listing, as callers get and give it: behind the upload of a time and an id. The
/// text says nothing to callers: it begins with the version of its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingCursor(Cursor);

/// The version of the form of cursors.
const CURSOR_VERSION: u8 = 1;

impl fmt::Display for ListingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { created_at, id } = self.0;
        let millis = created_at.as_millis().to_be_bytes();
        let bytes = [&[CURSOR_VERSION][..], &millis, id.as_str().as_bytes()].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// A text that is no [`ListingCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no cursor that a listing has given")]
pub struct NoCursor;

impl FromStr for ListingCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        let rest = bytes.strip_prefix(&[CURSOR_VERSION]).ok_or(NoCursor)?;
        let (millis, id) = rest.split_first_chunk().ok_or(NoCursor)?;
        let id = str::from_utf8(id).map_err(|_| NoCursor)?;
        Ok(ListingCursor(Cursor {
            created_at: Timestamp::from_millis(i64::from_be_bytes(*millis)),
            id: id.parse().map_err(|_| NoCursor)?,
        }))
    }
}

/// The parameters of a listing.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Behind which place it begins.
    pub after: Option<ListingCursor>,
    /// The most uploads.
    pub limit: usize,
    /// Which uploads.
    pub filter: ListFilter,
    /// Those committed later than that.
    pub created_after: Option<Timestamp>,
    /// Those committed earlier than that.
    pub created_before: Option<Timestamp>,
}

/// A listing under way. It holds no more than `INDEX_BATCH` entries of the index. Where it ends is known
/// before the first upload is given out: the index is walked twice where that is further than it is
/// asked for at once.
pub struct Listing {
    delivery: Delivery,
    filter: ListFilter,
    created_after: Option<Timestamp>,
    /// The entries that the index gave, and that are not yet given out.
    entries: VecDeque<IndexEntry>,
    /// Behind which upload the index is asked for more; `None` at its end.
    next: Option<Cursor>,
    /// The last place of this listing; `None` where it goes on to the end of the index.
    end: Option<Cursor>,
}

impl Delivery {
    /// The uploads that are asked for, newest first. It asks the index, and reads a manifest only
    /// where an older version has recorded an upload, once for each. Where very many uploads are
    /// passed over it may have fewer than `limit`, or none, although more follow.
    ///
    /// # Errors
    /// The index is being rebuilt, or does not answer.
    pub async fn list(&self, query: ListQuery) -> Result<Listing, DeliveryError> {
        let before = query.created_before.map(|created_at| Cursor {
            created_at,
            id: UploadId::first(),
        });
        let after = query.after.map(|ListingCursor(cursor)| cursor);
        // A smaller place is further behind.
        let after = after.into_iter().chain(before).min();
        let mut listing = Listing {
            delivery: self.clone(),
            filter: query.filter,
            created_after: query.created_after,
            entries: VecDeque::new(),
            next: None,
            end: None,
        };
        let asked = INDEX_BATCH.min(query.limit + 1);
        let stretch = listing.look(after, asked).await?;
        listing.end = listing.find_end(&stretch, query.limit).await?;
        listing.entries = stretch.entries.into();
        listing.next = stretch.next;
        listing.cut();
        Ok(listing)
    }
}

impl Listing {
    /// The next uploads; none at the end.
    ///
    /// # Errors
    /// The store or the index fails.
    pub async fn more(&mut self) -> Result<Vec<Summary>, DeliveryError> {
        loop {
            if self.entries.is_empty() {
                let Some(next) = self.next else {
                    return Ok(Vec::new());
                };
                let stretch = self.look(Some(next), INDEX_BATCH).await?;
                self.entries = stretch.entries.into();
                self.next = stretch.next;
                self.cut();
                continue;
            }
            let count = ANSWER_BATCH.min(self.entries.len());
            let entries: Vec<IndexEntry> = self.entries.drain(..count).collect();
            let given = self.summaries(entries).await?;
            if !given.is_empty() {
                return Ok(given);
            }
        }
    }

    /// Whether this listing gives no more uploads.
    pub fn is_done(&self) -> bool {
        self.entries.is_empty() && self.next.is_none()
    }

    /// Where the next listing begins; `None` when there is nothing more.
    pub fn next_cursor(&self) -> Option<ListingCursor> {
        self.end.map(ListingCursor)
    }

    /// The last place of a listing of `limit` uploads that begins with `first`.
    async fn find_end(
        &self,
        first: &Stretch,
        limit: usize,
    ) -> Result<Option<Cursor>, DeliveryError> {
        let (mut left, mut looks) = (limit, MAX_SEARCHES);
        let (mut entries, mut next) = (first.entries.as_slice(), first.next);
        let mut last = None;
        let mut stretch;
        loop {
            let here = entries.iter().take(left).next_back();
            last = here.map(place).or(last);
            if entries.len() > left {
                return Ok(last);
            }
            left -= entries.len();
            let Some(after) = next else { return Ok(None) };
            looks -= 1;
            if looks == 0 {
                return Ok(Some(passed(after, last)));
            }
            stretch = self.look(Some(after), INDEX_BATCH.min(left + 1)).await?;
            (entries, next) = (stretch.entries.as_slice(), stretch.next);
        }
    }

    /// Forgets what lies behind the end.
    fn cut(&mut self) {
        let Some(end) = self.end else { return };
        while self.entries.back().is_some_and(|entry| place(entry) < end) {
            self.entries.pop_back();
        }
        self.next = self.next.filter(|next| *next > end);
    }

    /// Asks the index for those behind `after`.
    async fn look(&self, after: Option<Cursor>, asked: usize) -> Result<Stretch, DeliveryError> {
        let (uploads, now) = (&self.delivery.uploads, self.delivery.clock.now());
        let mut stretch = uploads.list(after, asked, now, &self.filter).await?;
        if self.filter.listed == Listed::Unlimited {
            stretch.entries = self.unlimited(stretch.entries).await?;
        }
        if let Some(bound) = self.created_after {
            let is_in = |created_at: Timestamp| created_at > bound;
            stretch.entries.retain(|entry| is_in(entry.created_at));
            stretch.next = stretch.next.filter(|next| is_in(next.created_at));
        }
        Ok(stretch)
    }

    /// Those of which it is known that their downloads are not limited. Older versions did not tell
    /// the index: their manifests do.
    async fn unlimited(&self, entries: Vec<IndexEntry>) -> Result<Vec<IndexEntry>, DeliveryError> {
        let known = |entry: &IndexEntry| entry.downloads.is_some();
        let mut entries = self.completed(entries, known).await?;
        entries.retain(|entry| entry.downloads == Some(None));
        Ok(entries)
    }

    /// Entries of which each is `known`: the others are recorded once more, as their manifests are,
    /// and the next listing need not. Those that are gone are left out.
    async fn completed(
        &self,
        entries: Vec<IndexEntry>,
        known: impl Fn(&IndexEntry) -> bool,
    ) -> Result<Vec<IndexEntry>, DeliveryError> {
        if entries.iter().all(&known) {
            return Ok(entries);
        }
        let completed = stream::iter(entries)
            .map(async |entry| match known(&entry) {
                true => Ok(Some(entry)),
                false => self.complete(entry).await,
            })
            .buffered(COMPLETED_AT_ONCE)
            .try_filter_map(async |entry| Ok(entry));
        completed.try_collect().await
    }

    /// An entry with what its manifest says; `None` where it is gone, or damaged: it is left out,
    /// and does not break the listing.
    async fn complete(&self, entry: IndexEntry) -> Result<Option<IndexEntry>, DeliveryError> {
        let uploads = &self.delivery.uploads;
        match uploads.index(&entry.id, &[]).await {
            Ok(Indexed::Live(manifest)) => Ok(Some(IndexEntry {
                downloads: Some(Downloads::of(&manifest)),
                shown: Some(ShownFacts::of(&manifest)),
                ..entry
            })),
            Ok(Indexed::Gone(_) | Indexed::Absent) => Ok(None),
            Err(RepositoryError::Store(
                error @ (StoreError::Damaged(_) | StoreError::Io { .. }),
            )) => {
                uploads.report_damage(&entry.id, &error, false);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The manifest of an upload that this listing has given out, as it is now; `None` where it is
    /// over since, or is not one of the listing any more, or damaged.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn manifest(&self, id: &UploadId) -> Result<Option<Arc<Manifest>>, DeliveryError> {
        match self.delivery.upload(id).await {
            Ok(manifest) => {
                let shown = self.filter.listed == Listed::All || manifest.max_downloads.is_none();
                Ok(Some(manifest).filter(|_| shown))
            }
            Err(DeliveryError::NotFound(_)) => Ok(None),
            Err(DeliveryError::Store(error @ (StoreError::Damaged(_) | StoreError::Io { .. }))) => {
                self.delivery.uploads.report_damage(id, &error, false);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The summaries of those uploads that are not over and still in the store.
    async fn summaries(&self, entries: Vec<IndexEntry>) -> Result<Vec<Summary>, DeliveryError> {
        let uploads = &self.delivery.uploads;
        let present = match uploads.store().local() {
            Some(store) => {
                store
                    .present(entries.iter().map(|entry| entry.id).collect())
                    .await?
            }
            // It would have to be asked for each.
            None => vec![true; entries.len()],
        };
        let now = self.delivery.clock.now();
        let mut left = Vec::with_capacity(entries.len());
        for (entry, present) in entries.into_iter().zip(present) {
            if !present {
                // A person or a program removed it from the store, and did not tell the index.
                let names = entry.name.as_slice();
                drop(uploads.index(&entry.id, names).await?);
            } else if entry.expires_at.is_none_or(|deadline| deadline > now) {
                left.push(entry);
            }
        }
        let known = |entry: &IndexEntry| entry.downloads.is_some() && entry.shown.is_some();
        let entries = self.completed(left, known).await?;
        Ok(entries.into_iter().filter_map(summary).collect())
    }
}

/// The summary of an entry that says all of it.
fn summary(entry: IndexEntry) -> Option<Summary> {
    Some(Summary {
        id: entry.id,
        name: entry.name,
        size: entry.size,
        file_count: entry.file_count,
        created_at: entry.created_at,
        expires_at: entry.expires_at,
        downloads: entry.downloads?,
        shown: entry.shown?,
    })
}

/// Where a listing goes on that has looked as far as `looked`, and gave out uploads up to `last`: at
/// the beginning of that millisecond, for the id may be that of an upload which the caller must not
/// know.
fn passed(looked: Cursor, last: Option<Cursor>) -> Cursor {
    let begin = Cursor {
        id: UploadId::last(),
        ..looked
    };
    // An upload that was given out is not given out again.
    last.into_iter().chain([begin]).min().unwrap_or(begin)
}

fn place(entry: &IndexEntry) -> Cursor {
    Cursor {
        created_at: entry.created_at,
        id: entry.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_looked_far_goes_on_without_the_id_of_what_it_passed_over() {
        let at = |millis: i64, id: UploadId| Cursor {
            created_at: Timestamp::from_millis(millis),
            id,
        };
        let id = UploadId::generate().unwrap();
        let begin = at(5, UploadId::last());
        assert!(at(5, id) < begin && begin < at(6, UploadId::first()));
        assert_eq!(passed(at(5, id), None), begin);
        assert_eq!(passed(at(5, id), Some(at(7, id))), begin);
        // One that was given out in the same millisecond is not given out again.
        let given = at(5, id);
        assert_eq!(passed(at(5, UploadId::first()), Some(given)), given);
    }

    #[test]
    fn cursors_come_back_and_nothing_else_is_one() {
        let cursor = ListingCursor(Cursor {
            created_at: Timestamp::from_millis(1_795_396_450_123),
            id: UploadId::first(),
        });
        let text = cursor.to_string();
        assert_eq!(text.parse(), Ok(cursor));
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        let other = URL_SAFE_NO_PAD.encode([2; 35]);
        for none in [
            "",
            "x",
            "AQ",
            &text[1..],
            &format!("{text}A"),
            &other,
            "1795-0c",
        ] {
            assert_eq!(none.parse::<ListingCursor>(), Err(NoCursor), "{none}");
        }
    }
}
