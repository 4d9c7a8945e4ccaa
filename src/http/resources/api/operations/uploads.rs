//! The operations that store an upload.

use serde_json::{Value, json};

use super::super::schemas;
use super::{Described, Tag, document, text};
use crate::http::rules::problem::Code;

/// The problems that a request to store may end in.
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
/// The further problems of one to store a form.
pub const FORM: &[Code] = &[Code::MalformedForm, Code::UnsupportedMediaType];

const STORED: &str = "Stored: the upload with the token that changes and deletes it, which is told once. `text/plain` is the share link alone; with `Prefer: return=minimal` there is no body, and the fields say what is needed";
/// The fields of the answer.
const HEAD: [&str; 6] = [
    "Location",
    "Cache-Control",
    "Vary",
    "Link",
    "Wharf-Delete-Token",
    "ETag",
];

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
            .says("Each request stores a new upload: nothing is replaced, whatever has the same name. `If-None-Match: *` refuses it where the name leads to a file")
            .preconditions("the file that the name leads to")
            .parameter(folders())
            .body("application/octet-stream", file())
            .or_none()
            .problems(&[&[Code::InvalidParameter, Code::PreconditionFailed]]),
        )
        .answers(201, STORED, &[document("Created"), text()])
        .always(&HEAD)
        .always(&["Content-Location"])
        .at_times(&["Preference-Applied", "Set-Cookie"]),
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
            .parameter(folders())
            .or_none()
            .problems(&[&[Code::InvalidParameter, Code::UnsupportedMediaType]]),
        )
        .answers(201, STORED, &[document("Created"), text()])
        .always(&HEAD)
        .always(&["Content-Location"])
        .at_times(&["Preference-Applied", "Set-Cookie"]),
    ]
}

fn stored(described: Described) -> Described {
    described
        .options()
        .guarded()
        .answers(201, STORED, &[document("Created"), text()])
        .always(&HEAD)
        .at_times(&["Preference-Applied", "Set-Cookie"])
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

fn folders() -> Value {
    json!({
        "name": "path", "in": "query", "description": "The folders that the file is in, without its name",
        "schema": { "type": "string", "maxLength": 1024, "pattern": "^([^/\\\\.\\u0000]+(/[^/\\\\.\\u0000]+)*)?$" }, "example": "a/b",
    })
}

fn named() -> Value {
    json!({
        "name": "name", "in": "query", "required": true, "description": "The name of the file",
        "schema": { "type": "string", "minLength": 1 }, "example": "part1.txt",
    })
}
