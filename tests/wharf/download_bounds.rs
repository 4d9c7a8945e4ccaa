//! The cost of a download, whatever it is asked for, and the costs that it must not have.

use std::io::Read as _;

use crate::support::{Bucket, Connection, Form, S3Proxy, Server, Setup, noise, wait_until};

fn id_of(json: &serde_json::Value) -> String {
    json["id"].as_str().unwrap().to_owned()
}

/// The query that asks for all of them.
fn query(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("name={name}")).collect();
    format!("/download?{}", names.join("&"))
}

/// A form whose names take three times as much going out as they took coming in.
fn swelling() -> Form {
    let name = "\\\"".repeat(4000);
    (0..250).fold(Form::new(), |form, _| form.text(&name, ""))
}

#[test]
fn the_memory_of_a_download_depends_neither_on_its_parts_nor_on_its_readers() {
    let server = Server::start();
    let ids: Vec<String> = (0..6).map(|_| id_of(&server.upload(&swelling()))).collect();
    let path = query(&ids);
    let head = server.request("HEAD", &path, &[], b"");
    let length: u64 = head.header("content-length").unwrap().parse().unwrap();
    assert!(length > 18_000_000, "{length}");
    let rest = server.memory().1;
    let readers: Vec<Connection> = (0..20)
        .map(|_| {
            let mut connection = Connection::open(server.address);
            connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
            connection
        })
        .collect();
    for reader in &readers {
        let mut status = [0; 12];
        reader.stream().read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
    let most = server.memory().1;
    // Written beforehand these forms were 360 MB.
    assert!(most < rest + 150_000, "{rest} KiB, then {most} KiB");
    // They are whole all the same.
    assert_eq!(server.get(&path).body.len() as u64, length);
}

#[test]
fn names_of_one_form_differ_and_its_parts_have_a_limit() {
    let server = Server::start();
    let fields =
        |count: usize| (0..count).fold(Form::new(), |form, i| form.text(&i.to_string(), "x"));
    let one = id_of(&server.upload(&Form::new().file("f", "one.txt", b"1")));
    let two = id_of(&server.upload(&Form::new().file("f", "caf\u{e9}.txt", b"2")));
    for (path, repeated) in [
        (format!("/download?name={one}&name={two}&name={one}"), &*one),
        ("/download?name=one.txt&name=one.txt".to_owned(), "one.txt"),
        // Two ways to say the same.
        (format!("/download?name={one}&name=one.txt"), "one.txt"),
        (
            "/download?name=caf%C3%A9.txt&name=cafe%CC%81.txt".to_owned(),
            "cafe",
        ),
    ] {
        let refused = server.get(&path);
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.detail().contains(repeated), "{}", refused.detail());
        assert_eq!(server.request("HEAD", &path, &[], b"").status, 400);
    }
    let many: Vec<String> = (0..10)
        .map(|_| id_of(&server.upload(&fields(1000))))
        .collect();
    let allowed = server.get(&query(&many));
    assert_eq!(allowed.status, 200);
    assert!(allowed.whole && allowed.body.len() > 500_000);
    let refused = server.get(&query(&[many, vec![one]].concat()));
    assert_eq!(refused.status, 400);
    assert!(refused.detail().contains("10000"), "{}", refused.detail());
}

/// A record as 7d560c9 has stored it, and the form that it gave for it.
const RECORD: &str = r#"{"schema":1,"generation":1,"id":"0c8r5v3m9ag7wqk2ht4xz1y6ne","created_at":1795396450123,"expires_at":null,"max_downloads":null,"used":0,"salt":"000102030405060708090a0b0c0d0e0f","delete_token":"61be55a8e2f6b4e172338bddf184d6dbee29c98853e0a0485ecee7f27b9af0b4","parts":[{"kind":"field","field":"na\"me","value":"tony bai"},{"kind":"file","field":"f","name":"a.txt","original":"a.txt","size":4,"media_type":"text/plain","sha256":"61be55a8e2f6b4e172338bddf184d6dbee29c98853e0a0485ecee7f27b9af0b4"}]}"#;

#[test]
fn a_form_has_the_bytes_and_the_etag_that_it_always_had() {
    let store = tempfile::tempdir().unwrap();
    let (id, folder) = ("0c8r5v3m9ag7wqk2ht4xz1y6ne", store.path().join("0c"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(format!("{id}-a.txt")), "aaaa").unwrap();
    std::fs::write(folder.join(format!("{id}.json")), RECORD).unwrap();
    let server = Setup::new().store(store.path()).start();
    let file = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\
        Content-Type: text/plain\r\nContent-Length: 4\r\n\
        Repr-Digest: sha-256=:Yb5VqOL2tOFyM4vd8YTW2+4pyYhT4KBIXs7n8nua8LQ=:\r\n\r\naaaa\r\n";
    for (path, tag, parts) in [
        (
            format!("/download/{id}"),
            "UxA2yST04yq60IsCVFmADqH1SfM",
            vec![
                "Content-Disposition: form-data; name=\"na%22me\"\r\nContent-Length: 8\r\n\r\ntony bai\r\n",
                file,
            ],
        ),
        (
            format!("/download/{id}/a.txt"),
            "fdE_FMxbZIecFeboBDulcjDpKSc",
            vec![file],
        ),
    ] {
        let form = server.get(&path);
        assert_eq!(form.header("etag"), Some(format!("\"{tag}\"").as_str()));
        let media_type = format!("multipart/form-data; boundary=wharf-{tag}");
        assert_eq!(form.header("content-type"), Some(media_type.as_str()));
        let delimiter = format!("--wharf-{tag}");
        let parts: Vec<String> = parts
            .iter()
            .map(|part| format!("{delimiter}\r\n{part}"))
            .collect();
        assert_eq!(form.text(), format!("{}{delimiter}--\r\n", parts.concat()));
    }
    let raw = server.get(&format!("/files/{id}/a.txt"));
    assert_eq!(raw.header("etag"), Some("\"0cTnB22tySh94gcUJx05oZTeopU\""));
}

#[test]
fn a_prefetch_takes_no_download_of_those_that_are_counted() {
    let server = Server::start();
    let form = Form::new().file("f", "once.txt", b"once");
    let limited = server.post_to("/upload?max_downloads=1", &form, &[]).json();
    let free = server.upload(&form);
    let purposes = [
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
    ];
    for purpose in purposes {
        let ask = |method, path: &str| server.request(method, path, &[purpose], b"");
        for path in ["/download/{}", "/files/{}/once.txt"] {
            let of = |json| path.replace("{}", &id_of(json));
            let refused = ask("GET", &of(&limited));
            assert_eq!(refused.status, 503, "{}", refused.text());
            assert!(refused.detail().contains("prefetch"));
            assert!(refused.header("retry-after").is_some());
            assert_eq!(ask("HEAD", &of(&limited)).status, 200);
            assert_eq!(ask("GET", &of(&free)).status, 200);
        }
    }
    let path = format!("/files/{}/once.txt", id_of(&limited));
    assert_eq!(server.get(&path).text(), "once");
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn damage_that_a_limited_form_has_behind_its_first_block_costs_no_download() {
    let server = Server::start();
    let form =
        Form::new()
            .file("a", "a.bin", &noise(300_000, 1))
            .file("b", "b.bin", &noise(300_000, 2));
    let id = id_of(&server.post_to("/upload?max_downloads=1", &form, &[]).json());
    let lost = server.store().join(&id[..2]).join(format!("{id}-b.bin"));
    let content = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let path = format!("/download/{id}");
    assert_eq!(server.get(&path).status, 500);
    std::fs::write(&lost, content).unwrap();
    // The use that was taken of the first upload is given back, by then or soon after.
    wait_until("the download is there again", || {
        server.get(&path).status == 200
    });
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn a_bucket_is_asked_once_for_the_sizes_of_all_files() {
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    let server = Setup::new().bucket(&bucket, &proxy.url()).start();
    server.says("the index is complete");
    let names = ["a", "b%#[]~\u{e9} +&", "c"];
    let form = names.iter().zip(1..).fold(Form::new(), |form, (name, i)| {
        form.file("f", name, &noise(200_000, i))
    });
    let id = id_of(&server.upload(&form));
    let path = format!("/download/{id}");
    // Others are the cleaner's.
    let lists = |path: &str| path.contains("list-type") && path.contains(&id);
    let asked = |range: Option<&str>| {
        proxy.take_asked();
        let headers: Vec<(&str, &str)> = range.map(|range| ("Range", range)).into_iter().collect();
        let status = server.request("GET", &path, &headers, b"").status;
        let asked = proxy.take_asked();
        let listings = asked.iter().filter(|asked| lists(&asked.path)).count();
        let heads = asked
            .iter()
            .filter(|asked| asked.method == "HEAD" && !asked.path.contains(".json"));
        assert_eq!(heads.count(), 0, "{asked:?}");
        (status, listings)
    };
    assert_eq!(asked(None), (200, 1));
    assert_eq!(asked(Some("bytes=100000-")), (206, 0));
    let single = format!("/download/{id}/a");
    proxy.take_asked();
    assert_eq!(server.get(&single).status, 200);
    let asked_for_it = proxy.take_asked();
    assert!(!asked_for_it.iter().any(|asked| lists(&asked.path)));
    let key = |name: &str| format!("up/{}/{id}-{name}", &id[..2]);
    bucket.put(&key("c"), b"shorter");
    assert_eq!(server.get(&path).status, 500);
    bucket.delete(&key("c"));
    assert_eq!(server.get(&path).status, 500);
    assert_eq!(server.get(&single).status, 200);
}
