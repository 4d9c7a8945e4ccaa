//! `GET /uploads`: the listing.

mod body;

use std::convert::Infallible;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::delivery::{ListFilter, ListQuery, Listed, ListingCursor};
use crate::http::AppState;
use crate::http::rules::access::{Action, Caller, Scope};
use crate::http::rules::origin::Origin;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::query::Parameters;
use crate::model::{FileName, IdBeginning, TimeError, Timestamp};
use body::ListingBody;

/// How many uploads a page of the listing has, and may have.
const PAGE: usize = 100;
pub(super) const MAX_PAGE: usize = 1000;
/// How many whole records one has, and may have.
pub(super) const MAX_RECORDS: usize = 20;
/// The parameters, in the order in which they are explained.
const PARAMETERS: [&str; 7] = [
    "limit",
    "after",
    "name",
    "id",
    "created_after",
    "created_before",
    FULL,
];
/// The parameter that asks for whole records.
const FULL: &str = "full";

/// The uploads, newest first; those with limited downloads for `admin` alone. An error after the
/// head breaks the body off.
pub async fn list(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    Extension(origin): Extension<Origin>,
    caller: Option<Extension<Caller>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::strict(query.as_deref(), &PARAMETERS)?;
    let caller = caller.map_or(Caller::Stranger, |Extension(caller)| caller);
    let listed = match caller.may(Scope::Admin) {
        true => Listed::All,
        false => Listed::Unlimited,
    };
    let (asked, full) = asked(&parameters, listed)?;
    if full {
        // A record says what a download does: the text fields, for instance.
        app.require(Action::Download, &origin, &caller, &headers)?;
    }
    let listing = app.delivery.list(asked).await?;
    let next = listing.next_cursor();
    let base = app.base_of(&origin);
    let body = match method {
        // The length of the body is known only once it is written: the answer gives none.
        Method::HEAD => Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()),
        _ if full => {
            let records = ListingBody::of_records(listing, base, &app.delivery);
            records.body().await?
        }
        _ => ListingBody::of_lines(listing, base).body().await?,
    };
    let mut response = body.into_response();
    let fields = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    fields.insert(header::CONTENT_TYPE, json);
    let fresh = HeaderValue::from_static("no-cache");
    fields.insert(header::CACHE_CONTROL, fresh);
    if let Some(next) = next
        && let Ok(link) = HeaderValue::try_from(link(&app.options.base_path, &parameters, &next))
    {
        fields.insert(header::LINK, link);
    }
    Ok(response)
}

/// The parameters of a listing, and whether it is of whole records.
fn asked(parameters: &Parameters, listed: Listed) -> Result<(ListQuery, bool), Problem> {
    let full = parameters.flag(FULL)?;
    let (usual, most) = match full {
        true => (MAX_RECORDS, MAX_RECORDS),
        false => (PAGE, MAX_PAGE),
    };
    let time = |name: &str| {
        let text = parameters.one(name)?;
        text.map(|text| parse_time(name, text)).transpose()
    };
    let limit = parameters.one("limit")?;
    let id = parameters.one("id")?;
    let mut filter = ListFilter::from(listed);
    filter.id = id.map(parse_beginning).transpose()?;
    if let Some(name) = parameters.one("name")? {
        if name.is_empty() {
            let detail = "name: it is empty; without it all names are listed";
            return Err(Problem::invalid_parameter("name", detail));
        }
        filter.names = FileName::asked(name).collect();
    }
    let asked = ListQuery {
        after: parameters.one("after")?.map(parse_cursor).transpose()?,
        limit: limit.map_or(Ok(usual), |limit| parse_limit(limit, most, full))?,
        filter,
        created_after: time("created_after")?,
        created_before: time("created_before")?,
    };
    Ok((asked, full))
}

/// The address of the listing behind this one, as a link (RFC 8288).
fn link(base: &str, parameters: &Parameters, next: &ListingCursor) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let others = parameters.iter().filter(|(key, _)| *key != "after");
    let others = others.map(|(key, value)| format!("{}={}&", encoded(key), encoded(value)));
    format!(
        "<{base}/uploads?{}after={next}>; rel=\"next\"",
        others.collect::<String>()
    )
}

fn parse_limit(value: &str, most: usize, full: bool) -> Result<usize, Problem> {
    match value.parse() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        _ => {
            let of = if full {
                ", the most of whole records"
            } else {
                ""
            };
            let detail = format!("limit: {value:?} is not a number from 1 to {most}{of}");
            Err(Problem::invalid_parameter("limit", detail).most(most as u64))
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

    fn read(query: &str) -> Result<(ListQuery, bool), Problem> {
        asked(&Parameters::strict(Some(query), &PARAMETERS)?, Listed::All)
    }

    #[test]
    fn the_next_page_is_asked_for_as_this_one() {
        let query = "name=a%26b&after=old&limit=3&utm_source=x";
        let parameters = Parameters::strict(Some(query), &PARAMETERS).ok().unwrap();
        let cursor = "AQAAAaIF97dLMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA";
        let next = cursor.parse().unwrap();
        assert_eq!(
            link("/w", &parameters, &next),
            format!("</w/uploads?name=a%26b&limit=3&after={cursor}>; rel=\"next\"")
        );
    }

    #[test]
    fn what_a_listing_is_asked_for_is_understood_or_refused() {
        for (query, limit, full) in [
            ("", 100, false),
            ("full=1", 20, true),
            ("full=0&limit=21", 21, false),
            ("full&limit=3", 3, true),
        ] {
            let (asked, whole) = read(query).unwrap();
            assert_eq!(
                (asked.limit, whole, asked.after),
                (limit, full, None),
                "{query}"
            );
        }
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=21&full=1", "limit"),
            ("limit=3&limit=3", "limit"),
            ("id=0c8", "id"),
            ("id=uuuu", "id"),
            ("name=", "name"),
            ("created_after=yesterday", "created_after"),
            ("created_before=", "created_before"),
            ("after=x", "after"),
            ("full=yes", "full"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(refused.detail("").starts_with(field), "{query}");
        }
        assert!(
            read("nmae=a")
                .unwrap_err()
                .detail("")
                .contains("did you mean name?")
        );
        for time in ["2026-11-23T01:14:10Z", "2026-11-23T01:14:10+01:00"] {
            assert!(read(&format!("created_after={time}")).is_ok(), "{time}");
        }
    }
}
