//! An archive that broke off goes on, by any instance, from a disk and from a bucket.

use crate::archive::{folders, stored};
use crate::support::{Bucket, Connection, Fleet, Form, Redis, Server, Setup, noise, wait_until};

#[test]
fn an_archive_resumes_at_every_place() {
    let server = Server::start();
    let id = stored(&server, &folders());
    for format in ["zip", "tar"] {
        let path = format!("/archive/{id}.{format}");
        let whole = server.get(&path);
        let etag = whole.header("etag").unwrap();
        let head = server.request("HEAD", &path, &[], b"");
        assert_eq!(
            head.header("content-length"),
            whole.header("content-length")
        );
        assert_eq!(head.header("etag").unwrap(), etag);
        let len = whole.body.len();
        // Every place but those inside of the largest file, and some of these.
        let places = (0..len).filter(|at| *at < 2500 || len - at < 2500 || at % 9973 == 0);
        let mut connection = Connection::open(server.address);
        for at in places.step_by(7) {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-Range: {etag}\r\nRange: bytes={at}-\r\n\r\n"
            );
            connection.send(head.as_bytes());
            let rest = connection.response(false).unwrap();
            assert_eq!(rest.status, 206, "at {at}");
            assert!(rest.body == whole.body[at..], "{format} at {at}");
        }
        let middle = server.request("GET", &path, &[("Range", "bytes=10-400,2000-2999")], b"");
        assert_eq!(middle.status, 206);
        assert!(
            middle
                .header("content-type")
                .unwrap()
                .starts_with("multipart/byteranges")
        );
        let same = server.request("GET", &path, &[("If-None-Match", etag)], b"");
        assert_eq!(same.status, 304);
    }
}

/// At 200 places of an archive another instance goes on, and gives the same bytes.
fn resumes_elsewhere(servers: &[Server], id: &str) {
    for format in ["zip", "tar"] {
        let path = format!("/archive/{id}.{format}");
        let whole = servers[0].get(&path);
        assert!(whole.status == 200 && whole.whole, "{}", whole.status);
        let (etag, len) = (whole.header("etag").unwrap(), whole.body.len());
        let mut connections: Vec<Connection> = servers
            .iter()
            .map(|server| Connection::open(server.address))
            .collect();
        for i in 0..200 {
            let at = len * i / 200 + i % 7;
            // To the end of it now and then, else as far as the next places.
            let end = match i % 20 {
                0 => len,
                _ => len.min(at + len / 60),
            };
            let connection = &mut connections[i % servers.len()];
            let last = end - 1;
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-Range: {etag}\r\nRange: bytes={at}-{last}\r\n\r\n"
            );
            connection.send(head.as_bytes());
            let rest = connection.response(false).unwrap();
            assert_eq!(rest.status, 206, "{format} at {at}");
            assert!(rest.body == whole.body[at..end], "{format} at {at}");
        }
    }
}

/// Folders, twins, an empty file, and one of several blocks.
fn mixed() -> Form {
    Form::new()
        .file("f", "a/b/c.bin", &noise(300_000, 5))
        .file("f", "a/b/c.bin", b"twin")
        .file("f", "empty", b"")
        .file("f", "ü/z.txt", b"z")
}

#[test]
fn another_instance_goes_on_from_the_disk() {
    let redis = Redis::start();
    let fleet = Fleet::with(&redis.url(), 2, &[]);
    let id = stored(&fleet.servers[0], &mixed());
    resumes_elsewhere(&fleet.servers, &id);
}

#[test]
fn another_instance_goes_on_from_the_bucket() {
    let (bucket, redis) = (Bucket::new(), Redis::start());
    let servers: Vec<Server> = (0..2)
        .map(|i| {
            Setup::new()
                .bucket(&bucket, &bucket.server.url())
                .args(&["--redis", &redis.url(), "--instance", &format!("i{i}")])
                .start()
        })
        .collect();
    for server in &servers {
        wait_until("it is ready", || server.get("/readyz").status == 200);
    }
    let id = stored(&servers[0], &mixed());
    resumes_elsewhere(&servers, &id);
    // One that is lost is found before the head goes out, one that has no content as well.
    let lost = bucket.keys();
    let lost = lost.iter().find(|key| key.ends_with("-empty")).unwrap();
    bucket.delete(lost);
    for format in ["zip", "tar"] {
        let answer = servers[1].get(&format!("/archive/{id}.{format}"));
        assert_eq!(answer.status, 500, "{format}");
        let others = format!("/archive/{id}.{format}?name=c.bin&name=z.txt");
        assert_eq!(servers[1].get(&others).status, 200);
    }
}
