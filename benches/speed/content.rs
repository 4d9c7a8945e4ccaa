//! The content that is sent repeats one block of memory, so that a body of any size costs none,
//! and the client's cost is that of sending alone.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// The length of the block that content repeats. A prime: pieces of a file that were lost or
/// stand in each other's place change its digest, whatever power of two they begin at.
const BLOCK: usize = 1_048_573;

static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| random(BLOCK));

/// Bytes without a pattern, always the same ones (xorshift64*).
pub fn random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// The content of every file of `size` bytes, in pieces.
pub fn pieces(size: u64) -> impl Iterator<Item = &'static [u8]> {
    let block: &'static [u8] = &CONTENT;
    let mut left = size;
    std::iter::from_fn(move || {
        let length = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        left -= length as u64;
        (length > 0).then(|| &block[..length])
    })
}

/// The sha-256 of the content of a file of `size` bytes.
pub fn digest(size: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    pieces(size).for_each(|piece| hash.update(piece));
    hash.finalize().into()
}

/// The content of one file, as it is received.
pub struct Received {
    hash: Sha256,
    /// How much of it is still to come.
    left: u64,
    /// Of a form, whose content is behind the head of its one part: the bytes of that head so far.
    head: Option<Vec<u8>>,
}

impl Received {
    pub fn new(size: u64, form: bool) -> Self {
        Received {
            hash: Sha256::new(),
            left: size,
            head: form.then(Vec::new),
        }
    }

    pub fn take(&mut self, bytes: &[u8]) {
        let Some(mut head) = self.head.take() else {
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            let content = &bytes[..bytes.len().min(left)];
            self.hash.update(content);
            self.left -= content.len() as u64;
            return;
        };
        head.extend_from_slice(bytes);
        match memchr::memmem::find(&head, b"\r\n\r\n") {
            Some(end) => self.take(&head[end + 4..]),
            None => self.head = Some(head),
        }
    }

    pub fn digest(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

/// A part of a message.
enum Piece {
    Text(Vec<u8>),
    Content(u64),
}

/// How a server takes files.
#[derive(Debug, Clone, Copy)]
pub enum Intake {
    /// As a form posted to `path`, in the file field `field`, behind the text field `before`.
    Form {
        path: &'static str,
        field: &'static str,
        before: Option<(&'static str, &'static str)>,
    },
    /// Each file by a PUT of its own, under this path.
    Put(&'static str),
    /// The length as eight bytes, then the content, and a byte comes back: `sink`.
    Bare,
}

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// A request, ready to be sent.
pub struct Message {
    pieces: Vec<Piece>,
    /// How many answers it has.
    pub answers: usize,
    /// Whether it is none of HTTP.
    pub bare: bool,
}

impl Message {
    /// A request without a body.
    pub fn get(path: &str) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Message {
            pieces: vec![Piece::Text(head.into_bytes())],
            answers: 1,
            bare: false,
        }
    }

    /// The client that asks a `source` for the file of this number.
    pub fn ask(number: u64) -> Self {
        Message {
            pieces: vec![Piece::Text(number.to_le_bytes().to_vec())],
            answers: 1,
            bare: true,
        }
    }

    /// An upload of files of `size` bytes each.
    pub fn upload(intake: Intake, names: &[String], size: u64) -> Self {
        let mut pieces = Vec::new();
        match intake {
            Intake::Bare => {
                for _ in names {
                    pieces.push(Piece::Text(size.to_le_bytes().to_vec()));
                    pieces.push(Piece::Content(size));
                }
            }
            Intake::Put(path) => {
                for name in names {
                    let head = format!(
                        "PUT {path}{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
                    );
                    pieces.push(Piece::Text(head.into_bytes()));
                    pieces.push(Piece::Content(size));
                }
            }
            Intake::Form {
                path,
                field,
                before,
            } => pieces = form(path, field, before, names, size),
        }
        let answers = match intake {
            Intake::Form { .. } => 1,
            Intake::Put(_) | Intake::Bare => names.len(),
        };
        Message {
            pieces,
            answers,
            bare: matches!(intake, Intake::Bare),
        }
    }

    /// The message as the slices that are sent.
    pub fn slices(&self) -> Vec<&[u8]> {
        let mut slices = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => slices.push(&text[..]),
                Piece::Content(size) => {
                    for piece in pieces(*size) {
                        slices.push(piece);
                    }
                }
            }
        }
        slices
    }

    /// The two halves of it.
    pub fn halves(&self) -> [Vec<&[u8]>; 2] {
        let slices = self.slices();
        let mut left = slices.iter().map(|slice| slice.len()).sum::<usize>() / 2;
        let [mut first, mut second] = [Vec::new(), Vec::new()];
        for slice in slices {
            let (here, there) = slice.split_at(left.min(slice.len()));
            left -= here.len();
            first.push(here);
            second.push(there);
        }
        // An empty slice would be taken for the end of what can be sent.
        first.retain(|slice| !slice.is_empty());
        second.retain(|slice| !slice.is_empty());
        [first, second]
    }
}

fn form(
    path: &str,
    field: &str,
    before: Option<(&str, &str)>,
    names: &[String],
    size: u64,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut length = 0;
    let mut text = String::new();
    if let Some((field, value)) = before {
        text = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
        );
    }
    for name in names {
        text += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        length += text.len() as u64 + size;
        pieces.push(Piece::Text(std::mem::take(&mut text).into_bytes()));
        pieces.push(Piece::Content(size));
        text.push_str("\r\n");
    }
    text += &format!("--{BOUNDARY}--\r\n");
    length += text.len() as u64;
    pieces.push(Piece::Text(text.into_bytes()));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    pieces.insert(0, Piece::Text(head.into_bytes()));
    pieces
}
