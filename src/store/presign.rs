//! Addresses at which clients fetch files from the store itself.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::model::{FileName, UploadId};

/// A [`Store`](super::Store) that signs addresses of its files for clients.
#[async_trait]
pub trait Presign: Send + Sync {
    /// A URL at which a client can fetch the file by itself for some minutes, or for as long as
    /// its upload exists.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file is missing or has another size.
    async fn presigned_url(&self, request: &PresignRequest<'_>) -> Result<String, StoreError>;
}

/// A file that a client is to fetch by itself, and the headers it is to get with it.
#[derive(Debug, Clone, Copy)]
pub struct PresignRequest<'a> {
    /// The upload.
    pub id: &'a UploadId,
    /// The file.
    pub name: &'a FileName,
    /// Its `Content-Type`.
    pub media_type: &'a str,
    /// Its `Content-Disposition`.
    pub disposition: &'a str,
    /// Bytes.
    pub size: u64,
    /// How long its upload exists from now on.
    pub lives: Duration,
}
