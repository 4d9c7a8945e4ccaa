//! The whole picture: several instances on a bucket and a Redis Cluster, behind nginx.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::s3_crash::{Until, leftovers, post_forms, wait_for_the_cleaner};
use crate::support::redis::free_port;
use crate::support::{
    Bucket, Cluster, Form, Nginx, Redis, Server, Setup, noise, role, sha256, soak, try_request,
    wait_until,
};

/// An instance on a port that it keeps.
fn setup(bucket: &Bucket, redis: &str, number: usize) -> Setup {
    Setup::new()
        .bucket(bucket, &bucket.server.url())
        .args(&["--redis", redis, "--instance", &format!("i{number}")])
        .args(&["--stale-after", "5s"])
        .args(&["--listen", &format!("127.0.0.1:{}", free_port())])
}

fn ready(server: &Server) {
    wait_until("it is ready", || server.get("/readyz").status == 200);
    // Until the index is whole no name is given.
    wait_until("names are known", || server.get("/uploads").status == 200);
}

#[test]
fn what_one_does_all_others_know_at_once() {
    let (bucket, redis) = (Bucket::new(), Redis::start());
    let servers: Vec<Server> = (0..3)
        .map(|i| setup(&bucket, &redis.url(), i).start())
        .collect();
    servers.iter().for_each(ready);
    for i in 0..10 {
        let content = noise(1000 + i * 100_000, i as u64);
        let json = servers[i % 3].upload(&Form::new().file("f", "same.bin", &content));
        let path = format!("/uploads/{}", json["id"].as_str().unwrap());
        for server in &servers {
            assert!(server.get("/files/same.bin").body == content);
        }
        let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
        let owner = [("Authorization", token.as_str())];
        let third = &servers[(i + 2) % 3];
        let body = br#"{"expires_in":"1h"}"#;
        let deadline = third.request("PATCH", &path, &owner, body).json()["expires_at"].clone();
        for server in &servers {
            assert_eq!(server.get(&path).json()["expires_at"], deadline);
        }
        assert_eq!(
            servers[(i + 1) % 3]
                .request("DELETE", &path, &owner, b"")
                .status,
            204
        );
        for server in &servers {
            assert_eq!(server.get(&path).status, 404);
        }
    }
    let keys = bucket.keys();
    assert_eq!(keys.len(), 10, "a tombstone each");
    assert!(keys.iter().all(|key| key.ends_with(".json")));
}

#[test]
fn limited_downloads_are_counted_over_all() {
    let (bucket, redis) = (Bucket::new(), Redis::start());
    let servers: Vec<Server> = (0..2)
        .map(|i| setup(&bucket, &redis.url(), i).start())
        .collect();
    servers.iter().for_each(ready);
    let form = Form::new().file("f", "a.bin", &noise(200_000, 7));
    let stored = servers[0].post_to("/upload?max_downloads=8", &form, &[]);
    let path = format!("/files/{}/a.bin", stored.json()["id"].as_str().unwrap());
    let whole = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for i in 0..20 {
            let (server, path, whole) = (&servers[i % 2], &path, &whole);
            scope.spawn(move || {
                loop {
                    let timeout = Duration::from_secs(120);
                    match try_request(server.address, timeout, "GET", path, &[], b"") {
                        Some(response) if response.status == 200 && response.whole => {
                            whole.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                        Some(response) if response.status == 404 => return,
                        _ => std::thread::sleep(Duration::from_millis(20)),
                    }
                }
            });
        }
    });
    assert_eq!(whole.load(Ordering::SeqCst), 8);
    wait_until("the used-up upload is removed", || bucket.keys().len() == 1);
}

/// Instances, the leader among them, and a master of the cluster are killed while forms are
/// posted through nginx: every form that was answered is there, byte for byte. The posting rests
/// while the index is made whole: on two cores it would take the time that this needs.
#[test]
fn kills_in_the_whole_picture_lose_nothing() {
    let bucket = Bucket::new();
    let mut cluster = Cluster::start();
    let url = cluster.url();
    let mut servers: Vec<Server> = (0..3)
        .map(|i| setup(&bucket, &url, i).for_everybody().start())
        .collect();
    servers.iter().for_each(ready);
    let nginx = Nginx::before(&servers.iter().collect::<Vec<_>>());
    let answered = Mutex::default();
    let rounds = if soak() { 10 } else { 1 };
    for round in 0..rounds {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (answered, over, address) = (&answered, &over, nginx.address);
                let seed = 100 + 4 * round + client;
                scope.spawn(move || post_forms(address, seed, over, answered));
            }
            let _posting = Until(&over);
            let count = || answered.lock().unwrap().len();
            let more = |what: &str| {
                let before = count();
                wait_until(what, || count() >= before + 10);
            };
            more("forms are stored");
            let any = servers.remove(0).kill().start();
            more("forms are stored beside a start");
            servers.push(any);
            let mut leader = None;
            wait_until("there is a leader", || {
                leader = servers
                    .iter()
                    .position(|server| role(&server.get("/status")) == "leader");
                leader.is_some()
            });
            let killed = servers.remove(leader.unwrap()).kill();
            let master = cluster.master_of("{lead}");
            cluster.nodes[master].kill();
            more("forms are stored without a leader and a master");
            cluster.nodes[master].restart();
            cluster.wait();
            servers.push(killed.start());
        });
        servers.iter().for_each(ready);
    }
    let answered = answered.into_inner().unwrap();
    for (i, upload) in answered.iter().filter(|upload| !upload.expires).enumerate() {
        let file = servers[i % 3].get(&format!("/files/{}/{}", upload.id, upload.name));
        assert_eq!(
            (file.status, sha256(&file.body)),
            (200, upload.sha256.clone())
        );
        // The index has made up for the changes that the lost master had not passed on.
        wait_until("its name is known", || {
            servers[(i + 1) % 3]
                .get(&format!("/files/{}", upload.name))
                .status
                == 200
        });
    }
    for upload in answered.iter().filter(|upload| upload.expires) {
        let key = format!("up/{}/{}-{}", &upload.id[..2], upload.id, upload.name);
        wait_until("what is over is gone", || bucket.get(&key).0 == 404);
        assert_eq!(
            servers[0].get(&format!("/uploads/{}", upload.id)).status,
            404
        );
    }
    wait_for_the_cleaner(&bucket);
    assert_eq!(leftovers(&bucket), [""; 0]);
    println!("{} forms answered", answered.len());
}
