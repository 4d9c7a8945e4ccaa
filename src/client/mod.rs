//! The same forms from the other end: what `wharf upload`, `wharf download` and their kin do, for
//! Rust programs. Files of any size are streamed in constant memory, both ways.
//!
//! - [`Client`]: a server, and how to talk to it: over TCP, TLS, a proxy or a unix socket.
//! - [`Upload`] and [`FilePart`]: a form to be sent, to this server or any other that reads
//!   `multipart/form-data` at `/upload`.
//! - [`Download`]: names to be fetched as one form; its files are checked and then named, and a
//!   transfer that breaks goes on where it broke.
//! - [`Progress`]: who watches.
//!
//! Files are read and written a block at a time on the task that transfers; on a runtime of
//! several threads its other tasks move over meanwhile ([`tokio::task::block_in_place`]).

mod body;
mod download;
mod error;
mod hash;
mod place;
mod progress;
mod receive;
mod records;
mod server;
mod source;
mod transfer;
mod upload;

pub use download::{Download, Downloaded, RETRIES, Received};
pub use error::ClientError;
pub use progress::{Progress, Unwatched};
pub use server::{Client, ClientBuilder, DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Token};
pub use source::FilePart;
pub use upload::{BLOCK, Upload};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does what may wait for a disk.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
