//! A store in a bucket, on an S3 server of other authors.

use crate::support::{
    Bucket, Connection, Form, Response, S3, S3Proxy, Server, Setup, Trouble, noise, parts_of,
    sha256, soak, wait_until,
};

fn setup(bucket: &Bucket) -> Setup {
    Setup::new().bucket(bucket, &bucket.server.url())
}

/// The message of a start that fails.
fn refused(setup: Setup) -> String {
    let output = setup.run(&["--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().last().unwrap_or_default().to_owned()
}

fn id_of(json: &serde_json::Value) -> String {
    json["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_stored_in_a_bucket_comes_back() {
    let bucket = Bucket::new();
    let server = setup(&bucket).start();
    server.says("the index is complete");
    let big = noise(20_000_000, 1);
    let form = Form::new()
        .text("note", "kept")
        .file("f", "big.bin", &big)
        .file("g", "100%_[#]~é +&.txt", b"small")
        .file("h", "empty", b"");
    let json = server.upload(&form);
    let id = id_of(&json);
    assert_eq!(json["files"][0]["sha256"], sha256(&big));
    let mut stored = bucket.keys();
    stored.sort();
    let folder = format!("up/{}/{id}", &id[..2]);
    let mut expected = [
        format!("{folder}-big.bin"),
        format!("{folder}-100%_[#]~é +&amp;.txt"),
        format!("{folder}-empty"),
        format!("{folder}.json"),
    ];
    expected.sort();
    assert_eq!(stored, expected);
    assert_eq!(bucket.unfinished(), [""; 0]);
    let path = format!("/download/{id}");
    let whole = server.get(&path);
    let parts = parts_of(whole.header("content-type").unwrap(), &whole.body);
    let contents: Vec<&[u8]> = parts.iter().map(|(_, content)| &content[..]).collect();
    assert!(contents == [b"kept", &big[..], b"small", b""]);
    for range in [
        "bytes=0-0",
        "bytes=7999999-8000001",
        "bytes=-5",
        "bytes=19999999-",
    ] {
        let part = server.request("GET", "/files/big.bin", &[("Range", range)], b"");
        assert_eq!(part.status, 206);
        let begin = part.header("content-range").unwrap();
        let at: usize = begin["bytes ".len()..]
            .split('-')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(part.body == big[at..at + part.body.len()], "{range}");
    }
    let range = [("Range", "bytes=100-20000200")];
    let rest = server.request("GET", &path, &range, b"");
    assert!(rest.status == 206 && rest.body == whole.body[100..=20_000_200]);
    let special = server.get(&format!("/files/{id}/100%25_%5B%23%5D~%C3%A9%20+&.txt"));
    assert_eq!(special.text(), "small");
    assert_eq!(server.get(&format!("/files/{id}/empty")).body, b"");
    let token = format!("Bearer {}", json["delete_token"].as_str().unwrap());
    let owner = [("Authorization", token.as_str())];
    let path = format!("/uploads/{id}");
    let changed = server.request("PATCH", &path, &owner, br#"{"expires_in":"1h"}"#);
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert!(server.get(&path).json()["expires_at"].is_string());
    assert_eq!(server.request("DELETE", &path, &owner, b"").status, 204);
    assert_eq!(server.request("DELETE", &path, &owner, b"").status, 204);
    assert_eq!(server.get(&path).status, 404);
    assert_eq!(bucket.keys(), [format!("{folder}.json")], "its tombstone");
}

#[test]
fn an_index_of_its_own_finds_names_again() {
    let bucket = Bucket::new();
    let server = setup(&bucket).start();
    // Until the index is whole no name is given, after a restart neither.
    server.says("the index is complete");
    server.upload(&Form::new().file("f", "kept.txt", b"kept"));
    let (status, setup) = server.stop();
    assert!(status.success());
    let server = setup.start();
    assert_eq!(server.get("/files/kept.txt").text(), "kept");
    drop(server);
    // Another machine, which has no index yet.
    let server = self::setup(&bucket).start();
    wait_until("it is found", || {
        server.get("/files/kept.txt").status == 200
    });
    // The index of a server that runs is not taken away from under it.
    let out = self::setup(&bucket)
        .args(&["--dir", server.store().to_str().unwrap()])
        .run(&["reindex"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1));
    assert!(
        said.contains("another process has the index open"),
        "{said}"
    );
    let (_, setup) = server.stop();
    let out = setup.run(&["reindex"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(said, "1 uploads indexed, 0 damaged\n");
}

#[test]
fn a_wrong_place_refuses_the_start_in_the_words_of_the_store() {
    let bucket = Bucket::new();
    let elsewhere = Bucket {
        server: bucket.server,
        name: "no-such-bucket".to_owned(),
    };
    let said = refused(setup(&elsewhere));
    assert!(
        said.contains("NoSuchBucket: ") && said.contains("no-such-bucket"),
        "{said}"
    );
    let proxy = S3Proxy::to(bucket.server.port);
    let through = || Setup::new().bucket(&bucket, &proxy.url());
    // As AWS has it; moto takes any region for its own.
    proxy.rule(|_| Trouble::Answer(400, "AuthorizationHeaderMalformed"));
    let said = refused(through());
    assert!(said.contains("AuthorizationHeaderMalformed: "), "{said}");
    proxy.rule(|_| Trouble::Unconditional);
    let said = refused(through());
    assert!(said.contains("it ignores If-None-Match"), "{said}");
    proxy.rule(|_| Trouble::WithoutMetadata);
    let said = refused(through());
    assert!(
        said.contains("it does not give user metadata back"),
        "{said}"
    );
    // Look, create, read, create again; then what has to be refused for another version.
    proxy.rule(|asked| match asked.number {
        0..4 => Trouble::None,
        _ => Trouble::Unconditional,
    });
    proxy.take_asked();
    let said = refused(through());
    assert!(said.contains("it ignores If-Match"), "{said}");
    assert_eq!(bucket.keys(), [""; 0]);
}

/// Calculates the signature of a presigned address anew, and compares.
const PRESIGNED: &str = r#"
import hashlib, hmac, sys
from urllib.parse import parse_qs, urlsplit
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
secret, url = sys.argv[1:]
query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
signature = query.pop("X-Amz-Signature")
key, _, region, service, _ = query["X-Amz-Credential"].split("/")
auth = S3SigV4QueryAuth(Credentials(key, secret), service, region)
request = AWSRequest("GET", url.rsplit("&X-Amz-Signature=", 1)[0])
request.context["timestamp"] = query["X-Amz-Date"]
text = auth.string_to_sign(request, auth.canonical_request(request))
assert auth.signature(text, request) == signature, text
"#;

/// A server that checks signatures: a wrong secret and an unknown key are refused, and what is
/// signed right is stored, whatever is in its name.
#[test]
fn signatures_are_right_and_keys_are_checked() {
    let s3 = S3::start(&[("INITIAL_NO_AUTH_ACTION_COUNT", "4")]);
    let port = s3.port;
    let script = format!(
        r#"
import boto3
args = dict(endpoint_url="http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
iam = boto3.client("iam", **args)
iam.create_user(UserName="u")
iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument='{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"*"}}]}}')
key = iam.create_access_key(UserName="u")["AccessKey"]
boto3.client("s3", **args).create_bucket(Bucket="checked")
print(key["AccessKeyId"], key["SecretAccessKey"])
"#
    );
    let output = S3::python().args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let (key, secret) = said.trim().split_once(' ').unwrap();
    let with = |key: &str, secret: &str| {
        Setup::new()
            .args(&["--store", "s3://checked/up", "--s3-redirect"])
            .args(&["--s3-endpoint", &s3.url()])
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_REGION", "us-east-1")
    };
    let said = refused(with("AKIAUNKNOWN", secret));
    assert!(said.contains("InvalidAccessKeyId: "), "{said}");
    let said = refused(with(key, "wrong"));
    assert!(said.contains("SignatureDoesNotMatch: "), "{said}");
    assert!(!said.contains("wrong"), "{said}");
    let server = with(key, secret).start();
    let name = "a b+c&d=é%20(1)!*'~.txt";
    let json = server.upload(&Form::new().file("f", name, b"signed"));
    let whole = server.get(&format!("/download/{}", id_of(&json)));
    assert!(whole.text().contains("signed"));
    // moto checks no signature in an address: it is calculated as AWS has it.
    let path = json["files"][0]["url"].as_str().unwrap();
    let sent = server.get(path.strip_prefix(&server.url("")).unwrap());
    let checked = S3::python()
        .args(["-c", PRESIGNED, secret, sent.header("location").unwrap()])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn profiles_give_credentials_and_region() {
    let bucket = Bucket::new();
    let dir = tempfile::tempdir().unwrap();
    let (credentials, config) = (dir.path().join("credentials"), dir.path().join("config"));
    std::fs::write(
        &credentials,
        "[mine]\naws_access_key_id = a\naws_secret_access_key = b\n",
    )
    .unwrap();
    let text = format!(
        "[profile mine]\nregion = eu-west-1\nendpoint_url = {}\n",
        bucket.server.url()
    );
    std::fs::write(&config, text).unwrap();
    let place = format!("s3://{}", bucket.name);
    let setup = Setup::new()
        .args(&["--store", &place])
        .env("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap())
        .env("AWS_CONFIG_FILE", config.to_str().unwrap())
        .env("AWS_PROFILE", "mine");
    let server = setup.start();
    let id = id_of(&server.upload(&Form::new().file("f", "a.txt", b"x")));
    assert!(bucket.keys().contains(&format!("{}/{id}-a.txt", &id[..2])));
}

#[test]
fn clients_are_sent_to_the_bucket_when_that_is_wanted() {
    let bucket = Bucket::new();
    let server = setup(&bucket).args(&["--s3-redirect"]).start();
    let content = noise(100_000, 2);
    let form = Form::new().file("f", "photo é.png", &content);
    let id = id_of(&server.upload(&form));
    let path = format!("/files/{id}/photo%20%C3%A9.png");
    let sent = server.get(&path);
    assert_eq!(sent.status, 307);
    assert_eq!(sent.header("cache-control"), Some("no-store"));
    let address = sent.header("location").unwrap();
    assert!(address.starts_with(&bucket.server.url()) && address.contains("X-Amz-Expires=300"));
    let url = server.url(&path);
    let headers = server.curl(&["-L", "-D", "-", "-o", "got", &url]);
    let headers = String::from_utf8_lossy(&headers).to_ascii_lowercase();
    assert!(std::fs::read(server.dir().join("got")).unwrap() == content);
    assert!(headers.contains("content-type: image/png"), "{headers}");
    assert!(headers.contains("attachment; filename="), "{headers}");
    let part = server.curl(&["-L", "-r", "7-99999", &url]);
    assert!(part == content[7..]);
    // The rest wharf answers itself. A page may show nothing from another place.
    let shown = server.get(&format!("{path}?inline=1"));
    assert!(shown.status == 200 && shown.body == content);
    let head = server.request("HEAD", &path, &[], b"");
    assert_eq!(head.status, 200);
    let known = [("If-None-Match", head.header("etag").unwrap())];
    assert_eq!(server.request("GET", &path, &known, b"").status, 304);
    assert_eq!(server.get(&format!("/download/{id}")).status, 200);
    // The bucket knows nothing of wharf's validators, nor of deadlines and damage.
    let ours = [("If-Match", head.header("etag").unwrap())];
    assert_eq!(server.request("GET", &path, &ours, b"").status, 200);
    let short = server.post_to("/upload?expires_in=60", &form, &[]).json();
    let short = id_of(&short);
    let path = format!("/files/{short}/photo%20%C3%A9.png");
    let sent = server.get(&path);
    let address = sent.header("location").unwrap();
    let (_, seconds) = address.split_once("X-Amz-Expires=").unwrap();
    let seconds = seconds.split('&').next().unwrap();
    assert!(seconds.parse::<u64>().unwrap() <= 60, "{address}");
    bucket.put(
        &format!("up/{}/{short}-photo%20%C3%A9.png", &short[..2]),
        b"cut",
    );
    assert_eq!(server.get(&path).status, 500);
    let limited = server.post_to("/upload?max_downloads=1", &form, &[]).json();
    let path = format!("/files/{}/photo%20%C3%A9.png", id_of(&limited));
    assert!(server.get(&path).body == content);
    assert_eq!(server.get(&path).status, 404);
}

#[test]
fn what_is_damaged_is_no_answer_that_looks_whole() {
    let bucket = Bucket::new();
    let server = setup(&bucket).start();
    let form = Form::new()
        .file("f", "a.bin", &noise(100_000, 3))
        .file("g", "b.bin", b"b");
    let (gone, short) = (id_of(&server.upload(&form)), id_of(&server.upload(&form)));
    let key = |id: &str| format!("up/{}/{id}-a.bin", &id[..2]);
    bucket.delete(&key(&gone));
    bucket.put(&key(&short), b"short");
    for id in [&gone, &short] {
        for path in [
            format!("/files/{id}/a.bin"),
            format!("/download/{id}/a.bin"),
        ] {
            let answer = server.get(&path);
            assert!(
                answer.status == 500 || !answer.whole,
                "{path}: {}",
                answer.status
            );
        }
        assert_eq!(server.get(&format!("/files/{id}/a.bin")).status, 500);
        let range = [("Range", "bytes=5000-")];
        let part = server.request("GET", &format!("/files/{id}/a.bin"), &range, b"");
        assert_eq!(part.status, 500);
        // The sizes of all files are looked at before the head goes out.
        assert_eq!(server.get(&format!("/download/{id}")).status, 500);
        assert_eq!(server.get(&format!("/files/{id}/b.bin")).text(), "b");
    }
    let (_, setup) = server.stop();
    let check = setup.run(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        said.contains("2 damaged") && said.contains("is missing"),
        "{said}"
    );
    assert!(said.contains("has 5 bytes instead of 100000"), "{said}");
}

#[test]
fn what_expires_leaves_nothing_but_tombstones() {
    let bucket = Bucket::new();
    let server = setup(&bucket).start();
    let form = Form::new()
        .file("f", "a.bin", &noise(10_000, 4))
        .file("g", "b.bin", b"b");
    let kept = id_of(&server.upload(&form));
    for _ in 0..10 {
        assert_eq!(
            server.post_to("/upload?expires_in=1s", &form, &[]).status,
            201
        );
    }
    wait_until("they are removed", || {
        let keys = bucket.keys();
        keys.iter().filter(|key| !key.ends_with(".json")).count() == 2
    });
    assert_eq!(bucket.keys().len(), 10 + 3);
    assert_eq!(server.get(&format!("/files/{kept}/b.bin")).text(), "b");
}

/// Sends the head of an upload and half of its body.
fn half_sent(server: &Server, form: &Form) -> Connection {
    let body = form.body();
    let mut connection = Connection::open(server.address);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type(),
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(&body[..body.len() - 10]);
    connection
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let bucket = Bucket::new();
    let server = setup(&bucket).args(&["--shutdown-grace", "1s"]).start();
    let form =
        Form::new()
            .file("f", "small.bin", b"small")
            .file("g", "large.bin", &noise(20_000_000, 5));
    let connection = half_sent(&server, &form);
    wait_until("it is under way", || {
        bucket.unfinished().len() == 1 && bucket.keys().len() == 1
    });
    drop(connection);
    wait_until("it is given up", || {
        bucket.unfinished().is_empty() && bucket.keys().is_empty()
    });
    // So does one that ends with the server.
    let _connection = half_sent(&server, &form);
    wait_until("it is under way", || bucket.unfinished().len() == 1);
    let (status, _) = server.stop();
    assert!(status.success());
    assert_eq!(
        (bucket.unfinished(), bucket.keys()),
        (Vec::new(), Vec::new())
    );
}

/// Many uploads at once hold no more than their budget, however slow one of them is.
#[test]
fn uploads_wait_for_memory_rather_than_fail() {
    let (uploads, size, budget) = if soak() {
        (64, 64 << 20, "256MiB")
    } else {
        (24, 12 << 20, "32MiB")
    };
    let bucket = Bucket::new();
    let server = setup(&bucket).args(&["--s3-memory", budget]).start();
    let content = noise(size, 6);
    let form = Form::new().file("f", "a.bin", &content);
    let body = form.body();
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..uploads)
            .map(|_| {
                scope.spawn(|| {
                    let content_type = form.content_type();
                    let headers = [("Content-Type", content_type.as_str())];
                    server.request("POST", "/upload", &headers, &body)
                })
            })
            .collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect()
    });
    for answer in &answers {
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["sha256"], sha256(&content));
    }
    let most = if soak() { 256 } else { 32 } + 64;
    let (_, peak) = server.memory();
    println!("peak {} MiB", peak / 1024);
    assert!(peak / 1024 <= most, "{} MiB", peak / 1024);
    assert_eq!(bucket.unfinished(), [""; 0]);
}
