//! The encoder: everything of a form but its contents, so that its length is known beforehand.

use bytes::Bytes;

use super::Boundary;
use super::params::is_token;

/// One part as it goes out.
#[derive(Debug, Clone, Copy)]
pub struct OutPart<'a> {
    /// The field name, as it came in.
    pub name: &'a [u8],
    /// The file name, as it came in; `None` for a text field.
    pub filename: Option<&'a [u8]>,
    /// The value of a `filename*` beside it, as it came in; what is no token is left out.
    pub extended: Option<&'a str>,
    /// `Content-Type`, if known.
    pub content_type: Option<&'a str>,
    /// The exact length of the content, in bytes.
    pub content_length: u64,
    /// `Repr-Digest` (RFC 9530 section 3), if known.
    pub repr_digest: Option<&'a str>,
}

/// The value of the `Content-Type` header that announces the form; the boundary is quoted where
/// it is no token.
pub fn content_type(boundary: &Boundary) -> String {
    if boundary.as_bytes().iter().all(|&byte| is_token(byte)) {
        format!("multipart/form-data; boundary={}", boundary.as_str())
    } else {
        format!("multipart/form-data; boundary=\"{}\"", boundary.as_str())
    }
}

/// The delimiter line, the headers and the empty line of a part. Only the `first` part of a
/// form has no CRLF before its delimiter.
///
/// Names go out as they came, as browsers send them (WHATWG HTML, multipart/form-data encoding
/// algorithm): raw bytes, with `"`, CR and LF as `%22`, `%0D` and `%0A`. NUL, which no header may
/// hold, goes out as `%00`. Decoded again by wharf, a name without those four bytes is the same
/// bytes; one without NUL has the same [`display_name`](super::display_name). A lone backslash is
/// left as it is; readers that unescape `\\` would lose one of two in a row, or take one at
/// the end together with the closing quote, so there each is doubled.
pub fn part_head(boundary: &Boundary, first: bool, part: &OutPart<'_>) -> Vec<u8> {
    let names = Names {
        field: part.name,
        file: part.filename,
        extended: part.extended,
    };
    let mut head = disposition(boundary, first, &names, push_name);
    if let Some(content_type) = part.content_type {
        push_header(&mut head, "Content-Type", content_type);
    }
    push_header(
        &mut head,
        "Content-Length",
        &part.content_length.to_string(),
    );
    if let Some(digest) = part.repr_digest {
        push_header(&mut head, "Repr-Digest", digest);
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The same for a form that a program sends to whatever server there is: without a length, which
/// need not be known, and with names as quoted strings (RFC 9110 section 5.6.4), `\"` and `\\`.
/// The readers of Go, Python and Node undo these and no percent codes; wharf undoes both.
pub fn upload_part_head(
    boundary: &Boundary,
    first: bool,
    name: &[u8],
    filename: Option<&[u8]>,
    content_type: Option<&str>,
) -> Vec<u8> {
    let names = Names {
        field: name,
        file: filename,
        extended: None,
    };
    let mut head = disposition(boundary, first, &names, push_quoted);
    if let Some(content_type) = content_type {
        push_header(&mut head, "Content-Type", content_type);
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// What a `Content-Disposition` says.
struct Names<'a> {
    field: &'a [u8],
    file: Option<&'a [u8]>,
    extended: Option<&'a str>,
}

/// The delimiter line and the `Content-Disposition` of a part.
fn disposition(
    boundary: &Boundary,
    first: bool,
    names: &Names<'_>,
    push_name: fn(&mut Vec<u8>, &[u8]),
) -> Vec<u8> {
    let mut head = Vec::with_capacity(256 + names.field.len());
    if !first {
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"--");
    head.extend_from_slice(boundary.as_bytes());
    head.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"");
    push_name(&mut head, names.field);
    if let Some(filename) = names.file {
        head.extend_from_slice(b"\"; filename=\"");
        push_name(&mut head, filename);
    }
    head.push(b'"');
    let token = |value: &&str| value.bytes().all(is_token);
    if let Some(extended) = names.extended.filter(token) {
        head.extend_from_slice(b"; filename*=");
        head.extend_from_slice(extended.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The close delimiter and its CRLF, behind the content of the last part or alone.
pub fn close(boundary: &Boundary, any_parts: bool) -> Vec<u8> {
    let before: &[u8] = if any_parts { b"\r\n--" } else { b"--" };
    [before, boundary.as_bytes(), b"--\r\n"].concat()
}

/// All of a form but its contents, and its exact length.
#[derive(Debug, Clone)]
pub struct EncodedForm {
    parts: Vec<EncodedPart>,
    close: Bytes,
    len: u64,
}

/// One part of an [`EncodedForm`]: these bytes, then the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPart {
    /// What [`part_head`] gives.
    pub head: Bytes,
    /// The length of the content that follows, in bytes.
    pub content_length: u64,
}

impl EncodedForm {
    /// Writes all of the form but the contents of `parts`.
    pub fn new<'a>(boundary: &Boundary, parts: impl IntoIterator<Item = OutPart<'a>>) -> Self {
        let mut encoded: Vec<EncodedPart> = Vec::new();
        let mut len = 0_u64;
        for part in parts {
            let head = Bytes::from(part_head(boundary, encoded.is_empty(), &part));
            // No store holds 2^64 bytes; if numbers say so, the length is wrong but not small.
            len = len
                .saturating_add(head.len() as u64)
                .saturating_add(part.content_length);
            encoded.push(EncodedPart {
                head,
                content_length: part.content_length,
            });
        }
        let close = Bytes::from(close(boundary, !encoded.is_empty()));
        len = len.saturating_add(close.len() as u64);
        EncodedForm {
            parts: encoded,
            close,
            len,
        }
    }

    /// The parts, in their order.
    pub fn parts(&self) -> &[EncodedPart] {
        &self.parts
    }

    /// What follows the content of the last part.
    pub fn close(&self) -> &Bytes {
        &self.close
    }

    /// The length of the whole form, in bytes: every head, every content, and the close
    /// delimiter.
    pub fn content_length(&self) -> u64 {
        self.len
    }
}

/// Writes what stands between the quotes; see [`part_head`].
fn push_name(head: &mut Vec<u8>, name: &[u8]) {
    for (i, &byte) in name.iter().enumerate() {
        match byte {
            b'"' => head.extend_from_slice(b"%22"),
            b'\r' => head.extend_from_slice(b"%0D"),
            b'\n' => head.extend_from_slice(b"%0A"),
            0 => head.extend_from_slice(b"%00"),
            b'\\' => {
                let after_another = i > 0 && name[i - 1] == b'\\';
                let before_another_or_last = name.get(i + 1).is_none_or(|&next| next == b'\\');
                let alone = !after_another && !before_another_or_last;
                head.extend_from_slice(if alone { b"\\" } else { b"\\\\" });
            }
            _ => head.push(byte),
        }
    }
}

/// Writes what stands between the quotes of a quoted string; what cannot stand there goes out as
/// browsers write it.
fn push_quoted(head: &mut Vec<u8>, name: &[u8]) {
    for &byte in name {
        match byte {
            b'"' | b'\\' => head.extend_from_slice(&[b'\\', byte]),
            b'\r' => head.extend_from_slice(b"%0D"),
            b'\n' => head.extend_from_slice(b"%0A"),
            0 => head.extend_from_slice(b"%00"),
            _ => head.push(byte),
        }
    }
}

/// Writes a header line. Bytes that would end it or break it come out as spaces: no value can
/// forge a header, wherever it came from.
fn push_header(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend(value.bytes().map(|byte| {
        if matches!(byte, b'\r' | b'\n' | 0) {
            b' '
        } else {
            byte
        }
    }));
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Event};
    use super::*;

    fn boundary() -> Boundary {
        Boundary::new("B").unwrap()
    }

    fn field(name: &[u8]) -> OutPart<'_> {
        let (filename, content_type, repr_digest) = (None, None, None);
        OutPart {
            name,
            filename,
            extended: None,
            content_type,
            content_length: 0,
            repr_digest,
        }
    }

    fn written(name: &[u8]) -> String {
        let head =
            String::from_utf8_lossy(&part_head(&boundary(), true, &field(name))).into_owned();
        let name = head
            .strip_prefix("--B\r\nContent-Disposition: form-data; name=\"")
            .unwrap();
        name.strip_suffix("\"\r\nContent-Length: 0\r\n\r\n")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_head_is_exactly_these_bytes() {
        let part = OutPart {
            name: b"file1",
            filename: Some(b"part1.txt"),
            extended: None,
            content_type: Some("text/plain"),
            content_length: 15,
            repr_digest: Some("sha-256=:AA==:"),
        };
        let expected = "\r\n--B\r\n\
            Content-Disposition: form-data; name=\"file1\"; filename=\"part1.txt\"\r\n\
            Content-Type: text/plain\r\nContent-Length: 15\r\nRepr-Digest: sha-256=:AA==:\r\n\r\n";
        assert_eq!(
            String::from_utf8_lossy(&part_head(&boundary(), false, &part)),
            expected
        );
        assert_eq!(
            part_head(&boundary(), true, &part),
            &expected.as_bytes()[2..]
        );
    }

    #[test]
    fn names_go_out_as_browsers_send_them() {
        assert_eq!(written(b"a\"b\r\nc%22"), "a%22b%0D%0Ac%22");
        assert_eq!(written(br"C:\dir\b.txt"), r"C:\dir\b.txt");
        assert_eq!(written(br"a\\b\"), r"a\\\\b\\");
        assert_eq!(written(b"\\\""), "\\%22");
        assert_eq!(written(b"a\0b"), "a%00b");
    }

    #[test]
    fn names_go_up_as_quoted_strings() {
        let head = |name: &[u8]| {
            let head = upload_part_head(&boundary(), false, name, Some(name), Some("a/b"));
            String::from_utf8(head).unwrap()
        };
        assert_eq!(
            head(b"a\"b\\c%22\r\n\0"),
            "\r\n--B\r\nContent-Disposition: form-data; name=\"a\\\"b\\\\c%22%0D%0A%00\"; \
             filename=\"a\\\"b\\\\c%22%0D%0A%00\"\r\nContent-Type: a/b\r\n\r\n"
        );
        let mut decoder = Decoder::new(boundary());
        let mut body = upload_part_head(&boundary(), true, br#"a"b\c\"#, None, None);
        body.extend(close(&boundary(), true));
        decoder.push(Bytes::from(body));
        let Ok(Some(Event::Part(head))) = decoder.next() else {
            panic!("a part was expected");
        };
        assert_eq!(&head.name[..], br#"a"b\c\"#);
    }

    #[test]
    fn values_cannot_forge_headers() {
        let part = OutPart {
            content_type: Some("a/b\r\nX: y"),
            ..field(b"a")
        };
        let head = part_head(&boundary(), true, &part);
        assert!(String::from_utf8_lossy(&head).contains("\r\nContent-Type: a/b  X: y\r\n"));
    }

    #[test]
    fn the_length_counts_heads_contents_and_close() {
        let parts = [
            OutPart {
                content_length: 7,
                ..field(b"a")
            },
            field(b"b"),
        ];
        let form = EncodedForm::new(&boundary(), parts);
        let heads: usize = form.parts().iter().map(|part| part.head.len()).sum();
        assert_eq!(
            form.content_length(),
            (heads + 7 + "\r\n--B--\r\n".len()) as u64
        );
        assert_eq!(form.close(), "\r\n--B--\r\n");
        let empty = EncodedForm::new(&boundary(), []);
        assert_eq!(
            (empty.content_length(), &empty.close()[..]),
            (7, &b"--B--\r\n"[..])
        );
    }

    #[test]
    fn the_type_quotes_a_boundary_that_is_no_token() {
        assert_eq!(content_type(&boundary()), "multipart/form-data; boundary=B");
        let spaced = Boundary::new("a b:c").unwrap();
        assert_eq!(
            content_type(&spaced),
            "multipart/form-data; boundary=\"a b:c\""
        );
        assert_eq!(
            Boundary::from_content_type(content_type(&spaced).as_bytes()),
            Ok(spaced)
        );
    }
}
