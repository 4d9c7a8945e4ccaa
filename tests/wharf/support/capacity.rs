//! Uploads below a cap, under way at the same time.

use std::net::SocketAddr;
use std::path::Path;

use super::{Connection, Form, Response};

/// An upload whose server waits for its body.
pub struct UnderWay {
    pub connection: Connection,
    body: Vec<u8>,
    chunked: bool,
}

impl UnderWay {
    /// Begins an upload, with a `Content-Length` or in chunks; or gives the answer that refuses it.
    pub fn begin(address: SocketAddr, form: &Form, chunked: bool) -> Result<Self, Response> {
        let mut connection = Connection::open(address);
        let (media_type, body) = (form.content_type(), form.body());
        let length = match chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {}", body.len()),
        };
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n\
             {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes());
        let answer = connection.response(false).expect("an answer");
        match answer.status {
            100 => Ok(UnderWay {
                connection,
                body,
                chunked,
            }),
            _ => Err(answer),
        }
    }

    /// Sends the next bytes of the body. The server may have refused it.
    pub fn send(&mut self, bytes: usize) {
        use std::io::Write as _;
        let rest = self.body.split_off(bytes.min(self.body.len()));
        let next = std::mem::replace(&mut self.body, rest);
        let mut stream = self.connection.stream();
        if self.chunked {
            let _ = write!(stream, "{:x}\r\n", next.len());
        }
        let _ = stream.write_all(&next);
        if self.chunked {
            let _ = stream.write_all(b"\r\n");
        }
    }

    /// Sends the rest; the answer.
    pub fn end(mut self) -> Response {
        self.send(usize::MAX);
        if self.chunked {
            use std::io::Write as _;
            let _ = self.connection.stream().write_all(b"0\r\n\r\n");
        }
        self.connection.response(false).expect("an answer")
    }
}

/// The room of files and manifests below a store's folder, each rounded up to 4 KiB.
pub fn room_in(store: &Path) -> u64 {
    let folders = std::fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap());
    let uploads = folders.filter(|entry| entry.path().is_dir() && entry.file_name() != ".wharf");
    let files = uploads.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap());
    let sizes = files.map(|file| file.unwrap().metadata().map_or(0, |file| file.len()));
    sizes.map(|size| size.div_ceil(4096) * 4096).sum()
}
