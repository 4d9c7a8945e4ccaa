//! The encoder: everything of a form but its contents, and how long that is.

use super::Boundary;
use super::params::is_token;

/// The name that goes out for a name of which nothing else is left: the stored name is the same.
const NAMELESS: &[u8] = b"file";

/// One part as it goes out.
#[derive(Debug, Clone, Copy)]
pub struct OutPart<'a> {
    /// The field name, as it came in.
    pub name: &'a [u8],
    /// The file name, as it came in; `None` for a text field.
    pub filename: Option<&'a [u8]>,
    /// The value of a `filename*` beside it, as it came in; a value that is no token is left out.
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
/// hold, is left out, as it is of the stored name. Decoded again by wharf, a name without those
/// four bytes is the same bytes; one without NUL has the same
/// [`display_name`](super::display_name), and every name makes the same stored name. A lone
/// backslash is left as it is; readers that unescape `\\` would lose one of two in a row, or take
/// one at the end together with the closing quote, so there each is doubled.
pub fn part_head(boundary: &Boundary, first: bool, part: &OutPart<'_>) -> Vec<u8> {
    let mut head = Vec::with_capacity(256 + part.name.len());
    write_part_head(&mut head, boundary, first, part);
    head
}

/// How many bytes [`part_head`] has for the same arguments: found by the same steps, and without
/// memory for it.
pub fn part_head_len(boundary: &Boundary, first: bool, part: &OutPart<'_>) -> u64 {
    let mut len = Length(0);
    write_part_head(&mut len, boundary, first, part);
    len.0
}

fn write_part_head(out: &mut impl Out, boundary: &Boundary, first: bool, part: &OutPart<'_>) {
    let names = Names {
        field: part.name,
        file: part.filename,
        extended: part.extended,
    };
    write_disposition(out, boundary, first, &names, write_name);
    if let Some(content_type) = part.content_type {
        write_header(out, "Content-Type", content_type);
    }
    write_header(out, "Content-Length", &part.content_length.to_string());
    if let Some(digest) = part.repr_digest {
        write_header(out, "Repr-Digest", digest);
    }
    out.put(b"\r\n");
}

/// The same for a form that a program sends to any server: without a length, which
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
    let mut head = Vec::with_capacity(256 + name.len());
    write_disposition(&mut head, boundary, first, &names, write_quoted);
    if let Some(content_type) = content_type {
        write_header(&mut head, "Content-Type", content_type);
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The parameters of a `Content-Disposition`.
struct Names<'a> {
    field: &'a [u8],
    file: Option<&'a [u8]>,
    extended: Option<&'a str>,
}

/// The place that a head is written to.
trait Out {
    fn put(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts the bytes that are written, and keeps none.
struct Length(u64);

impl Out for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
}

/// The delimiter line and the `Content-Disposition` of a part.
fn write_disposition<O: Out>(
    out: &mut O,
    boundary: &Boundary,
    first: bool,
    names: &Names<'_>,
    write_name: fn(&mut O, &[u8]),
) {
    if !first {
        out.put(b"\r\n");
    }
    out.put(b"--");
    out.put(boundary.as_bytes());
    out.put(b"\r\nContent-Disposition: form-data; name=\"");
    write_name(out, names.field);
    if let Some(filename) = names.file {
        out.put(b"\"; filename=\"");
        write_name(out, filename);
    }
    out.put(b"\"");
    let token = |value: &&str| value.bytes().all(is_token);
    if let Some(extended) = names.extended.filter(token) {
        out.put(b"; filename*=");
        out.put(extended.as_bytes());
    }
    out.put(b"\r\n");
}

/// The close delimiter and its CRLF, behind the content of the last part or alone.
pub fn close(boundary: &Boundary, any_parts: bool) -> Vec<u8> {
    let before: &[u8] = if any_parts { b"\r\n--" } else { b"--" };
    [before, boundary.as_bytes(), b"--\r\n"].concat()
}

/// Writes what stands between the quotes; see [`part_head`].
fn write_name(out: &mut impl Out, name: &[u8]) {
    if is_nothing(name) {
        return out.put(NAMELESS);
    }
    write_escaped(out, name, |i| match name[i] {
        b'"' => Some(b"%22"),
        b'\r' => Some(b"%0D"),
        b'\n' => Some(b"%0A"),
        0 => Some(b""),
        b'\\' => {
            let after_another = i > 0 && name[i - 1] == b'\\';
            let before_another_or_last = name.get(i + 1).is_none_or(|&next| next == b'\\');
            (after_another || before_another_or_last).then_some(b"\\\\")
        }
        _ => None,
    });
}

/// Whether nothing but NUL is in a name. An empty one would be that of an empty file input, which is
/// no part.
fn is_nothing(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| byte == 0)
}

/// Writes the text between the quotes of a quoted string; a character that cannot stand there goes
/// out as browsers write it.
fn write_quoted(out: &mut impl Out, name: &[u8]) {
    write_escaped(out, name, |i| match name[i] {
        b'"' => Some(b"\\\""),
        b'\\' => Some(b"\\\\"),
        b'\r' => Some(b"%0D"),
        b'\n' => Some(b"%0A"),
        0 => Some(b""),
        _ => None,
    });
}

/// Writes a header line. Bytes that would end it or break it come out as spaces: no value can
/// forge a header, wherever it came from.
fn write_header(out: &mut impl Out, name: &str, value: &str) {
    out.put(name.as_bytes());
    out.put(b": ");
    let value = value.as_bytes();
    write_escaped(out, value, |i| match value[i] {
        b'\r' | b'\n' | 0 => Some(b" "),
        _ => None,
    });
    out.put(b"\r\n");
}

/// Writes `bytes`, but for each place where `escape` answers something, that.
fn write_escaped(
    out: &mut impl Out,
    bytes: &[u8],
    escape: impl Fn(usize) -> Option<&'static [u8]>,
) {
    let mut plain = 0;
    for i in 0..bytes.len() {
        if let Some(escaped) = escape(i) {
            out.put(&bytes[plain..i]);
            out.put(escaped);
            plain = i + 1;
        }
    }
    out.put(&bytes[plain..]);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

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
        assert_eq!(written(b"a\0b\0"), "ab");
        assert_eq!([written(b"\0\0"), written(b"")], ["file", ""]);
    }

    #[test]
    fn names_go_up_as_quoted_strings() {
        let head = |name: &[u8]| {
            let head = upload_part_head(&boundary(), false, name, Some(name), Some("a/b"));
            String::from_utf8(head).unwrap()
        };
        assert_eq!(
            head(b"a\"b\\c%22\r\n\0"),
            "\r\n--B\r\nContent-Disposition: form-data; name=\"a\\\"b\\\\c%22%0D%0A\"; \
             filename=\"a\\\"b\\\\c%22%0D%0A\"\r\nContent-Type: a/b\r\n\r\n"
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
    fn the_length_of_a_head_is_known_without_writing_it() {
        for (name, filename, first) in [
            (&b"a"[..], None, true),
            (b"a\"b\r\nc\0", Some(&br"a\\b\"[..]), false),
            (br"\", Some(b""), false),
            (b"a", Some(b"\0"), false),
        ] {
            let part = OutPart {
                filename,
                content_type: Some("a/b\r\n"),
                content_length: u64::MAX,
                repr_digest: Some("sha-256=:AA==:"),
                ..field(name)
            };
            let head = part_head(&boundary(), first, &part);
            assert_eq!(part_head_len(&boundary(), first, &part), head.len() as u64);
        }
        assert_eq!(close(&boundary(), true), b"\r\n--B--\r\n");
        assert_eq!(close(&boundary(), false), b"--B--\r\n");
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
