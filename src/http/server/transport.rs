//! The byte stream under a connection, with time-outs, turns for other connections, and a close
//! that does not lose the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::connection_state::{ConnectionState, Waiting};
use super::files::{FileSender, Next};
use super::preface::Preface;
use super::turn::Turn;
use super::wire::Wire;
use super::{Deadline, Timeouts};

/// How long the rest of a refused body is read and dropped, and the longest pause of the client
/// meanwhile: the numbers of nginx's `lingering_time` and `lingering_timeout`.
const LINGER_TIME: Duration = Duration::from_secs(30);
const LINGER_SILENCE: Duration = Duration::from_secs(5);

/// How often in `idle` a waiting write is tried again.
const RETRIES_PER_TIMEOUT: u32 = 2;

/// A stream with the time-outs of a connection.
///
/// - A request's head that takes too long, and a connection without requests for too long, end
///   as an error of reading; hyper closes the connection then.
/// - A reader that takes nothing for too long ends as an error of writing.
/// - After some bytes the other connections of its thread have their turn. A new reader has room
///   for megabytes in its socket: 1,000 of them would delay all others for a second and more.
/// - Closing while the client still sends a body that was refused would reset the connection,
///   and the client could lose the answer. So the stream is closed for writing first, and read
///   until the client is done.
pub struct Transport<T> {
    stream: T,
    /// The most bytes of one read.
    most: usize,
    turn: Turn,
    preface: Preface,
    state: Arc<ConnectionState>,
    timeouts: Timeouts,
    reading: Reading,
    writing: Writing,
    lingering: Option<Lingering>,
    /// Sends files, where the stream can.
    files: Option<FileSender>,
}

/// The next event on the reading side, and its deadline.
struct Reading {
    awaits: Awaits,
    /// How many requests had begun at the last call.
    begun: u64,
    deadline: Deadline,
}

/// Whether a write waits, how often it was tried again in vain, and when the next try is.
struct Writing {
    waits: bool,
    looks: u32,
    /// Whether the last attempt found room although the socket was not reported writable: there may
    /// be room for more.
    filling: bool,
    deadline: Deadline,
}

#[derive(Clone, Copy, PartialEq)]
enum Awaits {
    /// The first byte of a request.
    Request,
    /// The rest of its head.
    Head,
    /// The answer, however long it takes.
    Answer,
}

struct Lingering {
    end: Deadline,
    silence: Deadline,
}

impl<T> Transport<T> {
    /// Reads no more than `most` bytes of `stream` at once.
    pub fn new(stream: T, most: usize, state: Arc<ConnectionState>, timeouts: Timeouts) -> Self {
        let reading = Reading {
            awaits: Awaits::Request,
            begun: 0,
            deadline: Deadline::after(timeouts.keep_alive),
        };
        let writing = Writing {
            waits: false,
            looks: 0,
            filling: false,
            deadline: Deadline::after(timeouts.idle),
        };
        Transport {
            stream,
            most,
            turn: Turn::new(most),
            preface: Preface::default(),
            state,
            timeouts,
            reading,
            writing,
            lingering: None,
            files: None,
        }
    }

    /// Has the kernel send the files that are due.
    pub fn send_files(&mut self, files: FileSender) {
        self.files = Some(files);
    }

    /// Times the wait for a request or its head.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, received: bool) -> Poll<io::Error> {
        // A request can begin and be answered between two calls.
        let begun = self.state.begun();
        let ended = std::mem::replace(&mut self.reading.begun, begun) != begun;
        let unfinished = self.reading.awaits == Awaits::Head && !ended;
        let now = if self.state.is_active() {
            Awaits::Answer
        } else if unfinished || (received && !self.state.is_http2()) {
            Awaits::Head
        } else {
            Awaits::Request
        };
        if ended || now != self.reading.awaits {
            self.reading.awaits = now;
            let limit = match now {
                Awaits::Head => self.timeouts.head,
                Awaits::Request | Awaits::Answer => self.timeouts.keep_alive,
            };
            let since = self.reading.deadline.set(limit);
            self.state.set_waiting(match now {
                Awaits::Request => Some(Waiting::for_request(since)),
                Awaits::Head => Some(Waiting::for_head(since)),
                Awaits::Answer => None,
            });
        }
        if now == Awaits::Answer || received {
            return Poll::Pending;
        }
        ready!(self.reading.deadline.poll(cx));
        Poll::Ready(io::Error::from(io::ErrorKind::TimedOut))
    }

    /// Notes whether a write waits.
    fn waits(&mut self, waits: bool) {
        self.writing.waits = waits;
        self.state.writing(waits);
    }
}

/// The bytes or the file that a waiting write is to send.
#[derive(Clone, Copy)]
enum Waits<'a> {
    Bytes(&'a [u8]),
    /// The file that is due.
    File,
}

impl<T: Wire> Transport<T> {
    /// Sends the file that is due.
    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (Some(files), Some(socket)) = (&mut self.files, self.stream.plain()) else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        // Meanwhile the reader is not what is waited for, and is not timed.
        ready!(files.poll_ready(cx))?;
        let sent = socket.poll_write_by(cx, &mut |socket| files.send(socket));
        self.turn.written(&sent);
        self.poll_stall(cx, Waits::File, sent)
    }

    /// Times a write of `data` that waits; of no data, while bytes wait that were written before.
    ///
    /// The system reports a socket as writable once a good part of its buffer is free, and the
    /// buffer grows to megabytes: with a slow reader that takes long. So a write is attempted
    /// without that report; it fails only where the reader has taken nothing at all.
    fn poll_stall(
        &mut self,
        cx: &mut Context<'_>,
        data: Waits<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let waited = self.writing.waits;
        if written.is_ready() {
            self.writing.filling = false;
            if waited {
                self.waits(false);
                // The next request is waited for by the reading side.
                cx.waker().wake_by_ref();
            }
            return written;
        }
        let pause = self.timeouts.idle / RETRIES_PER_TIMEOUT;
        if !waited {
            self.waits(true);
            self.writing.looks = 0;
            self.writing.deadline.set(pause);
            if std::mem::take(&mut self.writing.filling)
                && let Some(sent) = self.attempt(data)
            {
                return Poll::Ready(sent);
            }
        }
        loop {
            ready!(self.writing.deadline.poll(cx));
            if let Some(sent) = self.attempt(data) {
                return Poll::Ready(sent);
            }
            self.writing.looks += 1;
            if self.writing.looks >= RETRIES_PER_TIMEOUT {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.writing.deadline.set(pause);
        }
    }

    /// Sends as much as there is room for, and does not wait; `None` if none of `data` has room.
    fn attempt(&mut self, data: Waits<'_>) -> Option<io::Result<usize>> {
        let sent = match data {
            Waits::Bytes(data) => self.stream.attempt(data)?,
            Waits::File => self.attempt_file()?,
        };
        self.writing.filling = true;
        if let (Ok(0), Waits::Bytes([_, ..])) = (&sent, data) {
            // Bytes before these went: the reader takes something, and has all its time again.
            self.writing.looks = 0;
            return None;
        }
        self.waits(false);
        Some(sent)
    }

    fn attempt_file(&self) -> Option<io::Result<usize>> {
        let (files, socket) = (self.files.as_ref()?, self.stream.plain()?);
        match files.send(socket.unreported()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            sent => Some(sent),
        }
    }

    /// Times a flush or a shutdown, which wait where the stream holds bytes back.
    fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        poll: fn(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        loop {
            let ended = poll(Pin::new(&mut self.stream), cx);
            if ended.is_ready() && !self.writing.waits {
                return ended;
            }
            let ready = ended.is_ready();
            ready!(self.poll_stall(cx, Waits::Bytes(&[]), ended.map_ok(|()| 0)))?;
            if ready {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: AsyncRead + Unpin> Transport<T> {
    /// Reads until the version of HTTP is known, in the time that a request and its head may take:
    /// whether it is 2, or `None` when the connection ends before its first byte.
    ///
    /// # Errors
    /// Reading fails.
    pub async fn speaks_http2(&mut self) -> io::Result<Option<bool>> {
        self.preface = Preface::read(&mut *self).await?;
        Ok((!self.preface.is_empty()).then(|| self.preface.is_http2()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Transport<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.turn.poll(cx));
        let before = buf.filled().len();
        let mut limited = (&mut this.stream).take(this.most as u64);
        if this.preface.replay_into(buf) {
            // Bytes that have come behind them are read with them: hyper would double a buffer that
            // is hardly used. An error is reported once; the next read finds an end, or that
            // nothing has come, again.
            return match Pin::new(&mut limited).poll_read(cx, buf) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(())),
            };
        }
        let polled = Pin::new(&mut limited).poll_read(cx, buf);
        let received = buf.filled().len() > before;
        this.turn.moved(buf.filled().len() - before);
        if (received || polled.is_pending())
            && let Poll::Ready(error) = self.poll_deadline(cx, received)
            && polled.is_pending()
        {
            return Poll::Ready(Err(error));
        }
        polled
    }
}

impl<T: Wire> AsyncWrite for Transport<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.turn.poll(cx));
        let this = &mut *self;
        let buffers = match this.files.as_ref().map(|files| files.next(data)) {
            None => data,
            Some(next) => match next? {
                Next::Buffers(count) => &data[..count],
                Next::File => return this.poll_file(cx),
            },
        };
        let files = this.files.as_ref();
        let begun = files.and_then(|_| FileSender::begin_write(buffers));
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, buffers);
        if let Some(files) = files {
            files.written(&written, begun);
        }
        this.turn.written(&written);
        let first = buffers.iter().find(|slice| !slice.is_empty());
        let first = Waits::Bytes(first.map_or(&[], |slice| slice));
        this.poll_stall(cx, first, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx, T::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(this.poll_end(cx, T::poll_shutdown))?;
            if !this.state.lingers() {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = this.lingering.get_or_insert_with(|| Lingering {
            end: Deadline::after(LINGER_TIME),
            silence: Deadline::after(LINGER_SILENCE),
        });
        let mut dropped = [0; 16 * 1024];
        loop {
            if lingering.end.poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut dropped);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    lingering.silence.set(LINGER_SILENCE);
                }
                // The client is done, or gone.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(lingering.silence.poll(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
