//! The first bytes of a connection, which tell its version of HTTP.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

/// The first bytes of every connection of HTTP/2, and of no other (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a connection. They were read to find the version, and are read once more by
/// the protocol of that version.
#[derive(Debug, Default)]
pub struct Preface {
    bytes: [u8; PREFACE.len()],
    len: usize,
    replayed: usize,
}

impl Preface {
    /// Reads from `stream` until the bytes tell the version.
    ///
    /// # Errors
    /// Reading fails.
    pub async fn read(mut stream: impl AsyncRead + Unpin) -> io::Result<Self> {
        let mut first = Preface::default();
        while first.may_be_http2() && !first.is_http2() {
            match stream.read(&mut first.bytes[first.len..]).await? {
                0 => break,
                read => first.len += read,
            }
        }
        Ok(first)
    }

    fn may_be_http2(&self) -> bool {
        PREFACE.starts_with(&self.bytes[..self.len])
    }

    /// Whether the connection speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.bytes == *PREFACE
    }

    /// Whether the connection ended before its first byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the bytes that were not replayed yet into `buf`; false when there are none.
    pub fn replay_into(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = &self.bytes[self.replayed..self.len];
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        self.replayed += len;
        len > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(pieces: &[&[u8]]) -> Preface {
        let mut stream = stream_of(pieces);
        Preface::read(&mut stream).await.expect("it can be read")
    }

    /// A stream that gives one piece at a time.
    fn stream_of(pieces: &[&[u8]]) -> impl AsyncRead + Unpin {
        let empty: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
        pieces.iter().rev().fold(empty, |rest, piece| {
            Box::new(io::Cursor::new(piece.to_vec()).chain(rest))
        })
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_version_and_are_kept() {
        let whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore";
        assert!(first(&[whole]).await.is_http2());
        assert!(
            first(&[b"P", b"RI * HTTP/2.0\r\n\r\n", b"SM\r\n\r\n"])
                .await
                .is_http2()
        );
        assert!(first(&[]).await.is_empty());
        for pieces in [
            &[&b"GET / HTTP/1.1\r\n\r\n"[..]][..],
            &[b"P", b"R", b"OPFIND / HTTP/1.1\r\n"],
            &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"],
            &[b"PUT"],
        ] {
            let mut first = first(pieces).await;
            assert!(!first.is_http2(), "{pieces:?}");
            let mut kept = Vec::new();
            // A small buffer, asked for more than once.
            let mut buf = [0; 5];
            let mut buf = ReadBuf::new(&mut buf);
            while first.replay_into(&mut buf) {
                kept.extend_from_slice(buf.filled());
                buf.clear();
            }
            assert!(
                !kept.is_empty() && pieces.concat().starts_with(&kept),
                "{pieces:?}"
            );
        }
    }
}
