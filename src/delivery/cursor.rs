//! A range of a form, written as it is read: each head and each text when the reader reaches it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::DeliveryError;
use super::memory::{HeldManifest, ManifestBudget};
use super::outline::{self, Outline};
use crate::form;
use crate::model::{FileName, Manifest, Part, UploadId};
use crate::repository::Repository;
use crate::store::StoreError;

/// About how many bytes of heads and text fields are written at once; a head that has been begun
/// is written to its end.
pub(super) const TEXT: usize = 32 << 10;
/// How many steps are known ahead where the manifest may not be held between two of them.
pub(super) const AHEAD: usize = 64;

/// The next piece of a body.
#[derive(Debug)]
pub enum Step {
    /// Bytes from memory.
    Text(Bytes),
    /// Bytes of a stored file.
    File(FileRange),
}

impl Step {
    /// The text that is written so far, where there is any.
    pub fn text(text: &mut Vec<u8>) -> Option<Self> {
        let text = std::mem::take(text);
        (!text.is_empty()).then(|| Step::Text(text.into()))
    }
}

/// Bytes of a stored file.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// Its upload.
    pub id: UploadId,
    /// Its name.
    pub name: FileName,
    /// Its whole size in bytes.
    pub size: u64,
    /// Which of its bytes.
    pub range: Range<u64>,
}

/// How far the cursor came in a section.
enum Walked {
    /// It reached the end of the section.
    All,
    /// Until enough is written for one block; the rest comes with the next call.
    Enough,
    /// It stands at these bytes of a file, and there is nothing to be written before them.
    ToFile(FileRange),
}

/// Where the reader of a form is.
#[derive(Debug)]
pub struct FormCursor {
    outline: Arc<Outline>,
    /// The range of the form that the reader has not got yet.
    range: Range<u64>,
    /// The place of the section that is read.
    section: usize,
    /// The place of the part that is read, in its manifest.
    part: usize,
    /// Where in the form this part begins.
    begin: u64,
    /// Where its content begins, once that is known.
    content: Option<u64>,
    /// The manifest of the section, where it may be held.
    held: Option<HeldManifest>,
    /// The steps that are known already.
    ready: VecDeque<Step>,
}

impl FormCursor {
    /// Reads `range`, which lies within the form.
    pub fn new(outline: Arc<Outline>, range: Range<u64>) -> Self {
        let sections = &outline.sections;
        let section = sections.partition_point(|section| section.end <= range.start);
        FormCursor {
            part: sections
                .get(section)
                .map_or(0, |section| section.parts.start),
            begin: outline.begin(section),
            section,
            content: None,
            held: None,
            ready: VecDeque::new(),
            range,
            outline,
        }
    }

    /// The next step; `None` at the end.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`] when an upload was removed since the form was laid out, or the
    /// store fails.
    pub async fn next(
        &mut self,
        uploads: &Repository,
        budget: &ManifestBudget,
    ) -> Result<Option<Step>, DeliveryError> {
        if self.ready.is_empty() {
            self.go_on(uploads, budget).await?;
        }
        Ok(self.ready.pop_front())
    }

    /// Goes on by one step, or by several where a manifest may not be held: each time it may have to
    /// be read from the store.
    async fn go_on(
        &mut self,
        uploads: &Repository,
        budget: &ManifestBudget,
    ) -> Result<(), DeliveryError> {
        let (mut text, mut written) = (Vec::new(), 0);
        while !self.range.is_empty() && written + text.len() < TEXT {
            let Some(section) = self.outline.sections.get(self.section) else {
                self.close(&mut text);
                break;
            };
            let is_held = section.held.is_some();
            let manifest = self.manifest(uploads, budget).await?;
            let most = match is_held || self.held.is_some() {
                true => 1,
                false => AHEAD,
            };
            let place = self.section;
            while self.section == place && self.ready.len() < most && written < TEXT {
                match self.walk(&manifest, &mut text) {
                    Walked::ToFile(file) => self.ready.push_back(Step::File(file)),
                    Walked::Enough => {
                        written += text.len();
                        self.ready.extend(Step::text(&mut text));
                    }
                    Walked::All => {}
                }
                if self.range.is_empty() {
                    break;
                }
            }
            if self.ready.len() >= most {
                break;
            }
        }
        self.ready.extend(Step::text(&mut text));
        Ok(())
    }

    /// The manifest of the section that is read.
    async fn manifest(
        &mut self,
        uploads: &Repository,
        budget: &ManifestBudget,
    ) -> Result<Arc<Manifest>, DeliveryError> {
        let section = &self.outline.sections[self.section];
        if let Some(held) = section.held.as_ref().or(self.held.as_ref()) {
            return Ok(Arc::clone(&held.manifest));
        }
        let id = section.id;
        let manifest = recall(uploads, &id).await?;
        self.held = budget.hold(&manifest);
        Ok(manifest)
    }

    /// Writes the next parts of one section, until there is enough text or a file comes.
    fn walk(&mut self, manifest: &Manifest, text: &mut Vec<u8>) -> Walked {
        let end = self.outline.sections[self.section].parts.end;
        while self.part < end {
            if self.range.is_empty() || text.len() >= TEXT {
                return Walked::Enough;
            }
            let part = &manifest.parts[self.part];
            let begin = self.head(part, text);
            let end = begin + part.len();
            let wanted = self.range.start..self.range.end.min(end);
            if begin < wanted.end && !wanted.is_empty() {
                match part {
                    Part::Field(field) => {
                        // It is in memory: its length fits a usize.
                        let from = (wanted.start - begin) as usize;
                        let most = (wanted.end - wanted.start) as usize;
                        let len = most.min(TEXT.saturating_sub(text.len()));
                        text.extend_from_slice(&field.value.as_bytes()[from..from + len]);
                        self.range.start += len as u64;
                    }
                    Part::File { .. } if !text.is_empty() => return Walked::Enough,
                    Part::File { file, .. } => {
                        self.range.start = wanted.end;
                        self.advance(end);
                        return Walked::ToFile(FileRange {
                            id: manifest.id,
                            name: file.name.clone(),
                            size: file.size,
                            range: wanted.start - begin..wanted.end - begin,
                        });
                    }
                }
            }
            self.advance(end);
        }
        self.section += 1;
        self.held = None;
        let next = self.outline.sections.get(self.section);
        self.part = next.map_or(0, |section| section.parts.start);
        Walked::All
    }

    /// Writes the wanted bytes of the head of a part; answers where its content begins.
    fn head(&mut self, part: &Part, text: &mut Vec<u8>) -> u64 {
        let (boundary, first) = (&self.outline.boundary, self.begin == 0);
        // A range may begin behind it.
        let content = self.content.or_else(|| {
            let begins_within = self.range.start > self.begin;
            begins_within.then(|| self.begin + outline::head_len(boundary, first, part))
        });
        if let Some(content) = content
            && content <= self.range.start
        {
            self.content = Some(content);
            return content;
        }
        let head = outline::head(boundary, first, part);
        let content = self.begin + head.len() as u64;
        // It is in memory: its length fits a usize.
        let from = (self.range.start - self.begin) as usize;
        let to = (self.range.end.min(content) - self.begin) as usize;
        match text.is_empty() && to - from == head.len() {
            true => *text = head,
            false => text.extend_from_slice(&head[from..to]),
        }
        self.range.start += (to - from) as u64;
        self.content = Some(content);
        content
    }

    /// Goes to the next part, if all that is wanted of this one was given.
    fn advance(&mut self, end: u64) {
        if self.range.start >= end {
            self.part += 1;
            self.begin = end;
            self.content = None;
        }
    }

    /// Writes the wanted bytes of the close delimiter.
    fn close(&mut self, text: &mut Vec<u8>) {
        let close = form::close(&self.outline.boundary, self.begin > 0);
        let (from, to) = (self.range.start - self.begin, self.range.end - self.begin);
        text.extend_from_slice(&close[from as usize..to as usize]);
        self.range.start = self.range.end;
    }
}

/// The manifest of an upload that a form was laid out with.
pub(super) async fn recall(
    uploads: &Repository,
    id: &UploadId,
) -> Result<Arc<Manifest>, DeliveryError> {
    let manifest = uploads.get_any_version(id).await?;
    manifest.ok_or_else(|| DeliveryError::no_upload(id))
}

/// The error for a file that is not as the manifest of its upload says.
pub(super) async fn damage(
    uploads: &Repository,
    id: &UploadId,
    error: StoreError,
) -> Result<DeliveryError, DeliveryError> {
    if matches!(error, StoreError::Damaged(_))
        && matches!(uploads.store().manifest(id).await, Ok(None))
    {
        uploads.index(id, &[]).await?;
        return Ok(DeliveryError::no_upload(id));
    }
    Ok(error.into())
}
