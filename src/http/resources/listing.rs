//! `GET /uploads`: the listing, written piece by piece as the client reads it.

use std::convert::Infallible;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::record;
use crate::delivery::{DeliveryError, ListQuery, Listed, Listing, ListingCursor};
use crate::http::AppState;
use crate::http::rules::access::Scope;
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::query::parse_query;
use crate::model::{FileName, IdBeginning, TimeError, Timestamp};

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
    let pairs = parse_query(query.as_deref().unwrap_or_default())?;
    let listed = match app.options.access.allows(Scope::Admin, &headers) {
        true => Listed::All,
        false => Listed::Unlimited,
    };
    let listing = app.delivery.list(asked(&pairs, listed)?).await?;
    let next = listing.next_cursor();
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
    if let Some(next) = next
        && let Ok(link) = HeaderValue::try_from(link(&app.options.base_path, &pairs, &next))
    {
        fields.insert(header::LINK, link);
    }
    Ok(response)
}

/// What the parameters of a listing ask for.
fn asked(pairs: &[(String, String)], listed: Listed) -> Result<ListQuery, Problem> {
    let mut asked = ListQuery {
        after: None,
        limit: PAGE,
        filter: listed.into(),
        created_after: None,
        created_before: None,
    };
    for (key, value) in pairs {
        match key.as_str() {
            "limit" => asked.limit = parse_limit(value)?,
            "after" => asked.after = Some(parse_cursor(value)?),
            "name" => asked.filter.names = FileName::asked(value).collect(),
            "id" => asked.filter.id = Some(parse_beginning(value)?),
            "created_after" => asked.created_after = Some(parse_time(key, value)?),
            "created_before" => asked.created_before = Some(parse_time(key, value)?),
            _ => {}
        }
    }
    Ok(asked)
}

/// The address of the listing behind this one, as a link (RFC 8288).
fn link(base: &str, pairs: &[(String, String)], next: &ListingCursor) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let others = pairs.iter().filter(|(key, _)| key != "after");
    let others = others.map(|(key, value)| format!("{}={}&", encoded(key), encoded(value)));
    format!(
        "<{base}/uploads?{}after={next}>; rel=\"next\"",
        others.collect::<String>()
    )
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
            let next = match listing.next_cursor() {
                Some(cursor) => format!("\"{cursor}\""),
                None => "null".to_owned(),
            };
            text.extend_from_slice(format!("],\"next_cursor\":{next}}}\n").as_bytes());
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
        let detail = format!("after: {value:?} is no next_cursor of a listing");
        Problem::new(Code::InvalidCursor, detail).field("after")
    })
}

fn parse_beginning(value: &str) -> Result<IdBeginning, Problem> {
    IdBeginning::parse(value).map_err(|error| {
        let detail = format!("id: {value:?} is not four characters of an id or more: {error}");
        Problem::invalid_parameter("id", detail)
    })
}

fn parse_time(key: &str, value: &str) -> Result<Timestamp, Problem> {
    // A plus sign in a query stands for a space.
    let text = value.replace(' ', "+");
    let time = value
        .parse()
        .or_else(|error| text.parse().map_err(|_| error));
    time.map_err(|error: TimeError| Problem::invalid_parameter(key, format!("{key}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_for_as_this_one() {
        let pairs = parse_query("name=a%26b&after=old&limit=3").unwrap();
        let query = asked(&[], Listed::All).unwrap();
        assert_eq!((query.limit, query.after), (PAGE, None));
        let cursor = "AQAAAaIF97dLMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA";
        let next = cursor.parse().unwrap();
        assert_eq!(
            link("/w", &pairs, &next),
            format!("</w/uploads?name=a%26b&limit=3&after={cursor}>; rel=\"next\"")
        );
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("id=0c8", "id"),
            ("id=uuuu", "id"),
            ("created_after=yesterday", "created_after"),
            ("created_before=", "created_before"),
            ("after=x", "after"),
        ] {
            let refused = asked(&parse_query(query).unwrap(), Listed::All).unwrap_err();
            assert!(refused.detail("").starts_with(field), "{query}");
        }
        for time in ["2026-11-23T01:14:10Z", "2026-11-23T01:14:10+01:00"] {
            let pairs = parse_query(&format!("created_after={time}")).unwrap();
            assert!(asked(&pairs, Listed::All).is_ok(), "{time}");
        }
    }
}
