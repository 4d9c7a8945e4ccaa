//! Whether a store keeps to the conditions that everything rests on.

use std::time::Duration;

use object_store::path::Path;
use object_store::{Attributes, Error, GetOptions, PutMode, PutOptions, PutResult, UpdateVersion};

use super::client::BucketClient;
use super::error::{is_absent, is_refusal, message};
use super::inner::BucketInner;
use super::key::WRITE;
use super::layout::KeyLayout;
use super::options::BucketError;
use crate::model::{Salt, Timestamp};
use crate::store::StoreError;

/// The beginning of the names of probe keys.
const PROBE: &str = "probe-";
/// After this time the key of a probe is left over.
pub const STALE_AFTER: Duration = Duration::from_secs(3600);

/// Tries the conditions on a key of its own.
pub async fn probe(client: &BucketClient, layout: &KeyLayout) -> Result<(), BucketError> {
    let name = Salt::generate().map_err(|error| BucketError::Refused(error.to_string()))?;
    let key = layout.private(&format!("{PROBE}{name}"));
    match client.get(&key, GetOptions::default()).await {
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(refused(&error)),
        Ok(_) => return Err(BucketError::Unfit("it finds what was never stored")),
    }
    let tried = conditions(client, &key).await;
    client.delete(vec![key]).await;
    tried
}

impl BucketInner {
    /// Removes the keys of probes that were killed, last touched before `before`.
    pub async fn remove_probes(&self, before: Timestamp) -> Result<(), StoreError> {
        let begin = self.layout.private(PROBE);
        let (objects, _) = self.client.page(begin.as_ref(), None).await?;
        let left = objects.into_iter().filter(|probe| probe.changed < before);
        let keys: Vec<Path> = left.map(|probe| probe.key).collect();
        if !keys.is_empty() {
            self.client.delete(keys).await;
        }
        Ok(())
    }
}

async fn conditions(client: &BucketClient, key: &Path) -> Result<(), BucketError> {
    let first = put(client, key, "1", PutMode::Create).await;
    let first = first.map_err(|error| refused(&error))?;
    let found = client.get(key, GetOptions::default()).await;
    let found = found.map_err(|error| refused(&error))?;
    if found
        .attributes
        .get(&WRITE)
        .is_none_or(|write| **write != *"1")
    {
        return Err(BucketError::Unfit("it does not give user metadata back"));
    }
    let second = put(client, key, "2", PutMode::Create).await;
    expect_refusal(
        second,
        "it ignores If-None-Match: a second creation of one key succeeds",
    )?;
    let other = "\"00000000000000000000000000000000\"".to_owned();
    let other = put(client, key, "2", update(Some(other))).await;
    expect_refusal(
        other,
        "it ignores If-Match: a change of another version succeeds",
    )?;
    let changed = put(client, key, "2", update(first.e_tag.clone())).await;
    changed.map_err(|error| refused(&error))?;
    let late = put(client, key, "3", update(first.e_tag)).await;
    expect_refusal(
        late,
        "it ignores If-Match: a change of an earlier version succeeds",
    )
}

async fn put(
    client: &BucketClient,
    key: &Path,
    content: &str,
    mode: PutMode,
) -> Result<PutResult, Error> {
    let options = PutOptions {
        mode,
        attributes: Attributes::from_iter([(WRITE, content.to_owned())]),
        ..PutOptions::default()
    };
    client.put(key, content.into(), options).await
}

fn update(e_tag: Option<String>) -> PutMode {
    PutMode::Update(UpdateVersion {
        e_tag,
        version: None,
    })
}

fn expect_refusal(
    result: Result<PutResult, Error>,
    otherwise: &'static str,
) -> Result<(), BucketError> {
    match result {
        Ok(_) => Err(BucketError::Unfit(otherwise)),
        Err(error) if is_refusal(&error) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &Error) -> BucketError {
    BucketError::Refused(message(error))
}
