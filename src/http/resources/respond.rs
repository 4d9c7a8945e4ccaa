//! A representation as a response: validators, ranges, caching, and its stream.

use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::{places, record};
use crate::delivery::{
    Block, Blocks, BodyContent, DeliveryError, DeliveryPiece, Representation, RepresentationKind,
    Selected,
};
use crate::form;
use crate::http::AppState;
use crate::http::date::http_date;
use crate::http::rules::conditional::{self, Verdict};
use crate::http::rules::cors;
use crate::http::rules::problem::{Code, Problem};
use crate::http::rules::range::{self, Asked};
use crate::http::server::FileQueue;
use crate::model::FileName;

/// The longest time for which a client may cache a file or form of an id, in seconds: a year.
const MAX_AGE: u64 = 365 * 24 * 3600;
/// The answer to a prefetch of an upload whose downloads are counted.
const PREFETCH: &str = "the downloads of this upload are counted, and a prefetch would take one: ask for it when it is wanted";
/// Fields of an answer, about: room for them is made once.
const FIELDS: usize = 16;

/// The upload or file of a download, and how it is to be shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown<'a> {
    /// The upload, or the file of it; `None` for a form of several.
    pub selected: Option<&'a Selected>,
    /// Whether it is to be looked at in a browser, and not to be saved.
    pub inline: bool,
}

impl AppState {
    /// Answers a `GET` or `HEAD` with `this`.
    pub(super) async fn respond(
        &self,
        method: &Method,
        headers: &HeaderMap,
        this: &Representation,
        shown: &Shown<'_>,
    ) -> Result<Response, Problem> {
        let inline = shown.inline;
        match conditional::evaluate(method, headers, this) {
            Verdict::Failed => {
                let detail = "what is stored is not what the request's preconditions name";
                return Err(Problem::new(Code::PreconditionFailed, detail));
            }
            Verdict::NotModified => {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                self.add_validators(response.headers_mut(), this, shown);
                return Ok(response);
            }
            Verdict::Proceed => {}
        }
        let disposition = disposition(this, shown);
        // A validator of ours says nothing to the bucket.
        let validators = [header::IF_MATCH, header::IF_RANGE];
        let asks_for_ours = validators.iter().any(|name| headers.contains_key(name));
        // A file that a page shows comes from this server: the page's policy allows no other, and a
        // bucket would not keep scripts in it from running.
        if *method == Method::GET
            && !inline
            && !asks_for_ours
            && let Some(url) = self.delivery.presigned_url(this, &disposition).await?
        {
            let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
            set(response.headers_mut(), header::LOCATION, url);
            set_static(response.headers_mut(), header::CACHE_CONTROL, "no-store");
            self.add_place(response.headers_mut(), shown, false);
            return Ok(response);
        }
        let answer = Answer::new(method, headers, this, content_type(this, inline))?;
        let body = if *method == Method::HEAD {
            Body::empty()
        } else {
            if this.is_limited() && is_prefetch(headers) {
                return Err(Problem::new(Code::PrefetchRefused, PREFETCH));
            }
            let whole = answer.status == StatusCode::OK;
            let files = FileQueue::current();
            let takes = files.as_ref().is_some_and(FileQueue::takes_files);
            let opened = self
                .delivery
                .open(this, answer.pieces, whole, takes)
                .await?;
            match opened {
                BodyContent::Whole(bytes) => Body::from(bytes),
                BodyContent::Blocks(blocks) => body(*blocks, files),
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        let fields = response.headers_mut();
        fields.reserve(FIELDS);
        self.add_validators(fields, this, shown);
        set(fields, header::CONTENT_DISPOSITION, disposition);
        add_description(fields, this);
        self.add_policy(fields, this, headers);
        fields.insert(header::CONTENT_LENGTH, answer.len.into());
        set(fields, header::CONTENT_TYPE, answer.content_type);
        if let Some(range) = answer.content_range {
            set(fields, header::CONTENT_RANGE, range);
        }
        Ok(response)
    }

    /// The fields that a 304 carries as well (RFC 9110 section 15.4.5).
    fn add_validators(&self, fields: &mut HeaderMap, this: &Representation, shown: &Shown<'_>) {
        set(fields, header::ETAG, this.etag.clone());
        if conditional::modified(this).is_some()
            && let Some(date) = http_date(this.last_modified)
        {
            fields.insert(header::LAST_MODIFIED, date);
        }
        if this.is_limited() {
            set_static(fields, header::CACHE_CONTROL, "no-store");
        } else if this.by_name {
            set_static(fields, header::CACHE_CONTROL, "no-cache");
        } else {
            let left = this
                .expires_at
                .map(|end| end.since(self.clock.now()).as_secs());
            let left = left.unwrap_or(MAX_AGE).min(MAX_AGE);
            set(
                fields,
                header::CACHE_CONTROL,
                format!("private, max-age={left}"),
            );
        }
        let ranges = if this.is_limited() { "none" } else { "bytes" };
        set_static(fields, header::ACCEPT_RANGES, ranges);
        let form = matches!(this.kind, RepresentationKind::Form(_));
        if form {
            fields.insert(header::VARY, places::BROWSER);
        }
        if self.options.embed {
            fields.append(header::VARY, HeaderValue::from_static("Referer"));
        }
        self.add_place(fields, shown, form);
    }

    /// Says whose pages may show the content (Fetch, "Cross-Origin-Resource-Policy header").
    fn add_policy(&self, fields: &mut HeaderMap, this: &Representation, headers: &HeaderMap) {
        let options = &self.options;
        let mut policy = match this.kind {
            RepresentationKind::Raw(_) => Some("same-origin"),
            RepresentationKind::Form(_) | RepresentationKind::Archive(_) => None,
        };
        if options.embed && cors::is_from(&options.cors_origins, headers) {
            policy = Some("cross-origin");
        }
        let name = HeaderName::from_static("cross-origin-resource-policy");
        if let Some(policy) = policy {
            set_static(fields, name, policy);
        }
    }

    /// Says which upload it is of: of what was found by its name where that is (RFC 9110 section
    /// 8.7), and in any case where the record is (RFC 8288). `form` says that the answer is a form.
    fn add_place(&self, fields: &mut HeaderMap, shown: &Shown<'_>, form: bool) {
        let Some(selected) = shown.selected else {
            return;
        };
        let (base, id) = (&self.options.base_path, &selected.manifest.id);
        if selected.by_name {
            let place = match &selected.file {
                Some(file) if !form => places::file(base, id, file),
                file => places::form(base, id, file.as_ref()),
            };
            set(fields, header::CONTENT_LOCATION, place);
        }
        let record = record::upload_url(id, base);
        let link = format!("<{record}>; rel=\"describedby\"");
        set(fields, header::LINK, link);
    }

    /// Leads a browser to the file that it asked for as a form.
    pub(super) fn see_file(&self, selected: &Selected, file: &FileName) -> Response {
        let (base, id) = (&self.options.base_path, &selected.manifest.id);
        let mut response = places::see(&places::file(base, id, file));
        let shown = Shown {
            selected: Some(selected),
            inline: false,
        };
        self.add_place(response.headers_mut(), &shown, true);
        response
    }
}

/// The parts of an answer: all of a representation, or ranges of it.
struct Answer {
    status: StatusCode,
    content_type: String,
    content_range: Option<String>,
    pieces: Vec<DeliveryPiece>,
    len: u64,
}

impl Answer {
    fn new(
        method: &Method,
        headers: &HeaderMap,
        this: &Representation,
        content_type: String,
    ) -> Result<Self, Problem> {
        // Ranges are for GET alone (RFC 9110 section 14.2).
        let ranges =
            *method == Method::GET && !this.is_limited() && conditional::if_range(headers, this);
        let asked = if ranges {
            range::asked(headers, this.len())
        } else {
            Asked::Whole
        };
        match asked {
            Asked::Unsatisfiable => Err(Problem::range_not_satisfiable(this.len())),
            Asked::Whole => Ok(Answer {
                status: StatusCode::OK,
                content_type,
                content_range: None,
                pieces: vec![this.slice(0..this.len())],
                len: this.len(),
            }),
            Asked::Ranges(ranges) => Ok(Self::partial(this, content_type, &ranges)),
        }
    }

    fn partial(this: &Representation, content_type: String, ranges: &[Range<u64>]) -> Self {
        let status = StatusCode::PARTIAL_CONTENT;
        if let [range] = ranges {
            return Answer {
                status,
                content_type,
                content_range: Some(range::content_range(range, this.len())),
                pieces: vec![this.slice(range.clone())],
                len: range.end - range.start,
            };
        }
        // Made of the ETag, it is as secret and as stable as the representation's own.
        let boundary = format!("wharf-ranges-{}", this.etag.trim_matches('"'));
        let (pieces, len) = range::multipart(this, &content_type, &boundary, ranges);
        Answer {
            status,
            content_type: format!("multipart/byteranges; boundary={boundary}"),
            content_range: None,
            pieces,
            len,
        }
    }
}

/// The body made of `blocks`, with stand-ins for files that go to this queue.
fn body(blocks: Blocks, files: Option<FileQueue>) -> Body {
    let stream = try_unfold((blocks, files), async |(mut blocks, files)| {
        let takes = files.as_ref().is_some_and(FileQueue::takes_files);
        let bytes = match (blocks.next(takes).await?, &files) {
            (Some(Block::Bytes(bytes)), _) => bytes,
            (Some(Block::File(span)), Some(files)) => files.offer(span),
            (Some(Block::File(_)), None) => unreachable!("files were not asked for"),
            (None, _) => return Ok::<_, DeliveryError>(None),
        };
        Ok(Some((bytes, (blocks, files))))
    });
    Body::from_stream(stream)
}

fn content_type(this: &Representation, inline: bool) -> String {
    match &this.kind {
        RepresentationKind::Form(boundary) => form::content_type(boundary),
        RepresentationKind::Archive(archive) => archive.format.media_type().to_owned(),
        RepresentationKind::Raw(file) if inline && is_shown_as_text(file.served_type()) => {
            // A browser that is told no charset takes text for windows-1252.
            match file.served_type().split_once(';') {
                Some((_, given)) if given.to_ascii_lowercase().contains("charset=") => {
                    format!("text/plain;{given}")
                }
                _ => "text/plain; charset=utf-8".to_owned(),
            }
        }
        RepresentationKind::Raw(file) => file.served_type().to_owned(),
    }
}

/// Describes a raw file, and keeps scripts in it from running in this origin.
fn add_description(fields: &mut HeaderMap, this: &Representation) {
    let RepresentationKind::Raw(file) = &this.kind else {
        return;
    };
    set_static(
        fields,
        header::CONTENT_SECURITY_POLICY,
        "sandbox; default-src 'none'",
    );
    if let Some(digest) = file.sha256 {
        let name = HeaderName::from_static("repr-digest");
        set(fields, name, digest.to_header());
    }
}

/// How a download is to be taken: a form is saved, and a raw file is looked at where that is wanted
/// and nothing in it can run.
fn disposition(this: &Representation, shown: &Shown<'_>) -> String {
    match &this.kind {
        RepresentationKind::Form(_) => match shown.selected {
            Some(selected) => format!("attachment; filename=\"{}.form\"", selected.manifest.id),
            None => "attachment; filename=\"several.form\"".to_owned(),
        },
        RepresentationKind::Archive(archive) => form::attachment(&archive.name, false),
        RepresentationKind::Raw(file) => {
            let inline = shown.inline && is_inert(file.served_type());
            form::attachment(file.name.as_str(), inline)
        }
    }
}

/// Whether a browser prefetches, for a person who may never look at it: by `Sec-Purpose` (Fetch,
/// section 3.7), or the fields of older browsers.
fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([';', ',']))
        .any(|word| {
            let word = word.trim();
            ["prefetch", "prerender", "preview"]
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known))
        })
}

/// The media type without its parameters, in lower case.
fn essence(media_type: &str) -> String {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Whether this is text to be read: Markdown, tables, source code. A browser shows it when it is
/// called plain, and would save it under its own name.
fn is_shown_as_text(media_type: &str) -> bool {
    let essence = essence(media_type);
    (essence.starts_with("text/") || is_json_lines(&essence)) && is_inert(&essence)
}

/// Whether a browser shows this media type without running anything in it.
pub(super) fn is_inert(media_type: &str) -> bool {
    let essence = essence(media_type);
    let kind = essence.split('/').next().unwrap_or_default();
    match kind {
        "image" | "audio" | "video" => !essence.ends_with("xml"),
        "text" => !["html", "xml", "xsl", "script"]
            .iter()
            .any(|language| essence.ends_with(language)),
        _ => {
            matches!(essence.as_str(), "application/pdf" | "application/json")
                || is_json_lines(&essence)
        }
    }
}

/// JSON documents, one a line.
pub(super) fn is_json_lines(essence: &str) -> bool {
    matches!(essence, "application/jsonl" | "application/x-ndjson")
}

/// Sets a field. A value that no field can have is left out; a media type is never one.
fn set(fields: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        fields.insert(name, value);
    }
}

fn set_static(fields: &mut HeaderMap, name: HeaderName, value: &'static str) {
    fields.insert(name, HeaderValue::from_static(value));
}
