//! An archive that goes out, without what it holds: which files of which upload, and how long all of
//! it is. Its size depends on neither the files nor their names.

use std::sync::{Arc, OnceLock};

use super::crcs::lacks_crcs;
use super::memory::{HeldManifest, ManifestBudget};
use crate::archive::{Entry, Format, Totals};
use crate::model::{Manifest, Part, StoredFile, UploadId};

/// The layout of an archive.
#[derive(Debug)]
pub struct ArchiveOutline {
    pub format: Format,
    pub id: UploadId,
    pub totals: Totals,
    /// The bytes of the archive.
    pub len: u64,
    /// The manifest, where it may be held.
    pub held: Option<HeldManifest>,
    chosen: ChosenFiles,
    /// The CRCs of the files by their places in the manifest, where it lacks them.
    crcs: OnceLock<Arc<[u32]>>,
}

/// The files of an upload that an archive takes.
#[derive(Debug, Clone)]
pub enum ChosenFiles {
    /// All.
    All,
    /// Those at these places of the manifest, in its order.
    Places(Arc<[usize]>),
}

impl ChosenFiles {
    /// The place of the first chosen file at or behind `place`.
    pub fn next(&self, manifest: &Manifest, place: usize) -> Option<usize> {
        match self {
            ChosenFiles::All => {
                let parts = manifest.parts.get(place..)?;
                let is_file = |part: &Part| matches!(part, Part::File { .. });
                parts.iter().position(is_file).map(|found| place + found)
            }
            ChosenFiles::Places(places) => {
                let next = places.partition_point(|chosen| *chosen < place);
                places.get(next).copied()
            }
        }
    }

    /// All of them, each with its place.
    pub fn files<'a>(
        &'a self,
        manifest: &'a Manifest,
    ) -> impl Iterator<Item = (usize, &'a StoredFile)> {
        let mut place = 0;
        std::iter::from_fn(move || {
            let found = self.next(manifest, place)?;
            place = found + 1;
            Some((found, file_at(manifest, found)))
        })
    }
}

/// The file at a place that [`ChosenFiles`] gave.
pub fn file_at(manifest: &Manifest, place: usize) -> &StoredFile {
    match &manifest.parts[place] {
        Part::File { file, .. } => file,
        Part::Field(_) => unreachable!("files alone are chosen"),
    }
}

impl ArchiveOutline {
    /// Lays out the chosen files of an upload.
    pub fn new(
        format: Format,
        manifest: &Arc<Manifest>,
        chosen: ChosenFiles,
        budget: &ManifestBudget,
    ) -> Self {
        let mut outline = ArchiveOutline {
            format,
            id: manifest.id,
            totals: Totals::default(),
            len: 0,
            // Before the first byte goes out it may have the CRCs.
            held: match format == Format::Zip && lacks_crcs(manifest) {
                true => None,
                false => budget.hold(manifest),
            },
            chosen: ChosenFiles::All,
            crcs: OnceLock::new(),
        };
        for (place, file) in chosen.files(manifest) {
            let entry = outline.entry(manifest, place, file);
            outline.totals.add(format, &entry);
        }
        outline.chosen = chosen;
        outline.len = outline.totals.len(format);
        outline
    }

    /// Takes the CRCs that the manifest lacks; once.
    pub fn set_crcs(&self, crcs: Arc<[u32]>) {
        let _ = self.crcs.set(crcs);
    }

    /// The files that it takes.
    pub fn chosen(&self) -> &ChosenFiles {
        &self.chosen
    }

    /// The file at a place, as the archive has it.
    pub fn entry<'a>(&self, manifest: &Manifest, place: usize, file: &'a StoredFile) -> Entry<'a> {
        let found = || self.crcs.get().and_then(|crcs| crcs.get(place).copied());
        Entry {
            path: file.path(),
            size: file.size,
            // Length and `ETag` do not depend on it: no byte is read of an archive without it.
            crc32: file.crc32.or_else(found).unwrap_or_default(),
            modified: manifest.created_at,
        }
    }
}
