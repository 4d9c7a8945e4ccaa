//! The files that a connection is to send, in order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::block;
use super::sending::{Broken, Sending};
use crate::delivery::{FileSpan, Ways};

/// How long a connection takes no more files after calls have blocked.
const PAUSE_AFTER_BLOCKING: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// The queue of the connection that is served by the current task.
    static QUEUE: Option<FileQueue>;
}

/// The files that a connection is to send, shared by its answers and its transport.
#[derive(Debug, Clone)]
pub struct FileQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ways: Arc<Ways>,
    broken: Broken,
    /// A std mutex: held over no await, by the one task of the connection.
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
pub(super) struct Files {
    /// The span that a body has handed out last, until its stand-in is seen.
    offered: Option<Box<dyn FileSpan>>,
    /// Those whose stand-ins hyper has.
    pub due: VecDeque<Due>,
    /// How many calls in a row have blocked the thread.
    pub blocked: u32,
    /// Until when no files are taken for that.
    avoided: Option<Instant>,
}

/// A span that is to be sent for an answer.
#[derive(Debug)]
pub(super) struct Due {
    pub span: Box<dyn FileSpan>,
    pub sending: Arc<Sending>,
}

impl FileQueue {
    /// That of a new connection.
    pub fn new(ways: Arc<Ways>) -> Self {
        FileQueue(Arc::new(Shared {
            ways,
            broken: Broken::default(),
            files: Mutex::default(),
        }))
    }

    /// Serves a connection whose transport can send files, if there is a queue.
    pub fn scope<F: Future>(queue: Option<Self>, serve: F) -> impl Future<Output = F::Output> {
        QUEUE.scope(queue, serve)
    }

    /// The queue of the connection that the calling task serves; `None` where the transport needs
    /// bytes.
    pub fn current() -> Option<Self> {
        QUEUE.try_with(Clone::clone).ok().flatten()
    }

    /// Whether it takes files now.
    pub fn takes_files(&self) -> bool {
        let mut files = self.files();
        match files.avoided {
            Some(until) if Instant::now() < until => false,
            _ => {
                files.avoided = None;
                true
            }
        }
    }

    /// The bytes that stand in for a span in the body of an answer, which hands them out at once.
    pub fn offer(&self, span: Box<dyn FileSpan>) -> Bytes {
        let stand_in = block::stand_in(span.left());
        self.files().offered = Some(span);
        stand_in
    }

    /// The span that was offered last.
    pub(super) fn take_offered(&self) -> Option<Box<dyn FileSpan>> {
        self.files().offered.take()
    }

    /// Has a span sent when its turn comes.
    pub(super) fn push(&self, due: Due) {
        self.files().due.push_back(due);
    }

    /// Takes no files for a while.
    pub(super) fn avoid(&self) {
        let mut files = self.files();
        files.blocked = 0;
        files.avoided = Some(Instant::now() + PAUSE_AFTER_BLOCKING);
    }

    /// The times of both ways.
    pub(super) fn ways(&self) -> &Ways {
        &self.0.ways
    }

    /// Whether its connection is cut.
    pub(super) fn broken(&self) -> &Broken {
        &self.0.broken
    }

    /// The files in the queue.
    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        // A panic cannot leave them half changed.
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
