//! An archive read piece by piece has the same bytes as one written at once.

use super::super::archive::{ArchiveOutline, ChosenFiles, file_at};
use super::super::archive_cursor::ArchiveCursor;
use super::*;
use crate::archive::{Entry, Format, Totals};
use crate::model::FilePath;

/// An upload whose files have CRCs, some of them in folders, and which of them are taken.
fn uploads() -> impl Strategy<Value = (Manifest, ChosenFiles)> {
    let upload = (prop::collection::vec(part(), 0..10), any::<Option<u16>>());
    upload.prop_map(|(mut parts, chosen)| {
        // An upload without a file has no archive.
        parts.push(Part::sample(StoredFile::sample("last", 5)));
        let mut places = Vec::new();
        for (i, part) in parts.iter_mut().enumerate() {
            if let Part::File { file, .. } = part {
                file.name = FileName::from_upload(format!("{i}").as_bytes());
                let path = format!("{}{i}", "folder é/".repeat(i % 3 * 20));
                file.path = Some(FilePath::from_upload(path.as_bytes()));
                file.crc32 = Some(i as u32);
                if chosen.is_some_and(|chosen| chosen >> i & 1 == 1) {
                    places.push(i);
                }
            }
        }
        let chosen = match places.is_empty() {
            true => ChosenFiles::All,
            false => ChosenFiles::Places(places.into()),
        };
        (Manifest::sample(parts), chosen)
    })
}

/// All of an archive, written at once.
fn whole(format: Format, manifest: &Manifest, chosen: &ChosenFiles) -> Vec<u8> {
    let (mut body, mut directory, mut totals) = (Vec::new(), Vec::new(), Totals::default());
    for (place, file) in chosen.files(manifest) {
        let entry = Entry {
            path: file.path(),
            size: file.size,
            crc32: file.crc32.unwrap(),
            modified: manifest.created_at,
        };
        directory.extend(format.record(&entry, body.len() as u64));
        body.extend(format.head(&entry));
        let seed = usize::from(file_at(manifest, place).name.as_str().as_bytes()[0]);
        body.extend(content(seed, 0..file.size));
        body.resize(body.len() + format.padding(file.size) as usize, 0);
        totals.add(format, &entry);
    }
    body.extend(directory);
    body.extend(format.end(&totals));
    body
}

async fn read_archive(
    outline: &Arc<ArchiveOutline>,
    range: Range<u64>,
    uploads: &Repository,
    budget: &ManifestBudget,
) -> Vec<u8> {
    let mut cursor = ArchiveCursor::new(Arc::clone(outline), range);
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
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_range_of_an_archive_is_that_range_of_its_bytes(
        (manifest, chosen) in uploads(),
        cuts in prop::collection::vec((any::<u64>(), any::<u64>()), 0..8),
        room in prop::sample::select(&[0, 64 << 20][..]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let (store, uploads) = repository(dir.path());
            store.stage(manifest.id).await.unwrap().commit(&manifest).await.unwrap();
            let (manifest, budget) = (Arc::new(manifest), ManifestBudget::new(room));
            for format in Format::ALL {
                let expected = whole(format, &manifest, &chosen);
                let archive = Representation::archive(format, &manifest, chosen.clone(), &budget).await;
                assert_eq!(archive.len(), expected.len() as u64);
                let DeliveryPiece::Slice(slice) = archive.slice(0..0) else {
                    panic!("an archive has no bytes of its own")
                };
                let ByteSource::Archive(outline) = slice.source else {
                    panic!("it is an archive")
                };
                let len = archive.len();
                let cuts = cuts.iter().map(|(from, to)| (from % (len + 1), to % (len + 1)));
                let ranges = cuts.map(|(from, to)| from.min(to)..from.max(to));
                for range in ranges.chain([0..len, 0..1, 1..len, len - 1..len]) {
                    let found = read_archive(&outline, range.clone(), &uploads, &budget).await;
                    let part = &expected[range.start as usize..range.end as usize];
                    assert!(found == part, "{format:?} {range:?} of {len}");
                }
                // Files are looked for where their bytes are.
                let all = outline.places_within(&manifest, &(0..len)).await;
                let looked = all.into_iter().flat_map(|places| manifest.files_among(places));
                assert_eq!(looked.count(), chosen.files(&manifest).count());
            }
        });
    }
}
