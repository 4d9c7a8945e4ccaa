//! The cap on all that is stored, on one instance.

use crate::support::{Form, Response, Server, Setup, UnderWay, noise, room_in, wait_until};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn form(len: usize) -> Form {
    Form::new().file("f", "a.bin", &noise(len, 1))
}

fn capped(size: &str) -> Server {
    Setup::new().args(&["--max-total-size", size]).start()
}

fn room(server: &Server) -> u64 {
    server.metric("wharf_store_bytes") as u64
}

#[track_caller]
fn assert_refused(answer: &Response, cap: &str) {
    let text = answer.text();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (507, "quota-exceeded"),
        "{text}"
    );
    assert!(
        answer.detail().contains(&format!("max_total_size ({cap})")),
        "{text}"
    );
}

fn delete(server: &Server, upload: &serde_json::Value) {
    let path = format!("/uploads/{}", upload["id"].as_str().unwrap());
    let token = format!("Bearer {}", upload["delete_token"].as_str().unwrap());
    let gone = server.request("DELETE", &path, &[("Authorization", &token)], b"");
    assert_eq!(gone.status, 204);
}

/// Twelve uploads of 9 MiB begun at once: as many go on as there is room for.
fn twelve_at_once(chunked: bool) {
    let server = capped("20MiB");
    let (mut begun, mut refused) = (Vec::new(), 0);
    for _ in 0..12 {
        match UnderWay::begin(server.address, &form(9 * MIB), chunked) {
            Ok(upload) => begun.push(upload),
            Err(answer) => {
                assert_refused(&answer, "20MiB");
                refused += 1;
            }
        }
    }
    assert_eq!((begun.len(), refused), (2, 10));
    // Side by side, in small steps.
    for _ in 0..9 {
        begun.iter_mut().for_each(|upload| upload.send(MIB));
        assert!(room_in(&server.store()) <= 20 * MIB as u64);
    }
    let stored: Vec<_> = begun.into_iter().map(UnderWay::end).collect();
    assert!(stored.iter().all(|answer| answer.status == 201));
    assert_eq!(room_in(&server.store()), (2 * (9 * MIB + 4 * KIB)) as u64);
    assert_eq!(room(&server), room_in(&server.store()));
    assert_eq!(server.staged(), 0);
    assert_eq!(server.files().len(), 4);
    // A refusal to a client is no trouble of the operator's.
    server.says("INFO");
    server.says("max_total_size (20MiB)");
    assert!(!server.log().contains("ERROR"), "{}", server.log());
    // To the byte, 2 MiB less two manifests are left.
    let left = 2 * MIB - 8 * KIB - 4 * KIB;
    let put = |len: usize| server.request("PUT", "/files/b", &[], &noise(len, 2));
    assert_refused(&put(left + 1), "20MiB");
    assert_eq!(put(left).status, 201);
    assert_eq!(room(&server), 20 * MIB as u64);
    assert_refused(&server.post_to("/upload", &Form::new(), &[]), "20MiB");
    for answer in stored {
        delete(&server, &answer.json());
    }
    assert_eq!(room(&server), (2 * MIB - 8 * KIB) as u64);
    assert_eq!(room(&server), room_in(&server.store()));
    server.upload(&form(18 * MIB));
}

#[test]
fn as_many_uploads_go_on_as_there_is_room_for() {
    twelve_at_once(false);
}

#[test]
fn as_many_uploads_in_chunks_go_on_as_there_is_room_for() {
    twelve_at_once(true);
}

#[test]
fn what_is_broken_off_or_refused_gives_its_room_back() {
    let server = capped("20MiB");
    for chunked in [false, true] {
        let mut broken = UnderWay::begin(server.address, &form(9 * MIB), chunked)
            .ok()
            .unwrap();
        let mut full = UnderWay::begin(server.address, &form(11 * MIB), chunked);
        broken.send(MIB);
        if let Ok(full) = &mut full {
            full.send(MIB);
        }
        drop(broken);
        // The other one has its room, or is refused and gives it back.
        let answer = full.map_or_else(|answer| answer, UnderWay::end);
        assert_eq!(answer.status, if chunked { 201 } else { 507 });
        wait_until("the room is there again", || {
            let whole = UnderWay::begin(server.address, &form(8 * MIB), false);
            whole.is_ok()
        });
        if chunked {
            delete(&server, &answer.json());
        }
        assert_eq!(room(&server), 0);
    }
}

#[test]
fn the_last_room_goes_to_a_small_upload_that_does_not_say_its_length() {
    let server = capped("1MiB");
    let chunked = |len| {
        let begun = UnderWay::begin(server.address, &form(len), true);
        begun.map_or_else(|answer| answer, UnderWay::end)
    };
    assert_eq!(chunked(1000 * KIB).status, 201);
    assert_refused(&chunked(17 * KIB), "1MiB");
    assert_eq!(chunked(16 * KIB).status, 201);
    assert_eq!(room(&server), MIB as u64);
}

#[test]
fn text_counts_and_every_file_is_rounded_up() {
    let server = capped("1MiB");
    let text = Form::new().text("note", &"x".repeat(60 * KIB));
    let mut stored = 0;
    while server.post_to("/upload", &text, &[]).status == 201 {
        stored += 1;
        assert_eq!(room(&server), room_in(&server.store()));
    }
    // Each manifest takes 64 KiB.
    assert_eq!((stored, room(&server)), (16, MIB as u64));
    let server = capped("1MiB");
    let many = |count| {
        let files = (0..count).fold(Form::new(), |form, at| {
            form.file("f", &format!("{at}"), b"x")
        });
        server.post_to("/upload", &files, &[])
    };
    assert_refused(&many(256), "1MiB");
    let answer = many(200);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(room(&server), room_in(&server.store()));
    assert!(room(&server) > 800 * KIB as u64);
    assert_refused(&many(60), "1MiB");
    assert_eq!(many(20).status, 201);
    assert_eq!(server.staged(), 0);
}

#[test]
fn a_crash_changes_nothing_in_what_is_counted() {
    let server = capped("20MiB");
    let first = server.upload(&form(9 * MIB));
    server.upload(&form(3 * KIB));
    let mut under_way = UnderWay::begin(server.address, &form(9 * MIB), false)
        .ok()
        .unwrap();
    under_way.send(MIB);
    let expected = room_in(&server.store());
    let server = server.kill().start();
    assert_eq!(room(&server), expected);
    assert_refused(&server.post_to("/upload", &form(12 * MIB), &[]), "20MiB");
    server.upload(&form(9 * MIB));
    assert_refused(&server.post_to("/upload", &form(9 * MIB), &[]), "20MiB");
    delete(&server, &first);
    server.upload(&form(9 * MIB));
    assert_eq!(room(&server), room_in(&server.store()));
    let (_, setup) = server.stop();
    let server = setup.start();
    assert_eq!(room(&server), room_in(&server.store()));
    assert_refused(&server.post_to("/upload", &form(9 * MIB), &[]), "20MiB");
}
