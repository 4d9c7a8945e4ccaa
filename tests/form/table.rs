//! The verdicts on bodies, line by line: each whole, byte by byte, and split at every position.

use wharf::form::DecodeErrorKind::{self, *};
use wharf::form::{EPILOGUE_LIMIT, LINE_LIMIT, PREAMBLE_LIMIT};

use super::{Part, decode};

pub type Verdict = Result<Vec<Part>, DecodeErrorKind>;

/// The verdict on a body with the boundary `B`, which must not depend on its cuts.
#[track_caller]
pub fn verdict(body: &[u8]) -> Verdict {
    let whole = decode("B", [body]);
    let bytewise = decode("B", body.chunks(1));
    assert_eq!(bytewise, whole, "byte by byte: {}", body.escape_ascii());
    // Every position of what is short; of what is long, those around its ends.
    let near = |at: &usize| *at < 600 || body.len() - at < 600;
    for at in (0..=body.len()).filter(near) {
        let (first, second) = body.split_at(at);
        assert_eq!(
            decode("B", [first, second]),
            whole,
            "cut at {at}: {}",
            body.escape_ascii()
        );
    }
    whole.map_err(|error| {
        assert!(error.offset <= body.len() as u64);
        error.kind
    })
}

/// The contents of the parts of a body, by name.
#[track_caller]
pub fn accepted(body: &str) -> Vec<(String, String)> {
    let parts = verdict(body.as_bytes()).unwrap_or_else(|kind| panic!("{kind}: {body:?}"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    parts
        .iter()
        .map(|part| (text(&part.head.name), text(&part.content)))
        .collect()
}

#[track_caller]
pub fn refused(body: &str, kind: DecodeErrorKind) {
    assert_eq!(verdict(body.as_bytes()), Err(kind), "{body:?}");
}

/// A body whose one part has these header lines.
pub fn with_head(head: &str) -> String {
    format!("--B\r\n{head}\r\n\r\nx\r\n--B--\r\n")
}

/// The part of a body with one part, with this disposition.
#[track_caller]
pub fn disposed(disposition: &str) -> Part {
    let body = with_head(&format!("Content-Disposition: {disposition}"));
    verdict(body.as_bytes()).unwrap().remove(0)
}

pub const A: &str = "Content-Disposition: form-data; name=a";

pub fn one(content: &str) -> Vec<(String, String)> {
    vec![("a".to_owned(), content.to_owned())]
}

#[test]
fn bodies_begin_with_a_delimiter_or_with_a_line_end_first() {
    let body = format!("--B\r\n{A}\r\n\r\nx\r\n--B--\r\n");
    assert_eq!(accepted(&body), one("x"));
    assert_eq!(accepted(&format!("\r\n{body}")), one("x"));
}

#[test]
fn preambles_are_ignored_up_to_their_limit() {
    let body = format!("--B\r\n{A}\r\n\r\nx\r\n--B--");
    assert_eq!(
        accepted(&format!("This is MIME.\r\nno -- here - B\r\n\r\n{body}")),
        one("x")
    );
    let fits = "p".repeat(PREAMBLE_LIMIT);
    assert_eq!(accepted(&format!("{fits}\r\n{body}")), one("x"));
    refused(&format!("{fits}p\r\n{body}"), PreambleTooLong);
    refused("preamble\r\n-", Truncated);
}

#[test]
fn preambles_in_which_parts_would_be_lost() {
    let body = format!("--B\r\n{A}\r\n\r\nx\r\n--B--");
    for before in ["\n", "\r", "\u{feff}", "x", " ", "text "] {
        refused(&format!("{before}{body}"), PreambleBoundary);
    }
    refused("preamble\n--B--", PreambleBoundary);
    refused(&format!("no --B here\r\n{body}"), PreambleBoundary);
    // A dash is missing: the next delimiter may be one of a part, or the last.
    let second = format!("--B\r\n{A}\r\n\r\ny\r\n--B--");
    refused(&body[1..], PreambleDashes);
    refused(&format!("-B\r\n{A}\r\n\r\nx\r\n{second}"), PreambleDashes);
    refused(&format!("B\r\n{A}\r\n\r\nx\r\n--B--"), ClosedFirst);
    for line in ["--other\r\n", "text\n--\r\n", "text\r--x\r\n", "--"] {
        refused(&format!("{line}\r\n{body}"), PreambleDashes);
    }
    refused(&format!("--C\r\n{A}\r\n\r\nx\r\n--C--\r\n"), PreambleDashes);
    for before in ["x", "\n", "\r", "\r\nx", "\r\n\n"] {
        refused(&format!("{before}\r\n--B--\r\n"), ClosedFirst);
    }
    refused(
        &format!("--C{}", "x".repeat(PREAMBLE_LIMIT)),
        PreambleDashes,
    );
}

#[test]
fn epilogues_are_dropped_up_to_their_limit() {
    let body = format!("--B\r\n{A}\r\n\r\nx\r\n--B--\r\n");
    for epilogue in ["epilogue\r\n-- B --B\r\nmore", "\r\n--b", "--", "\n-B\n"] {
        assert_eq!(accepted(&format!("{body}{epilogue}")), one("x"));
    }
    for lost in [
        "--B",
        "epilogue\r\n--B\r\n--B--\r\nmore",
        "\n--Bx",
        "x\r--B--",
    ] {
        refused(&format!("{body}{lost}"), EpilogueBoundary);
        refused(&format!("--B--\r\n{lost}"), EpilogueBoundary);
    }
    let fits = "e".repeat(EPILOGUE_LIMIT);
    assert_eq!(accepted(&format!("{body}{fits}")), one("x"));
    refused(&format!("{body}{fits}e"), EpilogueTooLong);
    refused(&format!("{body}{fits}\n--B"), EpilogueTooLong);
}

#[test]
fn a_close_delimiter_may_end_with_a_bare_line_feed() {
    let body = format!("--B\r\n{A}\r\n\r\nx\r\n--B--");
    for end in ["\n", " \n", "\nepilogue"] {
        assert_eq!(accepted(&format!("{body}{end}")), one("x"));
    }
    assert_eq!(accepted("--B--\n"), []);
    refused(&format!("{body}\n--B"), EpilogueBoundary);
}

#[test]
fn padding_between_a_delimiter_and_its_line_end() {
    assert_eq!(
        accepted(&format!(
            "--B \t \r\n{A}\r\n\r\nx\r\n--B\t\r\n{A}\r\n\r\ny\r\n--B-- \t\r\n"
        ))
        .len(),
        2
    );
    assert_eq!(
        accepted(&format!("--B\r\n{A}\r\n\r\nx\r\n--B--  ")),
        one("x")
    );
    refused(
        &format!("--B{}\r\n{A}\r\n\r\n\r\n--B--", " ".repeat(LINE_LIMIT + 1)),
        PaddingTooLong,
    );
}

#[test]
fn the_boundary_as_a_beginning_of_other_text() {
    refused("--BX\r\n--B--\r\n", NotADelimiter);
    refused("preamble\r\n--BX\r\n--B--\r\n", NotADelimiter);
    for tail in ["X", "--junk", "-x", "-", " x", "--\tx", ":"] {
        refused(
            &format!("--B\r\n{A}\r\n\r\nx\r\n--B{tail}\r\n--B--\r\n"),
            NotADelimiter,
        );
    }
}

#[test]
fn what_is_no_delimiter_is_data() {
    for data in [
        "\n--B\r\n",
        "\r--B\r\n",
        "x--B\r\n",
        "\r\n-B",
        "\r\n--",
        "\r\r\n--A",
        "\r\n\r\n",
        "--B--",
        "\r\n--b\r\n",
    ] {
        let content = format!("x{data}y");
        assert_eq!(
            accepted(&format!("--B\r\n{A}\r\n\r\n{content}\r\n--B--\r\n")),
            one(&content)
        );
    }
    assert_eq!(
        accepted(&format!("--B\r\n{A}\r\n\r\n\r\r\n--B--\r\n")),
        one("\r")
    );
    assert_eq!(
        accepted(&format!("--B\r\n{A}\r\n\r\n\r\n\r\n--B--\r\n")),
        one("\r\n")
    );
}

#[test]
fn an_empty_form() {
    assert_eq!(accepted("--B--\r\n"), []);
    assert_eq!(accepted("--B--"), []);
    assert_eq!(accepted("\r\n--B--\r\n"), []);
    assert_eq!(accepted("\r\n\r\n--B-- \r\nepilogue"), []);
}

#[test]
fn bare_line_ends() {
    refused(&format!("--B\n{A}\r\n\r\nx\r\n--B--\r\n"), BareLf);
    refused(&format!("--B\r\n{A}\n\r\nx\r\n--B--\r\n"), BareLf);
    refused(&format!("--B\r\n{A}\r\n\nx\r\n--B--\r\n"), BareLf);
    refused(
        &format!("--B\r\n{A}\r\n\r\nx\r\n--B\n{A}\r\n\r\n\r\n--B--"),
        BareLf,
    );
    refused(&format!("--B\r{A}\r\n\r\nx\r\n--B--\r\n"), BareCr);
    refused(&format!("--B\r\n{A}\r; x=y\r\n\r\nx\r\n--B--\r\n"), BareCr);
    refused(&format!("--B\r\n{A}\0\r\n\r\nx\r\n--B--\r\n"), Nul);
}

#[test]
fn a_part_without_the_line_end_of_its_own() {
    assert_eq!(accepted(&format!("--B\r\n{A}\r\n\r\n--B--\r\n")), one(""));
    assert_eq!(
        accepted(&format!(
            "--B\r\n{A}\r\n\r\n--B\r\n{A}\r\n\r\nx\r\n--B--\r\n"
        ))
        .len(),
        2
    );
    assert_eq!(
        accepted(&format!("--B\r\n{A}\r\n\r\n\r\n--B--\r\n")),
        one("")
    );
}

#[test]
fn bodies_that_end_too_soon() {
    let body = format!("--B\r\n{A}\r\n\r\nx\r\n--B--");
    for end in 0..body.len() {
        let cut = verdict(&body.as_bytes()[..end]);
        assert!(
            matches!(cut, Err(Truncated | NoEmptyLine)),
            "{:?}: {cut:?}",
            &body[..end]
        );
    }
    assert_eq!(accepted(&body), one("x"));
}
