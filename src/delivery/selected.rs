//! The upload or file that a request has named.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{FileName, Manifest, Part, Portion};

/// An upload that a request has named, or one file of it.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The upload.
    pub manifest: Arc<Manifest>,
    /// The file; `None` is the whole form.
    pub file: Option<FileName>,
    /// Whether it was found by its name: another upload may be the newest next time.
    pub by_name: bool,
}

impl Selected {
    /// The places of the selected parts in the manifest.
    pub(super) fn parts(&self) -> Range<usize> {
        match (&self.file, self.file_part()) {
            (None, _) => 0..self.manifest.parts.len(),
            (Some(_), Some(part)) => part..part + 1,
            (Some(_), None) => 0..0,
        }
    }

    /// The portion that a download of it uses up by one, where downloads are counted.
    pub(super) fn portion(&self) -> Portion {
        self.file_part().map_or(Portion::Form, Portion::File)
    }

    /// The place of the selected file in the manifest.
    pub(super) fn file_part(&self) -> Option<usize> {
        let name = self.file.as_ref()?;
        let named = |part: &Part| matches!(part, Part::File { file, .. } if file.name == *name);
        self.manifest.parts.iter().position(named)
    }
}
