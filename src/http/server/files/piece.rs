//! The pieces of an answer that hyper has: bytes, and stand-ins for bytes of files.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::block::is_stand_in;
use super::queue::{Due, FileQueue};
use super::sending::{AnswerEnd, Broken, Sending};
use crate::http::server::connection_state::ActiveRequest;

/// Some bytes of an answer, until they are written.
#[derive(Debug)]
pub struct Piece {
    data: Bytes,
    stand_in: bool,
    /// `None` as long as the answer had no file in it.
    sending: Option<Arc<Sending>>,
}

/// Makes the pieces of one answer.
#[derive(Debug)]
pub struct Pieces {
    queue: Option<FileQueue>,
    sending: Option<Arc<Sending>>,
}

impl Pieces {
    /// Those of an answer on a connection with this queue.
    pub fn new(queue: Option<FileQueue>) -> Self {
        Pieces {
            queue,
            sending: None,
        }
    }

    /// The piece for bytes that the body has handed out.
    ///
    /// # Errors
    /// They stand in for a file that was not offered with them, or one was offered without.
    pub fn next(&mut self, data: Bytes) -> io::Result<Piece> {
        let offered = self.queue.as_ref().and_then(FileQueue::take_offered);
        let stand_in = is_stand_in(&data);
        match (offered, &self.queue) {
            (None, _) if !stand_in => {}
            (Some(span), Some(queue)) if stand_in && span.left() == data.len() => {
                let sending = self
                    .sending
                    .get_or_insert_with(|| Sending::new(queue.broken()));
                let sending = Arc::clone(sending);
                queue.push(Due { span, sending });
            }
            (_, Some(queue)) => {
                return Err(queue
                    .broken()
                    .set("a file and its place in an answer differ"));
            }
            (_, None) => {
                let broken = Broken::default();
                return Err(broken.set("a connection that needs bytes was given a file"));
            }
        }
        if let Some(sending) = &self.sending {
            sending.hand(data.len());
        }
        Ok(Piece {
            data,
            stand_in,
            sending: self.sending.clone(),
        })
    }

    /// Ends the answer when its last piece is written, or when that will not be: at once, where it
    /// has no files.
    pub fn end(self, answer: Box<dyn AnswerEnd>, active: ActiveRequest) {
        if let Some(sending) = self.sending {
            sending.end_with(answer, active);
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.data.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.data
    }

    fn advance(&mut self, bytes: usize) {
        self.data.advance(bytes);
        if let Some(sending) = &self.sending {
            sending.take(bytes, self.stand_in);
        }
    }
}
