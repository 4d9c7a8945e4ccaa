//! The same forms from the other end: `wharf upload`, `wharf download` and their kin as a library for
//! Rust programs. Files of any size are streamed in constant memory, both ways.
//!
//! - [`Client`]: a server, and how to talk to it: over TCP, TLS, a proxy or a unix socket.
//! - [`Upload`] and [`FilePart`]: a form to be sent, to this server or any other that reads
//!   `multipart/form-data` at `/upload`.
//! - [`Download`]: names to be fetched as one form; its files are checked and then named, and a
//!   transfer that breaks goes on where it broke.
//! - [`Progress`]: told how a transfer goes.
//!
//! ```
//! use wharf::client::{Client, Download, FilePart, Token, Upload};
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
//!     .expires_in("7d");
//! let stored = client.upload(upload).await?;
//! let id = stored["id"].as_str().expect("wharf gives an id");
//! assert_eq!(stored["files"][1]["type"], "text/csv");
//!
//! let copies = dir.join("copies");
//! let got = client.download(Download::new(id).to_directory(&copies)).await?;
//! assert_eq!(got.files[0].path, Some(copies.join("part1.txt")));
//! assert!(got.files.iter().all(|file| file.sha256.is_some()));
//! assert_eq!(got.fields, [("name".to_owned(), "tony bai".to_owned())]);
//!
//! let token = Token::new(stored["delete_token"].as_str().expect("wharf gives a token"));
//! Client::builder(address).token(token).build()?.delete(id).await?;
//! assert!(client.show(id).await.is_err());
//! # Ok(())
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("part1.txt"), "hello wharf\n")?;
//! # std::fs::create_dir(dir.path().join("copies"))?;
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
//! ```
//!
//! Files are read and written a block at a time on the task that transfers; on a runtime of
//! several threads its other tasks move over meanwhile ([`tokio::task::block_in_place`]).

mod body;
mod download;
mod error;
mod place;
mod progress;
mod receive;
mod received;
mod records;
mod server;
mod source;
mod transfer;
mod upload;

pub use download::{Download, Downloaded, RETRIES};
pub use error::ClientError;
pub use progress::{NoProgress, Progress};
pub use received::ReceivedFile;
pub use server::{Client, ClientBuilder, DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Token};
pub use source::FilePart;
pub use upload::{BLOCK, Upload};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs work that may wait for a disk.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
