//! The refusals of a server.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::{Map, Value, json};

/// The most characters that are shown of an error that is no problem document.
const SHOWN_LIMIT: usize = 300;

/// A refusal: the problem document (RFC 9457) of the server, or what there is of one where the
/// server is none of wharf's.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// The status code.
    pub status: u16,
    /// The stable word for the cause, such as `upload-not-found`; `None` where the answer is no
    /// problem document of wharf.
    pub code: Option<String>,
    /// The cause in words, on one line.
    pub detail: String,
    /// The time after which the same request may succeed, where the server says one.
    pub retry_after: Option<Duration>,
    /// The members of the document; none where there was no document.
    members: Map<String, Value>,
}

impl Problem {
    /// The refusal with this status, these fields and this body.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let document = match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let word = |name: &str| document.get(name).and_then(Value::as_str);
        let detail = word("detail");
        let text = detail.map_or_else(|| String::from_utf8_lossy(body), Into::into);
        let words: Vec<&str> = text.split_whitespace().collect();
        // Control characters could command the terminal.
        let line = words.join(" ");
        let shown = line.chars().filter(|c| !c.is_control());
        let mut shown: String = shown.take(SHOWN_LIMIT).collect();
        if shown.is_empty() || (detail.is_none() && shown.starts_with('<')) {
            shown = reason(status.as_u16())
                .unwrap_or("without a word")
                .to_owned();
        }
        let field = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let seconds = field.and_then(|value| value.parse().ok());
        let seconds = seconds.or_else(|| document.get("retry_after")?.as_u64());
        Problem {
            status: status.as_u16(),
            code: word("code").map(str::to_owned),
            detail: shown,
            retry_after: seconds.map(Duration::from_secs),
            members: document,
        }
    }

    /// One that the client finds itself, as the server would answer it.
    pub(super) fn local(status: StatusCode, detail: String) -> Self {
        Problem {
            status: status.as_u16(),
            code: None,
            detail,
            retry_after: None,
            members: Map::new(),
        }
    }

    /// A member of the document, such as `option`, `limit`, `setting`, `scope` or `request_id`.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The problem document: the server's own, or one of what is known.
    pub fn to_json(&self) -> Value {
        if self.code.is_some() {
            return Value::Object(self.members.clone());
        }
        let title = reason(self.status).unwrap_or("refused");
        json!({"type": "about:blank", "title": title, "status": self.status, "detail": self.detail})
    }
}

/// The name of a status code.
fn reason(status: u16) -> Option<&'static str> {
    StatusCode::from_u16(status).ok()?.canonical_reason()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match reason(self.status) {
            Some(reason) if reason == self.detail => write!(f, "{} {reason}", self.status),
            Some(reason) => write!(f, "{} {reason}: {}", self.status, self.detail),
            None => write!(f, "{}: {}", self.status, self.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Problem {
        Problem::read(StatusCode::BAD_GATEWAY, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn refusals_are_one_line() {
        assert_eq!(read("{\"detail\":\"no\\nroom\"}").detail, "no room");
        assert_eq!(read("a\r\n\u{1b}[31mb").detail, "a [31mb");
        assert_eq!(read("<html>").detail, "Bad Gateway");
        assert_eq!(read("").to_string(), "502 Bad Gateway");
        assert_eq!(read("no room").to_string(), "502 Bad Gateway: no room");
    }

    #[test]
    fn a_document_is_kept_whole_and_else_made() {
        let text = "{\"code\":\"no-space\",\"detail\":\"full\",\"retry_after\":7,\"setting\":\"min_free\"}";
        let problem = read(text);
        assert_eq!(problem.code.as_deref(), Some("no-space"));
        assert_eq!(problem.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(problem.member("setting"), Some(&json!("min_free")));
        assert_eq!(problem.to_json().to_string(), text);
        let made = read("full").to_json();
        assert_eq!(
            (&made["status"], &made["detail"]),
            (&json!(502), &json!("full"))
        );
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "3".parse().unwrap());
        let problem = Problem::read(StatusCode::BAD_GATEWAY, &headers, b"");
        assert_eq!(problem.retry_after, Some(Duration::from_secs(3)));
    }
}
