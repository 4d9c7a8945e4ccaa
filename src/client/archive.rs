//! All files of an upload in one.

use std::sync::Arc;

use super::receive::{Announced, Incoming, Place};
use super::transfer::{Next, Transfer};
use super::{Client, ClientError, Download, Downloaded};
use crate::hashing::ThreadHasher;
use crate::model::{FileName, FilePath};

/// How the files of an upload are put into one. Neither is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveFormat {
    /// A ZIP file.
    Zip,
    /// A tar file (POSIX.1-2001, pax).
    Tar,
}

impl ArchiveFormat {
    fn extension(self) -> &'static str {
        match self {
            ArchiveFormat::Zip => "zip",
            ArchiveFormat::Tar => "tar",
        }
    }
}

impl Client {
    /// Downloads all files of one upload in one, with their folders in it: as `ID.zip` or `ID.tar` in
    /// the directory of `download`, or where else that puts one file. A connection that breaks is
    /// made again, and the archive goes on where it broke.
    ///
    /// Its length is compared with what the server says, and no digest: a ZIP file has check sums of
    /// its own. Of an upload with limited downloads it takes one of each file.
    ///
    /// # Errors
    /// `download` names more than one upload, or a file of one; the server cannot be reached, or
    /// refuses; the archive cannot be written, or something has its name.
    pub async fn archive(
        &self,
        download: Download,
        format: ArchiveFormat,
    ) -> Result<Downloaded, ClientError> {
        let id = match download.names.as_slice() {
            [id] if !id.contains('/') => id,
            _ => {
                let reason = "an archive has the files of one upload: name its id";
                return Err(ClientError::Setup(reason.to_owned()));
            }
        };
        let name = format!("{id}.{}", format.extension());
        let url = self.url(&["archive", &name]);
        let name = FileName::from_upload(name.as_bytes());
        let target = download.target.look()?;
        // Before the server has taken anything for it.
        if let Some(taken) = target.taken(&name).filter(|_| !download.replace) {
            return Err(ClientError::Exists(taken));
        }
        let (replace, progress) = (download.replace, download.progress);
        let begun = Transfer::begin(self.clone(), url, download.retries, Arc::clone(&progress));
        let mut transfer = begun.await?;
        let mut place = target.make()?;
        let mut hasher = ThreadHasher::default();
        let path = FilePath::from(name);
        let begin = |transfer: &Transfer, place: &mut Place, hasher: &mut ThreadHasher| {
            progress.begin(transfer.len());
            progress.file(path.as_str(), transfer.len());
            let media_type = transfer.header("content-type");
            let announced = Announced {
                field: b"",
                media_type: media_type.map(|value| value.as_bytes()),
                size: transfer.len(),
                digest: None,
            };
            Incoming::begin(place, &announced, path.clone(), replace, hasher)
        };
        let mut incoming = begin(&transfer, &mut place, &mut hasher)?;
        loop {
            match transfer.next().await? {
                Next::Bytes(bytes) => {
                    incoming.write(&mut place, &bytes, &mut hasher)?;
                    progress.advance(bytes.len() as u64);
                }
                Next::Restarted => {
                    progress.file_end();
                    place.restart()?;
                    incoming = begin(&transfer, &mut place, &mut hasher)?;
                }
                Next::End => break,
            }
        }
        progress.file_end();
        let received = incoming.check(&mut hasher)?.publish(&mut place)?;
        progress.received(&received);
        let mut downloaded = Downloaded::default();
        downloaded.files.push(received);
        Ok(downloaded)
    }
}
