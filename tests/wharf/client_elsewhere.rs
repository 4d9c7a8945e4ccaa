//! A server that sends its clients to a bucket, and the Rust client.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use wharf::client::{Client, ClientError, Token};

use crate::support::{Bucket, Form, Setup, noise, sha256};

/// The secret that no message and no other server may have.
const SIGNATURE: &str = "0a1b2c3d4e5f-signed";

/// Answers each connection with the next of these, and closes it. The heads of what it was asked
/// come out.
fn scripted(answers: Vec<String>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, asked) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let _ = stream.write_all(answer.as_bytes());
            let _ = heads.send(String::from_utf8(head).unwrap());
        }
    });
    (url, asked)
}

fn led_to(address: &str) -> String {
    format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {address}\r\nLink: </uploads/x>; rel=\"describedby\"\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// The digest of `hello wharf` and a line feed.
fn described() -> String {
    let digest = "2WreUi3JDAFfnu2DKcgHJATuf36p7mjvDaMrkKTV1g0=";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nLink: </uploads/x>; rel=\"describedby\"\r\n\
         Repr-Digest: sha-256=:{digest}:\r\nConnection: close\r\n\r\n"
    )
}

async fn read(client: &Client, name: &str) -> Result<(Vec<u8>, Option<String>), ClientError> {
    let mut file = client.open(name).await?;
    let digest = file.sha256().map(|digest| digest.to_string());
    let mut content = Vec::new();
    while let Some(block) = file.chunk().await? {
        content.extend_from_slice(&block);
    }
    Ok((content, digest))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

#[test]
fn a_file_comes_from_the_bucket_and_is_compared_with_its_digest() {
    let bucket = Bucket::new();
    let setup = Setup::new().bucket(&bucket, &bucket.server.url());
    let server = setup
        .args(&["--s3-redirect", "--access", "upload+download:hush"])
        .start();
    let content = noise(3_000_000, 4);
    let secret = [("Authorization", "Bearer hush")];
    let form = Form::new().file("f", "photo é.png", &content);
    let stored = server.post_to("/upload", &form, &secret).json();
    let id = stored["id"].as_str().unwrap();
    let name = format!("{id}/photo é.png");
    let path = format!("/files/{id}/photo%20%C3%A9.png");
    let sent = server.request("GET", &path, &secret, b"");
    assert_eq!(sent.status, 307, "the server leads to the bucket");
    let client = Client::builder(&server.url(""));
    let client = client.token(Token::new("hush")).build().unwrap();
    let (read, digest) = run(read(&client, &name)).unwrap();
    assert!(read == content);
    assert_eq!(digest, Some(sha256(&content)));
}

#[test]
fn a_transfer_from_a_bucket_goes_on_there_and_takes_no_secret_along() {
    let part =
        "HTTP/1.1 200 OK\r\nETag: \"b\"\r\nContent-Length: 12\r\nConnection: close\r\n\r\nhello";
    let rest = "HTTP/1.1 206 Partial Content\r\nETag: \"b\"\r\nContent-Range: bytes 5-11/12\r\n\
                Content-Length: 7\r\nConnection: close\r\n\r\n wharf\n";
    let (bucket, asked) = scripted(vec![part.to_owned(), rest.to_owned()]);
    let signed = |number: u32| {
        led_to(&format!(
            "{bucket}/key?X-Amz-Signature={SIGNATURE}-{number}"
        ))
    };
    let (url, asked_first) = scripted(vec![signed(1), described(), signed(2)]);
    let client = Client::builder(&url).token(Token::new("hush"));
    let client = client.build().unwrap();
    let client = client.with_upload_token(&Token::new("mine")).unwrap();
    let (content, digest) = run(read(&client, "x/a.txt")).unwrap();
    assert_eq!(content, b"hello wharf\n");
    assert_eq!(digest, Some(sha256(b"hello wharf\n")));

    let heads: Vec<String> = asked.iter().take(2).collect();
    for (head, number) in heads.iter().zip(1..) {
        assert!(head.starts_with(&format!("GET /key?X-Amz-Signature={SIGNATURE}-{number} ")));
        assert!(!head.contains("hush") && !head.contains("mine"), "{head}");
        assert!(!head.to_lowercase().contains("referer"), "{head}");
    }
    let ranged = |head: &str| head.contains("range: bytes=5-") && head.contains("if-range: \"b\"");
    assert!(!ranged(&heads[0]) && ranged(&heads[1]), "{heads:?}");
    for head in asked_first.iter().take(3) {
        assert!(head.contains("hush") && !head.contains("range"), "{head}");
    }
}

#[test]
fn a_signed_address_is_in_no_message() {
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 26\r\nConnection: close\r\n\r\n";
    let refused = format!("{refused}0a1b2c3d4e5f-signed is old");
    let (bucket, _asked) = scripted(vec![refused]);
    let gone = "http://127.0.0.1:1";
    let permanent = led_to(&format!("{gone}/k?X-Amz-Signature={SIGNATURE}"))
        .replace("307 Temporary", "308 Permanent");
    let (url, _asked) = scripted(vec![
        led_to(&format!("{bucket}/key?X-Amz-Signature={SIGNATURE}")),
        led_to(&format!("{gone}/key?X-Amz-Signature={SIGNATURE}")),
        permanent,
        led_to(&format!("gopher://a/key?X-Amz-Signature={SIGNATURE}")),
    ]);
    let client = Client::new(&url).unwrap();
    for expected in [&bucket, gone, gone, "gopher://a"] {
        let error = run(read(&client, "x/a.txt")).unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(SIGNATURE), "{text}");
        }
        assert!(error.to_string().contains(expected), "{error}");
    }
    // A server that leads round and round.
    let turns: Vec<String> = (0..8).map(|_| led_to("/files/x/a.txt")).collect();
    let (url, _asked) = scripted(turns);
    let error = run(read(&Client::new(&url).unwrap(), "x/a.txt")).unwrap_err();
    assert!(error.to_string().contains("leads on"), "{error}");
}

/// An answer that was lost may have been that of a deletion: what a further try finds is said as done.
#[test]
fn a_deletion_is_done_where_its_answer_was_lost_and_nothing_is_left() {
    const ID: &str = "0c8r5v3m9ag7wqk2ht4xz1y6ne";
    let none = || {
        let body = r#"{"code":"upload-not-found","status":404,"detail":"there is no upload"}"#;
        format!(
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let delete = |answers| {
        let (url, asked) = scripted(answers);
        let client = Client::new(&url).unwrap();
        let deleted = run(client.delete(ID));
        let tries: Vec<String> = asked.try_iter().collect();
        let line = format!("DELETE /uploads/{ID} HTTP/1.1\r\n");
        assert!(
            tries.iter().all(|head| head.starts_with(&line)),
            "{tries:?}"
        );
        (deleted, tries.len())
    };
    let (deleted, tries) = delete(vec![String::new(), none()]);
    assert!(deleted.is_ok() && tries == 2, "{deleted:?} {tries}");
    let (deleted, tries) = delete(vec![none()]);
    assert!(deleted.unwrap_err().is_not_found() && tries == 1);
}
