//! The journal: what makes small uploads and changes durable, one write in sequence for many.
//!
//! ```text
//! upload/.wharf/journal/position     from where on records are needed
//! upload/.wharf/journal/segment-0    …: the records
//! ```
//!
//! The record of a change is on stable storage before its names are given or removed, and these
//! follow unsynced: people see files and manifests as ever, and only a power cut can take them.
//! The next start brings them back from the records. A checkpoint syncs the file system in the
//! background, and then the records before it are needed no more.
//!
//! - `record`, `block`, `home`, `segment`, `position`: the bytes on the disk; `replay` reads them.
//! - `queue`: the records that wait, and the state of the segments; `writer` and `checkpoint`, the
//!   threads, work on it.
//! - `handle`: all of it for the store.

mod block;
mod checkpoint;
mod handle;
mod home;
mod position;
mod queue;
mod record;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use handle::{Journal, prepare};
pub use home::Home;
pub use position::{Found, Position};
pub use queue::{Recorded, Refused};
pub use record::{Body, Change, Kind};
pub use replay::{Place, Records, is_used};
