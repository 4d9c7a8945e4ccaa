//! The operations that give back stored files.

use serde_json::{Value, json};

use super::{Described, Tag};
use crate::http::resources::download::MAX_NAMES;
use crate::http::rules::problem::Code;

/// The problems that a download may end in.
const DOWNLOADING: &[Code] = &[
    Code::LastDownloadInProgress,
    Code::PreconditionFailed,
    Code::RangeNotSatisfiable,
    Code::PrefetchRefused,
    Code::IndexUnavailable,
    Code::StorageUnavailable,
    Code::NoSpace,
    Code::InvalidParameter,
];
/// The further problems of one by name; a name that has the form of an id is looked up as one too.
const BY_NAME: &[Code] = &[Code::NameNotFound, Code::UploadNotFound];
const BY_ID: &[Code] = &[Code::UploadNotFound, Code::FileNotFound];

pub fn all() -> Vec<Described> {
    let names = json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true, "minItems": 1, "maxItems": MAX_NAMES });
    let some = json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true, "maxItems": MAX_NAMES });
    vec![
        form(
            Described::new(
                Tag::Downloads,
                ("get", "/download"),
                "downloadForms",
                "Several names or ids in one form, in the order asked",
            )
            .head("headForms")
            .parameter(json!({
                "name": "name", "in": "query", "required": true, "schema": names,
                "description": "A name or an id; once for each", "example": ["part1.txt", "part3.json"],
            }))
            .problems(&[BY_NAME]),
        )
        .named()
        .at_most_one()
        .moved(),
        form(
            Described::new(
                Tag::Downloads,
                ("get", "/download/{name}"),
                "downloadForm",
                "The form of an id, or the newest file of a name as a form",
            )
            .says("The form has the parts that came, in their order, with their names and types, and is the same bytes each time: one that broke off goes on with `Range` and `If-Range`")
            .head("headForm")
            .problems(&[BY_NAME]),
        )
        .one()
        .named()
        .led(),
        form(
            Described::new(
                Tag::Downloads,
                ("get", "/download/{id}/{name}"),
                "downloadFile",
                "One file of an upload as a form",
            )
            .head("headFileForm")
            .problems(&[BY_ID]),
        )
        .one()
        .led(),
        archive(
            Described::new(
                Tag::Downloads,
                ("get", "/archive/{name}"),
                "getArchive",
                "The files of an upload in one: ID.zip or ID.tar",
            )
            .says("Nothing is compressed, and each file lies in the folders that came with its name. Length and `ETag` are known beforehand: one that broke off goes on with `Range` and `If-Range`")
            .head("headArchive")
            .parameter(json!({
                "name": "name", "in": "query", "schema": some,
                "description": "A file of the upload; once for each, all where none is named",
            }))
            .problems(&[BY_ID, &[Code::InvalidParameter, Code::NoSuchRoute, Code::ArchivePreparing]]),
        )
        .one()
        .moved(),
        raw(
            Described::new(
                Tag::Downloads,
                ("get", "/files/{name}"),
                "getFileByName",
                "The newest file of a name as it is",
            )
            .head("headFileByName")
            .problems(&[BY_NAME]),
        )
        .one()
        .named()
        .led(),
        raw(
            Described::new(
                Tag::Downloads,
                ("get", "/files/{id}/{name}"),
                "getFile",
                "One file of an upload as it is",
            )
            .head("headFile")
            .problems(&[BY_ID]),
        )
        .one()
        .moved(),
    ]
}

fn form(described: Described) -> Described {
    let types = [
        ("multipart/form-data", json!({})),
        ("multipart/byteranges", json!({})),
    ];
    read(described, &types, &["Content-Disposition"]).of_all(&["Vary"])
}

impl Described {
    /// Of one upload, whose record is said.
    fn one(self) -> Self {
        self.of_all(&["Link"])
    }

    /// Of one upload, or of several.
    fn at_most_one(self) -> Self {
        ["200", "206", "304"]
            .into_iter()
            .fold(self, |described, status| {
                described.of(status).at_times(&["Link"])
            })
    }

    /// By name, which leads to another upload next time.
    fn named(self) -> Self {
        ["200", "206", "304"]
            .into_iter()
            .fold(self, |described, status| {
                described.of(status).at_times(&["Content-Location"])
            })
    }

    /// Fields of every answer with content, and of the one to a client that has it.
    fn of_all(self, names: &[&str]) -> Self {
        ["200", "206", "304"]
            .into_iter()
            .fold(self, |described, status| described.of(status).always(names))
    }

    /// People are led to what they can look at, and everybody from an id to its one file.
    fn led(self) -> Self {
        self.answers(303, "What can be looked at is there", &[])
            .always(&["Location", "Cache-Control", "Vary"])
            .at_times(&["Content-Location", "Link"])
            .moved()
    }
}

fn archive(described: Described) -> Described {
    let types = [
        ("application/zip", json!({})),
        ("application/x-tar", json!({})),
        ("multipart/byteranges", json!({})),
    ];
    read(described, &types, &["Content-Disposition"])
}

fn raw(described: Described) -> Described {
    let shown = "1 to look at it in a browser, where its type cannot run script";
    let described = described.query(
        "inline",
        json!({ "type": "string", "enum": ["1", "true", "", "0", "false"] }),
        shown,
    );
    let always = [
        "Content-Disposition",
        "Content-Security-Policy",
        "Cross-Origin-Resource-Policy",
    ];
    read(described, &[("*/*", json!({}))], &always)
        .answers(
            307,
            "The file is in a bucket, for a short time at this address (`s3_redirect`)",
            &[],
        )
        .always(&["Location", "Cache-Control", "Link"])
        .at_times(&["Content-Location"])
}

fn read(described: Described, types: &[(&str, Value)], always: &[&str]) -> Described {
    // Of a limited upload the other two say less than they might.
    let validators = ["ETag", "Cache-Control", "Accept-Ranges"];
    let at_times: &[&str] = match always {
        ["Content-Disposition"] => &["Last-Modified"],
        _ => &["Last-Modified", "Repr-Digest"],
    };
    described
        .answers(200, "All of it", types)
        .always(&validators)
        .always(&["Content-Length"])
        .always(always)
        .at_times(at_times)
        .answers(206, "The ranges that were asked for", types)
        .always(&validators)
        .always(&["Content-Length"])
        .always(always)
        .at_times(at_times)
        .at_times(&["Content-Range"])
        .answers(304, "The client has it", &[])
        .always(&validators)
        .at_times(&["Last-Modified"])
        .problems(&[DOWNLOADING])
        .guarded()
}
