//! Some bytes of a stored file that the kernel sends by itself (sendfile(2)).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rustix::io::Errno;

use super::cached::{became_shorter, read_cached};
use crate::store::disk::inner::Inner;
use crate::store::disk::open_file::OpenFile;
use crate::store::disk::threads::Disk;
use crate::store::{FileSpan, Sent, Ways};

/// One byte of so many is looked at to learn whether all are in memory: the kernel reads files ahead
/// and forgets them in such pieces.
const PROBE_STRIDE: usize = 128 * 1024;
/// Bytes that were in memory so short a time ago still are.
const FRESH_TIME: Duration = Duration::from_millis(20);

/// Some bytes of a stored file that the kernel sends by itself.
#[derive(Debug)]
pub struct DiskSpan {
    disk: Disk,
    file: OpenFile,
    name: Arc<str>,
    /// The bytes that are still to be sent.
    range: Range<u64>,
    /// When they were last seen in memory.
    seen: Instant,
    /// Whether they were read to have them there: they are sent then, whatever a look says.
    warmed: bool,
}

impl DiskSpan {
    /// These bytes of an open file; `None` unless they are in memory, and on a file system that is
    /// not local.
    pub fn cached(
        disk: &Disk,
        file: &OpenFile,
        name: &Arc<str>,
        range: Range<u64>,
    ) -> Option<Self> {
        let span = DiskSpan {
            disk: disk.clone(),
            file: file.clone(),
            name: Arc::clone(name),
            range,
            seen: Instant::now(),
            warmed: false,
        };
        span.is_cached().then_some(span)
    }

    fn is_cached(&self) -> bool {
        let Some(inner) = self.disk.local() else {
            return false;
        };
        let file = self.file.get(inner);
        let last = self.range.end.saturating_sub(1);
        let mut looks = self.range.clone().step_by(PROBE_STRIDE).chain([last]);
        looks.all(|at| read_cached(file, &mut [0], at) == 1)
    }
}

impl FileSpan for DiskSpan {
    fn left(&self) -> usize {
        // No more than MAX_SPAN.
        (self.range.end - self.range.start) as usize
    }

    fn is_ready(&mut self) -> bool {
        if self.warmed || self.seen.elapsed() < FRESH_TIME {
            return true;
        }
        let cached = self.is_cached();
        if cached {
            self.seen = Instant::now();
        }
        cached
    }

    fn warm(&mut self) -> BoxFuture<'static, io::Result<()>> {
        self.warmed = true;
        let (disk, file, name) = (self.disk.clone(), self.file.clone(), Arc::clone(&self.name));
        let (offset, len) = (self.range.start, self.left());
        Box::pin(async move {
            let read = move |inner: &Arc<Inner>| {
                let mut block = inner.state.blocks.take(len);
                let read = file.get(inner).read_exact_at(block.as_mut(), offset);
                Ok(read.map_err(|error| failed(&name, &error)))
            };
            disk.run_blocking(read).await.map_err(io::Error::other)?
        })
    }

    fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<Sent> {
        let Some(inner) = self.disk.local() else {
            return Err(io::Error::other("the file system is not local"));
        };
        let start = Instant::now();
        let sent = send(socket, self.file.get(inner), self.range.start, self.left());
        let took = start.elapsed();
        let ways = &self.disk.state().ways;
        match sent {
            Ok(0) => Err(became_shorter(&self.name)),
            Ok(bytes) => {
                self.range.start += bytes as u64;
                ways.sent(bytes, took);
                Ok(Sent { bytes, took })
            }
            Err(errno) if is_of_socket(errno) => Err(errno.into()),
            Err(errno) => {
                if is_unsupported(errno) {
                    ways.give_up(&errno);
                }
                Err(io::Error::other(format!("sending {}: {errno}", self.name)))
            }
        }
    }
}

fn send(socket: BorrowedFd<'_>, file: &File, offset: u64, most: usize) -> Result<usize, Errno> {
    let mut offset = offset;
    rustix::io::retry_on_intr(|| rustix::fs::sendfile(socket, file, Some(&mut offset), most))
}

/// The error for a file that could not be read.
fn failed(name: &str, error: &io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => became_shorter(name),
        _ => io::Error::other(format!("reading {name}: {error}")),
    }
}

/// Whether an error of sendfile(2) is that of the connection, and not of the file.
fn is_of_socket(errno: Errno) -> bool {
    [
        Errno::AGAIN,
        Errno::PIPE,
        Errno::CONNRESET,
        Errno::CONNABORTED,
        Errno::NOTCONN,
        Errno::TIMEDOUT,
        Errno::HOSTUNREACH,
        Errno::NETUNREACH,
        Errno::NETDOWN,
        Errno::NETRESET,
    ]
    .contains(&errno)
}

/// Whether an error of sendfile(2) says that there is no such call for this file.
fn is_unsupported(errno: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM].contains(&errno)
}

/// Whether the kernel can send this file of the store: a file system may not know how.
pub fn probe(file: &File, ways: &Ways) {
    let probed = std::os::unix::net::UnixStream::pair()
        .map_err(|error| error.to_string())
        .and_then(|(end, _other)| send(end.as_fd(), file, 0, 1).map_err(|errno| errno.to_string()));
    if let Err(why) = probed {
        ways.give_up(&why);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::store::disk::{DiskStore, Durability, Options};
    use crate::store::{MAX_SPAN, Sendfile, Way};

    /// A file of a store of its own.
    struct SampleFile {
        disk: Disk,
        file: OpenFile,
        path: std::path::PathBuf,
        _dir: tempfile::TempDir,
    }

    impl SampleFile {
        fn new(content: &[u8]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = DiskStore::open(&Options {
                dir: dir.path().to_owned(),
                durability: Durability::Relaxed,
                min_free: 0,
                descriptors: 10,
                shared: None,
                sendfile: Sendfile::On,
            });
            let disk = store.unwrap().0;
            let path = dir.path().join("sample");
            std::fs::write(&path, content).unwrap();
            let file = File::open(&path).unwrap();
            let file = OpenFile::new(disk.local().unwrap(), file, content.len() as u64);
            SampleFile {
                disk,
                file,
                path,
                _dir: dir,
            }
        }

        fn span(&self, range: Range<u64>) -> DiskSpan {
            let name = Arc::from("sample");
            DiskSpan::cached(&self.disk, &self.file, &name, range).expect("it was just written")
        }
    }

    #[tokio::test]
    async fn bytes_are_sent_as_far_as_the_socket_takes_them() {
        let content: Vec<u8> = (0..600_000_u32).map(|i| (i * 7 / 5) as u8).collect();
        let file = SampleFile::new(&content);
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let most = MAX_SPAN as u64;
        let mut received = Vec::new();
        for range in [10..most, most..2 * most, 2 * most..600_000] {
            let mut span = file.span(range);
            while span.left() > 0 {
                let before = span.left();
                match span.send(near.as_fd()) {
                    Ok(sent) => assert_eq!(before - span.left(), sent.bytes),
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        let mut block = [0; 10_000];
                        let read = far.read(&mut block).unwrap();
                        received.extend_from_slice(&block[..read]);
                    }
                }
            }
        }
        drop(near);
        far.read_to_end(&mut received).unwrap();
        assert!(received == content[10..]);
        assert_eq!(
            file.disk.state().ways.bytes(Way::Send),
            content.len() as u64 - 10
        );
    }

    #[tokio::test]
    async fn whose_fault_an_error_is() {
        let file = SampleFile::new(&[7; 300_000]);
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut cut = file.span(100_000..200_000);
        let mut shorter = File::options().write(true).open(&file.path).unwrap();
        io::Write::write_all(&mut shorter, b"x").unwrap();
        shorter.set_len(150_000).unwrap();
        let mut sent = 0;
        let error = loop {
            match cut.send(near.as_fd()) {
                Ok(some) => sent += some.bytes,
                Err(error) => break error,
            }
        };
        assert!(sent <= 50_000);
        assert_eq!(
            (error.kind(), error.raw_os_error()),
            (io::ErrorKind::UnexpectedEof, None)
        );
        assert!(
            error.to_string().contains("sample became shorter"),
            "{error}"
        );
        assert!(file.span(0..1000).warm().await.is_ok());
        let error = cut.warm().await.unwrap_err();
        assert!(
            error.to_string().contains("sample became shorter"),
            "{error}"
        );
        drop(far);
        let error = file.span(0..100).send(near.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(error.raw_os_error().is_some());
    }

    #[tokio::test]
    async fn what_the_kernel_has_forgotten_is_read_on_a_thread() {
        let file = SampleFile::new(&[7; 300_000]);
        let mut span = file.span(0..200_000);
        let open = File::open(&file.path).unwrap();
        open.sync_all().unwrap();
        rustix::fs::fadvise(&open, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        if span.is_cached() {
            // A file system in memory alone forgets nothing.
            return;
        }
        span.seen = Instant::now();
        assert!(span.is_ready(), "it was seen in memory a moment ago");
        span.seen = Instant::now().checked_sub(2 * FRESH_TIME).unwrap();
        assert!(!span.is_ready());
        span.warm().await.unwrap();
        assert!(span.is_cached() && span.is_ready());
    }

    #[test]
    fn a_file_that_cannot_be_sent_is_known_beforehand() {
        let ways = Ways::new(Sendfile::On);
        let file = tempfile::tempfile().unwrap();
        probe(&file, &ways);
        assert_eq!(ways.next(false), Way::Send);
        // Of a folder there is nothing to be sent.
        probe(&File::open("/").unwrap(), &ways);
        assert_eq!(ways.next(false), Way::Read);
    }
}
