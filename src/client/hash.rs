//! Hashing beside writing.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// Blocks smaller than this are hashed sooner than a thread is woken, in bytes.
const WORTH_A_THREAD: usize = 64 * 1024;

/// A thread that hashes a block while it is being written: the two take about as long as each
/// other, and longer than all else a download does. It is started for the first large block.
#[derive(Default)]
pub(super) struct Helper(Option<Channels>);

struct Channels {
    jobs: SyncSender<(Sha256, Bytes)>,
    done: Receiver<Sha256>,
}

impl Helper {
    /// Hashes `data` into `hasher` while `write` writes it. Both have let go of it at the end, so
    /// that its memory can be used again.
    pub fn beside<T>(&mut self, hasher: &mut Sha256, data: &Bytes, write: impl FnOnce() -> T) -> T {
        if data.len() < WORTH_A_THREAD {
            hasher.update(data);
            return write();
        }
        let channels = match &mut self.0 {
            Some(channels) => channels,
            none => match start() {
                Ok(channels) => none.insert(channels),
                // There is no thread to be had: it takes longer.
                Err(_) => {
                    hasher.update(data);
                    return write();
                }
            },
        };
        let state = std::mem::take(hasher);
        let alive = "the thread lasts as long as its channels";
        channels.jobs.send((state, data.clone())).expect(alive);
        let result = write();
        *hasher = channels.done.recv().expect(alive);
        result
    }
}

fn start() -> std::io::Result<Channels> {
    let (jobs, todo) = sync_channel::<(Sha256, Bytes)>(1);
    let (finished, done) = sync_channel(1);
    let work = move || {
        for (mut hasher, data) in todo {
            hasher.update(&data);
            drop(data);
            if finished.send(hasher).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("wharf-hash".to_owned())
        .spawn(work)?;
    Ok(Channels { jobs, done })
}
