use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The fate of one request to an S3 server.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It is answered.
    None,
    /// The server has too much to do.
    SlowDown,
    /// This answer, and the server never hears of it.
    Answer(u16, &'static str),
    /// The connection is cut in the middle of its body, or before.
    Cut,
    /// The server does what is asked, and the answer is lost.
    LoseAnswer,
    /// The answer ends before so many bytes of its body.
    Truncate(usize),
    /// It arrives late.
    Delay(Duration),
    /// It arrives without its conditions.
    Unconditional,
    /// It arrives without the metadata of its user.
    WithoutMetadata,
    /// An answer of something before the server, which says so in plain text.
    Plain(u16),
    /// It is to be sent to this address.
    Redirect(String),
    /// The server answers, and this text becomes that on the way.
    Rewrite(&'static str, &'static str),
}

/// A request as the proxy sees it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// Which request of this server it is, from 0.
    pub number: usize,
    /// Whether it has a signature.
    pub signed: bool,
}

impl Asked {
    /// Whether it changes the key of an upload.
    pub fn puts_manifest(&self) -> bool {
        self.method == "PUT" && self.path.ends_with(".json") && !self.path.contains("/.wharf/")
    }

    /// Whether it stores a file, or a part of one.
    pub fn puts_file(&self) -> bool {
        self.method == "PUT" && !self.path.contains(".json") && !self.path.contains("/.wharf/")
    }

    /// Whether it reads a file.
    pub fn gets_file(&self) -> bool {
        self.method == "GET"
            && !self.path.contains(".json")
            && !self.path.contains("/.wharf/")
            && !self.path.contains('?')
    }
}

type Rule = Box<dyn FnMut(&Asked) -> Trouble + Send>;

/// A path to an S3 server that understands the requests on it.
pub struct S3Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    rule: Mutex<Rule>,
    asked: Mutex<Vec<Asked>>,
    closed: AtomicBool,
}

impl S3Proxy {
    /// A path to this port of the machine.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            rule: Mutex::new(Box::new(|_| Trouble::None)),
            asked: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), state) = (client, Arc::clone(&shared)) else {
                    continue;
                };
                // The client has to notice the faults of a connection.
                std::thread::spawn(move || serve(client, port, &state));
            }
        });
        S3Proxy { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The fate of every request from now on.
    pub fn rule(&self, rule: impl FnMut(&Asked) -> Trouble + Send + 'static) {
        *self.state.rule.lock().unwrap() = Box::new(rule);
    }

    /// Disturbs nothing any more.
    pub fn calm(&self) {
        self.rule(|_| Trouble::None);
    }

    /// Forgets what was asked so far, which it answers.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }
}

impl Drop for S3Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Serves one request; its connection ends with it.
fn serve(client: TcpStream, port: u16, state: &State) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut client = client;
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        let end = line == "\r\n";
        head.push(line);
        if end {
            break;
        }
    }
    let mut words = head[0].split(' ');
    let mut asked = Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        number: 0,
        signed: false,
    };
    asked.signed = asked.path.contains("X-Amz-Signature=")
        || head
            .iter()
            .any(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    let trouble = {
        let mut all = state.asked.lock().unwrap();
        asked.number = all.len();
        all.push(asked.clone());
        drop(all);
        (state.rule.lock().unwrap())(&asked)
    };
    if matches!(trouble, Trouble::Cut) {
        let _ = (&mut reader).take(length / 2).read_to_end(&mut Vec::new());
        return None;
    }
    let mut body = vec![0; usize::try_from(length).ok()?];
    reader.read_exact(&mut body).ok()?;
    let answer = |status: u16, code: &str| {
        let xml =
            format!("<Error><Code>{code}</Code><Message>As the test has it.</Message></Error>");
        format!(
            "HTTP/1.1 {status} No\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{xml}",
            xml.len()
        )
    };
    match trouble.clone() {
        Trouble::SlowDown => return client.write_all(answer(503, "SlowDown").as_bytes()).ok(),
        Trouble::Answer(status, code) => {
            return client.write_all(answer(status, code).as_bytes()).ok();
        }
        Trouble::Plain(status) => {
            let text = format!(
                "HTTP/1.1 {status} No\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: close\r\n\r\n"
            );
            // The answer to a HEAD has no body.
            let body = if asked.method == "HEAD" {
                ""
            } else {
                "no such route"
            };
            return client.write_all((text + body).as_bytes()).ok();
        }
        Trouble::Redirect(address) => {
            let text = format!(
                "HTTP/1.1 307 No\r\nLocation: {address}{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                asked.path
            );
            return client.write_all(text.as_bytes()).ok();
        }
        Trouble::Delay(time) => std::thread::sleep(time),
        _ => {}
    }
    let lost = match trouble {
        Trouble::Unconditional => Some("if-"),
        Trouble::WithoutMetadata => Some("x-amz-meta-"),
        _ => None,
    };
    if let Some(begin) = lost {
        head.retain(|line| !line.to_ascii_lowercase().starts_with(begin));
    }
    head.insert(1, "Connection: close\r\n".to_owned());
    if !asked.signed {
        // The server behind looks whether there is a signature, and not whether it is right.
        head.insert(
            1,
            "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n".to_owned(),
        );
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    server.write_all(head.concat().as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    forward(server, client, &trouble)
}

/// Passes the answer on, or what is to be left of it.
fn forward(server: TcpStream, mut client: TcpStream, trouble: &Trouble) -> Option<()> {
    let mut reader = BufReader::new(server);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 || line == "\r\n" {
            break;
        }
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push(line);
        }
    }
    head.push("Connection: close\r\n\r\n".to_owned());
    let mut body = Vec::new();
    reader.read_to_end(&mut body).ok()?;
    match trouble {
        Trouble::LoseAnswer => return None,
        Trouble::Truncate(len) => body.truncate(*len),
        Trouble::Rewrite(from, to) => {
            body = String::from_utf8_lossy(&body)
                .replace(from, to)
                .into_bytes();
            head.retain(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
            let length = format!("Content-Length: {}\r\n", body.len());
            head.insert(1, length);
        }
        _ => {}
    }
    client.write_all(head.concat().as_bytes()).ok()?;
    client.write_all(&body).ok()
}
