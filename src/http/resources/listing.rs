//! `GET /uploads`: the listing, written piece by piece as the client reads it.

use std::convert::Infallible;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, header};

use super::record;
use crate::delivery::{DeliveryError, Listed, Listing, ListingCursor};
use crate::http::AppState;
use crate::http::rules::access::Scope;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::query::parse_query;

/// How many uploads a page of the listing has, and may have.
const PAGE: usize = 100;
pub(super) const MAX_PAGE: usize = 1000;

/// The uploads, newest first; those with limited downloads for `admin` alone. An error after the
/// head breaks the body off.
pub async fn list(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut limit = PAGE;
    let mut after = None;
    for (key, value) in parse_query(query.as_deref().unwrap_or_default())? {
        match key.as_str() {
            "limit" => limit = parse_limit(&value)?,
            "after" => after = Some(parse_cursor(&value)?),
            _ => {}
        }
    }
    let listed = match app.options.access.allows(Scope::Admin, &headers) {
        true => Listed::All,
        false => Listed::Unlimited,
    };
    let listing = app.delivery.list(after, limit, listed).await?;
    let body = match method {
        // The length of the body is known only once it is written: the answer gives none.
        Method::HEAD => Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()),
        _ => {
            ListingJson::of(listing, app.base_of(&origin))
                .body()
                .await?
        }
    };
    let mut response = body.into_response();
    let fields = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    fields.insert(header::CONTENT_TYPE, json);
    let fresh = HeaderValue::from_static("no-cache");
    fields.insert(header::CACHE_CONTROL, fresh);
    Ok(response)
}

/// A listing as JSON, piece by piece.
struct ListingJson {
    /// `None` when all of it was written.
    listing: Option<Listing>,
    base: String,
    begun: bool,
    /// Whether an upload was written.
    any: bool,
}

impl ListingJson {
    fn of(listing: Listing, base: String) -> Self {
        ListingJson {
            listing: Some(listing),
            base,
            begun: false,
            any: false,
        }
    }

    /// The body. An error with the first uploads is an answer of its own, and a listing of no more
    /// than these has a length.
    async fn body(mut self) -> Result<Body, Problem> {
        let first = self.more().await?.unwrap_or_default();
        if self.listing.is_none() {
            return Ok(Body::from(first));
        }
        let pieces = stream::try_unfold((Some(first), self), |(first, mut text)| async move {
            let piece = match first {
                Some(first) => Some(first),
                None => text.more().await?,
            };
            Ok::<_, DeliveryError>(piece.map(|piece| (piece, (None, text))))
        });
        Ok(Body::from_stream(pieces))
    }

    /// The next piece.
    async fn more(&mut self) -> Result<Option<Bytes>, DeliveryError> {
        let Some(listing) = &mut self.listing else {
            return Ok(None);
        };
        let uploads = listing.more().await?;
        let done = listing.is_done();
        let mut text = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            text.extend_from_slice(b"{\"uploads\":[");
        }
        for upload in &uploads {
            if std::mem::replace(&mut self.any, true) {
                text.push(b',');
            }
            let json = record::summary(upload, &self.base);
            serde_json::to_writer(&mut text, &json).expect("a Vec takes what is written");
        }
        if done && let Some(listing) = self.listing.take() {
            let next = match listing.end().await? {
                Some(cursor) => format!("\"{cursor}\""),
                None => "null".to_owned(),
            };
            text.extend_from_slice(format!("],\"next\":{next}}}\n").as_bytes());
        }
        Ok(Some(text.into()))
    }
}

fn parse_limit(value: &str) -> Result<usize, Problem> {
    match value.parse() {
        Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => {
            let detail = format!("limit: {value:?} is not a number from 1 to {MAX_PAGE}");
            Err(Problem::invalid_parameter("limit", detail).most(MAX_PAGE as u64))
        }
    }
}

fn parse_cursor(value: &str) -> Result<ListingCursor, Problem> {
    value.parse().map_err(|_| {
        let detail = format!("after: {value:?} is not a \"next\" of a listing");
        Problem::new(Code::InvalidCursor, detail).field("after")
    })
}
