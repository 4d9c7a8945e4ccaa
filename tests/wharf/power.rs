//! Power cuts: the real server on real file systems, on a disk that remembers what it was told.
//! Each is made again as a cut may have left it, mounted, and served; every promise is looked at.
//!
//! They need root, FUSE, loop devices and the file systems; what is missing is said, and skipped.

mod load;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{
    BTRFS, Chance, EXT2, EXT4, EXT4_WITHOUT_JOURNAL, Form, Kind, Left, Mounted, RecordingDisk,
    Replay, Server, Setup, XFS, say, sha256, soak, wait_until,
};
use load::{Answered, load, prolong, remove, take, upload, upload_of};

/// Bytes of the disk.
const SIZE: u64 = 320 << 20;
/// Bytes of a file that takes long to be written.
const LARGE: usize = 96 << 20;

/// How a server makes durable what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Strict,
    /// Strict, by a journal.
    Journal,
    Relaxed,
}

impl Mode {
    fn args(self) -> &'static [&'static str] {
        match self {
            Mode::Strict => &["--durability", "strict", "--journal", "off"],
            Mode::Journal => &["--journal", "on", "--journal-size", "32MiB"],
            Mode::Relaxed => &["--durability", "relaxed"],
        }
    }
}

/// How many cuts are made of a run: 200 in a soak, or what `WHARF_CUTS` says.
fn cuts(otherwise: usize) -> usize {
    match std::env::var("WHARF_CUTS") {
        Ok(count) => count.parse().expect("WHARF_CUTS is a number"),
        Err(_) if soak() => 200,
        Err(_) => otherwise,
    }
}

/// A run that was recorded.
struct Run {
    records: Vec<crate::support::Record>,
    answered: Vec<Answered>,
    /// From when on a cut may come.
    from: usize,
    /// An upload that was answered before the cut is there after it.
    safe: usize,
}

/// The members of an upload's manifest.
fn manifest(store: &Path, id: &str) -> Option<serde_json::Value> {
    let json = std::fs::read(store.join(&id[..2]).join(format!("{id}.json"))).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Looks at every promise after a cut at `moment`; what is wrong.
fn wrong(server: &Server, run: &Run, moment: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    // A comparison that failed would be tried again for ever.
    wait_until("the index is complete, or cannot be", || {
        server.get("/uploads?limit=1").status == 200 || server.log().contains("ERROR cannot")
    });
    let log = server.log();
    let errors = log.lines().filter(|line| line.contains("ERROR"));
    wrong.extend(errors.filter(|_| run.safe >= moment).map(str::to_owned));
    for upload in &run.answered {
        let id = &upload.id;
        let answered = upload.at <= moment.min(run.safe);
        let shown = server.get(&format!("/uploads/{id}"));
        let status = shown.status;
        match upload.removed {
            Some((_, done)) if done <= moment.min(run.safe) => {
                if status != 404 {
                    wrong.push(format!("{id} was removed, and is {status}"));
                }
                continue;
            }
            Some((asked, _)) if asked <= moment => {}
            _ if answered && status != 200 => wrong.push(format!("{id} is lost: {status}")),
            _ => {}
        }
        if status != 200 {
            continue;
        }
        for (name, digest) in &upload.files {
            let file = server.get(&format!("/files/{id}/{name}"));
            match file.status {
                200 if sha256(&file.body) == *digest => {}
                200 => {
                    let (len, at) = (file.body.len(), upload.at);
                    wrong.push(format!(
                        "{id}/{name}, {len} bytes, answered at {at}, is served wrong"
                    ));
                }
                status if answered => wrong.push(format!("{id}/{name} is {status}")),
                _ => {}
            }
        }
        if run.safe < moment {
            continue;
        }
        let Some(stored) = manifest(&server.store(), id) else {
            wrong.push(format!("{id} has no manifest"));
            continue;
        };
        let given: Vec<_> = upload.deadlines.iter().rev().collect();
        let last = given.iter().position(|(at, _)| *at <= moment);
        if let Some(last) = last
            && !given[..=last]
                .iter()
                .any(|(_, it)| shown.json()["expires_at"] == *it)
            && upload.deadlines.iter().all(|(at, _)| *at <= moment)
        {
            wrong.push(format!("{id} has another deadline than {:?}", given[last]));
        }
        let used = upload.used.iter().filter(|at| **at <= moment).count();
        if stored["used"].as_u64().unwrap_or(0) < used as u64 {
            wrong.push(format!("{id} was used {used} times: {stored}"));
        }
    }
    wrong
}

/// Cuts a run at `count` moments, in each of the ways.
fn cut(kind: &Kind, mut run: Run, mode: Mode, count: usize, seed: u64) {
    let mut chance = Chance(seed | 1);
    let mut replay = Replay::new(std::mem::take(&mut run.records), SIZE);
    let (flushes, end) = (replay.flushes(), replay.len());
    let flushes: Vec<usize> = flushes.into_iter().filter(|at| *at > run.from).collect();
    let answers: Vec<usize> = run.answered.iter().map(|it| it.at).collect();
    let answers: Vec<usize> = answers.into_iter().filter(|at| *at > run.from).collect();
    let mut moments: Vec<usize> = (0..count)
        .map(|i| {
            let any = chance.next() as usize;
            match i % 4 {
                // Just before a flush ends, when most is pending.
                0 | 1 if !flushes.is_empty() => flushes[any % flushes.len()],
                // Just after an answer.
                2 if !answers.is_empty() => answers[any % answers.len()],
                _ => run.from + any % (end - run.from) + 1,
            }
        })
        .collect();
    moments.sort_unstable();
    let (mut faults, mut promised, mut replayed) = (Vec::new(), 0, 0);
    for (i, moment) in moments.into_iter().enumerate() {
        let left = match i % 4 {
            0 => Left::Nothing,
            1 => Left::All,
            _ => Left::Some(chance.next()),
        };
        let image = replay.cut(moment, left);
        let mounted = kind.after_cut(&image);
        let store = mounted.path.join("up/load");
        let setup = Setup::new().args(mode.args());
        let server = setup.store(&store).start();
        let mut found = wrong(&server, &run, moment);
        replayed += usize::from(server.log().contains("the journal has brought back"));
        server.upload(&Form::new().text("t", "x"));
        let (status, setup) = server.stop();
        assert!(status.success());
        if mode != Mode::Relaxed {
            let checked = setup.run(&["check"]);
            if !checked.status.success() {
                found.push(String::from_utf8_lossy(&checked.stdout).into_owned());
            }
        }
        if !found.is_empty() {
            faults.push(format!("cut at {moment} of {end} ({left:?}): {found:#?}"));
        }
        let kept = run
            .answered
            .iter()
            .filter(|it| it.at <= moment.min(run.safe));
        promised += kept.count();
    }
    let (name, bad) = (kind.label, faults.len());
    assert!(mode != Mode::Journal || replayed > 0, "no journal was read");
    say(&format!(
        "{name}, {mode:?}: {count} cuts, {bad} bad ones; {promised} uploads answered before"
    ));
    assert!(faults.is_empty(), "{name}, {mode:?}: {}", faults.join("\n"));
}

fn start(mounted: &Mounted, mode: Mode) -> Server {
    let store = mounted.path.join("up/load");
    let server = Setup::new().args(mode.args()).store(&store).start();
    if mode == Mode::Journal {
        server.says("the journal is ready");
    }
    server
}

/// An upload that was answered is there after every cut, and none is there in part.
fn strict(kind: &Kind, mode: Mode, cuts: usize) {
    if !kind.is_possible(SIZE) {
        return;
    }
    let disk = RecordingDisk::new(SIZE).unwrap();
    kind.make(&disk.path());
    let mounted = Mounted::new(kind.name, "", &disk.path()).unwrap();
    // The files that lay there before the server are on the disk.
    let synced = Command::new("sync").arg("-f").arg(&mounted.path).status();
    assert!(synced.unwrap().success());
    let from = disk.moment();
    let server = start(&mounted, mode);
    // One after the other each has its own syncs; together they share them.
    let mut chance = Chance(3);
    let mut answered: Vec<Answered> = Vec::new();
    for i in 0..12 {
        answered.push(upload(&server, &disk, &mut chance));
        let mine = &mut answered[i / 2];
        match i % 4 {
            0 => prolong(&server, &disk, mine, 3),
            1 => take(&server, &disk, mine),
            2 => {}
            _ => remove(&server, &disk, mine),
        }
    }
    answered.append(&mut load(&server, &disk, if soak() { 80 } else { 15 }, 7));
    drop(server.kill());
    drop(mounted);
    let records = disk.into_records();
    let safe = records.len();
    let run = Run {
        records,
        answered,
        from,
        safe,
    };
    cut(kind, run, mode, cuts, 11);
}

/// An upload that was answered before a clean stop is there after every cut, whatever was done to
/// it since; of what came later nothing wrong is served.
fn relaxed(kind: &Kind, cuts: usize) {
    if !kind.is_possible(SIZE) {
        return;
    }
    let disk = RecordingDisk::new(SIZE).unwrap();
    kind.make(&disk.path());
    let mounted = Mounted::new(kind.name, "", &disk.path()).unwrap();
    let server = start(&mounted, Mode::Relaxed);
    let mut answered = load(&server, &disk, if soak() { 20 } else { 6 }, 5);
    assert!(server.stop().0.success());
    let safe = disk.moment();
    let server = start(&mounted, Mode::Relaxed);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Another program that syncs its own file: the journal goes to the disk with it.
            let path = mounted.path.join("neighbour");
            while !over.load(Ordering::Relaxed) {
                let file = std::fs::File::create(&path).unwrap();
                file.sync_all().unwrap();
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        for upload in answered.iter_mut().filter(|it| it.removed.is_none()) {
            prolong(&server, &disk, upload, 9);
            take(&server, &disk, upload);
        }
        let later = load(&server, &disk, if soak() { 40 } else { 6 }, 6);
        answered.extend(later);
        if soak() {
            // The cut comes while it is written: it may have its size and not its content.
            let large = upload_of(&server, &disk, &[LARGE], &mut Chance(17));
            answered.push(large);
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(server.kill());
    drop(mounted);
    let run = Run {
        records: disk.into_records(),
        answered,
        from: safe,
        safe,
    };
    cut(kind, run, Mode::Relaxed, cuts, 13);
}

#[test]
fn a_cut_loses_nothing_without_a_journal() {
    strict(&EXT4_WITHOUT_JOURNAL, Mode::Strict, cuts(8));
}

#[test]
fn a_cut_loses_nothing_that_the_journal_has() {
    strict(&EXT4, Mode::Journal, cuts(8));
}

#[test]
fn a_cut_takes_nothing_that_was_durable_before() {
    relaxed(&XFS, cuts(6));
}

#[test]
#[ignore = "a soak: many cuts"]
fn ext4_strict() {
    strict(&EXT4, Mode::Strict, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn ext4_relaxed() {
    relaxed(&EXT4, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn ext4_without_journal_relaxed() {
    relaxed(&EXT4_WITHOUT_JOURNAL, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn ext2_strict() {
    strict(&EXT2, Mode::Strict, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn ext2_relaxed() {
    relaxed(&EXT2, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn xfs_strict() {
    strict(&XFS, Mode::Strict, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn btrfs_strict() {
    strict(&BTRFS, Mode::Strict, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn btrfs_relaxed() {
    relaxed(&BTRFS, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn ext4_without_journal_journal() {
    strict(&EXT4_WITHOUT_JOURNAL, Mode::Journal, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn xfs_journal() {
    strict(&XFS, Mode::Journal, cuts(10));
}

#[test]
#[ignore = "a soak: many cuts"]
fn btrfs_journal() {
    strict(&BTRFS, Mode::Journal, cuts(10));
}
