//! The same forms from the other end: `wharf upload`, `wharf download` and their kin as a library for
//! Rust programs. Files of any size are streamed in constant memory, both ways.
//!
//! - [`Client`]: a server, and how to talk to it: over TCP, TLS, a proxy or a unix socket. Its TLS is
//!   its own: no provider of the process is used or installed.
//! - [`Upload`] and [`FilePart`]: a form to be sent, to this server or any other that reads
//!   `multipart/form-data` at `/upload`; a file may be a stream.
//! - [`UploadRecord`]: an upload as the server shows it; [`Lifetime`] and [`Change`]: how long it is
//!   kept, and what can be changed of it.
//! - [`Folder`]: the files of a folder, to be sent with their folders.
//! - [`Download`]: names to be fetched as one form, or an upload as an [archive](Client::archive); its
//!   files are checked and then named, and a transfer that breaks goes on where it broke.
//!   [`FileStream`]: one file as a stream.
//! - [`ClientError`] and [`Problem`]: what went wrong, with the facts of the server.
//! - [`Progress`]: told how a transfer goes.
//!
//! A program that needs no more than this depends on wharf with `default-features = false` and
//! `features = ["client"]`: the server is not built then. `examples/share.rs` is a program of its own.
//!
//! ```
//! # #[cfg(feature = "server")] mod example {
//! use std::time::Duration;
//!
//! use wharf::client::{Change, Client, Download, FilePart, Lifetime, Upload};
//!
//! # use wharf::{app, config, http::server::listen_tcp, shutdown::Shutdown};
//! # async fn example(
//! #     address: &str,
//! #     dir: &std::path::Path,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(address)?;
//! let upload = Upload::new()
//!     .field("name", "tony bai")
//!     .file(FilePart::open(dir.join("part1.txt"))?)
//!     .file(FilePart::reader("-", &b"1,2\n"[..]).name("numbers.csv").media_type("text/csv")?)
//!     .lifetime(Lifetime::For(Duration::from_secs(7 * 86_400)));
//! let stored = client.upload(upload).await?;
//! assert_eq!(stored.files[1].media_type, "text/csv");
//!
//! let copies = dir.join("copies");
//! let got = client.download(Download::new(&stored.id).to_directory(&copies)).await?;
//! assert_eq!(got.files[0].path, Some(copies.join("part1.txt")));
//! assert!(got.files.iter().all(|file| file.sha256.is_some()));
//! assert_eq!(got.fields, [("name".to_owned(), "tony bai".to_owned())]);
//!
//! let mut numbers = client.open(&format!("{}/numbers.csv", stored.id)).await?;
//! assert_eq!(numbers.chunk().await?.as_deref(), Some(&b"1,2\n"[..]));
//!
//! let owner = client.with_upload_token(&stored.delete_token.expect("wharf gives a token"))?;
//! let kept = owner.update(&stored.id, &Change::new().lifetime(Lifetime::Never)).await?;
//! assert_eq!(kept.expires_at, None);
//! owner.delete(&stored.id).await?;
//! assert!(client.show(&stored.id).await.is_err_and(|error| error.is_not_found()));
//! # Ok(())
//! # }
//! # pub fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("part1.txt"), "hello wharf\n")?;
//! # let store = dir.path().join("upload").display().to_string();
//! # let flags = vec![("dir".to_owned(), vec![store])];
//! # let loaded = config::Loaded::from(config::GivenSettings { flags, ..Default::default() })?;
//! # let options = config::Config::new(&loaded, "", &Default::default(), "example".to_owned())?.app;
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! #     let listener = listen_tcp("127.0.0.1:0".parse()?).await?;
//! #     let wharf::http::server::Listener::Tcp(tcp) = &listener else { unreachable!() };
//! #     let address = format!("http://{}", tcp.local_addr()?);
//! #     let (app, shutdown) = (app::build(options).await?, Shutdown::default());
//! #     let asked = async {
//! #         let result = example(&address, dir.path()).await;
//! #         shutdown.stop.cancel();
//! #         shutdown.abort.cancel();
//! #         result
//! #     };
//! #     let served = app.run(vec![listener], shutdown.clone());
//! #     let (served, asked) = tokio::join!(served, asked);
//! #     served?;
//! #     asked
//! # })
//! # }
//! # }
//! # #[cfg(feature = "server")] fn main() -> Result<(), Box<dyn std::error::Error>> { example::main() }
//! # #[cfg(not(feature = "server"))] fn main() {}
//! ```
//!
//! Files are read and written a block at a time on the task that transfers; on a runtime of
//! several threads its other tasks move over meanwhile ([`tokio::task::block_in_place`]).

mod address;
mod archive;
mod body;
mod download;
mod error;
mod folder;
#[cfg(unix)]
mod held;
#[cfg(any(test, not(unix)))]
mod held_by_path;
mod hold;
mod lifetime;
mod limits;
mod open;
mod place;
mod problem;
mod progress;
mod receive;
mod received;
mod record;
mod records;
mod redirect;
mod server;
mod source;
mod target;
mod tls;
mod transfer;
mod upload;

pub use archive::ArchiveFormat;
pub use download::{Download, Downloaded, RETRIES};
pub use error::ClientError;
pub use folder::{Folder, LeftOut, LeftOutKind};
pub use lifetime::{Change, Lifetime, LifetimeError};
pub use open::FileStream;
pub use problem::Problem;
pub use progress::{NoProgress, Progress};
pub use received::ReceivedFile;
pub use record::{StoredFile, UploadRecord};
pub use server::{Client, ClientBuilder, DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Token};
pub use source::FilePart;
pub use upload::{BLOCK, Upload};

#[cfg(feature = "cli")]
pub(crate) use address::server_name;

pub use crate::model::{Digest, FileName, Timestamp};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs work that may wait for a disk.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
