//! A transport in which one of the two ways is slow.

use std::future::poll_fn;
use std::io::IoSlice;
use std::os::fd::AsFd;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;
use crate::delivery::Way;
use crate::http::server::wire::{PlainSocket, Wire};

/// A call of the way that is slow takes as long.
const SLOW_CALL: Duration = Duration::from_millis(3);

/// A socket that takes all at once, but for the time that a write takes.
struct Sink {
    null: File,
    write: Duration,
}

impl Sink {
    fn new(write: Duration) -> Self {
        let null = File::options().write(true).open("/dev/null").unwrap();
        Sink { null, write }
    }
}

impl Wire for Sink {
    fn attempt(&mut self, _: &[u8]) -> Option<io::Result<usize>> {
        None
    }

    fn plain(&self) -> Option<&dyn PlainSocket> {
        Some(self)
    }
}

impl PlainSocket for Sink {
    fn poll_write_by(
        &self,
        _: &mut Context<'_>,
        write: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(write(self.unreported()))
    }

    fn unreported(&self) -> BorrowedFd<'_> {
        self.null.as_fd()
    }
}

impl AsyncRead for Sink {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::thread::sleep(self.write);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Sends so many blocks, each the way that is chosen for it; how many were sent by the kernel, and
/// whether the connection still takes files.
async fn sent_of(blocks: usize, send: Duration, write: Duration) -> (usize, bool) {
    let file = file();
    let ways = Arc::new(Ways::new(Sendfile::Auto));
    let queue = FileQueue::new(Arc::clone(&ways));
    let second = Duration::from_secs(60);
    let timeouts = Timeouts {
        head: second,
        idle: second,
        keep_alive: second,
    };
    let mut transport = Transport::new(Sink::new(write), MAX_SPAN, Arc::default(), timeouts);
    transport.send_files(FileSender::new(queue.clone()));
    let mut pieces = Pieces::new(Some(queue.clone()));
    let mut sent = 0;
    for _ in 0..blocks {
        let block = match ways.next(false) {
            Way::Send => {
                sent += 1;
                let span = TestSpan {
                    delay: send,
                    ways: Some(Arc::clone(&ways)),
                    ..TestSpan::of(&file, 0..MAX_SPAN as u64)
                };
                pieces.next(queue.offer(Box::new(span))).unwrap()
            }
            Way::Read => {
                ways.read(MAX_SPAN, Some(Duration::from_micros(1)));
                pieces.next(content()[..MAX_SPAN].into()).unwrap()
            }
        };
        let mut block = block;
        while bytes::Buf::has_remaining(&block) {
            let slice = IoSlice::new(bytes::Buf::chunk(&block));
            let write = poll_fn(|cx| {
                let transport = Pin::new(&mut transport);
                transport.poll_write_vectored(cx, &[slice])
            });
            let written = write.await.unwrap();
            bytes::Buf::advance(&mut block, written);
        }
    }
    assert_eq!(ways.bytes(Way::Read), ((blocks - sent) * MAX_SPAN) as u64);
    (sent, queue.takes_files())
}

#[tokio::test]
async fn the_choice_follows_what_the_transport_makes_slow() {
    const BLOCKS: usize = 400;
    // Eight of the first sixteen, and one in 128 later.
    const TRIED: usize = 8 + 4;
    let (sent, takes) = sent_of(BLOCKS, SLOW_CALL, Duration::ZERO).await;
    assert!(sent <= TRIED, "{sent}");
    assert!(
        !takes,
        "a connection whose files block takes none for a while"
    );
    let (sent, _) = sent_of(BLOCKS, Duration::ZERO, SLOW_CALL).await;
    assert!(sent >= BLOCKS - TRIED, "{sent}");
}
