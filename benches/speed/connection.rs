//! One connection of the load generator: blocking, a whole message in one system call where the
//! kernel takes it, and no more of HTTP/1.1 than it takes to know where an answer ends.

use std::io::{IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::RecvFlags;

use super::content::Message;

/// The most slices that one system call takes (`IOV_MAX`).
const SLICES: usize = 1024;

/// The most that is received at once.
const BLOCK: usize = 256 * 1024;

/// How long a server may keep silent before the run fails.
const SILENCE: Duration = Duration::from_secs(120);

/// The use of the content that comes.
pub enum Content<'a> {
    /// It is read, and that is all.
    Read,
    /// The kernel drops it instead of copying it (`MSG_TRUNC`, see tcp(7)): what is measured is
    /// the server alone.
    Drop,
    /// It is handed on.
    Give(&'a mut dyn FnMut(&[u8])),
}

/// Where the body of an answer ends.
enum Length {
    Known(u64),
    Chunked,
    Close,
}

/// A connection to a server.
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    /// Received and not yet looked at: `buffer[from..to]`.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    closed: bool,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Connection {
            address,
            stream: connect(address)?,
            buffer: vec![0; BLOCK],
            from: 0,
            to: 0,
            closed: false,
        })
    }

    /// Whether the server means to keep it.
    pub fn is_open(&self) -> bool {
        !self.closed
    }

    /// Asks for something.
    pub fn ask(&mut self, message: &Message) -> Result<()> {
        self.send(&message.slices())
    }

    /// Sends slices of a message.
    pub fn send(&mut self, slices: &[&[u8]]) -> Result<()> {
        if self.closed {
            self.stream = connect(self.address)?;
            (self.from, self.to, self.closed) = (0, 0, false);
        }
        for batch in slices.chunks(SLICES) {
            let mut batch: Vec<IoSlice> = batch.iter().map(|slice| IoSlice::new(slice)).collect();
            let mut left = &mut batch[..];
            while !left.is_empty() {
                let sent = self.stream.write_vectored(left).context("sending")?;
                IoSlice::advance_slices(&mut left, sent);
            }
        }
        Ok(())
    }

    /// Receives an answer of HTTP, which must be no error; its body's length.
    pub fn answer(&mut self, mut content: Content) -> Result<u64> {
        let (length, status) = self.head()?;
        if !(200..400).contains(&status) {
            let text = String::from_utf8_lossy(&self.buffer[self.from..self.to]).into_owned();
            bail!("the server answered {status}: {text}");
        }
        match length {
            Length::Known(length) => self.body(length, &mut content),
            Length::Chunked => self.chunks(&mut content),
            Length::Close => self.rest(&mut content),
        }
    }

    /// Receives the answer of a `sink`: a byte for each file.
    pub fn receipts(&mut self, count: usize) -> Result<()> {
        let mut receipts = vec![0; count];
        self.stream.read_exact(&mut receipts).context("receipts")
    }

    /// Receives the answer of a `source`: a length, and so much content.
    pub fn bare(&mut self, mut content: Content) -> Result<u64> {
        while self.to - self.from < 8 {
            self.fill()?;
        }
        let length = self.buffer[self.from..self.from + 8].try_into();
        self.from += 8;
        self.body(
            u64::from_le_bytes(length.expect("eight bytes")),
            &mut content,
        )
    }

    fn head(&mut self) -> Result<(Length, u16)> {
        let end = loop {
            match memchr::memmem::find(&self.buffer[self.from..self.to], b"\r\n\r\n") {
                Some(at) => break self.from + at + 4,
                None => self.fill()?,
            }
        };
        let head = str::from_utf8(&self.buffer[self.from..end]).context("the head of an answer")?;
        self.from = end;
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let old = status.starts_with("HTTP/1.0");
        let status = status.split(' ').nth(1).unwrap_or_default();
        let status: u16 = status.parse().context("the status of an answer")?;
        let mut length = match status {
            204 => Length::Known(0),
            _ => Length::Close,
        };
        let mut closed = old;
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = Length::Known(value.parse().context("Content-Length")?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                closed = value.eq_ignore_ascii_case("close");
            }
        }
        self.closed = closed;
        Ok((length, status))
    }

    /// Takes `length` bytes of content.
    fn body(&mut self, length: u64, content: &mut Content) -> Result<u64> {
        let mut left = length;
        while left > 0 {
            if self.from == self.to {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX);
                match content {
                    Content::Drop if wanted > self.buffer.len() => {
                        left -= self.drop_received(wanted)? as u64;
                        continue;
                    }
                    _ => self.fill()?,
                }
            }
            let here = usize::try_from(left).unwrap_or(usize::MAX);
            let here = here.min(self.to - self.from);
            if let Content::Give(give) = content {
                give(&self.buffer[self.from..self.from + here]);
            }
            self.from += here;
            left -= here as u64;
        }
        Ok(length)
    }

    fn drop_received(&mut self, wanted: usize) -> Result<usize> {
        // Memory that is never touched, and so none.
        let mut place = Vec::with_capacity(wanted.min(1 << 20));
        let spare = rustix::buffer::spare_capacity(&mut place);
        let (_, dropped) = rustix::net::recv(&self.stream, spare, RecvFlags::TRUNC)?;
        ensure!(
            dropped > 0,
            "the server closed the connection within an answer"
        );
        Ok(dropped)
    }

    fn chunks(&mut self, content: &mut Content) -> Result<u64> {
        let mut total = 0;
        loop {
            let end = loop {
                match memchr::memmem::find(&self.buffer[self.from..self.to], b"\r\n") {
                    Some(at) => break self.from + at,
                    None => self.fill()?,
                }
            };
            let size = str::from_utf8(&self.buffer[self.from..end]).context("a chunk's size")?;
            let size = u64::from_str_radix(size.trim(), 16).context("a chunk's size")?;
            self.from = end + 2;
            total += self.body(size, content)?;
            self.body(2, &mut Content::Read)?;
            if size == 0 {
                return Ok(total);
            }
        }
    }

    fn rest(&mut self, content: &mut Content) -> Result<u64> {
        self.closed = true;
        let mut total = 0;
        loop {
            let here = &self.buffer[self.from..self.to];
            total += here.len() as u64;
            if let Content::Give(give) = content {
                give(here);
            }
            (self.from, self.to) = (0, 0);
            self.to = self.stream.read(&mut self.buffer).context("receiving")?;
            if self.to == 0 {
                return Ok(total);
            }
        }
    }

    /// Receives more into the buffer.
    fn fill(&mut self) -> Result<()> {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        ensure!(self.to < self.buffer.len(), "the head of an answer is long");
        let received = self.stream.read(&mut self.buffer[self.to..]);
        let received = received.context("receiving")?;
        ensure!(
            received > 0,
            "the server closed the connection within an answer"
        );
        self.to += received;
        Ok(())
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}
