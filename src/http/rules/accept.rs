//! The media types that a client accepts (RFC 9110 section 12.5.1).

use http::{HeaderMap, HeaderValue, header};

/// The preferences that matter here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accept {
    html: f32,
    json: f32,
    plain: f32,
    problem: f32,
}

/// How an upload is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Its record, to programs.
    Record,
    /// Its page, to people.
    Page,
    /// Its share link alone, to scripts.
    Link,
}

impl Accept {
    /// Reads the `Accept` fields; without one, everything is welcome.
    pub fn of(headers: &HeaderMap) -> Self {
        let fields = fields(headers);
        let weight = |media_type: &str| weight(&fields, media_type);
        Accept {
            html: weight("text/html"),
            json: weight("application/json"),
            plain: weight("text/plain"),
            problem: weight("application/problem+json"),
        }
    }

    /// Whether HTML ranks above JSON: a browser that follows a link or sends a form.
    pub fn prefers_html(&self) -> bool {
        self.html > self.json
    }

    /// How the client wants an upload: what ranks above JSON is meant, and of these a page, where
    /// they rank the same.
    pub fn upload(&self) -> Shown {
        if self.prefers_html() && self.html >= self.plain {
            Shown::Page
        } else if self.plain > self.json {
            Shown::Link
        } else {
            Shown::Record
        }
    }

    /// The media type for a problem document.
    pub fn problem_type(&self) -> &'static str {
        if self.json > 0.0 && self.problem == 0.0 {
            "application/json"
        } else {
            "application/problem+json"
        }
    }
}

/// Whether a client ranks the media type `one` above `other`.
pub fn prefers(headers: &HeaderMap, one: &str, other: &str) -> bool {
    let fields = fields(headers);
    weight(&fields, one) > weight(&fields, other)
}

/// Whether a person opens the address in a browser: HTML is preferred, and a browser that says what
/// for (Fetch Metadata) says that it goes there.
pub fn opens_page(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    // Most programs name no text at all, and their fields are not read any further.
    let text = |value: &HeaderValue| {
        value
            .as_bytes()
            .windows(5)
            .any(|it| it.eq_ignore_ascii_case(b"text/"))
    };
    accepted.any(text)
        && headers
            .get("sec-fetch-mode")
            .is_none_or(|mode| mode == "navigate")
        && Accept::of(headers).prefers_html()
}

fn fields(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::ACCEPT).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).collect()
}

/// The weight of a media type: that of the most specific range that matches it.
fn weight(fields: &[&str], media_type: &str) -> f32 {
    if fields.is_empty() {
        return 1.0;
    }
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let mut best = (0, 0.0);
    for field in fields {
        let mut pieces = field.split(';').map(str::trim);
        let range = pieces.next().unwrap_or_default().to_ascii_lowercase();
        let specific = match range.as_str() {
            range if range == media_type => 3,
            range if range.strip_suffix("/*") == Some(kind) => 2,
            "*/*" => 1,
            _ => continue,
        };
        let quality = pieces
            .find_map(|piece| {
                piece
                    .strip_prefix("q=")
                    .or_else(|| piece.strip_prefix("Q="))
            })
            .and_then(|quality| quality.parse::<f32>().ok())
            .unwrap_or(1.0);
        if specific > best.0 {
            best = (specific, quality);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().unwrap());
        Accept::of(&headers)
    }

    #[test]
    fn only_who_prefers_html_gets_it() {
        for (value, html) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("text/html", true),
            ("text/*", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html;q=0.9", false),
            ("text/html;q=0.5, application/json;q=0.4", true),
        ] {
            assert_eq!(accept(value).prefers_html(), html, "{value}");
        }
        assert!(!Accept::of(&HeaderMap::new()).prefers_html());
    }

    #[test]
    fn an_upload_is_a_link_to_a_client_that_ranks_plain_text_highest() {
        for (value, shown) in [
            ("text/plain", Shown::Link),
            ("text/plain;q=0.9, application/json;q=0.5", Shown::Link),
            ("text/plain, text/html;q=0.9", Shown::Link),
            // axios and Angular send this.
            ("application/json, text/plain, */*", Shown::Record),
            ("text/plain, */*", Shown::Record),
            ("*/*", Shown::Record),
            ("text/*", Shown::Page),
            ("text/html, text/plain", Shown::Page),
        ] {
            assert_eq!(accept(value).upload(), shown, "{value}");
        }
        assert_eq!(Accept::of(&HeaderMap::new()).upload(), Shown::Record);
    }

    #[test]
    fn people_open_pages_and_scripts_and_pictures_do_not() {
        for (accepted, mode, opens) in [
            ("text/html,*/*;q=0.8", Some("navigate"), true),
            ("text/html,*/*;q=0.8", None, true),
            ("TEXT/HTML", None, true),
            ("text/html,*/*;q=0.8", Some("no-cors"), false),
            ("*/*", Some("navigate"), false),
            ("text/plain", None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accepted.parse().unwrap());
            if let Some(mode) = mode {
                headers.insert("sec-fetch-mode", HeaderValue::from_static(mode));
            }
            assert_eq!(opens_page(&headers), opens, "{accepted} {headers:?}");
        }
        assert!(!opens_page(&HeaderMap::new()));
    }

    #[test]
    fn who_wants_json_alone_gets_that_type() {
        assert_eq!(
            accept("application/json").problem_type(),
            "application/json"
        );
        for value in [
            "*/*",
            "application/json, */*;q=0.1",
            "application/problem+json",
            "image/png",
        ] {
            assert_eq!(
                accept(value).problem_type(),
                "application/problem+json",
                "{value}"
            );
        }
    }
}
