//! Files that the kernel sends by itself, below hyper, which takes bytes alone.
//!
//! ```text
//! delivery ── FileSpan ──► FileQueue ◄── FileSender ── sendfile(2) ──► socket
//!                │ offer       ▲ due          ▲ matches
//!                ▼             │              │
//!            stand-in ──► AnswerBody ──► hyper's queue of buffers
//! ```
//!
//! The body of an answer has a piece of the [`block`] in the place of the bytes of a file, just as
//! long, whose bytes are not read: hyper counts its length and passes it on by its address. The
//! transport knows it by that address, and has the kernel send as many bytes of the file that is
//! next in the queue.
//!
//! No byte of the block may reach a client. It would if hyper copied one, which it does not as long
//! as it queues buffers (`writev(true)`; its version is pinned for that). Beyond it:
//! - A stand-in goes with the span it was offered for, and with no other ([`AnswerBody`]).
//! - Bytes that are taken from a [`Piece`](piece::Piece) were sent before, by the transport: a copy
//!   is taken before it is written. From then on the connection writes nothing more.
//! - The block is filled with a pattern that was drawn at the start. While a file is due, a buffer
//!   with that pattern is not written, and the connection breaks.

mod answer_body;
mod block;
mod piece;
mod queue;
mod sender;
mod sending;
#[cfg(test)]
mod tests;

pub use answer_body::AnswerBody;
pub use queue::FileQueue;
pub use sender::{FileSender, Next};
pub use sending::AnswerEnd;
