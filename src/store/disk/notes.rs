//! Notes on uploads: small files, in a folder for each kind.

use std::io::{self, Write as _};
use std::path::PathBuf;

use super::inner::Inner;
use crate::model::{Timestamp, UploadId};
use crate::store::{Note, StoreError, names};

impl Inner {
    fn notes_dir(&self, note: Note) -> PathBuf {
        self.dir.join(names::PRIVATE).join(note.folder())
    }

    /// Leaves a note that a power cut does not take. Blocks.
    pub fn add_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        let dir = self.notes_dir(note);
        let path = dir.join(id.as_str());
        let write = || {
            match std::fs::create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let mut file = std::fs::File::create(&path)?;
            // Writing sets its time, also where the note was left before.
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::File::open(&dir)?.sync_all()
        };
        write().map_err(|error| StoreError::io(format!("writing {}", path.display()), error))
    }

    /// The notes of one kind, and when each was left or renewed. Blocks.
    pub fn notes(&self, note: Note) -> Result<Vec<(UploadId, Timestamp)>, StoreError> {
        let dir = self.notes_dir(note);
        let read = || {
            let mut notes = Vec::new();
            for entry in std::fs::read_dir(&dir)? {
                let entry = entry?;
                let id = entry.file_name().to_str().and_then(|id| id.parse().ok());
                let Some(id) = id else { continue };
                match entry.metadata().and_then(|meta| meta.modified()) {
                    Ok(time) => notes.push((id, Timestamp::from(time))),
                    // The note was removed meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(notes)
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => {
                read.map_err(|error| StoreError::io(format!("listing {}", dir.display()), error))
            }
        }
    }

    /// Removes a note; one that does not exist is a success. Blocks.
    pub fn remove_note(&self, note: Note, id: &UploadId) -> Result<(), StoreError> {
        let path = self.notes_dir(note).join(id.as_str());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(
                format!("removing {}", path.display()),
                error,
            )),
            _ => Ok(()),
        }
    }
}
