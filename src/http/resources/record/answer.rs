//! A record as an answer.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};

use super::{RecordText, upload_url};
use crate::delivery::{Delivery, ReadAgainError};
use crate::http::AppState;
use crate::http::rules::origin::Origin;
use crate::model::Manifest;

/// The room for a first piece: a small record needs no other.
const ROOM: usize = 1 << 10;

/// A record on its way, as a document of its own.
struct RecordStream {
    text: RecordText,
    /// The end of the document is written.
    ended: bool,
}

impl RecordStream {
    /// The next piece; `None` at the end. The document ends with a line feed.
    fn next(&mut self, manifest: &Manifest, room: usize) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let mut out = Vec::with_capacity(room);
        self.text.write(manifest, &mut out);
        if self.text.is_written() {
            out.push(b'\n');
            self.ended = true;
        }
        Some(out)
    }
}

/// The share link of an upload as an answer, one line for scripts.
pub fn link(manifest: &Manifest, base: &str) -> Response {
    let link = upload_url(&manifest.id, base);
    let mut response = format!("{link}\n").into_response();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

impl AppState {
    /// The record of an upload as an answer, a document in JSON.
    pub(in crate::http::resources) async fn record(
        &self,
        manifest: &Arc<Manifest>,
        origin: &Origin,
    ) -> Response {
        let text = RecordText::new(manifest, self.base_of(origin));
        answer(&self.delivery, manifest, text).await
    }

    /// The same with its delete token, for the client that has just stored it.
    pub(in crate::http::resources) async fn created_record(
        &self,
        manifest: &Arc<Manifest>,
        origin: &Origin,
        delete_token: &str,
    ) -> Response {
        let text = RecordText::created(manifest, self.base_of(origin), delete_token);
        answer(&self.delivery, manifest, text).await
    }
}

/// The answer with this record of `manifest`, which has a length.
async fn answer(delivery: &Delivery, manifest: &Arc<Manifest>, text: RecordText) -> Response {
    let mut record = RecordStream { text, ended: false };
    let first = record.next(manifest, ROOM).unwrap_or_default();
    let mut response = if record.ended {
        Body::from(first).into_response()
    } else {
        let length = first.len() as u64 + rest(&mut record, manifest).await;
        let body = body(first, record, delivery, manifest);
        let mut response = body.into_response();
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_LENGTH, length.into());
        response
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The length of what is not yet written of a record, in bytes: it is written once for that. Others
/// have their turn between two pieces.
async fn rest(record: &mut RecordStream, manifest: &Manifest) -> u64 {
    let here = record.text.mark();
    let mut length = 0;
    while let Some(piece) = record.next(manifest, 0) {
        length += piece.len() as u64;
        tokio::task::yield_now().await;
    }
    record.text.rewind(here);
    record.ended = false;
    length
}

/// The `first` piece and all behind it. An error breaks the body off.
fn body(
    first: Vec<u8>,
    record: RecordStream,
    delivery: &Delivery,
    manifest: &Arc<Manifest>,
) -> Body {
    let reader = delivery.reader(manifest);
    let state = (Some(first), record, reader);
    let pieces = stream::try_unfold(state, |(first, mut record, mut reader)| async move {
        let piece = match first {
            Some(first) => Some(first),
            None if record.ended => None,
            None => {
                let manifest = reader.get().await?;
                record.next(&manifest, 0)
            }
        };
        let next = piece.map(|piece| (Bytes::from(piece), (None, record, reader)));
        Ok::<_, ReadAgainError>(next)
    });
    Body::from_stream(pieces)
}
