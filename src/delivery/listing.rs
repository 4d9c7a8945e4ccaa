//! The listing: entries of the index, some at a time, as the reader takes them.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use super::{Delivery, DeliveryError};
use crate::catalog::{Cursor, Downloads, IndexEntry, Listed};
use crate::model::{FileName, Timestamp, UploadId};
use crate::store::StoreError;

/// How many uploads the index is asked for at once.
const ASKED: usize = 128;
/// How many are given out at once.
const GIVEN: usize = 32;
/// How often the index is asked for one more upload, where all it looks at are over.
const LOOKS: usize = 50;

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
}

/// A place in the listing, as callers get and give it: behind the upload of a time and an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingCursor(Cursor);

impl fmt::Display for ListingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.created_at.as_millis(), self.0.id)
    }
}

/// A text that is no [`ListingCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time in milliseconds, a dash and an id")]
pub struct NoCursor;

impl FromStr for ListingCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (millis, id) = text.split_once('-').ok_or(NoCursor)?;
        Ok(ListingCursor(Cursor {
            created_at: Timestamp::from_millis(millis.parse().map_err(|_| NoCursor)?),
            id: id.parse().map_err(|_| NoCursor)?,
        }))
    }
}

/// A listing under way. It holds no more than `ASKED` entries of the index.
pub struct Listing {
    delivery: Delivery,
    /// The entries that the index gave, and that are not yet given out.
    entries: VecDeque<IndexEntry>,
    /// Behind which upload the index is asked for more; `None` at its end.
    next: Option<Cursor>,
    /// How many may still be given out.
    left: usize,
    /// How many more looks of the index may come back without an upload.
    looks: usize,
    /// The last that was given out, or passed over.
    last: Option<Cursor>,
    listed: Listed,
}

impl Delivery {
    /// Up to `limit` of the `listed` uploads, newest first, behind `after`. It asks the index, and
    /// reads no manifest.
    ///
    /// # Errors
    /// The index is being rebuilt, or does not answer.
    pub async fn list(
        &self,
        after: Option<ListingCursor>,
        limit: usize,
        listed: Listed,
    ) -> Result<Listing, DeliveryError> {
        let after = after.map(|ListingCursor(cursor)| cursor);
        let mut listing = Listing {
            delivery: self.clone(),
            entries: VecDeque::new(),
            next: None,
            left: limit,
            looks: LOOKS,
            last: after,
            listed,
        };
        listing.look(after).await?;
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
            if self.left == 0 {
                return Ok(Vec::new());
            }
            if self.entries.is_empty() {
                match self.next {
                    Some(next) if self.looks > 0 => self.look(Some(next)).await?,
                    _ => return Ok(Vec::new()),
                }
                continue;
            }
            let count = GIVEN.min(self.left).min(self.entries.len());
            let entries: Vec<IndexEntry> = self.entries.drain(..count).collect();
            self.last = entries.last().map(place);
            let given = self.summaries(entries).await?;
            if !given.is_empty() {
                self.left -= given.len();
                return Ok(given);
            }
        }
    }

    /// Whether this listing gives no more uploads.
    pub fn is_done(&self) -> bool {
        let dry = self.next.is_none() || self.looks == 0;
        self.left == 0 || (self.entries.is_empty() && dry)
    }

    /// Where the next listing begins, once this one is done; `None` when there is nothing more.
    ///
    /// # Errors
    /// The index fails.
    pub async fn end(mut self) -> Result<Option<ListingCursor>, DeliveryError> {
        while let (true, Some(next)) = (self.entries.is_empty() && self.looks > 0, self.next) {
            self.look(Some(next)).await?;
        }
        let next = match self.entries.is_empty() {
            // No upload was found up to this place.
            true => self.next,
            false => self.last,
        };
        Ok(next.map(ListingCursor))
    }

    /// Asks the index for those behind `after`.
    async fn look(&mut self, after: Option<Cursor>) -> Result<(), DeliveryError> {
        let (uploads, now) = (&self.delivery.uploads, self.delivery.clock.now());
        let asked = ASKED.min(self.left.max(1));
        let stretch = uploads.list(after, asked, now, self.listed).await?;
        if stretch.entries.is_empty() {
            self.looks -= 1;
        }
        self.entries = stretch.entries.into();
        self.next = stretch.next;
        Ok(())
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
        let mut summaries = Vec::with_capacity(entries.len());
        for (entry, present) in entries.into_iter().zip(present) {
            if !present {
                // A person or a program removed it from the store, and did not tell the index.
                let names = entry.name.as_slice();
                drop(uploads.index(&entry.id, names).await?);
            } else if entry.expires_at.is_none_or(|deadline| deadline > now) {
                summaries.extend(self.summary(entry).await?);
            }
        }
        Ok(summaries)
    }

    async fn summary(&self, entry: IndexEntry) -> Result<Option<Summary>, DeliveryError> {
        let downloads = match entry.downloads {
            Some(downloads) => downloads,
            None => match self.delivery.uploads.get(&entry.id).await {
                Ok(Some(manifest)) => Downloads::of(&manifest),
                Ok(None) => return Ok(None),
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
                // A damaged upload is left out, and does not break the listing.
                Err(error) => {
                    self.delivery
                        .uploads
                        .report_damage(&entry.id, &error, false);
                    return Ok(None);
                }
            },
        };
        if self.listed == Listed::Unlimited && downloads.is_some() {
            return Ok(None);
        }
        Ok(Some(Summary {
            id: entry.id,
            name: entry.name,
            size: entry.size,
            file_count: entry.file_count,
            created_at: entry.created_at,
            expires_at: entry.expires_at,
            downloads,
        }))
    }
}

fn place(entry: &IndexEntry) -> Cursor {
    Cursor {
        created_at: entry.created_at,
        id: entry.id,
    }
}
