//! The protocols of upload widgets.

use serde_json::json;

use super::super::schemas::{self, ID};
use super::uploads::{FORM, STORING};
use super::{Described, Tag, text};
use crate::http::rules::problem::Code;

pub fn all() -> Vec<Described> {
    let key = json!({ "type": "string", "pattern": format!("^{ID}\\.[A-Za-z0-9_-]{{1,200}}$") });
    vec![
        Described::new(
            Tag::Widgets,
            ("post", "/compat/filepond"),
            "processFilepond",
            "Store a form of the widget FilePond",
        )
        .options()
        .body("multipart/form-data", schemas::form())
        .answers(
            201,
            "The upload's `manage_key`, by which the widget knows it",
            &[text()],
        )
        .always(&[
            "Cache-Control",
            "Content-Length",
            "Location",
            "Link",
            "Wharf-Delete-Token",
        ])
        .problems(&[STORING, FORM])
        .guarded(),
        Described::new(
            Tag::Widgets,
            ("delete", "/compat/filepond"),
            "revertFilepond",
            "Undo an upload of the widget FilePond",
        )
        .body("text/plain", key)
        .answers(204, "It is gone", &[])
        .problems(&[&[
            Code::UploadNotFound,
            Code::StorageUnavailable,
            Code::NoSpace,
        ]])
        .open(),
    ]
}
