//! A range of an archive, written as it is read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::DeliveryError;
use super::archive::{ArchiveOutline, TURN, file_at, measured};
use super::cursor::{AHEAD, FileRange, Step, TEXT, recall};
use super::memory::{HeldManifest, ManifestBudget};
use crate::model::Manifest;
use crate::repository::Repository;
use crate::store::StoreError;

/// Where the reader of an archive is.
#[derive(Debug)]
pub struct ArchiveCursor {
    outline: Arc<ArchiveOutline>,
    /// The range of the archive that the reader has not got yet.
    range: Range<u64>,
    section: Section,
    /// Where the section begins.
    begin: u64,
    /// Where the head of the file begins of which the directory is read.
    head: u64,
    held: Option<HeldManifest>,
    /// The steps that are known already.
    ready: VecDeque<Step>,
}

/// A section of an archive; files are named by their places in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// The first chosen file at or behind this place begins, or the directory.
    Next(usize),
    Head(usize),
    Content(usize),
    Padding(usize),
    /// The record of the first chosen file at or behind this place, or the end.
    NextRecord(usize),
    Record(usize),
    End,
}

/// How far the cursor came.
enum Walked {
    /// There is enough text for one block, or nothing more is wanted.
    Enough,
    /// It stands at these bytes of a file.
    ToFile(FileRange),
    /// Other tasks have waited long.
    Turn,
    /// The manifest is not the one that the archive was laid out with: an older version has replaced
    /// it, and left out what it does not know.
    Changed,
}

impl ArchiveCursor {
    /// Reads `range`, which lies within the archive.
    pub fn new(outline: Arc<ArchiveOutline>, range: Range<u64>) -> Self {
        ArchiveCursor {
            range,
            section: Section::Next(0),
            begin: 0,
            head: 0,
            held: None,
            ready: VecDeque::new(),
            outline,
        }
    }

    /// The next step; `None` at the end.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`] when the upload was removed since the archive was laid out, or
    /// the store fails.
    pub async fn next(
        &mut self,
        uploads: &Repository,
        budget: &ManifestBudget,
    ) -> Result<Option<Step>, DeliveryError> {
        if self.ready.is_empty() && !self.range.is_empty() {
            self.go_on(uploads, budget).await?;
        }
        Ok(self.ready.pop_front())
    }

    /// Goes on by one step, or by several where the manifest may not be held: each time it may have
    /// to be read from the store.
    async fn go_on(
        &mut self,
        uploads: &Repository,
        budget: &ManifestBudget,
    ) -> Result<(), DeliveryError> {
        let manifest = self.manifest(uploads, budget).await?;
        let is_held = self.outline.held.is_some() || self.held.is_some();
        let most = if is_held { 1 } else { AHEAD };
        let (mut text, mut written) = (Vec::new(), 0);
        while !self.range.is_empty() && self.ready.len() < most && written < TEXT {
            match self.walk(&manifest, &mut text) {
                Walked::ToFile(file) => self.ready.push_back(Step::File(file)),
                Walked::Enough => {
                    written += text.len();
                    self.ready.extend(Step::text(&mut text));
                }
                Walked::Turn => tokio::task::yield_now().await,
                Walked::Changed => {
                    let id = self.outline.id;
                    let why = format!("the record of {id} has changed under its archive");
                    return Err(StoreError::Damaged(why).into());
                }
            }
        }
        self.ready.extend(Step::text(&mut text));
        Ok(())
    }

    async fn manifest(
        &mut self,
        uploads: &Repository,
        budget: &ManifestBudget,
    ) -> Result<Arc<Manifest>, DeliveryError> {
        if let Some(held) = self.outline.held.as_ref().or(self.held.as_ref()) {
            return Ok(Arc::clone(&held.manifest));
        }
        let manifest = recall(uploads, &self.outline.id).await?;
        self.held = budget.hold(&manifest);
        Ok(manifest)
    }

    /// Passes over what is not wanted, and writes what is, until there is enough text or a file
    /// comes.
    fn walk(&mut self, manifest: &Manifest, text: &mut Vec<u8>) -> Walked {
        let outline = Arc::clone(&self.outline);
        let format = outline.format;
        let file = |place| file_at(manifest, place);
        let measured = |place| measured(manifest, file(place));
        let entry = |place| outline.entry(manifest, place, file(place));
        let directory = outline.totals.contents;
        for _ in 0..TURN {
            if self.range.is_empty() || text.len() >= TEXT {
                return Walked::Enough;
            }
            match self.section {
                Section::Next(place) => {
                    let next = outline.chosen().next(manifest, place);
                    self.section = next.map_or(Section::NextRecord(0), Section::Head);
                }
                Section::Head(place) => {
                    let len = format.head_len(&measured(place));
                    let head = || entry(place).map(|entry| format.head(&entry));
                    if self.text(len, head, text).is_none() {
                        return Walked::Changed;
                    }
                    self.section = Section::Content(place);
                }
                Section::Content(place) => {
                    let file = file(place);
                    let wanted = self.wanted(file.size);
                    if !wanted.is_empty() && !text.is_empty() {
                        return Walked::Enough;
                    }
                    self.pass(file.size);
                    self.section = Section::Padding(place);
                    if !wanted.is_empty() {
                        return Walked::ToFile(FileRange {
                            id: manifest.id,
                            name: file.name.clone(),
                            size: file.size,
                            range: wanted,
                        });
                    }
                }
                Section::Padding(place) => {
                    let len = format.padding(file(place).size);
                    self.text(len, || Some(vec![0; len as usize]), text);
                    self.section = Section::Next(place + 1);
                }
                Section::NextRecord(0) if self.begin != directory => return Walked::Changed,
                Section::NextRecord(place) => {
                    let next = outline.chosen().next(manifest, place);
                    self.section = next.map_or(Section::End, Section::Record);
                }
                Section::Record(place) => {
                    let (known, head) = (measured(place), self.head);
                    let len = format.record_len(&known, head);
                    let record = || entry(place).map(|entry| format.record(&entry, head));
                    if self.text(len, record, text).is_none() {
                        return Walked::Changed;
                    }
                    self.head = head.saturating_add(format.entry_len(&known));
                    self.section = Section::NextRecord(place + 1);
                }
                Section::End => {
                    let len = format.end_len(&outline.totals);
                    self.text(len, || Some(format.end(&outline.totals)), text);
                    return match self.range.is_empty() {
                        true => Walked::Enough,
                        false => Walked::Changed,
                    };
                }
            }
        }
        Walked::Turn
    }

    /// The wanted bytes of the section, which has `len`.
    fn wanted(&self, len: u64) -> Range<u64> {
        // Sizes that no store can hold add up to no more than there is.
        let end = self.begin.saturating_add(len);
        let from = self.range.start.clamp(self.begin, end);
        let to = self.range.end.clamp(from, end);
        from - self.begin..to - self.begin
    }

    /// Writes the wanted bytes of the section, and passes over it; `None` where they are not known.
    fn text(
        &mut self,
        len: u64,
        write: impl FnOnce() -> Option<Vec<u8>>,
        text: &mut Vec<u8>,
    ) -> Option<()> {
        let wanted = self.wanted(len);
        if !wanted.is_empty() {
            // It is in memory: its length fits a usize.
            text.extend_from_slice(&write()?[wanted.start as usize..wanted.end as usize]);
        }
        self.pass(len);
        Some(())
    }

    fn pass(&mut self, len: u64) {
        self.begin = self.begin.saturating_add(len);
        self.range.start = self.range.start.max(self.begin.min(self.range.end));
    }
}
