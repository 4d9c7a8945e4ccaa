//! The events of expired keys: a way for an operator to end an upload, and no more than that.

use std::time::{Duration, Instant};

use crate::support::{Cluster, Fleet, Form, Redis, Server, wait_until};

const LOCK: &str = "wharf:{lead}:lock";
const SETTING: &str = "notify-keyspace-events";
const ENDED: &str = "an operator has ended the upload";

/// An upload that lasts for an hour; its id.
fn stored(server: &Server, name: &str) -> String {
    let form = Form::new().file("f", name, b"until an operator ends it");
    let stored = server.post_to("/upload?expires_in=1h", &form, &[]);
    stored.json()["id"].as_str().unwrap().to_owned()
}

/// The key that an operator removes to end the upload.
fn marker(cli: impl Fn(&[&str]) -> String, id: &str) -> String {
    // The folders of a store are numbered from 00 to zz in the alphabet of ids.
    let alphabet = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digit = |at: usize| {
        let byte = id.as_bytes()[at];
        alphabet.iter().position(|known| *known == byte).unwrap()
    };
    let shard = (digit(0) * 32 + digit(1)) % 64;
    let key = format!("wharf:{{u{shard}}}:marker:{id}");
    assert_eq!(cli(&["EXISTS", &key]).trim(), "1", "{key}");
    key
}

/// Waits for the end of uploads. Events are fire and forget: one that a busy machine has lost is sent
/// again, for the marker of an upload that lives without one.
#[track_caller]
fn wait_for_end(
    what: &str,
    ended: &[(&str, &str)],
    cli: impl Fn(&[&str]) -> String,
    server: &Server,
    mut condition: impl FnMut() -> bool,
) {
    let mut ordered = Instant::now();
    wait_until(what, || {
        if ordered.elapsed() > Duration::from_secs(5) {
            ordered = Instant::now();
            for (id, key) in ended {
                if !is_gone(server, id) && cli(&["EXISTS", key]).trim() == "0" {
                    cli(&["SET", key, "", "PX", "1"]);
                }
            }
        }
        condition()
    });
}

fn is_gone(server: &Server, id: &str) -> bool {
    let gone = server.get(&format!("/uploads/{id}")).status == 404;
    let files = server.files();
    gone && !files
        .iter()
        .any(|file| file.starts_with(id) && !file.ends_with(".json"))
}

#[test]
fn an_operator_ends_an_upload() {
    let redis = Redis::with(&["--notify-keyspace-events", "Kg"]);
    let fleet = Fleet::start(&redis.url());
    wait_until("what was set stays, and what is needed is added", || {
        let flags = redis.cli(&["CONFIG", "GET", SETTING]);
        let flags = flags.lines().last().unwrap();
        "KgEx".chars().all(|flag| flags.contains(flag))
    });
    wait_until("all listen", || redis.listeners() == 3);
    for command in [
        vec!["PEXPIRE", "KEY", "1"],
        vec!["SET", "KEY", "", "PX", "1"],
    ] {
        let id = stored(&fleet.servers[0], "ordered.txt");
        let other = stored(&fleet.servers[1], "other.txt");
        let key = marker(|args| redis.cli(args), &id);
        let command: Vec<&str> = command
            .into_iter()
            .map(|word| if word == "KEY" { &key } else { word })
            .collect();
        redis.cli(&command);
        wait_for_end(
            "it is gone",
            &[(&id, &key)],
            |args| redis.cli(args),
            &fleet.servers[0],
            || fleet.servers.iter().all(|server| is_gone(server, &id)),
        );
        assert_eq!(
            fleet.servers[2].get(&format!("/uploads/{other}")).status,
            200
        );
    }
    let leader = fleet.leader();
    for (place, server) in fleet.servers.iter().enumerate() {
        let count = if place == leader { 2 } else { 0 };
        wait_until("the ends are logged", || server.lines(ENDED).len() == count);
    }
}

#[test]
fn an_event_that_no_operator_caused_ends_nothing() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 1, &[]);
    let server = &fleet.servers[0];
    wait_until("it listens", || redis.listeners() == 1);
    // Setting a time that is long past sends the event as well, and the marker is there again.
    let id = stored(server, "kept.txt");
    let key = marker(|args| redis.cli(args), &id);
    let script = "redis.call('SET', KEYS[1], '', 'PXAT', 1); return redis.call('SET', KEYS[1], '', 'PX', 3600000)";
    redis.cli(&["EVAL", script, "1", &key]);
    // More ends than an operator orders by hand: the clock of Redis has jumped.
    let ids: Vec<String> = (0..30)
        .map(|i| stored(server, &format!("{i}.txt")))
        .collect();
    let keys: Vec<String> = ids
        .iter()
        .map(|id| marker(|args| redis.cli(args), id))
        .collect();
    for key in &keys {
        redis.cli(&["PEXPIRE", key, "1"]);
    }
    let ended: Vec<(&str, &str)> = ids
        .iter()
        .zip(&keys)
        .map(|(id, key)| (id.as_str(), key.as_str()))
        .collect();
    let what = "the markers of the live uploads are there again";
    wait_for_end(
        what,
        &ended,
        |args| redis.cli(args),
        server,
        || {
            let live = ids.iter().filter(|id| !is_gone(server, id)).count();
            let marked = |key: &&String| redis.cli(&["EXISTS", key]).trim() == "1";
            live == 20 && keys.iter().filter(marked).count() == 20
        },
    );
    server.says("the clock of Redis seems to have jumped");
    assert_eq!(server.lines(ENDED).len(), 10);
    assert_eq!(server.get(&format!("/uploads/{id}")).status, 200);
}

#[test]
fn deadlines_are_kept_without_events() {
    let redis = Redis::with(&["--rename-command", "CONFIG", ""]);
    let fleet = Fleet::start(&redis.url());
    let form = Form::new().file("f", "due.txt", b"due");
    let due = fleet.servers[0]
        .post_to("/upload?expires_in=1", &form, &[])
        .json();
    let lives = fleet.servers[1]
        .post_to("/upload?expires_in=1h", &form, &[])
        .json();
    let id = |json: &serde_json::Value| json["id"].as_str().unwrap().to_owned();
    wait_until("it is gone", || is_gone(&fleet.servers[2], &id(&due)));
    for server in &fleet.servers {
        assert_eq!(server.get(&format!("/uploads/{}", id(&lives))).status, 200);
        const REFUSED: &str = "Redis does not send the events of expired keys";
        server.says(REFUSED);
        assert_eq!(server.lines(REFUSED).len(), 1, "once");
    }
    assert_eq!(
        redis.cli(&["KEYS", "*marker*"]).trim(),
        "",
        "no markers without events"
    );
}

#[test]
fn every_server_of_a_cluster_is_listened_to() {
    let mut cluster = Cluster::start();
    let fleet = Fleet::start(&cluster.url());
    let all_listen = |cluster: &Cluster| cluster.nodes.iter().all(|node| node.listeners() == 3);
    wait_until("all listen to all, replicas included", || {
        all_listen(&cluster)
    });
    let end = |cluster: &Cluster, when: &str| {
        // One of each master's: ids begin anywhere.
        let ids: Vec<String> = (0..3).map(|i| stored(&fleet.servers[i], "x.txt")).collect();
        for id in &ids {
            let key = marker(|args| cluster.cli(args), id);
            cluster.cli(&["PEXPIRE", &key, "1"]);
            let gone = || is_gone(&fleet.servers[0], id);
            wait_for_end(
                &format!("it is gone {when}"),
                &[(id, &key)],
                |args| cluster.cli(args),
                &fleet.servers[0],
                gone,
            );
        }
    };
    end(&cluster, "at first");
    // A replica that becomes the master goes on with the subscription it had.
    let master = cluster.master_of(LOCK);
    cluster.hand_over(cluster.replica_of(master), LOCK);
    end(&cluster, "after a failover");
    let new = cluster.add();
    cluster.migrate(LOCK, new);
    wait_until("all listen to the new one, once it has keys", || {
        all_listen(&cluster)
    });
}
