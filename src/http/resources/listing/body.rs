//! A listing as JSON, written piece by piece as its reader takes it: of each upload a line, or the
//! whole record.

use std::collections::VecDeque;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::super::record::{self, RecordText};
use crate::delivery::{Delivery, DeliveryError, Listing, ManifestReader, ReadAgainError};
use crate::http::rules::problem::Problem;
use crate::model::UploadId;

/// A listing on its way.
pub struct ListingBody {
    /// `None` when all of it was written.
    listing: Option<Listing>,
    /// The beginning of the addresses.
    base: String,
    begun: bool,
    /// Whether an upload was written.
    any: bool,
    /// The whole records that are left, where these are asked for.
    records: Option<Records>,
}

/// The records of the uploads that the listing has given.
struct Records {
    delivery: Delivery,
    waiting: VecDeque<UploadId>,
    /// The one that is being written.
    current: Option<(RecordText, ManifestReader)>,
}

impl ListingBody {
    /// A line for each upload.
    pub fn of_lines(listing: Listing, base: String) -> Self {
        ListingBody {
            listing: Some(listing),
            base,
            begun: false,
            any: false,
            records: None,
        }
    }

    /// The whole record of each upload.
    pub fn of_records(listing: Listing, base: String, delivery: &Delivery) -> Self {
        let records = Records {
            delivery: delivery.clone(),
            waiting: VecDeque::new(),
            current: None,
        };
        ListingBody {
            records: Some(records),
            ..Self::of_lines(listing, base)
        }
    }

    /// The body. An error with its first piece is an answer of its own, and a listing of no more
    /// than that has a length.
    pub async fn body(mut self) -> Result<Body, Problem> {
        let first = self.more().await;
        let first = first.map_err(|error| match error {
            ReadAgainError::Lost(error) => Problem::from(error),
            changed => Problem::internal(changed),
        })?;
        let first = first.unwrap_or_default();
        if self.listing.is_none() {
            return Ok(Body::from(first));
        }
        let pieces = stream::try_unfold((Some(first), self), |(first, mut text)| async move {
            let piece = match first {
                Some(first) => Some(first),
                None => text.more().await?,
            };
            Ok::<_, ReadAgainError>(piece.map(|piece| (piece, (None, text))))
        });
        Ok(Body::from_stream(pieces))
    }

    /// The next piece.
    async fn more(&mut self) -> Result<Option<Bytes>, ReadAgainError> {
        let Some(listing) = &mut self.listing else {
            return Ok(None);
        };
        let mut text = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            text.extend_from_slice(b"{\"uploads\":[");
        }
        let done = match &mut self.records {
            None => {
                lines(listing, &self.base, &mut self.any, &mut text).await?;
                listing.is_done()
            }
            Some(records) => {
                let written = records.write(listing, &self.base, &mut self.any, &mut text);
                written.await?;
                listing.is_done() && records.waiting.is_empty() && records.current.is_none()
            }
        };
        if done {
            let next = match listing.next_cursor() {
                Some(cursor) => format!("\"{cursor}\""),
                None => "null".to_owned(),
            };
            text.extend_from_slice(format!("],\"next_cursor\":{next}}}\n").as_bytes());
            self.listing = None;
        }
        Ok(Some(text.into()))
    }
}

/// Writes the lines of the next uploads.
async fn lines(
    listing: &mut Listing,
    base: &str,
    any: &mut bool,
    text: &mut Vec<u8>,
) -> Result<(), DeliveryError> {
    for upload in &listing.more().await? {
        if std::mem::replace(any, true) {
            text.push(b',');
        }
        let line = record::summary(upload, base);
        serde_json::to_writer(&mut *text, &line).expect("a Vec takes what is written");
    }
    Ok(())
}

impl Records {
    /// Writes records until the piece is full, or all are written.
    async fn write(
        &mut self,
        listing: &mut Listing,
        base: &str,
        any: &mut bool,
        text: &mut Vec<u8>,
    ) -> Result<(), ReadAgainError> {
        while !record::is_full(text) {
            if let Some((record, reader)) = &mut self.current {
                let manifest = reader.get().await?;
                record.write(&manifest, text);
                if record.is_written() {
                    self.current = None;
                }
                continue;
            }
            let Some(id) = self.waiting.pop_front() else {
                let given = listing.more().await?;
                if given.is_empty() {
                    return Ok(());
                }
                self.waiting.extend(given.iter().map(|upload| upload.id));
                continue;
            };
            if let Some(manifest) = listing.manifest(&id).await? {
                if std::mem::replace(any, true) {
                    text.push(b',');
                }
                let record = RecordText::new(&manifest, base.to_owned());
                self.current = Some((record, self.delivery.reader(&manifest)));
            }
        }
        Ok(())
    }
}
