//! A form that goes out, without what it holds: which parts of which uploads, and how long each
//! upload's share is. Its size depends on neither the parts nor their contents.

use std::ops::Range;

use super::memory::{HeldManifest, ManifestBudget};
use super::selected::Selected;
use crate::form::{self, Boundary, OutPart};
use crate::model::{Manifest, Part, UploadId};

/// The bytes of manifests that one form holds from its beginning to its end.
const MAX_KEPT: usize = 16 << 10;

/// The layout of a form.
#[derive(Debug)]
pub struct Outline {
    pub boundary: Boundary,
    pub sections: Vec<Section>,
    /// How many of its parts are files.
    pub files: usize,
    /// Where the content of its first part begins.
    pub first_content: u64,
    /// The bytes of the form.
    pub len: u64,
}

/// The parts of one upload in a form.
#[derive(Debug)]
pub struct Section {
    pub id: UploadId,
    /// The places of the parts in its manifest.
    pub parts: Range<usize>,
    /// Where in the form its last part ends.
    pub end: u64,
    /// The manifest, where it is small.
    pub held: Option<HeldManifest>,
}

/// An [`Outline`] that grows.
#[derive(Debug)]
pub struct OutlineBuilder {
    /// One of the length that the form's own will have.
    boundary: Boundary,
    budget: ManifestBudget,
    sections: Vec<Section>,
    parts: usize,
    files: usize,
    first_content: u64,
    len: u64,
    /// The bytes of the manifests held.
    kept: usize,
}

impl OutlineBuilder {
    /// Nothing yet. The form will have a boundary as long as `boundary`.
    pub fn new(boundary: Boundary, budget: ManifestBudget) -> Self {
        OutlineBuilder {
            boundary,
            budget,
            sections: Vec::new(),
            parts: 0,
            files: 0,
            first_content: 0,
            len: 0,
            kept: 0,
        }
    }

    /// Adds the selected parts of an upload.
    pub fn add(&mut self, selected: &Selected) {
        let manifest = &selected.manifest;
        let parts = selected.parts();
        for part in &manifest.parts[parts.clone()] {
            let first = self.parts == 0;
            let head = head_len(&self.boundary, first, part);
            if first {
                self.first_content = head;
            }
            // No store holds 2^64 bytes; if numbers say so, the length is wrong but not small.
            self.len = self.len.saturating_add(head).saturating_add(part.len());
            self.parts += 1;
            self.files += usize::from(matches!(part, Part::File { .. }));
        }
        let weight = manifest.weight();
        let held = if self.kept + weight <= MAX_KEPT {
            self.kept += weight;
            Some(HeldManifest::light(manifest))
        } else if self.sections.is_empty() {
            // It is read next.
            self.budget.hold(manifest)
        } else {
            None
        };
        self.sections.push(Section {
            id: manifest.id,
            parts,
            end: self.len,
            held,
        });
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// The form, with its boundary.
    pub fn finish(self, boundary: Boundary) -> Outline {
        debug_assert_eq!(boundary.as_bytes().len(), self.boundary.as_bytes().len());
        let close = form::close(&boundary, self.parts > 0).len() as u64;
        Outline {
            boundary,
            sections: self.sections,
            files: self.files,
            first_content: self.first_content,
            len: self.len.saturating_add(close),
        }
    }
}

impl Outline {
    /// Where the first part of a section begins.
    pub fn begin(&self, section: usize) -> u64 {
        let before = section.checked_sub(1);
        before.map_or(0, |before| self.sections[before].end)
    }

    /// The places of the parts of a section that have a byte in `range`.
    pub fn parts_within(
        &self,
        section: usize,
        manifest: &Manifest,
        range: &Range<u64>,
    ) -> Range<usize> {
        let Section { parts, end, .. } = &self.sections[section];
        let mut begin = self.begin(section);
        if range.start <= begin && *end <= range.end {
            return parts.clone();
        }
        let mut within = parts.end..parts.end;
        for place in parts.clone() {
            if begin >= range.end {
                within.end = place;
                break;
            }
            let part = &manifest.parts[place];
            let end = begin + head_len(&self.boundary, begin == 0, part) + part.len();
            if range.start < end {
                within.start = within.start.min(place);
            }
            begin = end;
        }
        within
    }
}

/// The head of a part.
pub fn head(boundary: &Boundary, first: bool, part: &Part) -> Vec<u8> {
    with_out_part(part, |out| form::part_head(boundary, first, out))
}

/// The bytes of the head of a part.
pub fn head_len(boundary: &Boundary, first: bool, part: &Part) -> u64 {
    with_out_part(part, |out| form::part_head_len(boundary, first, out))
}

fn with_out_part<T>(part: &Part, use_it: impl FnOnce(&OutPart<'_>) -> T) -> T {
    match part {
        Part::Field(field) => use_it(&OutPart {
            name: field.field.as_bytes(),
            filename: None,
            extended: None,
            content_type: field.media_type.as_deref(),
            content_length: part.len(),
            repr_digest: None,
        }),
        Part::File { field, file } => {
            let digest = file.sha256.map(|digest| digest.to_header());
            use_it(&OutPart {
                name: field.as_bytes(),
                filename: Some(file.original.as_bytes()),
                extended: file.extended.as_deref(),
                content_type: file.part_type(),
                content_length: part.len(),
                repr_digest: digest.as_deref(),
            })
        }
    }
}
