//! The newest uploads of the names that were asked for lately: a name that is asked for once is
//! often asked for again.

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::{FileName, Timestamp, UploadId};

/// How many names the cache is laid out for.
const ITEMS: usize = 8 * 1024;
/// The bytes of names it holds, as [`NameWeight`] counts them.
const CAPACITY: u64 = 2 * 1024 * 1024;

/// The newest upload with a file of a name, and when that upload is over.
pub type Newest = (UploadId, Option<Timestamp>);

/// The newest uploads by name, never older than the index.
pub struct NewestCache(Cache<FileName, Newest, NameWeight>);

#[derive(Debug, Clone)]
struct NameWeight;

impl Weighter<FileName, Newest> for NameWeight {
    fn weight(&self, name: &FileName, _: &Newest) -> u64 {
        (size_of::<(FileName, Newest)>() + name.as_str().len()) as u64
    }
}

impl Default for NewestCache {
    fn default() -> Self {
        NewestCache(Cache::with_weighter(ITEMS, CAPACITY, NameWeight))
    }
}

impl NewestCache {
    /// The newest upload with that name, as it was found before or is found by `search` now.
    pub async fn get<E, F: Future<Output = Result<Option<Newest>, E>>>(
        &self,
        name: &FileName,
        now: Timestamp,
        search: impl FnOnce() -> F,
    ) -> Result<Option<UploadId>, E> {
        let guard = loop {
            match self.0.get_value_or_guard_async(name).await {
                Ok((id, end)) if end.is_none_or(|end| end > now) => {
                    return Ok(Some(id));
                }
                Ok(over) => {
                    self.0.remove_if(name, |known| *known == over);
                }
                Err(guard) => break guard,
            }
        };
        let found = search().await?;
        if let Some(found) = found {
            // Refused when the name was removed since: the upload that was found may be out of date.
            let _ = guard.insert(found);
        }
        Ok(found.map(|(id, _)| id))
    }

    /// Removes `names` from the cache. To be called when the index has changed what it says of them.
    pub fn remove<'a>(&self, names: impl Iterator<Item = &'a FileName>) {
        for name in names {
            self.0.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_changed_while_it_was_looked_up_is_looked_up_again() {
        let (names, name) = (NewestCache::default(), FileName::from_upload(b"a"));
        let [old, new] = [(); 2].map(|()| UploadId::generate().unwrap());
        let now = Timestamp::from_millis(1);
        let asked = async |found: UploadId, during: &dyn Fn()| {
            let search = async || {
                during();
                Ok::<_, ()>(Some((found, Some(Timestamp::from_millis(2)))))
            };
            names.get(&name, now, search).await.unwrap()
        };
        let changed = || names.remove([&name].into_iter());
        assert_eq!(asked(old, &changed).await, Some(old));
        assert_eq!(asked(new, &|| ()).await, Some(new));
        let never = || panic!("it is known");
        assert_eq!(asked(old, &never).await, Some(new));
        let later = Timestamp::from_millis(2);
        let over = names.get(&name, later, async || Ok::<_, ()>(None)).await;
        assert_eq!(over, Ok(None));
    }
}
