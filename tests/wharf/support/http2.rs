use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// A client of HTTP/2 that asks for much and reads nothing: the windows of its streams and its
/// connection are as large as they can be (RFC 9113 section 6.9.1).
pub struct Unread {
    stream: TcpStream,
    next: u32,
}

const LARGEST: u32 = (1 << 31) - 1;

impl Unread {
    pub fn open(address: SocketAddr) -> Self {
        let mut unread = Unread {
            stream: TcpStream::connect(address).unwrap(),
            next: 1,
        };
        unread.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // SETTINGS_INITIAL_WINDOW_SIZE, and the window of the connection.
        unread.frame(4, 0, 0, &[&[0, 4], &LARGEST.to_be_bytes()[..]].concat());
        unread.frame(8, 0, 0, &(LARGEST - 65_535).to_be_bytes());
        unread
    }

    /// Asks for `path`, at most 127 bytes long, `times` times.
    pub fn get(&mut self, path: &str, times: usize) {
        // `:method: GET` and `:scheme: http` of the static table; `:path` and `:authority` as they
        // are, with names of that table (RFC 7541 sections 6.1 and 6.2.2).
        let mut head = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        head.extend_from_slice(path.as_bytes());
        head.extend_from_slice(b"\x01\x09localhost");
        for _ in 0..times {
            self.ask(&head);
        }
    }

    /// Sends a request with this block of fields (RFC 7541), and without a body.
    pub fn ask(&mut self, head: &[u8]) {
        let stream = self.next;
        self.next += 2;
        // END_STREAM and END_HEADERS.
        self.frame(1, 0x5, stream, head);
    }

    /// Begins to send a file, of which nothing comes.
    pub fn put(&mut self, path: &str) {
        // `:method` with the name of the static table.
        let mut head = b"\x02\x03PUT\x86\x04".to_vec();
        head.push(u8::try_from(path.len()).unwrap());
        head.extend_from_slice(path.as_bytes());
        head.extend_from_slice(b"\x01\x09localhost");
        let stream = self.next;
        self.next += 2;
        // END_HEADERS.
        self.frame(1, 0x4, stream, &head);
    }

    /// All that comes until `end` has, whatever it is. It answers no PING.
    pub fn until(&mut self, end: &str) -> String {
        let mut came = Vec::new();
        let mut piece = [0; 4096];
        while !String::from_utf8_lossy(&came).contains(end) {
            let read = self.stream.read(&mut piece).unwrap();
            assert!(read > 0, "the connection ended before {end:?}");
            came.extend_from_slice(&piece[..read]);
        }
        String::from_utf8_lossy(&came).into_owned()
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.send(&[&head, payload].concat());
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }
}
