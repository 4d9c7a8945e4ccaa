//! What a request names.

use std::sync::Arc;

use crate::model::{FileName, Manifest, UploadId};

use super::{Delivery, DeliveryError};

/// What a request has named: an upload, or one file of it.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The upload.
    pub manifest: Arc<Manifest>,
    /// The file; `None` is the whole form.
    pub file: Option<FileName>,
    /// Whether it was found by its name: another upload may be the newest next time.
    pub by_name: bool,
}

impl Delivery {
    /// An upload that is not over.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], or the store fails.
    pub async fn upload(&self, id: &UploadId) -> Result<Arc<Manifest>, DeliveryError> {
        let manifest = self.uploads.get(id).await?;
        let now = self.clock.now();
        manifest
            .filter(|manifest| !manifest.is_over(now))
            .ok_or_else(|| DeliveryError::NotFound(id.to_string()))
    }

    /// An id's whole form, or the newest file of a name.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], or the store or the index fails.
    pub async fn named(&self, text: &str) -> Result<Selected, DeliveryError> {
        if let Ok(id) = text.parse() {
            match self.upload(&id).await {
                Ok(manifest) => {
                    return Ok(Selected {
                        manifest,
                        file: None,
                        by_name: false,
                    });
                }
                Err(DeliveryError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.newest(text).await
    }

    /// The newest file of a name.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], or the store or the index fails.
    pub async fn newest(&self, text: &str) -> Result<Selected, DeliveryError> {
        let mut newest: Option<Selected> = None;
        if self.options.shared_names {
            for name in FileName::asked(text) {
                let found = self.newest_stored(name).await?;
                let age = |selected: &Selected| {
                    let manifest = &selected.manifest;
                    (manifest.order(), manifest.id)
                };
                newest = newest.into_iter().chain(found).max_by_key(age);
            }
        }
        newest.ok_or_else(|| DeliveryError::NotFound(text.to_owned()))
    }

    /// The newest file that is stored under this very name.
    async fn newest_stored(&self, name: FileName) -> Result<Option<Selected>, DeliveryError> {
        let mut skip = Vec::new();
        loop {
            let now = self.clock.now();
            let newest = self.uploads.newest(&name, now, &skip).await?;
            let Some(id) = newest else { return Ok(None) };
            match self.uploads.get(&id).await? {
                Some(manifest) if !manifest.is_over(now) && manifest.file(&name).is_some() => {
                    return Ok(Some(Selected {
                        manifest,
                        file: Some(name),
                        by_name: true,
                    }));
                }
                // The index is behind: an older one may be the newest now.
                Some(_) => {}
                None => {
                    let named = std::slice::from_ref(&name);
                    self.uploads.index(&id, named).await?;
                }
            }
            skip.push(id);
        }
    }

    /// One file of an upload.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], or the store fails.
    pub async fn file(&self, id: &str, name: &str) -> Result<Selected, DeliveryError> {
        let not_found = || DeliveryError::NotFound(format!("{id}/{name}"));
        let id: UploadId = id.parse().map_err(|_| not_found())?;
        let manifest = self.upload(&id).await.map_err(|error| match error {
            DeliveryError::NotFound(_) => not_found(),
            error => error,
        })?;
        // What stands as it was asked for is meant, also beside one that is called so today.
        let stored = FileName::asked(name).filter(|name| manifest.file(name).is_some());
        let file = Some(stored.last().ok_or_else(not_found)?);
        Ok(Selected {
            manifest,
            file,
            by_name: false,
        })
    }
}
