//! The checks before the head of an answer goes out: whether the files are there and whole, and
//! the CRCs of archives.

use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt as _;

use super::archive::ArchiveOutline;
use super::cursor::{damage, recall};
use super::outline::Outline;
use super::representation::{ByteSource, Slice};
use super::{Delivery, DeliveryError, DeliveryPiece};
use crate::archive::Format;
use crate::model::{Manifest, UploadId};
use crate::repository::WantedParts;

/// In how many places the files of an archive are looked for at once, where not all are wanted.
const CONCURRENT_LOOKS: usize = 8;

impl Delivery {
    /// Finds the CRCs that archives have and the manifests of their uploads lack.
    pub(super) async fn prepare(&self, pieces: &[DeliveryPiece]) -> Result<(), DeliveryError> {
        for piece in pieces {
            if let DeliveryPiece::Slice(slice) = piece
                && let ByteSource::Archive(outline) = &slice.source
                && outline.format == Format::Zip
            {
                let (id, chosen) = (&outline.id, outline.chosen());
                if let Some(crcs) = self.crcs.of(&self.uploads, id, chosen).await? {
                    outline.set_crcs(crcs);
                }
            }
        }
        Ok(())
    }

    /// Waits until all parts that are to be sent are known to be whole.
    pub(super) async fn verify_doubted(
        &self,
        pieces: &[DeliveryPiece],
    ) -> Result<(), DeliveryError> {
        if !self.uploads.has_doubts() {
            return Ok(());
        }
        for piece in pieces {
            let DeliveryPiece::Slice(slice) = piece else {
                continue;
            };
            match &slice.source {
                ByteSource::File(id, name, _) => {
                    self.verify_parts(id, WantedParts::File(name)).await?;
                }
                ByteSource::Form(outline) => {
                    for section in &outline.sections {
                        let parts = WantedParts::Parts(section.parts.clone());
                        self.verify_parts(&section.id, parts).await?;
                    }
                }
                ByteSource::Archive(outline) => {
                    let manifest = self.manifest_of(outline).await?;
                    for places in outline.places_within(&manifest, &(0..outline.len)).await {
                        let parts = WantedParts::Parts(places);
                        self.verify_parts(&outline.id, parts).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn verify_parts(
        &self,
        id: &UploadId,
        wanted: WantedParts<'_>,
    ) -> Result<(), DeliveryError> {
        match self.uploads.verify_doubted(id, wanted).await {
            Ok(()) => Ok(()),
            Err(error) => Err(damage(&self.uploads, id, error).await?),
        }
    }

    /// Looks whether the files of archives are there, those that are empty as well: their content is
    /// not read.
    pub(super) async fn verify_archives(
        &self,
        pieces: &[DeliveryPiece],
    ) -> Result<(), DeliveryError> {
        let store = self.uploads.store();
        for piece in pieces {
            let DeliveryPiece::Slice(Slice {
                source: ByteSource::Archive(outline),
                range,
            }) = piece
            else {
                continue;
            };
            // The first request for an archive has looked.
            if store.is_remote() && range.start >= outline.first_content {
                continue;
            }
            let manifest = self.manifest_of(outline).await?;
            let places = outline.places_within(&manifest, range).await;
            let looks = places
                .into_iter()
                .map(|parts| store.verify(&manifest, parts));
            let mut looks = futures_util::stream::iter(looks).buffered(CONCURRENT_LOOKS);
            while let Some(looked) = looks.next().await {
                if let Err(error) = looked {
                    return Err(damage(&self.uploads, &outline.id, error).await?);
                }
            }
        }
        Ok(())
    }

    async fn manifest_of(&self, outline: &ArchiveOutline) -> Result<Arc<Manifest>, DeliveryError> {
        match &outline.held {
            Some(held) => Ok(Arc::clone(&held.manifest)),
            None => recall(&self.uploads, &outline.id).await,
        }
    }

    /// Looks whether the files with a byte in `range` are there, so that a damaged or lost file is
    /// found before the head of the answer goes out.
    pub(super) async fn verify(
        &self,
        outline: &Outline,
        range: &Range<u64>,
    ) -> Result<(), DeliveryError> {
        let store = self.uploads.store();
        // The first request for a form has looked.
        if store.is_remote() && range.start >= outline.first_content {
            return Ok(());
        }
        for (place, section) in outline.sections.iter().enumerate() {
            if section.end <= range.start || range.end <= outline.begin(place) {
                continue;
            }
            let manifest = match &section.held {
                Some(held) => Arc::clone(&held.manifest),
                None => recall(&self.uploads, &section.id).await?,
            };
            let parts = outline.parts_within(place, &manifest, range);
            if let Err(error) = store.verify(&manifest, parts).await {
                return Err(damage(&self.uploads, &section.id, error).await?);
            }
        }
        Ok(())
    }
}

/// The forms that are sent, each with its range, that have files behind the one that is opened
/// first.
pub(super) fn slices_of_many_files(pieces: &[DeliveryPiece]) -> Vec<(Arc<Outline>, Range<u64>)> {
    let slices = pieces.iter().filter_map(|piece| match piece {
        DeliveryPiece::Slice(Slice {
            source: ByteSource::Form(outline),
            range,
        }) if outline.files > 1 => Some((Arc::clone(outline), range.clone())),
        _ => None,
    });
    slices.collect()
}
