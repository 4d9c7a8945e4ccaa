//! The byte streams that a connection can stand on: a socket, or TLS over one.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A byte stream below a [`Transport`](super::transport::Transport). Each kind has code of its own:
/// a socket without TLS pays nothing for the one that has it.
pub trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Sends bytes of `data` without waiting for the system's report that there is room; `None` if
    /// not one byte has room. 0 are bytes that were written before, and waited.
    fn attempt(&mut self, data: &[u8]) -> Option<io::Result<usize>>;

    /// The socket, where its reader gets what is written into it, as it is: another call may write
    /// there too.
    fn plain(&self) -> Option<&dyn PlainSocket> {
        None
    }
}

/// A socket into which other calls can write than its own.
pub trait PlainSocket {
    /// Has `write`, which does not wait, write into it once there is room.
    ///
    /// # Errors
    /// Those of `write`, and the end of the runtime.
    fn poll_write_by(
        &self,
        cx: &mut Context<'_>,
        write: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>>;

    /// The socket, to be written to without waiting for the system's report that there is room.
    fn unreported(&self) -> BorrowedFd<'_>;
}

macro_rules! plain {
    ($socket:ty) => {
        impl Wire for $socket {
            fn attempt(&mut self, data: &[u8]) -> Option<io::Result<usize>> {
                send_now(self, data)
            }

            fn plain(&self) -> Option<&dyn PlainSocket> {
                Some(self)
            }
        }

        impl PlainSocket for $socket {
            fn poll_write_by(
                &self,
                cx: &mut Context<'_>,
                write: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
            ) -> Poll<io::Result<usize>> {
                loop {
                    ready!(self.poll_write_ready(cx))?;
                    match self.try_io(Interest::WRITABLE, || write(self.as_fd())) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        written => return Poll::Ready(written),
                    }
                }
            }

            fn unreported(&self) -> BorrowedFd<'_> {
                self.as_fd()
            }
        }
    };
}

plain!(TcpStream);
plain!(UnixStream);

impl Wire for TlsStream<TcpStream> {
    fn attempt(&mut self, data: &[u8]) -> Option<io::Result<usize>> {
        let (socket, session) = self.get_mut();
        let mut moved = false;
        while session.wants_write() {
            match session.write_tls(&mut Unreported(socket)) {
                Ok(0) => break,
                Ok(_) => moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Some(Err(error)),
            }
        }
        moved.then(|| session.writer().write(data))
    }
}

fn send_now(socket: impl AsFd, data: &[u8]) -> Option<io::Result<usize>> {
    match send(socket, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN) => None,
        sent => Some(sent.map_err(io::Error::from)),
    }
}

/// A socket that is written to whether or not it was reported writable.
struct Unreported<'a>(&'a TcpStream);

impl io::Write for Unreported<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        send_now(self.0, data).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
