//! Properties that hold for any input.

use bytes::Bytes;
use proptest::prelude::*;
use wharf::form::{Boundary, OutPart, RawFileName, close, content_type, part_head, part_head_len};

use super::{decode, soak};

fn config() -> ProptestConfig {
    let cases = if soak() { 50_000 } else { 400 };
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Debug, Clone)]
struct Sent {
    name: Vec<u8>,
    file: Option<Vec<u8>>,
    content: Vec<u8>,
}

/// Names that go out as they came: without the bytes that are percent-encoded on the way.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("goes out as it came", |byte| {
        !matches!(byte, b'"' | b'\r' | b'\n' | 0)
    });
    prop::collection::vec(byte, 0..20)
}

/// Contents rich in what looks like a delimiter.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30),
        Just(b"\r\n--".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r\n--wharf".to_vec()),
        Just(b"--".to_vec()),
        Just(b"\r".to_vec()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let part = (name(), prop::option::of(name()), content());
    let part = part.prop_map(|(name, file, content)| Sent {
        name,
        file,
        content,
    });
    prop::collection::vec(part, 0..6)
}

/// `body` in frames, cut where `cuts` say.
fn frames<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    at.sort_unstable();
    at.insert(0, 0);
    at.push(body.len());
    at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_encoded_comes_back(parts in sent(), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        let boundary = Boundary::new("wharf-boundary").unwrap();
        let mut body = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let out = OutPart {
                name: &part.name,
                filename: part.file.as_deref(),
                extended: None,
                content_type: None,
                content_length: part.content.len() as u64,
                repr_digest: None,
            };
            let head = part_head(&boundary, i == 0, &out);
            prop_assert_eq!(part_head_len(&boundary, i == 0, &out), head.len() as u64);
            body.extend_from_slice(&head);
            body.extend_from_slice(&part.content);
        }
        body.extend_from_slice(&close(&boundary, !parts.is_empty()));
        prop_assert_eq!(Boundary::from_content_type(content_type(&boundary).as_bytes()), Ok(boundary));
        let decoded = decode("wharf-boundary", frames(&body, &cuts)).unwrap();
        prop_assert_eq!(decoded.len(), parts.len());
        for (got, part) in decoded.iter().zip(&parts) {
            prop_assert_eq!(&got.head.name, &Bytes::from(part.name.clone()));
            let file = part.file.clone().map(|file| RawFileName::Plain(file.into()));
            prop_assert_eq!(&got.head.file, &file);
            prop_assert_eq!(&got.content, &part.content);
        }
    }

    #[test]
    fn any_bytes_are_read_alike_under_any_cuts(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            Just(b"\r\n--B".to_vec()),
            Just(b"--B\r\n".to_vec()),
            Just(b"--B--".to_vec()),
            Just(b"-B\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n\r\n".to_vec()),
            Just(b"Content-Disposition: form-data; name=a".to_vec()),
            Just(b"; filename*=UTF-8''%41".to_vec()),
            Just(b"; filename=\"x\\\"".to_vec()),
            Just(b"; filename=\"=?utf-8?Q?=41?=\"".to_vec()),
            Just(b"\r\nContent-Type: a/b".to_vec()),
            Just(b"\r\nContent-Transfer-Encoding: quoted-printable".to_vec()),
        ], 0..14),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let body = pieces.concat();
        let whole = decode("B", [&body[..]]);
        prop_assert_eq!(decode("B", frames(&body, &cuts)), whole.clone());
        prop_assert_eq!(decode("B", body.chunks(1)), whole);
    }

    #[test]
    fn any_content_type_is_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let prefixed = [b"multipart/form-data; boundary=", &value[..]].concat();
        if let Ok(boundary) = Boundary::from_content_type(&prefixed) {
            prop_assert!((1..=70).contains(&boundary.as_bytes().len()));
        }
        let _ = Boundary::from_content_type(&value);
    }

    #[test]
    fn parts_that_are_sent_are_read_or_the_form_is_refused(
        parts in sent(),
        before in "(\\PC{0,8}|\r|\n|-|--|--B|-B){0,4}",
        after in "(\\PC{0,8}|\r|\n|-|--|--B|-B){0,4}",
    ) {
        // Whatever stands around a form of parts: they are all there, or it is a fault.
        let boundary = Boundary::new("B").unwrap();
        let mut body = before.into_bytes();
        for (i, part) in parts.iter().enumerate() {
            body.extend(part_head(&boundary, i == 0, &OutPart {
                name: &part.name,
                filename: part.file.as_deref(),
                extended: None,
                content_type: None,
                content_length: part.content.len() as u64,
                repr_digest: None,
            }));
            body.extend_from_slice(&part.content);
        }
        body.extend(close(&boundary, !parts.is_empty()));
        body.extend_from_slice(after.as_bytes());
        let whole = decode("B", [&body[..]]);
        prop_assert_eq!(decode("B", body.chunks(1)), whole.clone());
        if let Ok(decoded) = whole {
            prop_assert!(decoded.len() >= parts.len(), "{} of {} parts", decoded.len(), parts.len());
        }
    }
}
