use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::record::BLOCK;
use super::segment::{FIRST, Segment, name};
use super::*;
use crate::model::UploadId;
use crate::store::disk::options::Durability;
use crate::store::disk::sync::Syncer;

const STORE: [u8; 16] = [7; 16];
/// Bytes of a segment.
const SEGMENT: u64 = 1 << 20;

fn folder(dir: &Path) -> File {
    File::open(dir).unwrap()
}

fn home(dir: &Path) -> Home {
    Home::of(folder(dir), STORE).unwrap().unwrap()
}

fn position_file(dir: &Path) -> File {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.open(dir.join("position")).unwrap()
}

fn position(dir: &Path) -> Position {
    match Position::read(position_file(dir), home(dir)).unwrap() {
        Found::Here(position) => position,
        _ => Position::create(position_file(dir), home(dir), 100).unwrap(),
    }
}

fn segments(dir: &Path) -> Vec<Segment> {
    let prepared = (0..4).map(|number| Segment::prepare(folder(dir), number, SEGMENT));
    prepared.map(Result::unwrap).collect()
}

fn start(dir: &Path) -> Journal {
    start_with(dir, segments(dir), position(dir))
}

fn start_with(dir: &Path, segments: Vec<Segment>, position: Position) -> Journal {
    let syncer = Syncer::new(folder(dir).into(), Durability::Strict, true);
    let root = folder(dir).into();
    let never = Duration::from_secs(3600);
    Journal::start(
        segments,
        position,
        root,
        Arc::new(syncer),
        Default::default(),
        never,
    )
    .unwrap()
}

/// The contents of all records, in their order.
fn replay(dir: &Path) -> Vec<Vec<u8>> {
    let next = position(dir).next;
    let mut records = Records::open(folder(dir), &home(dir), next).unwrap();
    let mut found = Vec::new();
    while let Some((place, change)) = records.read_next().unwrap() {
        assert_eq!(records.read_again(place).unwrap(), change);
        found.push(change.contents().flatten().copied().collect());
    }
    found
}

fn commit(content: &[u8]) -> Body {
    let id = UploadId::generate().unwrap();
    let sizes = [content.len() as u32];
    Body::commit(&id, b"{}", &sizes, content.to_vec().into())
}

fn remove() -> Body {
    Body::remove(&UploadId::generate().unwrap(), b"{}")
}

/// Appends these one after the other, and leaves them to the next start.
fn append(dir: &Path, contents: &[Vec<u8>]) {
    let journal = start(dir);
    for content in contents {
        drop(journal.append_blocking(commit(content)).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_appended_is_replayed_and_a_cut_leaves_a_prefix(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20_000), 1..12),
        cut in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), &contents);
        prop_assert_eq!(&replay(dir.path()), &contents);
        // A segment that is read from its end on: the last was taken first.
        let path = dir.path().join(name(3));
        let whole = std::fs::read(&path).unwrap();
        let used = contents.iter().map(|it| (it.len() + 81).next_multiple_of(BLOCK));
        let at = FIRST as usize + cut.index(used.sum());
        let mut torn = whole.clone();
        torn[at..].fill(0);
        std::fs::write(&path, &torn).unwrap();
        let left = replay(dir.path());
        prop_assert!(contents.starts_with(&left), "{} of {}", left.len(), contents.len());
        let mut flipped = whole.clone();
        flipped[at] ^= 1_u8 << bit;
        std::fs::write(&path, &flipped).unwrap();
        let left = replay(dir.path());
        prop_assert!(contents.starts_with(&left) && left.len() < contents.len());
        // A sector that was never written.
        let mut hole = whole;
        hole[at / 512 * 512..at / 512 * 512 + 512].fill(0xA5);
        std::fs::write(&path, &hole).unwrap();
        prop_assert!(contents.starts_with(&replay(dir.path())));
    }
}

#[test]
fn a_stored_copy_of_a_segment_is_never_read_as_records() {
    let dir = tempfile::tempdir().unwrap();
    let first = [b"first".to_vec(), b"second".to_vec()];
    append(dir.path(), &first);
    let path = dir.path().join(name(3));
    let copied = std::fs::read(&path).unwrap()[..64 << 10].to_vec();
    // In the same use of the segment, where the salt is known, at each place among the blocks.
    for shift in [0, 1, 40, BLOCK - 200, 2 * BLOCK - 173] {
        let dir = tempfile::tempdir().unwrap();
        let journal = start(dir.path());
        drop(journal.append_blocking(commit(b"first")).unwrap());
        let path = dir.path().join(name(3));
        let own = std::fs::read(&path).unwrap()[..64 << 10].to_vec();
        for hostile in [&own, &copied] {
            let content = [&vec![0; shift], &hostile[..]].concat();
            drop(journal.append_blocking(commit(&content)).unwrap());
        }
        drop(journal);
        let all = replay(dir.path());
        assert_eq!(all.len(), 3);
        // Its record is torn: what it holds is searched for nothing.
        let mut bytes = std::fs::read(&path).unwrap();
        let second = FIRST as usize + BLOCK;
        bytes[second + 20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(replay(dir.path()), [b"first"]);
        // And where the bytes of such a file themselves stand in the place of the next record.
        bytes[second..second + own.len()].copy_from_slice(&own);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(replay(dir.path()), [b"first"]);
    }
}

#[test]
fn many_at_once_share_their_syncs_and_all_are_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..16_u32 {
            let journal = &journal;
            scope.spawn(move || {
                for i in 0..8_u32 {
                    let content = (thread * 100 + i).to_le_bytes();
                    drop(journal.append_blocking(commit(&content)).unwrap());
                }
            });
        }
    });
    let figures = journal.figures();
    assert_eq!(figures.records, 128);
    assert!(
        (1..=128).contains(&figures.batches) && figures.unpassed > 0,
        "{figures:?}"
    );
    drop(journal);
    let mut found: Vec<u32> = replay(dir.path())
        .into_iter()
        .map(|content| u32::from_le_bytes(content.try_into().unwrap()))
        .collect();
    // Those of one thread are in their order.
    for thread in 0..16 {
        let of = found.iter().filter(|it| **it / 100 == thread);
        assert!(of.is_sorted());
    }
    found.sort_unstable();
    let all = (0..16).flat_map(|thread| (0..8).map(move |i| thread * 100 + i));
    assert_eq!(found, all.collect::<Vec<_>>());
}

#[test]
fn a_checkpoint_waits_for_names_and_commits_find_no_room_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let held = journal.append_blocking(commit(b"held")).unwrap();
    let content = vec![1; 200 << 10];
    let mut appended = vec![b"held".to_vec()];
    let refused = loop {
        match journal.append_blocking(commit(&content)) {
            Ok(_) => appended.push(content.clone()),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refused::NoRoom);
    // Three of four segments: the last is for what must not be done without a record.
    assert!((12..=15).contains(&appended.len()), "{}", appended.len());
    drop(journal.append_blocking(remove()).unwrap());
    assert!(journal.append_blocking(commit(b"small")).is_err());
    drop(held);
    wait("there is room again", || {
        journal.append_blocking(commit(b"later")).is_ok()
    });
    assert!(journal.figures().refused >= 2);
    drop(journal);
    let left = replay(dir.path());
    assert!(
        !left.contains(&b"held".to_vec()),
        "a checkpoint has passed it"
    );
    assert_eq!(left.last(), Some(&b"later".to_vec()));
}

#[test]
fn a_clean_end_leaves_nothing_and_the_next_start_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let journal = start(dir.path());
        for _ in 0..round + 1 {
            drop(journal.append_blocking(commit(&[round; 5000])).unwrap());
        }
        assert!(journal.close());
        assert!(journal.append_blocking(commit(b"late")).is_err());
        assert_eq!(replay(dir.path()), Vec::<Vec<u8>>::new());
    }
    append(dir.path(), &[b"x".to_vec()]);
    assert_eq!(replay(dir.path()), [b"x"]);
}

#[test]
fn a_record_that_cannot_be_written_fails_its_batch_and_all_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let read_only = segments(dir.path())
        .into_iter()
        .enumerate()
        .map(|(i, segment)| Segment {
            file: File::open(dir.path().join(name(i as u64))).unwrap(),
            ..segment
        });
    let journal = start_with(dir.path(), read_only.collect(), position(dir.path()));
    for _ in 0..2 {
        let failed = journal.append_blocking(commit(b"x"));
        assert!(matches!(failed, Err(Refused::Failed(_))), "{failed:?}");
    }
    assert!(journal.failed().unwrap().contains("cannot be written"));
    assert!(!journal.close());
    assert_eq!(replay(dir.path()), Vec::<Vec<u8>>::new());
}

#[test]
fn a_checkpoint_that_fails_frees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let next = position(dir.path()).next;
    let file = File::open(dir.path().join("position")).unwrap();
    let Found::Here(position) = Position::read(file, home(dir.path())).unwrap() else {
        panic!("it is there");
    };
    let journal = start_with(dir.path(), segments(dir.path()), position);
    drop(journal.append_blocking(commit(b"x")).unwrap());
    assert!(!journal.close());
    assert!(journal.failed().unwrap().contains("cannot be shortened"));
    assert_eq!(replay(dir.path()), [b"x"]);
    assert_eq!(super::tests::position(dir.path()).next, next);
}

#[test]
fn a_journal_of_another_folder_or_store_has_no_records_here() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    append(dir.path(), &[b"x".to_vec()]);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let found = Position::read(position_file(copy.path()), home(copy.path())).unwrap();
    let Found::Foreign(theirs) = found else {
        panic!("{found:?}");
    };
    // Whose it is, it says.
    let read = |home: &Home| {
        let mut records = Records::open(folder(copy.path()), home, theirs.next).unwrap();
        records.read_next().unwrap().is_some()
    };
    assert!(read(&theirs.home) && !read(&home(copy.path())));
    let other = Home::of(folder(dir.path()), [8; 16]).unwrap().unwrap();
    let found = Position::read(position_file(dir.path()), other).unwrap();
    assert!(matches!(found, Found::Foreign(_)));
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_behind_the_end_of_a_segment_is_no_record() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), &[vec![3; 9000], vec![4; 9000]]);
    let path = dir.path().join(name(3));
    let file = File::options().write(true).open(&path).unwrap();
    // The second record loses its end.
    file.set_len(FIRST + 3 * BLOCK as u64 + 100).unwrap();
    assert_eq!(replay(dir.path()), [vec![3; 9000]]);
    file.write_all_at(&[0; 8], 0).unwrap();
    assert_eq!(replay(dir.path()), Vec::<Vec<u8>>::new());
}
