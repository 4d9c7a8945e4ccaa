//! The meaning of an object store's errors.

use std::error::Error as _;
use std::io;

use object_store::Error;

use crate::store::StoreError;

/// The message of an error: code and text of the store's answer, else the chain of its causes.
pub fn message(error: &Error) -> String {
    let mut text = error.to_string();
    if let (Some(code), Some(message)) = (element(&text, "Code"), element(&text, "Message")) {
        return format!("{code}: {message}");
    }
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// The content of the first element of this name.
pub fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>"))
        .map(|(content, _)| content)
}

/// The status of the answer behind an error, where there was one.
fn status(text: &str) -> Option<u16> {
    // Behind the address, in which the name of a file stands.
    let (_, rest) = text.rsplit_once("non-2xx status code: ")?;
    rest.split_once(' ')?.0.parse().ok()
}

/// Whether an error says that there is no such key, or no such upload of parts. A bare 404 says
/// nothing of the key: a proxy before the store answers with it too, and so does a store whose
/// bucket is gone.
pub fn is_absent(error: &Error) -> bool {
    let text = error.to_string();
    matches!(error, Error::NotFound { .. })
        && matches!(element(&text, "Code"), Some("NoSuchKey" | "NoSuchUpload"))
}

/// Whether an error is a 404 without an error code, as the answer to a HEAD is: a GET has to tell
/// whether the key is missing.
pub fn is_bare_404(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && element(&error.to_string(), "Code").is_none()
}

/// Whether another change of the same key was under way, and this one was not made.
pub fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::AlreadyExists { .. })
}

/// Whether a conditional change was refused, as far as the answer tells.
pub fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }
    )
}

/// Whether a range begins behind the end of its object (RFC 9110 section 15.5.17).
pub fn is_outside(error: &Error) -> bool {
    status(&error.to_string()) == Some(416)
}

/// Whether a request is to be sent again that the library does not: the store says that it came
/// too slowly, or not as it was, or that another change is under way (409); or its answer broke off.
pub fn is_retryable(error: &Error) -> bool {
    let text = error.to_string();
    let code = element(&text, "Code");
    // The library's words for an answer whose head came and whose body did not.
    let cut = status(&text).is_none() && text.contains("response body");
    let lost = status(&text) == Some(400) && matches!(code, Some("RequestTimeout" | "BadDigest"));
    let conflict = is_conflict(error) && code == Some("OperationAborted");
    cut || lost || conflict
}

/// Error codes with the status 400 that are transient all the same (Amazon S3, Error responses).
const TRANSIENT: [&str; 4] = [
    "BadDigest",
    "ExpiredToken",
    "RequestTimeout",
    "TokenRefreshRequired",
];

/// The meaning of an error to the callers of the store. Most errors are transient.
pub fn classify(doing: &str, error: &Error) -> StoreError {
    let (said, text) = (message(error), error.to_string());
    let transient = element(&text, "Code").is_some_and(|code| TRANSIENT.contains(&code));
    match status(&text) {
        Some(400) if transient => StoreError::Unavailable(format!("{doing}: {said}")),
        Some(507) => StoreError::NoSpace(format!("{doing}: {said}")),
        // A request that is wrong today is wrong tomorrow.
        Some(400 | 405 | 411 | 413) => StoreError::io(doing, io::Error::other(said)),
        _ => StoreError::Unavailable(format!("{doing}: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        }
    }

    #[test]
    fn errors_are_classified_by_the_answer_of_the_store() {
        let denied = generic(
            "Error performing PUT http://x/ in 3ms - Server returned non-2xx status code: 403 Forbidden: <Error><Code>InvalidAccessKeyId</Code><Message>No such key.</Message></Error>",
        );
        assert_eq!(message(&denied), "InvalidAccessKeyId: No such key.");
        assert!(matches!(classify("x", &denied), StoreError::Unavailable(_)));
        let full = generic("Server returned non-2xx status code: 507 Insufficient Storage: ");
        assert!(matches!(classify("x", &full), StoreError::NoSpace(_)));
        let wrong = generic("Server returned non-2xx status code: 400 Bad Request: ");
        assert!(matches!(classify("x", &wrong), StoreError::Io { .. }));
        let late = generic(
            "Server returned non-2xx status code: 400 Bad Request: <Error><Code>RequestTimeout</Code></Error>",
        );
        assert!(matches!(classify("x", &late), StoreError::Unavailable(_)));
        assert!(is_retryable(&late) && !is_retryable(&wrong));
        let named = generic(
            "Error performing GET http://x/status%20code:%20507%20 - Server returned non-2xx status code: 403 Forbidden: ",
        );
        assert!(matches!(classify("x", &named), StoreError::Unavailable(_)));
        let outside = generic("non-2xx status code: 416 Requested Range Not Satisfiable: ");
        assert!(is_outside(&outside));
        let absent = |said: &str| Error::NotFound {
            path: "a".to_owned(),
            source: said.to_owned().into(),
        };
        assert!(is_absent(&absent("<Code>NoSuchKey</Code>")));
        assert!(!is_absent(&absent("<Code>NoSuchBucket</Code>")));
        assert!(is_absent(&absent(
            "NoSuchBucket.txt: <Code>NoSuchKey</Code>"
        )));
        assert!(!is_absent(&absent("404 page not found")));
        assert!(is_bare_404(&absent("404 page not found")));
        assert!(!is_bare_404(&absent("<Code>NoSuchBucket</Code>")));
        let cut = generic("Error getting create multipart response body: HTTP error: end of file");
        assert!(is_retryable(&cut));
    }
}
