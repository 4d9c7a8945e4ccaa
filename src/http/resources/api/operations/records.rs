//! Uploads as records.

use serde_json::json;

use super::super::describe::reference;
use super::{Described, Tag, document, html, text};
use crate::http::resources::listing::MAX_PAGE;
use crate::http::rules::problem::Code;

/// The parts of the server that may be away.
const PARTS: &[Code] = &[Code::IndexUnavailable, Code::StorageUnavailable];

pub fn all() -> Vec<Described> {
    vec![list(), show(), change(), delete()]
}

fn list() -> Described {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100 });
    let cursor = json!({ "type": "string", "pattern": "^AQ[A-Za-z0-9_-]{45}$" });
    let beginning = json!({ "type": "string", "pattern": "^[0-9A-TV-Za-tv-z]{4,26}$" });
    let time = json!({ "type": "string", "format": "date-time" });
    Described::new(
        Tag::Uploads,
        ("get", "/uploads"),
        "listUploads",
        "The uploads, newest first",
    )
    .says("Uploads whose downloads are limited are listed for `admin` alone")
    .head("headUploads")
    .query("limit", limit, "How many")
    .query("after", cursor, "The `next_cursor` of the page before")
    .query(
        "name",
        json!({ "type": "string" }),
        "Those with a file of this name",
    )
    .query("id", beginning, "Those whose ids begin so")
    .query("created_after", time.clone(), "Those stored later")
    .query("created_before", time, "Those stored earlier")
    .query(
        "full",
        json!({ "type": "string", "enum": ["1", "true", "", "0", "false"] }),
        "Whole records, with `files` and `fields`: 20 at most. Where a download needs a secret, it needs one that may download too",
    )
    .answers(200, "A page of them", &[document("Listing")])
    .always(&["Cache-Control"])
    .at_times(&["Content-Length", "Link"])
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
    .preconditions("one of its versions")
    .says("As JSON; a client that prefers HTML gets its page, and one that prefers plain text its share link")
    .head("headUpload")
    .answers(200, "The record", &[document("Upload"), text(), html()])
    .always(&["Cache-Control", "Vary", "Content-Length"])
    .at_times(&[
        "Content-Security-Policy",
        "Referrer-Policy",
        "Cross-Origin-Opener-Policy",
        "X-Robots-Tag",
        "Set-Cookie",
        "ETag",
    ])
    .answers(304, "The client has it", &[])
    .always(&["ETag", "Cache-Control", "Vary"])
    .moved()
    .problems(&[PARTS, &[Code::UploadNotFound, Code::PreconditionFailed]])
    .guarded()
}

fn change() -> Described {
    Described::new(
        Tag::Uploads,
        ("patch", "/uploads/{id}"),
        "updateUpload",
        "Change the deadline, the limit of downloads or the title of an upload",
    )
    .preconditions("the version that is to be changed")
    .says("What is left out stays as it is, and null takes it away (RFC 7396). `expires_in` is counted from now, and may end the upload earlier or later than before")
    .body("application/json", reference("Change"))
    .or_body("application/merge-patch+json", reference("Change"))
    .answers(200, "The upload as it is now", &[document("Upload")])
    .always(&["Cache-Control", "Content-Length", "ETag"])
    .answers(
        204,
        "It is changed; the client wanted no body (`Prefer: return=minimal`)",
        &[],
    )
    .always(&["Cache-Control", "Preference-Applied", "ETag"])
    .moved()
    .problems(&[
        &[Code::StorageUnavailable, Code::NoSpace],
        &[
            Code::UnknownOption,
            Code::InvalidOption,
            Code::InvalidJson,
            Code::PreconditionFailed,
            Code::UnsupportedMediaType,
        ],
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
    .preconditions("the version that is to be deleted")
    .answers(204, "It is gone", &[])
    .moved()
    .problems(&[&[
        Code::StorageUnavailable,
        Code::NoSpace,
        Code::UnknownOption,
        Code::PreconditionFailed,
    ]])
    .owned()
}
