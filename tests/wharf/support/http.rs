use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Form, wait_until};

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body has the length that was announced.
    pub whole: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The `code` of a problem document.
    #[track_caller]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

/// A connection, one request after another.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        Self::with_timeout(address, Duration::from_secs(120)).unwrap()
    }

    /// One on which `form` was announced, and is waited for: an upload under way.
    pub fn announcing(address: SocketAddr, form: &Form) -> Self {
        let mut connection = Connection::open(address);
        let (media_type, length) = (form.content_type(), form.body().len());
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes());
        assert_eq!(connection.response(false).unwrap().status, 100);
        connection
    }

    /// One that waits for so long to be opened, for bytes, and to send.
    fn with_timeout(address: SocketAddr, timeout: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Connection {
            reader: BufReader::new(stream),
        })
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Waits until the server has filled the buffers of the sockets: no more bytes come.
    pub fn wait_until_full(&self) {
        let (mut before, mut looks) = (0, 0);
        wait_until("no more bytes come", || {
            let now = rustix::io::ioctl_fionread(self.stream()).unwrap();
            looks = if now > 0 && now == before {
                looks + 1
            } else {
                0
            };
            before = now;
            looks == 20
        });
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The next line, without its end; `None` when the connection ends before that.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        Some(line.strip_suffix('\n')?.trim_end().to_owned())
    }

    /// The next answer, without a body to a HEAD; `None` when the connection ends before it. An
    /// answer that came and is malformed is a fault of the server.
    #[track_caller]
    pub fn response(&mut self, head: bool) -> Option<Response> {
        let line = self.line()?;
        let status = line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("a malformed answer: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let field = line.split_once(':');
            let (name, value) = field.unwrap_or_else(|| panic!("a malformed field: {line:?}"));
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
            whole: true,
        };
        if !head && status >= 200 && status != 204 && status != 304 {
            let length = response
                .header("content-length")
                .and_then(|length| length.parse().ok());
            match length {
                Some(length) => {
                    let read = (&mut self.reader)
                        .take(length)
                        .read_to_end(&mut response.body);
                    response.whole = read.is_ok() && response.body.len() as u64 == length;
                }
                None if response.header("transfer-encoding") == Some("chunked") => {
                    response.whole = self.chunks(&mut response.body).is_some();
                }
                None => response.whole = self.reader.read_to_end(&mut response.body).is_ok(),
            }
        }
        Some(response)
    }

    /// Reads a body in chunks to its last one (RFC 9112 section 7.1); `None` when the connection ends
    /// before that.
    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let line = self.line()?;
            let length = u64::from_str_radix(&line, 16);
            let length = length.unwrap_or_else(|_| panic!("a malformed chunk: {line:?}"));
            let before = body.len() as u64;
            (&mut self.reader).take(length).read_to_end(body).ok()?;
            if body.len() as u64 != before + length {
                return None;
            }
            let end = self.line()?;
            assert_eq!(end, "", "the end of a chunk");
            if length == 0 {
                return Some(());
            }
        }
    }

    /// Whether the server closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.reader.read_to_end(&mut rest), Ok(0))
    }
}

/// One request on a connection of its own.
#[track_caller]
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let connection = Connection::open(address);
    ask(connection, address, method, path, headers, body).expect("an answer")
}

/// The same of a server that may be gone, or hang; `None` when there is no answer in time.
pub fn try_request(
    address: SocketAddr,
    timeout: Duration,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let connection = Connection::with_timeout(address, timeout).ok()?;
    ask(connection, address, method, path, headers, body)
}

fn ask(
    mut connection: Connection,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        head += &format!("Host: {address}\r\n");
    }
    if !body.is_empty() || method == "POST" || method == "PUT" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    // A server that refuses early may close before all is sent.
    let stream = connection.reader.get_mut();
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
    connection.response(method == "HEAD")
}
