//! An answer with files in it, from the first of them to its last byte.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::server::connection_state::ActiveRequest;

/// The end of an answer, which is noted when this is dropped.
pub trait AnswerEnd: Send {
    /// Notes that so many bytes of it, which its body has handed out, have not reached the socket;
    /// because a file failed, where that is known, else its reader.
    fn broken_off(&mut self, unsent: u64, failure: Option<&str>);
}

/// Whether bytes that stand in for a file may have gone astray: nothing is written any more then.
#[derive(Debug, Clone, Default)]
pub struct Broken(Arc<AtomicBool>);

/// An answer with files in it, as long as anything of it is to be written: its body, its pieces and
/// its spans have it.
pub struct Sending {
    broken: Broken,
    /// Bytes given to hyper since the first file.
    handed: AtomicU64,
    /// Those of them that hyper has taken for written.
    taken: AtomicU64,
    /// Bytes of files that the kernel has taken.
    sent: AtomicU64,
    /// Bytes of stand-ins that hyper has taken for written.
    stood_in: AtomicU64,
    /// The state at the end. A std mutex: held to put something there.
    end: Mutex<End>,
}

#[derive(Default)]
struct End {
    /// Why a file could not be sent.
    failure: Option<String>,
    /// The end of the answer, once its body has handed out all.
    answer: Option<(Box<dyn AnswerEnd>, ActiveRequest)>,
}

impl Broken {
    /// Whether nothing may be written any more.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Has nothing written any more.
    pub fn set(&self, why: &'static str) -> io::Error {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!(
                why,
                "a connection is cut, and nothing wrong was sent: bytes that stand in for a file \
                 were found where they must not be. This is a fault of wharf; the setting \
                 sendfile = off avoids it"
            );
        }
        io::Error::other(why)
    }
}

impl Sending {
    /// That of an answer which has its first file, on a connection with this mark.
    pub fn new(broken: &Broken) -> Arc<Self> {
        Arc::new(Sending {
            broken: broken.clone(),
            handed: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            stood_in: AtomicU64::new(0),
            end: Mutex::default(),
        })
    }

    /// Counts bytes that hyper is given.
    pub fn hand(&self, bytes: usize) {
        self.handed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Has the end of the answer noted when its last piece is written, or when that will not be.
    pub fn end_with(&self, answer: Box<dyn AnswerEnd>, active: ActiveRequest) {
        self.end().answer = Some((answer, active));
    }

    /// Counts bytes of a file that the kernel has taken.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes why a file cannot be sent.
    pub fn fail(&self, why: String) {
        self.end().failure = Some(why);
    }

    /// Counts bytes of a piece that hyper takes for written.
    pub fn take(&self, bytes: usize, stand_in: bool) {
        let bytes = bytes as u64;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        if stand_in {
            let stood_in = self.stood_in.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if stood_in > self.sent.load(Ordering::Relaxed) {
                self.broken.set("they were copied");
            }
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        // A panic cannot leave it half changed.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let unsent = self.handed.load(Ordering::Relaxed) - self.taken.load(Ordering::Relaxed);
        let end = std::mem::take(&mut *self.end());
        let Some((mut answer, _active)) = end.answer else {
            return;
        };
        if unsent > 0 {
            answer.broken_off(unsent, end.failure.as_deref());
        }
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}
