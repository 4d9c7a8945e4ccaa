//! The verdicts on the heads of parts, line by line.

use wharf::form::DecodeErrorKind::*;
use wharf::form::{HEADERS_LIMIT, LINE_LIMIT, ParamFault, RawFileName, display_name};

use super::table::{A, accepted, disposed, refused, verdict, with_head};

#[test]
fn heads_need_their_empty_line() {
    refused(&format!("--B\r\n{A}\r\n--B--\r\n"), NoEmptyLine);
    refused(&format!("--B\r\n{A}\r\n--B"), NoEmptyLine);
    refused("--B\r\n\r\nx\r\n--B--\r\n", NoDisposition);
}

#[test]
fn dispositions_that_make_no_part() {
    refused(&with_head("Content-Type: text/plain"), NoDisposition);
    refused(
        &with_head("Content-Disposition: attachment; name=a"),
        NotFormData,
    );
    refused(&with_head("Content-Disposition: form-data"), NoName);
    refused(
        &with_head("Content-Disposition: form-data; filename=a"),
        NoName,
    );
    assert_eq!(disposed("form-data; name=\"\"").head.name, "");
}

#[test]
fn parameters_in_their_spellings() {
    for (disposition, name, file) in [
        ("form-data; name=\"a b\"; filename=\"c d\"", "a b", "c d"),
        ("Form-Data;NAME=a;FileName=b", "a", "b"),
        ("form-data ; name = a", "", ""),
        (
            "form-data; name=\"a\\\"b\"; filename=\"c\\\\d\"",
            "a\"b",
            "c\\d",
        ),
        ("form-data; name=a; filename=\"b\\\"", "a", "b\\"),
        (
            "form-data; name=a; filename=\"C:\\dir\\file.txt\"",
            "a",
            "C:\\dir\\file.txt",
        ),
        (
            "form-data; name=\"a; filename=evil.sh\"; filename=b",
            "a; filename=evil.sh",
            "b",
        ),
        (
            "form-data; name=\"%22%0D%0A%41\"; filename=\"%22\"",
            "%22%0D%0A%41",
            "%22",
        ),
    ] {
        if name.is_empty() {
            refused(
                &with_head(&format!("Content-Disposition: {disposition}")),
                Parameter(ParamFault::NoEquals),
            );
            continue;
        }
        let part = disposed(disposition);
        assert_eq!(part.head.name, name);
        assert_eq!(
            part.head.file,
            Some(RawFileName::Plain(file.to_owned().into())),
            "{disposition}"
        );
    }
    assert_eq!(*display_name(b"%22%0D%0A%41"), *b"\"\r\n%41");
}

#[test]
fn extended_names() {
    let plain = Some(RawFileName::Plain("b".into()));
    assert_eq!(
        disposed("form-data; name=a; filename=b; filename*=UTF-8''c")
            .head
            .file,
        plain
    );
    assert_eq!(
        disposed("form-data; name=a; filename*=UTF-8''c; filename=b")
            .head
            .file,
        plain
    );
    let alone = disposed("form-data; name=a; filename*=UTF-8''na%C3%AFve.txt");
    assert_eq!(
        alone.head.file,
        Some(RawFileName::Extended("naïve.txt".to_owned()))
    );
    for broken in ["UTF-8''%FF", "UTF-8''%E", "latin1''x", "nonsense"] {
        let part = disposed(&format!("form-data; name=a; filename*={broken}"));
        assert_eq!(part.head.file, Some(RawFileName::Unreadable), "{broken}");
    }
}

/// Names that are not ASCII, as .NET's HttpClient, PowerShell 7, Spring and JavaMail send them.
#[test]
fn names_in_encoded_words() {
    let read = |disposition: &str| {
        let head = disposed(disposition).head;
        let file = head.file.expect("a file");
        let RawFileName::Encoded(encoded) = &file else {
            panic!("{file:?}");
        };
        let shown = String::from_utf8(file.display(&head.name).into_owned()).unwrap();
        assert_eq!(file.as_bytes(), Some(&encoded.plain[..]));
        (shown, encoded.extended.clone())
    };
    for (disposition, name, extended) in [
        (
            "form-data; name=file; filename=\"=?utf-8?B?w7ZmZmVudGxpY2gudHh0?=\"; \
             filename*=utf-8''%C3%B6ffentlich.txt",
            "öffentlich.txt",
            Some("utf-8''%C3%B6ffentlich.txt"),
        ),
        (
            "form-data; name=\"file\"; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf; \
             filename=\"=?UTF-8?Q?r=C3=A9sum=C3=A9.pdf?=\"",
            "résumé.pdf",
            Some("UTF-8''r%C3%A9sum%C3%A9.pdf"),
        ),
        // The words say nothing that can be read: the other does.
        (
            "form-data; name=a; filename=\"=?koi8-r?B?1A==?=\"; filename*=UTF-8''t",
            "t",
            Some("UTF-8''t"),
        ),
        (
            "form-data; name=a; filename=\"=?UTF-8?Q?=C3=A9_x.txt?=\"; filename*=nonsense",
            "é x.txt",
            None,
        ),
        (
            "form-data; name=a; filename=\"=?ISO-8859-1?Q?caf=E9?= =?us-ascii?B?LnR4dA==?=\"",
            "café.txt",
            None,
        ),
    ] {
        let extended = extended.map(str::to_owned);
        assert_eq!(
            read(disposition),
            (name.to_owned(), extended),
            "{disposition}"
        );
    }
    for plain in ["=?koi8-r?B?1A==?=", "=?UTF-8?Q?a?=.txt", "x =?UTF-8?Q?a?="] {
        let part = disposed(&format!("form-data; name=a; filename=\"{plain}\""));
        assert_eq!(
            part.head.file,
            Some(RawFileName::Plain(plain.to_owned().into()))
        );
    }
    let both = disposed("form-data; name=a; filename=\"=?UTF-8?Q?a?=.txt\"; filename*=UTF-8''b");
    assert_eq!(
        both.head.file,
        Some(RawFileName::Plain("=?UTF-8?Q?a?=.txt".into()))
    );
}

#[test]
fn what_is_given_twice_or_goes_on_behind_a_quote() {
    refused(
        &with_head("Content-Disposition: form-data; name=a; name=b"),
        DuplicateParameter("name".to_owned()),
    );
    refused(
        &with_head("Content-Disposition: form-data; name=a; x=1; X=2"),
        DuplicateParameter("X".to_owned()),
    );
    refused(
        &with_head(&format!("{A}\r\n{A}")),
        DuplicateHeader("Content-Disposition".to_owned()),
    );
    refused(
        &with_head(&format!("{A}\r\nX-A: 1\r\nx-a: 2")),
        DuplicateHeader("x-a".to_owned()),
    );
    refused(
        &with_head("Content-Disposition: form-data; name=a;\r\n x=1"),
        FoldedHeader,
    );
    refused(&with_head(&format!("{A}\r\n\tmore")), FoldedHeader);
    refused(
        &with_head("Content-Disposition: form-data; name=\"a\"b"),
        Parameter(ParamFault::Trailing),
    );
    refused(
        &with_head("Content-Disposition: form-data; name=\"a"),
        Parameter(ParamFault::Unterminated),
    );
    refused(&with_head(&format!("{A}\r\nno colon")), MalformedHeader);
}

#[test]
fn names_that_are_not_utf_8() {
    let body = b"--B\r\nContent-Disposition: form-data; name=\"\xff\"; filename=\"\xe9\"\r\n\r\nx\r\n--B--\r\n";
    let part = verdict(body).unwrap().remove(0);
    assert_eq!(part.head.name, &b"\xff"[..]);
    assert_eq!(part.head.file, Some(RawFileName::Plain(b"\xe9"[..].into())));
}

#[test]
fn transfer_encodings() {
    for encoding in ["7bit", "8BIT", " binary ", "7-bit", "8-Bit"] {
        accepted(&with_head(&format!(
            "{A}\r\nContent-Transfer-Encoding: {encoding}"
        )));
    }
    let quoted = "Content-Transfer-Encoding: Quoted-Printable";
    let part = verdict(with_head(&format!("{A}\r\n{quoted}")).as_bytes()).unwrap();
    assert!(part[0].head.quoted_printable);
    assert!(!disposed("form-data; name=a").head.quoted_printable);
    refused(
        &with_head(&format!("{quoted}\r\n{A}; filename=b")),
        TransferEncoding("quoted-printable".to_owned()),
    );
    for coding in ["gzip", "identity, gzip", ""] {
        let body = with_head(&format!("{A}\r\nContent-Encoding: {coding}"));
        refused(&body, ContentEncoding(coding.to_owned()));
    }
    accepted(&with_head(&format!("{A}\r\nContent-Encoding: Identity")));
    for encoding in ["base64", "x"] {
        let body = with_head(&format!("{A}\r\nContent-Transfer-Encoding: {encoding}"));
        refused(&body, TransferEncoding(encoding.to_owned()));
    }
}

#[test]
fn types_charset_and_parts_within_parts() {
    let part =
        verdict(with_head(&format!("{A}\r\nContent-Type: multipart/mixed; boundary=C")).as_bytes());
    assert_eq!(
        part.unwrap()[0].head.content_type.as_deref(),
        Some(&b"multipart/mixed; boundary=C"[..])
    );
    assert_eq!(disposed("form-data; name=_charset_").head.name, "_charset_");
    assert_eq!(disposed("form-data; name=a").head.content_type, None);
}

#[test]
fn limits_of_heads() {
    let line = |len: usize| format!("X-A: {}", "x".repeat(len - 5));
    accepted(&with_head(&format!("{A}\r\n{}", line(LINE_LIMIT))));
    refused(
        &with_head(&format!("{A}\r\n{}", line(LINE_LIMIT + 1))),
        LineTooLong,
    );
    let many =
        |count: usize| (1..count).fold(A.to_owned(), |head, i| format!("{head}\r\nX-{i}: y"));
    accepted(&with_head(&many(HEADERS_LIMIT)));
    refused(&with_head(&many(HEADERS_LIMIT + 1)), TooManyHeaders);
    let large = format!("{A}\r\nX-1: {0}\r\nX-2: {0}\r\nX-3: {0}", "x".repeat(6000));
    refused(&with_head(&large), HeadTooLong);
}
