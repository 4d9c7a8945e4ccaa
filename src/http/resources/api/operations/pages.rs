//! The requests of browsers for the pages.

use serde_json::json;

use super::super::describe::reference;
use super::{Described, Tag, document, html, text};
use crate::http::rules::problem::Code;

/// The fields of every page.
const PAGE: [&str; 5] = [
    "Cache-Control",
    "Content-Length",
    "Content-Security-Policy",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
];
/// The problems that a form of a page may end in.
const CHANGING: &[Code] = &[
    Code::MalformedForm,
    Code::UnknownOption,
    Code::StorageUnavailable,
    Code::NoSpace,
];

pub fn all() -> Vec<Described> {
    let token = json!({ "type": "object", "properties": { "token": { "type": "string" } } });
    let assets = [
        ("text/css", json!({})),
        ("text/javascript", json!({})),
        ("image/svg+xml", json!({})),
        ("image/png", json!({})),
        ("image/webp", json!({})),
    ];
    let icons = &assets[2..];
    let sign_in = "A browser is asked for a secret, and then led to this path";
    vec![
        Described::new(
            Tag::Pages,
            ("get", "/"),
            "getPage",
            "The page with the form, or what the server is and takes",
        )
        .says("JSON where `Accept` ranks it above HTML: version, limits, features, and which scopes need a secret")
        .head("headPage")
        .query("sign-in", json!({ "type": "string" }), sign_in)
        .answers(200, "The page, or the description", &[html(), document("About")])
        .always(&["Cache-Control", "Content-Length", "Vary"])
        .at_times(&PAGE[2..])
        .at_times(&["Set-Cookie"])
        .answers(303, "The secret is right: the path of sign-in", &[])
        .always(&["Location", "Cache-Control"])
        .problems(&[&[Code::MissingSecret, Code::BadSecret]])
        .open(),
        Described::new(
            Tag::Pages,
            ("get", "/static/{version}/{name}"),
            "getAsset",
            "What the pages load",
        )
        .head("headAsset")
        .answers(200, "The file", &assets)
        .always(&["Cache-Control", "Content-Length"])
        .at_times(&["Content-Security-Policy"])
        .problems(&[&[Code::NoSuchRoute]])
        .open(),
        Described::new(
            Tag::Pages,
            ("get", "/favicon.ico"),
            "getFavicon",
            "The icon of the pages",
        )
        .head("headFavicon")
        .answers(200, "The icon", icons)
        .always(&["Cache-Control", "Content-Length"])
        .at_times(&["Content-Security-Policy"])
        .open(),
        Described::new(
            Tag::Pages,
            ("get", "/robots.txt"),
            "getRobots",
            "What crawlers may fetch",
        )
        .head("headRobots")
        .answers(200, "The rules", &[text()])
        .always(&["Cache-Control", "Content-Length"])
        .open(),
        Described::new(
            Tag::Pages,
            ("get", "/uploads/{id}/view/{name}"),
            "viewFile",
            "The beginning of a text as a page for a frame, Markdown as what it means",
        )
        .head("headView")
        .answers(200, "The page", &[html()])
        .always(&PAGE)
        .always(&["X-Robots-Tag"])
        .problems(&[&[
            Code::UploadNotFound,
            Code::FileNotFound,
            Code::IndexUnavailable,
            Code::StorageUnavailable,
        ]])
        .guarded(),
        Described::new(
            Tag::Pages,
            ("post", "/uploads/{id}/delete"),
            "deleteFromPage",
            "Delete an upload with the form of its page",
        )
        .says("The token is in the form, or in the page's cookie")
        .body("application/x-www-form-urlencoded", token)
        .or_none()
        .answers(200, "A page that says so", &[html()])
        .always(&PAGE)
        .moved()
        .problems(&[CHANGING])
        .owned(),
        Described::new(
            Tag::Pages,
            ("post", "/uploads/{id}/prolong"),
            "prolongFromPage",
            "Set the deadline of an upload anew with the same form",
        )
        .body("application/x-www-form-urlencoded", reference("Prolonging"))
        .answers(303, "Its page", &[])
        .always(&["Location", "Cache-Control"])
        .moved()
        .problems(&[CHANGING, &[Code::InvalidOption]])
        .owned(),
    ]
}
