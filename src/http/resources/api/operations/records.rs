//! Uploads as records.

use serde_json::json;

use super::super::describe::reference;
use super::super::schemas::ID;
use super::{Described, Tag, document, html, text};
use crate::http::resources::listing::MAX_PAGE;
use crate::http::rules::problem::Code;

/// What may be away.
const PARTS: &[Code] = &[Code::IndexUnavailable, Code::StorageUnavailable];

pub fn all() -> Vec<Described> {
    vec![list(), show(), change(), delete()]
}

fn list() -> Described {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100 });
    let cursor = json!({ "type": "string", "pattern": format!("^[0-9]{{1,14}}-{ID}$") });
    Described::new(
        Tag::Uploads,
        ("get", "/uploads"),
        "listUploads",
        "The uploads, newest first",
    )
    .says("Uploads whose downloads are limited are listed for `admin` alone")
    .head("headUploads")
    .query("limit", limit, "How many")
    .query("after", cursor, "The `next` of the page before")
    .answers(200, "A page of them", &[document("Listing")])
    .always(&["Cache-Control"])
    .at_times(&["Content-Length"])
    .problems(&[PARTS, &[Code::InvalidParameter, Code::InvalidCursor]])
    .guarded()
}

fn show() -> Described {
    Described::new(
        Tag::Uploads,
        ("get", "/uploads/{id}"),
        "getUpload",
        "The record of an upload",
    )
    .says("As JSON; a client that prefers HTML gets its page, and one that prefers plain text its share link")
    .head("headUpload")
    .answers(200, "The record", &[document("Upload"), text(), html()])
    .always(&["Cache-Control", "Vary", "Content-Length"])
    .at_times(&[
        "Content-Security-Policy",
        "Referrer-Policy",
        "Cross-Origin-Opener-Policy",
        "Set-Cookie",
    ])
    .problems(&[PARTS, &[Code::UploadNotFound]])
    .guarded()
}

fn change() -> Described {
    Described::new(
        Tag::Uploads,
        ("patch", "/uploads/{id}"),
        "updateUpload",
        "Change the deadline of an upload",
    )
    .says("`expires_in` is counted from now, and may end the upload earlier or later than before")
    .body("application/json", reference("Change"))
    .answers(200, "The upload as it is now", &[document("Upload")])
    .always(&["Cache-Control", "Content-Length"])
    .answers(
        204,
        "It is changed; the client wanted no body (`Prefer: return=minimal`)",
        &[],
    )
    .always(&["Cache-Control", "Preference-Applied"])
    .problems(&[
        PARTS,
        &[Code::UnknownOption, Code::InvalidOption, Code::InvalidJson],
    ])
    .owned()
}

fn delete() -> Described {
    Described::new(
        Tag::Uploads,
        ("delete", "/uploads/{id}"),
        "deleteUpload",
        "Delete an upload",
    )
    .says("404 where nothing is left of it, and for a token that is not its")
    .answers(204, "It is gone", &[])
    .problems(&[PARTS])
    .owned()
}
