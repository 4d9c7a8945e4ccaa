//! The cap on all that is stored, on several instances.

use crate::support::{Cluster, Fleet, Form, Redis, Server, UnderWay, noise, room_in, wait_until};

const MIB: usize = 1024 * 1024;
/// The room of an upload of 9 MiB.
const NINE: u64 = 9 * MIB as u64 + 4096;

fn nine() -> Form {
    Form::new().file("f", "a.bin", &noise(9 * MIB, 1))
}

fn fleet(redis: &str) -> Fleet {
    Fleet::with(
        redis,
        3,
        &["--max-total-size", "20MiB", "--idle-timeout", "5m"],
    )
}

fn begin(server: &Server) -> Option<UnderWay> {
    match UnderWay::begin(server.address, &nine(), false) {
        Ok(upload) => Some(upload),
        Err(answer) => {
            assert_eq!(answer.status, 507, "{}", answer.text());
            assert!(answer.detail().contains("max_total_size (20MiB)"));
            None
        }
    }
}

fn store(server: &Server) -> u16 {
    begin(server).map_or(507, |upload| upload.end().status)
}

/// Twelve uploads of 9 MiB, spread: as many go on as there is room for in the one store.
fn twelve_at_once(redis: &str) {
    let fleet = fleet(redis);
    let begun: Vec<UnderWay> = (0..12)
        .filter_map(|at| begin(&fleet.servers[at % 3]))
        .collect();
    assert_eq!(begun.len(), 2);
    let stored: Vec<_> = begun.into_iter().map(UnderWay::end).collect();
    assert!(stored.iter().all(|answer| answer.status == 201));
    assert_eq!(room_in(&fleet.store()), 2 * NINE);
    for server in &fleet.servers {
        assert_eq!(server.metric("wharf_store_bytes") as u64, 2 * NINE);
        assert_eq!(store(server), 507);
        assert!(!server.log().contains("ERROR"), "{}", server.log());
    }
    // The others have the room that one gives back.
    let upload = stored[0].json();
    let path = format!("/uploads/{}", upload["id"].as_str().unwrap());
    let token = format!("Bearer {}", upload["delete_token"].as_str().unwrap());
    let gone = fleet.servers[2].request("DELETE", &path, &[("Authorization", &token)], b"");
    assert_eq!(gone.status, 204);
    assert_eq!(store(&fleet.servers[0]), 201);
    assert_eq!(store(&fleet.servers[1]), 507);
    assert_eq!(
        fleet.servers[0].metric("wharf_store_bytes") as u64,
        2 * NINE
    );
}

#[test]
fn three_instances_keep_one_cap() {
    twelve_at_once(&Redis::start().url());
}

#[test]
fn three_instances_keep_one_cap_on_a_cluster() {
    twelve_at_once(&Cluster::start().url());
}

#[test]
fn what_an_instance_had_reserved_ends_after_it_was_killed() {
    let redis = Redis::start();
    let mut fleet = fleet(&redis.url());
    let killed = fleet.servers.pop().unwrap();
    let mut cut_off = begin(&killed).unwrap();
    cut_off.send(MIB);
    let under_way = begin(&fleet.servers[0]).unwrap();
    drop(killed.kill());
    assert_eq!(store(&fleet.servers[1]), 507);
    // The one that lives keeps its own for longer than that.
    wait_until("the room is there again", || {
        store(&fleet.servers[1]) == 201
    });
    assert_eq!(store(&fleet.servers[1]), 507);
    assert_eq!(under_way.end().status, 201);
    assert_eq!(room_in(&fleet.store()), 2 * NINE);
}

#[test]
fn without_redis_an_upload_goes_as_far_as_it_has_reserved() {
    let redis = Redis::start();
    let fleet = fleet(&redis.url());
    let server = &fleet.servers[0];
    let known = begin(server).unwrap();
    let form = Form::new().file("f", "b.bin", &noise(10 * MIB, 2));
    let mut unknown = UnderWay::begin(server.address, &form, true).ok().unwrap();
    redis.signal("-STOP");
    unknown.send(7 * MIB);
    assert_eq!(known.end().status, 201);
    let refused = unknown.end();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    redis.signal("-CONT");
    wait_until("what was stored without Redis is counted", || {
        server.metric("wharf_store_bytes") as u64 == NINE
    });
    assert_eq!(room_in(&fleet.store()), NINE);
    // The room of the refused one is there again, and no more than that.
    wait_until("the room is there again", || store(server) == 201);
    assert!(fleet.servers.iter().all(|server| store(server) == 507));
}

#[test]
fn what_redis_loses_is_no_room() {
    let redis = Redis::start();
    let fleet = fleet(&redis.url());
    let under_way = begin(&fleet.servers[0]).unwrap();
    assert_eq!(store(&fleet.servers[1]), 201);
    assert!(fleet.servers.iter().all(|server| store(server) == 507));
    redis.cli(&["FLUSHALL"]);
    // Before the comparison, while it runs, and after it.
    for server in fleet.servers.iter().cycle().take(30) {
        assert_ne!(store(server), 201);
    }
    assert_eq!(under_way.end().status, 201);
    wait_until("all is counted again", || {
        fleet.servers[2].metric("wharf_store_bytes") as u64 == 2 * NINE
    });
    fleet.ready();
    assert_eq!(store(&fleet.servers[2]), 507);
    assert_eq!(room_in(&fleet.store()), 2 * NINE);
}
