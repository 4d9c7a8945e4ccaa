//! The text fields of a form are the user's, whatever they are called.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use wharf::form::{Boundary, OutPart, RawFileName, close, content_type, part_head};

use crate::support::{Server, parts_of, soak};

#[derive(Debug, Clone)]
struct Sent {
    name: Vec<u8>,
    is_file: bool,
    content: Vec<u8>,
}

/// Names of fields that are no options: none begins with `wharf_`. The bytes that are
/// percent-encoded on the way are left out.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let near = [
        "expires_in",
        "expires_at",
        "max_downloads",
        "title",
        "password",
        "path",
        "name",
        "token",
        "WHARF_x",
        "Wharf_expires_in",
        "wharF_title",
        " wharf_x",
        "\twharf_title",
        "wharf",
        "wharf-expires-in",
        "wharf.title",
        "x_wharf_title",
        "%77harf_title",
        "wharf%5Ftitle",
        "\u{ff57}harf_title",
        "\\wharf_title",
        "",
    ];
    let near = prop::sample::select(near.to_vec()).prop_map(|name| name.as_bytes().to_vec());
    let byte = any::<u8>().prop_filter("goes out as it came", |byte| {
        !matches!(byte, b'"' | b'\r' | b'\n' | 0)
    });
    let any = prop::collection::vec(byte, 0..30);
    prop_oneof![near, any].prop_filter("is no option", |name| !name.starts_with(b"wharf_"))
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let content = prop::collection::vec(any::<u8>(), 0..40);
    let part = (name(), prop::bool::weighted(0.2), content);
    let part = part.prop_map(|(name, is_file, content)| Sent {
        name,
        is_file,
        content,
    });
    prop::collection::vec(part, 0..9)
}

#[test]
fn fields_that_are_no_options_come_back_as_they_came() {
    let server = Server::start();
    let boundary = Boundary::new("a-boundary-that-no-content-has").unwrap();
    let config = ProptestConfig {
        cases: if soak() { 3000 } else { 60 },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let come_back = |parts: Vec<Sent>| {
        let mut body = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            body.extend(part_head(
                &boundary,
                i == 0,
                &OutPart {
                    name: &part.name,
                    filename: part.is_file.then_some(&b"a.bin"[..]),
                    extended: None,
                    content_type: None,
                    content_length: part.content.len() as u64,
                    repr_digest: None,
                },
            ));
            body.extend_from_slice(&part.content);
        }
        body.extend(close(&boundary, !parts.is_empty()));
        let kind = content_type(&boundary);
        let stored = server.request("POST", "/upload", &[("Content-Type", &kind)], &body);
        prop_assert_eq!(stored.status, 201, "{}", stored.text());
        let stored = stored.json();
        for option in ["expires_at", "max_downloads", "title"] {
            prop_assert!(stored[option].is_null(), "{}", stored);
        }
        let back = server.get(&format!("/download/{}", stored["id"].as_str().unwrap()));
        let back = parts_of(back.header("content-type").unwrap(), &back.body);
        prop_assert_eq!(back.len(), parts.len());
        for ((head, content), part) in back.iter().zip(&parts) {
            prop_assert_eq!(&head.name[..], &part.name[..]);
            let file = part
                .is_file
                .then(|| RawFileName::Plain((&b"a.bin"[..]).into()));
            prop_assert_eq!(&head.file, &file);
            prop_assert_eq!(content, &part.content);
        }
        Ok(())
    };
    TestRunner::new(config).run(&sent(), come_back).unwrap();
}

/// Files are the user's under any name.
#[test]
fn a_file_sets_no_option() {
    let server = Server::start();
    let form = crate::support::Form::new().file("wharf_expires_in", "1h.txt", b"1h");
    let stored = server.upload(&form);
    assert!(stored["expires_at"].is_null());
    assert_eq!(stored["files"][0]["field"], "wharf_expires_in");
}
