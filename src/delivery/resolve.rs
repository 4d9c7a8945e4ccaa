//! Finds the uploads and files that a request names.

use std::collections::HashSet;
use std::sync::Arc;

use crate::archive::Format;
use crate::catalog::CatalogError;
use crate::model::{FileName, Manifest, Portion, UploadId};

use super::archive::ChosenFiles;
use super::representation::{FormBuilder, Representation};
use super::selected::Selected;
use super::{Delivery, DeliveryError, Missing};

/// The most parts of one form that is made of several uploads.
const MAX_PARTS: usize = 10_000;
/// How many uploads of one name a request looks at that the index names and that have it no more,
/// each of which it corrects in the index.
const MAX_CORRECTIONS: usize = 32;

/// The key by which a caller finds files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// By names, and by ids.
    Names,
    /// By ids alone: no name is any file's.
    Ids,
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
            .ok_or_else(|| DeliveryError::no_upload(id))
    }

    /// An id's whole form, or the newest file of a name.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], also where a file of the form is used up; or the store or the
    /// index fails; the index decides nothing about an id.
    pub async fn named(&self, text: &str, lookup: Lookup) -> Result<Selected, DeliveryError> {
        let Ok(id) = text.parse() else {
            return self.newest(text, lookup).await;
        };
        match self.upload(&id).await {
            Ok(manifest) if manifest.allows(&Portion::Form) => Ok(Selected {
                manifest,
                file: None,
                by_name: false,
            }),
            Ok(_) => Err(DeliveryError::no_upload(id)),
            // The name of a file can look like an id.
            Err(gone @ DeliveryError::NotFound(_)) => match self.newest(text, lookup).await {
                Err(DeliveryError::Catalog(_) | DeliveryError::NotFound(_)) => Err(gone),
                found => found,
            },
            Err(error) => Err(error),
        }
    }

    /// The selected parts as one form.
    pub fn form(&self, selected: &Selected) -> Representation {
        let mut form = FormBuilder::new(&self.manifests);
        form.add(selected);
        form.finish()
    }

    /// The files of an upload as an archive: all of them, or those of these names.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], also where a file is used up, or there is none; or two names
    /// mean the same.
    pub async fn archive(
        &self,
        manifest: &Arc<Manifest>,
        format: Format,
        names: &[&str],
    ) -> Result<Representation, DeliveryError> {
        let chosen = self.chosen(manifest, names)?;
        if chosen.next(manifest, 0).is_none() {
            let missing = Missing::Files(manifest.id.to_string());
            return Err(DeliveryError::NotFound(missing));
        }
        if !manifest.allows(&chosen.portion()) {
            return Err(DeliveryError::no_upload(manifest.id));
        }
        let budget = &self.manifests;
        Ok(Representation::archive(format, manifest, chosen, budget).await)
    }

    /// The files of these names; all, where none is named.
    fn chosen(
        &self,
        manifest: &Arc<Manifest>,
        names: &[&str],
    ) -> Result<ChosenFiles, DeliveryError> {
        if names.is_empty() {
            return Ok(ChosenFiles::All);
        }
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let selected = self.file_of(manifest, name)?;
            let place = selected.file_part().expect("a file is selected");
            if places.contains(&place) {
                return Err(DeliveryError::Repeated((*name).to_owned()));
            }
            places.push(place);
        }
        places.sort_unstable();
        Ok(ChosenFiles::Places(places.into()))
    }

    /// Several names or ids as one form, in their order: see [`named`](Self::named).
    ///
    /// # Errors
    /// Two mean the same, or all together have too many parts; or as `named`.
    pub async fn several(
        &self,
        names: &[&str],
        lookup: Lookup,
    ) -> Result<Representation, DeliveryError> {
        let repeated = |name: &str| DeliveryError::Repeated(name.to_owned());
        let mut given = HashSet::new();
        if let Some(name) = names.iter().find(|name| !given.insert(**name)) {
            return Err(repeated(name));
        }
        let mut form = FormBuilder::new(&self.manifests);
        let mut known = HashSet::new();
        for name in names {
            let selected = self.named(name, lookup).await?;
            if !known.insert((selected.manifest.id, selected.parts())) {
                return Err(repeated(name));
            }
            form.add(&selected);
            if names.len() > 1 && form.parts() > MAX_PARTS {
                return Err(DeliveryError::TooManyParts(MAX_PARTS));
            }
            // Other tasks have their turn: adding an upload takes time for each of its parts.
            tokio::task::yield_now().await;
        }
        Ok(form.finish())
    }

    /// The newest file of a name. No name leads to an upload with limited downloads: a caller who
    /// guesses the name would use them up.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], or the store or the index fails.
    pub async fn newest(&self, text: &str, lookup: Lookup) -> Result<Selected, DeliveryError> {
        let mut newest: Option<Selected> = None;
        if lookup == Lookup::Names {
            for name in FileName::asked(text) {
                let found = self.newest_stored(name).await?;
                let age = |selected: &Selected| {
                    let manifest = &selected.manifest;
                    (manifest.order(), manifest.id)
                };
                newest = newest.into_iter().chain(found).max_by_key(age);
            }
        }
        newest.ok_or_else(|| DeliveryError::NotFound(Missing::Name(text.to_owned())))
    }

    /// The newest file that is stored under this very name. Where the index is wrong it is
    /// corrected: an older version has recorded names of limited uploads, and the next request
    /// would pass over them once more.
    async fn newest_stored(&self, name: FileName) -> Result<Option<Selected>, DeliveryError> {
        let mut skip = Vec::new();
        while skip.len() < MAX_CORRECTIONS {
            let now = self.clock.now();
            let newest = self.uploads.newest(&name, now, &skip).await?;
            let Some(id) = newest else { return Ok(None) };
            match self.uploads.get(&id).await? {
                Some(manifest)
                    if !manifest.is_over(now)
                        && manifest.max_downloads.is_none()
                        && manifest.file(&name).is_some() =>
                {
                    return Ok(Some(Selected {
                        manifest,
                        file: Some(name),
                        by_name: true,
                    }));
                }
                _ => {
                    let named = std::slice::from_ref(&name);
                    self.uploads.index(&id, named).await?;
                }
            }
            skip.push(id);
        }
        Err(CatalogError::Rebuilding.into())
    }

    /// One file of an upload.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], also where it is used up; or the store fails.
    pub async fn file(&self, id: &str, name: &str) -> Result<Selected, DeliveryError> {
        let parsed: UploadId = id.parse().map_err(|_| DeliveryError::no_upload(id))?;
        let manifest = self.upload(&parsed).await?;
        self.file_of(&manifest, name)
    }

    fn file_of(&self, manifest: &Arc<Manifest>, name: &str) -> Result<Selected, DeliveryError> {
        let not_found = || {
            let (id, name) = (manifest.id.to_string(), name.to_owned());
            DeliveryError::NotFound(Missing::File { id, name })
        };
        // The name exactly as it was asked for comes first, also where another file has it as its
        // safe name today.
        let stored = FileName::asked(name).filter(|name| manifest.file(name).is_some());
        let file = Some(stored.last().ok_or_else(not_found)?);
        let selected = Selected {
            manifest: Arc::clone(manifest),
            file,
            by_name: false,
        };
        match selected.manifest.allows(&selected.portion()) {
            true => Ok(selected),
            false => Err(not_found()),
        }
    }
}
