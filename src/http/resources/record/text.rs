//! The text of a record, as far as it is written.

use serde::Serialize;

use super::grouping::{Grouped, grouped};
use super::members::{Addresses, FileJson, Head, Tail, Terms, file_url, only_file};
use super::piece::{Piece, Progress, Spelling, is_full, write};
use crate::manage;
use crate::model::{Manifest, Part, StoredFile};

/// The element of a record that is written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Head,
    /// The file at this part or the next behind it, and how many were before.
    File {
        part: usize,
        before: usize,
    },
    /// The value of this text field, in the order of the groups.
    Field(usize),
    Tail,
    End,
}

/// How far a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    element: Element,
    progress: Progress,
}

/// An upload as JSON, as far as it is written. It does not hold the manifest.
pub struct RecordText {
    base: String,
    delete_token: Option<String>,
    fields: Box<[Grouped]>,
    mark: Mark,
}

impl RecordText {
    /// The upload as every reader sees it; its addresses begin with `base`.
    pub fn new(manifest: &Manifest, base: String) -> Self {
        RecordText {
            base,
            delete_token: None,
            fields: grouped(manifest),
            mark: Mark {
                element: Element::Head,
                progress: Progress::default(),
            },
        }
    }

    /// The same with its delete token, for the client that has just stored it.
    pub fn created(manifest: &Manifest, base: String, delete_token: &str) -> Self {
        RecordText {
            delete_token: Some(delete_token.to_owned()),
            ..Self::new(manifest, base)
        }
    }

    /// Whether all of it is written.
    pub fn is_written(&self) -> bool {
        self.mark.element == Element::End
    }

    /// Where it is written next.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Goes back to a mark.
    pub fn rewind(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Writes the next piece behind `out`, until that has about 16 KiB. The manifest is the same each
    /// time.
    pub fn write(&mut self, manifest: &Manifest, out: &mut Vec<u8>) {
        while !self.is_written() && !is_full(out) {
            let mut progress = self.mark.progress;
            let mut piece = Piece::of(out, &mut progress);
            let next = match self.mark.element {
                Element::Head => self.head(manifest, &mut piece),
                Element::File { part, before } => self.file(manifest, part, before, &mut piece),
                Element::Field(at) => self.field(manifest, at, &mut piece),
                Element::Tail | Element::End => self.tail(manifest, &mut piece),
            };
            if piece.is_written() {
                self.mark.element = next;
                progress = Progress::default();
            }
            self.mark.progress = progress;
        }
    }

    fn head(&self, manifest: &Manifest, piece: &mut Piece<'_>) -> Element {
        piece.put(|out| {
            let only = only_file(manifest);
            let name = only.map(|file| &file.name);
            let file_count = manifest.files().count();
            let head = Head {
                addresses: Addresses::of(&manifest.id, name, file_count, &self.base),
                size: manifest.size(),
                file_count,
                name,
                media_type: only.map(StoredFile::served_type),
                sha256: only.and_then(|file| file.sha256),
                title: manifest.title.as_ref(),
            };
            write(out, &head);
            out.pop();
            out.extend_from_slice(b",\"files\":[");
        });
        Element::File { part: 0, before: 0 }
    }

    fn file(
        &self,
        manifest: &Manifest,
        part: usize,
        before: usize,
        piece: &mut Piece<'_>,
    ) -> Element {
        let parts = manifest.parts[part..].iter().enumerate();
        let mut files = parts.filter_map(|(at, found)| match found {
            Part::File { field, file } => Some((part + at, field, file)),
            Part::Field(_) => None,
        });
        let Some((part, field, file)) = files.next() else {
            piece.put(|out| out.extend_from_slice(b"],\"fields\":{"));
            return match self.fields.is_empty() {
                true => Element::Tail,
                false => Element::Field(0),
            };
        };
        piece.put(|out| {
            out.extend((before > 0).then_some(b','));
            out.extend_from_slice(b"{\"field\":");
        });
        piece.text(field.as_bytes(), Spelling::Name);
        piece.put(|out| {
            let rest = FileJson {
                name: &file.name,
                path: file.path(),
                size: file.size,
                media_type: file.served_type(),
                sha256: file.sha256,
                url: file_url(manifest, file, &self.base),
                downloads_left: manifest.downloads_left_of(file),
            };
            append(out, &rest);
        });
        Element::File {
            part: part + 1,
            before: before + 1,
        }
    }

    fn field(&self, manifest: &Manifest, at: usize, piece: &mut Piece<'_>) -> Element {
        let Grouped { part, first } = self.fields[at];
        if let Part::Field(field) = &manifest.parts[part] {
            if first {
                piece.put(|out| {
                    let before: &[u8] = if at > 0 { b"]," } else { b"" };
                    out.extend_from_slice(before);
                });
                piece.text(field.field.as_bytes(), Spelling::Name);
                piece.put(|out| out.extend_from_slice(b":["));
            } else {
                piece.put(|out| out.push(b','));
            }
            piece.text(field.value.as_bytes(), Spelling::Value);
        }
        match at + 1 == self.fields.len() {
            true => Element::Tail,
            false => Element::Field(at + 1),
        }
    }

    fn tail(&self, manifest: &Manifest, piece: &mut Piece<'_>) -> Element {
        piece.put(|out| {
            let fields: &[u8] = if self.fields.is_empty() { b"}" } else { b"]}" };
            out.extend_from_slice(fields);
            let delete_token = self.delete_token.as_deref();
            let tail = Tail {
                terms: Terms::of(
                    manifest.created_at,
                    manifest.expires_at,
                    manifest.max_downloads,
                    manifest.downloads_left(),
                ),
                delete_token,
                manage_key: delete_token.map(|token| manage::key(&manifest.id, token)),
            };
            append(out, &tail);
        });
        Element::End
    }
}

/// Writes the members of `value` as the last of an object that is open.
fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    let begun = out.len();
    write(out, value);
    out[begun] = b',';
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
