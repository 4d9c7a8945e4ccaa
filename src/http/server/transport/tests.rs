use std::cell::Cell;
use std::rc::Rc;

use tokio::io::AsyncWriteExt as _;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::*;

/// A socket that always has room, and always something to read.
struct Endless;

impl Wire for Endless {
    fn attempt(&mut self, _: &[u8]) -> Option<io::Result<usize>> {
        None
    }
}

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buf.put_slice(&vec![b'x'; buf.remaining()]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn others_have_their_turns_while_much_is_moved() {
    const BLOCK: usize = 64 * 1024;
    let second = Duration::from_secs(1);
    let timeouts = Timeouts {
        head: second,
        idle: second,
        keep_alive: second,
    };
    let mut transport = Transport::new(Endless, 4 * BLOCK, Arc::default(), timeouts);
    LocalSet::new()
        .run_until(async {
            let turns = Rc::new(Cell::new(0));
            let others = Rc::clone(&turns);
            spawn_local(async move {
                loop {
                    others.set(others.get() + 1);
                    yield_now().await;
                }
            });
            let mut block = vec![0; BLOCK];
            for _ in 0..100 {
                transport.write_all(&block).await.unwrap();
            }
            assert!(turns.get() >= 24, "{} while writing", turns.get());
            turns.set(0);
            for _ in 0..100 {
                transport.read_exact(&mut block).await.unwrap();
            }
            assert!(turns.get() >= 24, "{} while reading", turns.get());
        })
        .await;
}
