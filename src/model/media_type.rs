//! The media type of a file: the one that the client gave, or a guess from the name.

/// The media type of bytes of an unknown kind (RFC 2046 section 4.5.1). Very many programs give it
/// for every file they send.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// Types that the table of extensions does not have.
const MORE: [(&str, &str); 2] = [
    (".jsonl", "application/jsonl"),
    (".ndjson", "application/x-ndjson"),
];

/// The media type of a file of this name; [`OCTET_STREAM`] when its extension says nothing.
pub fn guess(name: &str) -> &'static str {
    let ends = |ending: &str| {
        let end = name.len().checked_sub(ending.len());
        let end = end.and_then(|at| name.get(at..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    let more = MORE.iter().find(|(ending, _)| ends(ending));
    let guess = more.map(|(_, media_type)| *media_type);
    guess
        .or_else(|| mime_guess::from_path(name).first_raw())
        .unwrap_or(OCTET_STREAM)
}

/// Whether a media type says nothing.
pub fn is_unknown(media_type: &str) -> bool {
    essence(media_type).eq_ignore_ascii_case(OCTET_STREAM)
}

/// A media type without its parameters, as it came.
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_types() {
        for (name, media_type) in [
            ("a.txt", "text/plain"),
            ("a.JSON", "application/json"),
            ("log.JSONL", "application/jsonl"),
            (".ndjson", "application/x-ndjson"),
            ("€jsonl", OCTET_STREAM),
            ("a", OCTET_STREAM),
        ] {
            assert_eq!(guess(name), media_type, "{name}");
        }
        assert!(is_unknown("Application/Octet-Stream ; charset=binary"));
        assert!(!is_unknown("text/plain"));
    }
}
