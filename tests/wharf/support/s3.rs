//! A real S3 server of other authors (moto), and buckets in it. Used by the tests of the
//! binary and by those beside the code.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server; it ends with the value, or with the process.
pub struct S3 {
    child: Child,
    _stdin: ChildStdin,
    pub port: u16,
}

impl S3 {
    /// One of its own, with these variables in its environment.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let mut child = Self::python()
            .arg(format!("{root}tests/wharf/support/s3_server.py"))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("./test installs moto");
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        S3 {
            port: line.trim().parse().expect("the server says its port"),
            _stdin: child.stdin.take().unwrap(),
            child,
        }
    }

    /// The interpreter that has moto, and the clients that go with it.
    pub fn python() -> Command {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-venv/bin/python");
        Command::new(std::env::var("WHARF_TEST_PYTHON").unwrap_or_else(|_| own.to_owned()))
    }

    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<S3> = OnceLock::new();
        SHARED.get_or_init(|| S3::start(&[]))
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Status and body of the answer to one request.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bucket of its own in the shared server.
pub struct Bucket {
    pub server: &'static S3,
    pub name: String,
}

impl Bucket {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = S3::shared();
        let name = format!("bucket-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let (status, body) = server.request("PUT", &format!("/{name}"), b"");
        assert_eq!(status, 200, "{body}");
        Bucket { server, name }
    }

    /// All keys, sorted, but for those of the server's own.
    pub fn keys(&self) -> Vec<String> {
        let (mut keys, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/{}?list-type=2&start-after={after}", self.name);
            let (status, body) = self.server.request("GET", &path, b"");
            assert_eq!(status, 200, "{body}");
            let page = elements(&body, "Key");
            keys.extend(page.iter().filter(|key| !key.contains(".wharf/")).cloned());
            match page.last() {
                Some(last) if body.contains("<IsTruncated>true") => after = last.clone(),
                _ => return keys,
            }
        }
    }

    /// The keys of what was begun in parts and not ended.
    pub fn unfinished(&self) -> Vec<String> {
        let path = format!("/{}?uploads=", self.name);
        let (status, body) = self.server.request("GET", &path, b"");
        assert_eq!(status, 200, "{body}");
        elements(&body, "Key")
    }

    pub fn put(&self, key: &str, content: &[u8]) {
        let (status, body) = self.request("PUT", key, content);
        assert_eq!(status, 200, "{body}");
    }

    pub fn get(&self, key: &str) -> (u16, String) {
        self.request("GET", key, b"")
    }

    pub fn delete(&self, key: &str) {
        let (status, body) = self.request("DELETE", key, b"");
        assert_eq!(status, 204, "{body}");
    }

    fn request(&self, method: &str, key: &str, content: &[u8]) -> (u16, String) {
        let path = format!("/{}/{key}", self.name);
        self.server.request(method, &path, content)
    }
}

/// The contents of all elements of this name, none of which have escapes.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&begin)
        .skip(1)
        .filter_map(|rest| rest.split_once(&end))
        .map(|(content, _)| content.to_owned())
        .collect()
}
