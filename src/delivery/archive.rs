//! An archive that goes out, without what it holds: which files of which upload, and how long all of
//! it is. Its size depends on neither the files nor their names.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::memory::{HeldManifest, ManifestBudget};
use crate::archive::{Entry, Format, Totals};
use crate::model::{Manifest, Part, Portion, StoredFile, UploadId};

/// How many files are passed over before other tasks have their turn.
pub const TURN: usize = 4096;

/// The layout of an archive.
#[derive(Debug)]
pub struct ArchiveOutline {
    pub format: Format,
    pub id: UploadId,
    pub totals: Totals,
    /// The bytes of the archive.
    pub len: u64,
    /// Where the content of its first file begins.
    pub first_content: u64,
    /// The manifest, where it may be held.
    pub held: Option<HeldManifest>,
    chosen: ChosenFiles,
    /// The CRCs that the manifest lacks.
    crcs: OnceLock<FoundCrcs>,
}

/// The files of an upload that an archive takes.
#[derive(Debug, Clone)]
pub enum ChosenFiles {
    /// All.
    All,
    /// Those at these places of the manifest, which differ and ascend.
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

    /// The portion that a download of them uses up by one, where downloads are counted.
    pub fn portion(&self) -> Portion {
        match self {
            ChosenFiles::All => Portion::Form,
            ChosenFiles::Places(places) => match **places {
                [place] => Portion::File(place),
                _ => Portion::Files(Arc::clone(places)),
            },
        }
    }
}

/// The file at a place that [`ChosenFiles`] gave.
pub fn file_at(manifest: &Manifest, place: usize) -> &StoredFile {
    match &manifest.parts[place] {
        Part::File { file, .. } => file,
        Part::Field(_) => unreachable!("files alone are chosen"),
    }
}

/// The CRCs of the files of an upload, by the places of its parts; `None` of a text field, and of a
/// file that is damaged.
pub type FoundCrcs = Arc<[Option<u32>]>;

/// Whether one of the chosen files has no CRC in the manifest.
pub fn lacks_crcs(manifest: &Manifest, chosen: &ChosenFiles) -> bool {
    let mut files = chosen.files(manifest);
    files.any(|(_, file)| file.crc32.is_none())
}

impl ArchiveOutline {
    /// An archive without files; the caller adds each in its order.
    pub fn new(format: Format, id: UploadId, chosen: ChosenFiles) -> Self {
        ArchiveOutline {
            format,
            id,
            totals: Totals::default(),
            len: 0,
            first_content: 0,
            held: None,
            chosen,
            crcs: OnceLock::new(),
        }
    }

    /// Adds the next chosen file.
    pub fn add(&mut self, manifest: &Manifest, file: &StoredFile) {
        let entry = measured(manifest, file);
        if self.totals.entries == 0 {
            self.first_content = self.format.head_len(&entry);
        }
        self.totals.add(self.format, &entry);
        self.len = self.totals.len(self.format);
    }

    /// Holds the manifest, where that is allowed, and it has all that the archive needs: its CRCs
    /// are found before the first byte goes out.
    pub fn hold(&mut self, manifest: &Arc<Manifest>, budget: &ManifestBudget) {
        if self.format == Format::Tar || !lacks_crcs(manifest, &self.chosen) {
            self.held = budget.hold(manifest);
        }
    }

    /// Takes the CRCs that the manifest lacks; once.
    pub fn set_crcs(&self, crcs: FoundCrcs) {
        let _ = self.crcs.set(crcs);
    }

    /// The files that it takes.
    pub fn chosen(&self) -> &ChosenFiles {
        &self.chosen
    }

    /// The file at a place, as the archive has it; `None` where its CRC is needed and not known.
    pub fn entry<'a>(
        &self,
        manifest: &Manifest,
        place: usize,
        file: &'a StoredFile,
    ) -> Option<Entry<'a>> {
        let found = || self.crcs.get()?.get(place).copied()?;
        let crc32 = match self.format {
            Format::Zip => file.crc32.or_else(found)?,
            Format::Tar => 0,
        };
        Some(Entry {
            crc32,
            ..measured(manifest, file)
        })
    }

    /// The places in the manifest of the files that have a byte in `range`, with those of their
    /// heads: ranges between which files lie that are not chosen.
    pub async fn places_within(
        &self,
        manifest: &Manifest,
        range: &Range<u64>,
    ) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut begin = 0_u64;
        for (passed, (place, file)) in self.chosen.files(manifest).enumerate() {
            let end = begin.saturating_add(self.format.entry_len(&measured(manifest, file)));
            if begin >= range.end {
                break;
            }
            if range.start < end {
                let all = matches!(self.chosen, ChosenFiles::All);
                match runs.last_mut() {
                    Some(run) if all || run.end == place => run.end = place + 1,
                    _ => runs.push(place..place + 1),
                }
            }
            begin = end;
            if passed % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        runs
    }
}

/// A file with all that lengths depend on.
pub fn measured<'a>(manifest: &Manifest, file: &'a StoredFile) -> Entry<'a> {
    Entry {
        path: file.path(),
        size: file.size,
        crc32: 0,
        modified: manifest.created_at,
    }
}
