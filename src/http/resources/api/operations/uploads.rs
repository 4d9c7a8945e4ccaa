//! What stores an upload.

use serde_json::{Value, json};

use super::super::schemas;
use super::{Described, Tag, document, text};
use crate::http::rules::problem::Code;

/// What a request to store may end in.
pub const STORING: &[Code] = &[
    Code::UnknownOption,
    Code::InvalidOption,
    Code::InvalidDigest,
    Code::DigestMismatch,
    Code::TooManyUploads,
    Code::ShuttingDown,
    Code::IndexUnavailable,
    Code::StorageUnavailable,
    Code::NoSpace,
    Code::QuotaExceeded,
];
/// What one to store a form may end in beside.
pub const FORM: &[Code] = &[Code::MalformedForm, Code::UnsupportedMediaType];

pub fn all() -> Vec<Described> {
    vec![
        stored(
            Described::new(
                Tag::Uploads,
                ("post", "/upload"),
                "createUpload",
                "Store a form as one unit, all of it or nothing",
            )
            .says("Every part with a file name is a file, every other a text field. Fields whose names begin with `wharf_` are options; all others come back as they came. A client that prefers HTML is led to the page of the upload")
            .body("multipart/form-data", schemas::form())
            .problems(&[FORM]),
        ),
        stored(
            Described::new(
                Tag::Uploads,
                ("put", "/files/{name}"),
                "putFile",
                "Store one file as an upload of its own",
            )
            .says("Each request stores a new upload: nothing is replaced, whatever has the same name")
            .body("application/octet-stream", file())
            .or_none(),
        ),
        stored(
            Described::new(
                Tag::Uploads,
                ("post", "/files"),
                "postFile",
                "Store one file whose name is in the query",
            )
            .says("As `putFile`, for clients that have to POST")
            .parameter(named())
            .body("application/octet-stream", file())
            .or_none()
            .problems(&[&[Code::InvalidParameter, Code::UnsupportedMediaType]]),
        ),
    ]
}

fn stored(described: Described) -> Described {
    described
        .options()
        .guarded()
        .answers(
            201,
            "Stored: the upload with the token that changes and deletes it, which is told once. `text/plain` is the share link alone; with `Prefer: return=minimal` there is no body, and the fields say what is needed",
            &[document("Created"), text()],
        )
        .always(&["Location", "Cache-Control", "Vary", "Link", "Wharf-Delete-Token"])
        .at_times(&["Preference-Applied"])
        .answers(
            303,
            "Stored; a client that prefers HTML is led to the upload's page",
            &[],
        )
        .always(&["Location", "Cache-Control", "Vary", "Set-Cookie"])
        .problems(&[STORING])
}

/// Bytes.
fn file() -> Value {
    json!({})
}

fn named() -> Value {
    json!({
        "name": "name", "in": "query", "required": true, "description": "The name of the file",
        "schema": { "type": "string", "minLength": 1 }, "example": "part1.txt",
    })
}
