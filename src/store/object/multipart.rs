//! A file of several parts on its way to the store.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use object_store::PutPayload;
use object_store::multipart::PartId;
use object_store::path::Path;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::budget::Permits;
use super::client::BucketClient;
use crate::store::StoreError;

/// How many parts of one file are on their way at once.
const CONCURRENT_PARTS: usize = 4;

/// A part, and its share of the budget until it is stored.
pub struct FilledPart {
    pub content: PutPayload,
    pub permits: Permits,
}

/// A message to the transfer of a file.
pub enum PartMessage {
    /// The next part.
    Part(FilledPart),
    /// There are no more parts.
    End,
}

/// Stores a file as its parts come. Aborts it if the channel closes before
/// [`End`](PartMessage::End), or when `given_up` is cancelled.
pub async fn transfer(
    client: &BucketClient,
    key: &Path,
    parts: mpsc::Receiver<PartMessage>,
    given_up: CancellationToken,
) -> Result<(), StoreError> {
    let upload = client.begin(key).await?;
    let sent = tokio::select! {
        () = given_up.cancelled() => Err(broken_off()),
        sent = send(client, key, &upload, parts) => sent,
    };
    // Not to be broken off: the object would appear after a removal has looked for it.
    let completed = match sent {
        Ok((parts, size)) => client.complete(key, &upload, parts, size).await,
        Err(error) => Err(error),
    };
    if completed.is_err() {
        client.abort(key, &upload).await;
    }
    completed
}

/// Sends the parts; answers their names at the store, and how many bytes they have.
async fn send(
    client: &BucketClient,
    key: &Path,
    upload: &String,
    mut parts: mpsc::Receiver<PartMessage>,
) -> Result<(Vec<PartId>, u64), StoreError> {
    let mut flying = FuturesUnordered::new();
    let mut stored: Vec<Option<PartId>> = Vec::new();
    let (mut size, mut ended) = (0, false);
    while !ended || !flying.is_empty() {
        tokio::select! {
            Some((number, part)) = flying.next(), if !flying.is_empty() => {
                let place: &mut Option<PartId> = &mut stored[number];
                *place = Some(part?);
            }
            message = parts.recv(), if !ended && flying.len() < CONCURRENT_PARTS => match message {
                Some(PartMessage::Part(FilledPart { content, permits })) => {
                    let number = stored.len();
                    stored.push(None);
                    size += content.content_length() as u64;
                    flying.push(async move {
                        let part = client.put_part(key, upload, number, content).await;
                        drop(permits);
                        (number, part)
                    });
                }
                Some(PartMessage::End) => ended = true,
                None => return Err(broken_off()),
            },
        }
    }
    let stored = stored
        .into_iter()
        .map(|part| part.expect("no part is in flight"));
    Ok((stored.collect(), size))
}

fn broken_off() -> StoreError {
    StoreError::Unavailable("the upload was broken off".to_owned())
}
