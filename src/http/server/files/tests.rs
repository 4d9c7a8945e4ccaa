//! Answers with files in them, through hyper and the transport, into a socket.

mod matching;
mod slow;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::block::has_pattern;
use super::piece::{Piece, Pieces};
use super::sending::AnswerEnd;
use super::{FileQueue, FileSender};
use crate::delivery::{FileSpan, MAX_SPAN, Sendfile, Sent, Ways};
use crate::http::server::Timeouts;
use crate::http::server::connection_state::{ActiveRequest, ConnectionState};
use crate::http::server::transport::Transport;

/// The content of the file.
fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| {
        (0..2 * MAX_SPAN as u32)
            .map(|i| (i * 31 / 7) as u8)
            .collect()
    })
}

fn file() -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content()).unwrap();
    file.rewind().unwrap();
    Arc::new(file)
}

/// A span of a file of its own.
#[derive(Debug)]
struct TestSpan {
    file: Arc<File>,
    range: Range<u64>,
    /// Whether it is in memory.
    ready: bool,
    /// How long a call takes.
    delay: Duration,
    fails: bool,
    /// Where it is timed.
    ways: Option<Arc<Ways>>,
}

impl TestSpan {
    fn of(file: &Arc<File>, range: Range<u64>) -> Self {
        TestSpan {
            file: Arc::clone(file),
            range,
            ready: true,
            delay: Duration::ZERO,
            fails: false,
            ways: None,
        }
    }
}

impl FileSpan for TestSpan {
    fn left(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    fn is_ready(&mut self) -> bool {
        self.ready
    }

    fn warm(&mut self) -> BoxFuture<'static, io::Result<()>> {
        self.ready = true;
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<Sent> {
        assert!(self.ready);
        if self.fails {
            return Err(io::Error::other("a.bin became shorter"));
        }
        let start = Instant::now();
        std::thread::sleep(self.delay);
        let mut offset = self.range.start;
        let most = self.left();
        let bytes = rustix::fs::sendfile(socket, &*self.file, Some(&mut offset), most)?;
        self.range.start = offset;
        let took = start.elapsed();
        if let Some(ways) = &self.ways {
            ways.sent(bytes, took);
        }
        Ok(Sent { bytes, took })
    }
}

#[derive(Debug, Clone)]
enum Step {
    Text(Bytes),
    File {
        range: Range<u64>,
        ready: bool,
        fails: bool,
    },
}

impl Step {
    fn content(&self) -> Vec<u8> {
        match self {
            Step::Text(bytes) => bytes.to_vec(),
            Step::File { range, .. } => content()[range.start as usize..range.end as usize].into(),
        }
    }
}

/// An answer, which hands out a step at a time.
struct TestBody {
    steps: VecDeque<Step>,
    file: Arc<File>,
    queue: FileQueue,
    pieces: Option<Pieces>,
    /// Its length, where that is said beforehand.
    len: Option<u64>,
    end: Option<(Box<dyn AnswerEnd>, ActiveRequest)>,
}

impl Body for TestBody {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, io::Error>>> {
        let Some(step) = self.steps.pop_front() else {
            return Poll::Ready(None);
        };
        let bytes = match step {
            Step::Text(bytes) => bytes,
            Step::File {
                range,
                ready,
                fails,
            } => {
                let span = TestSpan {
                    ready,
                    fails,
                    ..TestSpan::of(&self.file, range)
                };
                self.queue.offer(Box::new(span))
            }
        };
        let piece = self.pieces.as_mut().unwrap().next(bytes);
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.len
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for TestBody {
    fn drop(&mut self) {
        if let Some((end, active)) = self.end.take() {
            self.pieces.take().unwrap().end(end, active);
        }
    }
}

/// Notes what an answer's end is told.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<Ending>>>);

/// How many bytes were unsent, and why.
type Ending = (u64, Option<String>);

impl AnswerEnd for Noted {
    fn broken_off(&mut self, unsent: u64, failure: Option<&str>) {
        let failure = failure.map(str::to_owned);
        self.0.lock().unwrap().push((unsent, failure));
    }
}

/// Serves these answers, one for each request, into a small socket; what its reader gets, who takes
/// so many bytes at a time, and whether the connection ended well.
struct Answers {
    answers: Vec<Vec<Step>>,
    chunked: bool,
    writev: bool,
    reads: Vec<usize>,
    /// How much is read before the reader leaves.
    most: usize,
    noted: Noted,
}

impl Answers {
    fn new(answers: Vec<Vec<Step>>) -> Self {
        Answers {
            answers,
            chunked: false,
            writev: true,
            reads: vec![10_000],
            most: usize::MAX,
            noted: Noted::default(),
        }
    }

    async fn serve(&self) -> (Vec<u8>, bool) {
        let (near, mut far) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&near, 4096).unwrap();
        let queue = FileQueue::new(Arc::new(Ways::new(Sendfile::Auto)));
        let second = Duration::from_secs(60);
        let timeouts = Timeouts {
            head: second,
            idle: second,
            keep_alive: second,
        };
        let state: Arc<ConnectionState> = Arc::default();
        let mut transport = Transport::new(near, 64 * 1024, Arc::clone(&state), timeouts);
        transport.send_files(FileSender::new(queue.clone()));
        let file = file();
        let left = Mutex::new(self.answers.iter().cloned());
        let service = service_fn(|_| {
            let steps: VecDeque<Step> = left.lock().unwrap().next().unwrap().into();
            let len = steps.iter().map(|step| step.content().len() as u64).sum();
            let active = ActiveRequest::begin(Arc::clone(&state), false);
            let body = TestBody {
                steps,
                file: Arc::clone(&file),
                queue: queue.clone(),
                pieces: Some(Pieces::new(Some(queue.clone()))),
                len: (!self.chunked).then_some(len),
                end: Some((Box::new(self.noted.clone()), active)),
            };
            async { Ok::<_, Infallible>(http::Response::new(body)) }
        });
        let serve = async {
            http1::Builder::new()
                .half_close(true)
                .writev(self.writev)
                .serve_connection(TokioIo::new(transport), service)
                .await
                .is_ok()
        };
        let count = self.answers.len();
        let read = async {
            // All at once: the bytes behind an answer are the next one.
            let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(count);
            far.write_all(&request).await.unwrap();
            far.shutdown().await.unwrap();
            let mut received = Vec::new();
            for most in self.reads.iter().cycle() {
                let mut block = vec![0; *most];
                match far.read(&mut block).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => received.extend_from_slice(&block[..read]),
                }
                if received.len() >= self.most {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(far);
            received
        };
        let (ended, received) = tokio::join!(serve, read);
        // A file that is due holds its answer.
        drop(queue);
        assert!(!ended || !state.is_active(), "each answer has ended");
        (received, ended)
    }

    /// The bodies of the answers.
    fn bodies(&self, mut received: &[u8]) -> Vec<Vec<u8>> {
        let line = |received: &mut &[u8], end: &[u8]| {
            let at = memchr::memmem::find(received, end).unwrap();
            let line = received[..at].to_vec();
            *received = &received[at + end.len()..];
            line
        };
        let mut bodies = Vec::new();
        for steps in &self.answers {
            let head = line(&mut received, b"\r\n\r\n");
            assert!(head.starts_with(b"HTTP/1.1 200 OK"));
            let mut body = Vec::new();
            let lens = steps.iter().map(|step| step.content().len());
            let lens: Vec<usize> = match self.chunked {
                false => vec![lens.sum()],
                true => lens.chain([0]).collect(),
            };
            for len in lens {
                if self.chunked {
                    let size = line(&mut received, b"\r\n");
                    assert_eq!(size, format!("{len:X}").into_bytes());
                }
                body.extend_from_slice(&received[..len]);
                received = &received[len..];
                if self.chunked {
                    assert_eq!(line(&mut received, b"\r\n"), b"");
                }
            }
            bodies.push(body);
        }
        assert!(received.is_empty());
        bodies
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

fn step() -> impl Strategy<Value = Step> {
    let text = (1..40_000_usize, any::<u8>()).prop_map(|(len, byte)| {
        let text: Vec<u8> = (0..len).map(|i| byte.wrapping_add(i as u8)).collect();
        Step::Text(text.into())
    });
    let len = prop_oneof![1..2000_u64, Just(MAX_SPAN as u64), 1..MAX_SPAN as u64];
    let file =
        (0..MAX_SPAN as u64, len, any::<bool>()).prop_map(|(start, len, ready)| Step::File {
            range: start..start + len,
            ready,
            fails: false,
        });
    prop_oneof![1 => text, 2 => file]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_sent_in_whatever_pieces_arrives_as_it_is(
        answers in prop::collection::vec(prop::collection::vec(step(), 1..8), 1..4),
        chunked in any::<bool>(),
        reads in prop::collection::vec(1..100_000_usize, 1..5),
    ) {
        let answers = Answers { chunked, reads, ..Answers::new(answers) };
        let (received, ended) = run(answers.serve());
        prop_assert!(ended && !has_pattern(&received));
        let expected: Vec<Vec<u8>> = answers
            .answers
            .iter()
            .map(|steps| steps.iter().flat_map(Step::content).collect())
            .collect();
        prop_assert!(answers.bodies(&received) == expected);
        prop_assert!(answers.noted.0.lock().unwrap().is_empty());
    }
}

fn whole() -> Step {
    Step::File {
        range: 0..MAX_SPAN as u64,
        ready: true,
        fails: false,
    }
}

#[tokio::test]
async fn where_buffers_are_copied_nothing_is_written() {
    // As hyper would do without `writev(true)`, and another version of it may do.
    let answers = Answers {
        writev: false,
        ..Answers::new(vec![vec![whole(), Step::Text("end".into())]])
    };
    let (received, ended) = answers.serve().await;
    assert!(!ended && received.is_empty(), "{} bytes", received.len());
}

#[tokio::test]
async fn what_was_not_sent_is_noted() {
    let answers = Answers {
        most: 100_000,
        ..Answers::new(vec![vec![whole(), whole(), Step::Text("end".into())]])
    };
    let (received, ended) = answers.serve().await;
    let noted = answers.noted.0.lock().unwrap().clone();
    // hyper has asked for the second file: it queues more than one buffer.
    let [(unsent, None)] = noted[..] else {
        panic!("{noted:?}");
    };
    let handed = 2 * MAX_SPAN as u64;
    assert!(!ended && unsent > 0 && handed - unsent + 300 >= received.len() as u64);
    let fails = Step::File {
        range: 0..1000,
        ready: true,
        fails: true,
    };
    let answers = Answers::new(vec![vec![Step::Text("begin".into()), fails]]);
    let (_, ended) = answers.serve().await;
    let noted = answers.noted.0.lock().unwrap().clone();
    assert!(!ended);
    assert_eq!(noted, [(1000, Some("a.bin became shorter".to_owned()))]);
}
