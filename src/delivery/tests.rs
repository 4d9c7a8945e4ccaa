//! A form read piece by piece has the same bytes as one written at once.

mod archives;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::cursor::{FormCursor, Step};
use super::memory::ManifestBudget;
use super::representation::{ByteSource, DeliveryPiece, FormBuilder};
use super::{BodyContent, Delivery, Representation, RepresentationKind, Selected};
use crate::catalog::EmbeddedCatalog;
use crate::form::{self, OutPart};
use crate::model::{Clock, Digest, Field, FileName, Manifest, Part, StoredFile};
use crate::repository::Repository;
use crate::store::disk::{Durability, Options as DiskOptions};
use crate::store::{DiskStore, Store as _};

/// Uploads in a directory.
fn repository(dir: &Path) -> (DiskStore, Repository) {
    let store = DiskStore::open(&DiskOptions {
        dir: dir.to_owned(),
        durability: Durability::Relaxed,
        min_free: 0,
        descriptors: 100,
        shared: None,
        sendfile: crate::store::Sendfile::Auto,
    });
    let (store, clock) = (store.unwrap(), Clock::system());
    let catalog = EmbeddedCatalog::open(&dir.join(".wharf/catalog.redb"), clock.clone()).unwrap();
    let uploads = Repository::new(Arc::new(store.clone()), Arc::new(catalog), clock, false);
    (store, uploads)
}

/// Names with many characters that are escaped.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"\"\\\r\n\0"[..]),
        Just(b'a'),
    ];
    prop::collection::vec(byte, 0..40)
}

/// Contents of text fields, small ones and some that are larger than a block.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![4 => 0..50_usize, 1 => 60_000..200_000_usize];
    (len, any::<u8>()).prop_map(|(len, seed)| content(usize::from(seed), 0..len as u64))
}

/// Bytes `range` of a content that is told from others by `seed`.
fn content(seed: usize, range: Range<u64>) -> Vec<u8> {
    range
        .map(|i| (i.wrapping_mul(31) as usize + seed) as u8)
        .collect()
}

fn part() -> impl Strategy<Value = Part> {
    let media_type = prop::option::of(Just("text/plain".to_owned()));
    let field = (name(), text(), media_type.clone()).prop_map(|(field, value, media_type)| {
        Part::Field(Field {
            field: field.into(),
            value: value.into(),
            media_type,
            rest: Default::default(),
        })
    });
    let size = prop_oneof![Just(0_u64), 1..100_u64, 100_000..300_000_u64];
    let file = (name(), name(), size, any::<bool>()).prop_map(|(field, original, size, hash)| {
        Part::File {
            field: field.into(),
            file: StoredFile {
                name: FileName::from_upload(b"a"),
                original: original.into(),
                path: None,
                size,
                extended: None,
                media_type: "a/b".to_owned(),
                given_type: None,
                sha256: hash.then(|| Digest::from([7; 32])),
                crc32: None,
                used: None,
                rest: Default::default(),
            },
        }
    });
    prop_oneof![field, file]
}

/// Up to three uploads, and of some of them one file alone.
fn forms() -> impl Strategy<Value = Vec<Selected>> {
    let upload = (prop::collection::vec(part(), 0..8), any::<Option<u8>>());
    let upload = upload.prop_map(|(mut parts, chosen)| {
        let mut names = Vec::new();
        for (i, part) in parts.iter_mut().enumerate() {
            if let Part::File { file, .. } = part {
                file.name = FileName::from_upload(format!("{i}").as_bytes());
                names.push(file.name.clone());
            }
        }
        let chosen = chosen.filter(|_| !names.is_empty());
        Selected {
            manifest: Arc::new(Manifest::sample(parts)),
            file: chosen.map(|chosen| names[usize::from(chosen) % names.len()].clone()),
            by_name: false,
        }
    });
    prop::collection::vec(upload, 0..4)
}

/// All of a form, written at once.
fn whole(form: &Representation, selected: &[Selected]) -> Vec<u8> {
    let RepresentationKind::Form(boundary) = &form.kind else {
        panic!("it is a form")
    };
    let mut body = Vec::new();
    for selected in selected {
        for part in &selected.manifest.parts[selected.parts()] {
            let (name, filename, media_type, value, digest) = match part {
                Part::Field(field) => {
                    let value = field.value.as_bytes().to_vec();
                    (&field.field, None, field.media_type.as_deref(), value, None)
                }
                Part::File { field, file } => {
                    let seed = usize::from(file.name.as_str().as_bytes()[0]);
                    let digest = file.sha256.map(|digest| digest.to_header());
                    let value = content(seed, 0..file.size);
                    let original = Some(file.original.as_bytes());
                    (field, original, Some(&*file.media_type), value, digest)
                }
            };
            let out = OutPart {
                name: name.as_bytes(),
                filename,
                extended: None,
                content_type: media_type,
                content_length: value.len() as u64,
                repr_digest: digest.as_deref(),
            };
            body.extend(form::part_head(boundary, body.is_empty(), &out));
            body.extend(value);
        }
    }
    let any = !body.is_empty();
    body.extend(form::close(boundary, any));
    body
}

/// A range of a form, read step by step.
async fn read(piece: DeliveryPiece, uploads: &Repository, budget: &ManifestBudget) -> Vec<u8> {
    let DeliveryPiece::Slice(slice) = piece else {
        panic!("a form has no bytes of its own")
    };
    let ByteSource::Form(outline) = slice.source else {
        panic!("it is a form")
    };
    let mut cursor = FormCursor::new(outline, slice.range);
    let mut body = Vec::new();
    while let Some(step) = cursor.next(uploads, budget).await.unwrap() {
        match step {
            Step::Text(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() < 70_000);
                body.extend_from_slice(&bytes);
            }
            Step::File(file) => {
                assert!(!file.range.is_empty() && file.range.end <= file.size);
                let seed = usize::from(file.name.as_str().as_bytes()[0]);
                body.extend(content(seed, file.range));
            }
        }
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_range_of_a_form_is_that_range_of_its_bytes(
        selected in forms(),
        cuts in prop::collection::vec((any::<u64>(), any::<u64>()), 0..8),
        room in prop::sample::select(&[0, 100 << 10, 64 << 20][..]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let (store, uploads) = repository(dir.path());
            for upload in &selected {
                let id = upload.manifest.id;
                store.stage(id).await.unwrap().commit(&upload.manifest).await.unwrap();
            }
            let budget = ManifestBudget::new(room);
            let mut form = FormBuilder::new(&budget);
            selected.iter().for_each(|selected| form.add(selected));
            let form = form.finish();
            let expected = whole(&form, &selected);
            assert_eq!(form.len(), expected.len() as u64);
            let len = form.len();
            let cuts = cuts.iter().map(|(from, to)| (from % (len + 1), to % (len + 1)));
            let ranges = cuts.map(|(from, to)| from.min(to)..from.max(to));
            for range in ranges.chain([0..len, 0..1, 1..len, len - 1..len]) {
                let found = read(form.slice(range.clone()), &uploads, &budget).await;
                let part = &expected[range.start as usize..range.end as usize];
                assert!(found == part, "{range:?} of {len}");
            }
        });
    }
}

/// A body whose blocks are all in memory leaves the thread to others again and again.
#[tokio::test]
async fn blocks_in_memory_are_not_sent_in_one_turn() {
    let dir = tempfile::tempdir().unwrap();
    let (_, uploads) = repository(dir.path());
    let delivery = Delivery::new(uploads, Clock::system());
    let form = FormBuilder::new(&ManifestBudget::new(0)).finish();
    let block = || DeliveryPiece::Bytes(vec![0; 200].into());
    let pieces = (0..1000).map(|_| block()).collect();
    let opened = delivery.open(&form, pieces, false, false).await.unwrap();
    let BodyContent::Blocks(mut blocks) = opened else {
        panic!("it is long")
    };
    let (mut turns, mut in_turn, mut sent) = (0, 0, 0);
    loop {
        let mut next = std::pin::pin!(blocks.next(false));
        let mut block = futures_util::poll!(next.as_mut());
        if block.is_pending() {
            (turns, in_turn) = (turns + 1, 0);
            block = futures_util::poll!(next.as_mut());
        }
        let std::task::Poll::Ready(block) = block else {
            panic!("nothing is waited for")
        };
        if block.unwrap().is_none() {
            break;
        }
        (sent, in_turn) = (sent + 1, in_turn + 1);
        assert!(in_turn <= 64);
    }
    assert!(sent == 1000 && turns >= 15, "{turns}");
}
