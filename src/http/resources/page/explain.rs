//! `GET /problems` and `/problems/CODE`: what the codes of errors mean, for people and programs.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::{PageReader, answer};
use crate::http::AppState;
use crate::http::resources::document;
use crate::http::rules::accept::Accept;
use crate::http::rules::extract::PathParams;
use crate::http::rules::problem::{Code, Problem, type_of};

/// All codes.
pub async fn problems(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let reader = PageReader::of(&app, query.as_deref(), &headers);
    let known = Code::ALL.iter().map(|code| reader.explained(*code));
    let values = json!({ "problems": known.collect::<Vec<_>>() });
    explained(&reader, "problems.html", values, query.as_deref(), &headers)
}

/// One code.
pub async fn problem(
    State(app): State<AppState>,
    PathParams(code): PathParams<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(known) = Code::of(&code) else {
        let detail = format!("no problem has the code {code:?}");
        return Err(Problem::new(Code::NoSuchRoute, detail));
    };
    let reader = PageReader::of(&app, query.as_deref(), &headers);
    let values = reader.explained(known);
    let query = query.as_deref();
    Ok(explained(&reader, "problem.html", values, query, &headers))
}

/// The `values` as a page, or as JSON.
fn explained(
    reader: &PageReader,
    page: &str,
    values: Value,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Response {
    let mut response = if Accept::of(headers).prefers_html() {
        answer(reader.page(page, values), reader, query)
    } else {
        document::json(values, "no-cache")
    };
    let fields = response.headers_mut();
    let language = HeaderValue::from_static(reader.language.tag());
    fields.insert(header::CONTENT_LANGUAGE, language);
    // The next version may have others.
    let cache = HeaderValue::from_static("no-cache");
    fields.insert(header::CACHE_CONTROL, cache);
    let vary = HeaderValue::from_static("Accept, Accept-Language, Cookie");
    fields.insert(header::VARY, vary);
    response
}

impl PageReader<'_> {
    /// A code in the reader's language.
    fn explained(&self, code: Code) -> Value {
        let words = &self.language.words()["problems"][code.name()];
        json!({
            "type": type_of(self.base, code),
            "code": code.name(),
            "title": words["title"],
            "advice": words["advice"],
            "means": self.language.means(code.name()),
            "statuses": code.statuses(),
            "settings": code.settings(),
            "members": code.members(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Language;
    use super::*;

    /// `docs/problems.md`.
    fn documented() -> String {
        let mut text = String::from(
            "# Problems\n\n\
             Every error is a problem document (RFC 9457). Its `code` is a stable word, its `type` the address of a\n\
             page on the same server that says what is below. Facts are members; `detail` says the same to people, and\n\
             may change. Members and codes are only added.\n\n\
             Members of all: `type`, `title`, `status`, `detail`, `code`, `request_id` (the log has the reason under it), and\n\
             `error`, which is `detail` where upload widgets look for it. Those of some: `option`, `allowed` (what there is\n\
             instead), `setting` and `limit` (its value: bytes, seconds or a count), `part` (from 1), `byte` (of the body,\n\
             from 0), `field` (of the form, the head or the query), `name` (what was asked for), `expected` and `actual`,\n\
             `scope`, and `retry_after` in seconds, as `Retry-After` says: other clients are told other numbers.\n\n\
             | code | status | members | settings |\n| --- | --- | --- | --- |\n",
        );
        let list = |words: &[&str]| {
            let words = words.iter().map(|word| format!("`{word}`"));
            words.collect::<Vec<_>>().join(", ")
        };
        for code in Code::ALL {
            let statuses: Vec<String> = code.statuses().iter().map(u16::to_string).collect();
            text += &format!(
                "| [`{name}`](#{name}) | {} | {} | {} |\n",
                statuses.join(", "),
                list(code.members()),
                list(code.settings()),
                name = code.name(),
            );
        }
        for code in Code::ALL {
            let means = Language::fallback().means(code.name()).as_str().unwrap();
            text += &format!("\n## {}\n\n{}. {means}\n", code.name(), code.title());
        }
        text
    }

    #[test]
    fn the_document_is_made_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/problems.md");
        if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
            std::fs::write(path, documented()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == documented(),
            "docs/problems.md is not what the table says; WHARF_WRITE_DOCS=1 writes it"
        );
    }

    #[test]
    fn codes_are_found_by_their_names() {
        for code in Code::ALL {
            assert_eq!(Code::of(code.name()), Some(*code));
            assert!(code.statuses().iter().all(|status| *status >= 400));
        }
        assert_eq!(Code::of("teapot"), None);
    }
}
