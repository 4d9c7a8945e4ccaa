//! A second opinion: multer, on bodies both take for well-formed.

use std::convert::Infallible;

use bytes::Bytes;
use proptest::prelude::*;
use wharf::form::RawFileName;

use super::{decode, soak};

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    name: String,
    file: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
}

async fn by_multer(body: &[u8], cuts: usize) -> Vec<Seen> {
    let frames: Vec<Result<Bytes, Infallible>> = body
        .chunks(cuts)
        .map(|frame| Ok(Bytes::copy_from_slice(frame)))
        .collect();
    let mut form = multer::Multipart::new(futures_util::stream::iter(frames), "B0undary");
    let mut seen = Vec::new();
    while let Some(field) = form.next_field().await.unwrap() {
        seen.push(Seen {
            name: field.name().unwrap().to_owned(),
            file: field.file_name().map(str::to_owned),
            content_type: field.content_type().map(ToString::to_string),
            content: field.bytes().await.unwrap().to_vec(),
        });
    }
    seen
}

fn by_wharf(body: &[u8], cuts: usize) -> Vec<Seen> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let parts = decode("B0undary", body.chunks(cuts)).unwrap();
    let seen = parts.into_iter().map(|part| Seen {
        name: text(&part.head.name),
        file: part
            .head
            .file
            .as_ref()
            .and_then(RawFileName::as_bytes)
            .map(text),
        content_type: part.head.content_type.as_deref().map(text),
        content: part.content,
    });
    seen.collect()
}

fn well_formed() -> impl Strategy<Value = Vec<u8>> {
    let content = prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            Just(b"\r\n".to_vec()),
            Just(b"\r\n--B0".to_vec())
        ],
        0..6,
    );
    let part = (
        "[a-z\u{e9}\u{20ac} ]{1,10}",
        prop::option::of("[a-zA-Z0-9\u{e9} ]{1,12}\\.[a-z]{1,3}"),
        any::<bool>(),
        content,
    );
    prop::collection::vec(part, 1..6).prop_map(|parts| {
        let mut body = Vec::new();
        for (name, file, typed, content) in parts {
            body.extend_from_slice(
                format!("--B0undary\r\nContent-Disposition: form-data; name=\"{name}\"").as_bytes(),
            );
            if let Some(file) = file {
                body.extend_from_slice(format!("; filename=\"{file}\"").as_bytes());
            }
            if typed {
                body.extend_from_slice(b"\r\nContent-Type: text/plain");
            }
            body.extend_from_slice(b"\r\n\r\n");
            body.extend_from_slice(&content.concat());
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--B0undary--\r\n");
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if soak() { 20_000 } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_see_the_same_parts(body in well_formed(), cuts in 1_usize..400) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let theirs = runtime.block_on(by_multer(&body, cuts));
        prop_assert_eq!(by_wharf(&body, cuts), theirs);
    }
}
