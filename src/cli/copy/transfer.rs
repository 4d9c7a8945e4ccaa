//! The copy of one upload: its files, each compared with its record, then the record.

use anyhow::Context as _;

use super::walk::{SOURCE, TARGET, Walk};
use crate::model::{Manifest, StoredFile, UploadId};
use crate::store::{FileSink, FileSummary, Staged, StoreError};

/// Why a file was not copied.
enum Failure {
    /// It cannot be read as it was stored.
    Source(StoreError),
    /// It cannot be written.
    Target(StoreError),
}

impl Walk {
    /// Copies an upload. One that is damaged, or too large for the target, is reported; the target
    /// gets nothing of it.
    pub async fn transfer(&self, manifest: Manifest) -> anyhow::Result<()> {
        let id = manifest.id;
        let staged = self.target.store().stage(id).await.context(TARGET)?;
        let (files, bytes) = (manifest.files().count() as u64, manifest.size());
        let copied = match self.fill(staged, &manifest).await {
            Ok(staged) => self.target.take_over(staged, manifest).await,
            Err(Failure::Target(error)) => Err(error),
            Err(Failure::Source(error)) => return self.unreadable(&id, error).await,
        };
        match copied {
            Ok(()) => {
                self.tally.copied(files, bytes);
                Ok(())
            }
            Err(error @ (StoreError::TooLarge { .. } | StoreError::Exists)) => {
                self.tally.failed(&id, &format!("{TARGET}: {error}"))
            }
            Err(error) => Err(error).context(TARGET),
        }
    }

    /// Writes all files of an upload.
    async fn fill(
        &self,
        mut staged: Box<dyn Staged>,
        manifest: &Manifest,
    ) -> Result<Box<dyn Staged>, Failure> {
        for (_, file) in manifest.files() {
            let hash = file.sha256.is_some() || file.crc32.is_some();
            let sink = staged.file(file.name.clone(), hash).await;
            let sink = sink.map_err(Failure::Target)?;
            let came = self.copy_file(&manifest.id, file, sink).await?;
            compare(file, &came).map_err(Failure::Source)?;
        }
        Ok(staged)
    }

    async fn copy_file(
        &self,
        id: &UploadId,
        file: &StoredFile,
        mut sink: Box<dyn FileSink + '_>,
    ) -> Result<FileSummary, Failure> {
        let size = file.size;
        let blob = self.source.open(id, &file.name, size, 0..size).await;
        let mut blob = blob.map_err(Failure::Source)?;
        while let Some(block) = blob.next().await.map_err(Failure::Source)? {
            self.tally.moved(block.len() as u64);
            sink.write(block).await.map_err(Failure::Target)?;
        }
        sink.finish().await.map_err(Failure::Target)
    }

    /// Reports an upload whose files cannot be read, unless it has been removed meanwhile.
    async fn unreadable(&self, id: &UploadId, error: StoreError) -> anyhow::Result<()> {
        match error {
            StoreError::Damaged(_) | StoreError::Io { .. } => {}
            error => return Err(error).context(SOURCE),
        }
        if let Ok(None) = self.source.manifest(id).await {
            self.tally.went();
            return Ok(());
        }
        self.tally.failed(id, &error.to_string())
    }
}

/// Compares what came with what the record says.
fn compare(file: &StoredFile, came: &FileSummary) -> Result<(), StoreError> {
    let of = came.checksums;
    let other = if came.size != file.size {
        "length"
    } else if file.sha256.is_some() && file.sha256 != of.map(|of| of.sha256) {
        "sha-256"
    } else if file.crc32.is_some() && file.crc32 != of.map(|of| of.crc32) {
        "CRC-32"
    } else {
        return Ok(());
    };
    let name = &file.name;
    Err(StoreError::Damaged(format!(
        "{name} has another {other} than it was stored with"
    )))
}
