//! The commands that ask a server: wharf as a client.

pub mod args;
mod bars;
mod download;
mod outcome;
mod records;
mod upload;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Client, ClientError, DEFAULT_ADDRESS, Token};
use crate::model::plain_json;
use crate::shutdown::{ignores_hangup, survive_file_limit};

pub use outcome::Outcome;

/// A command that asks a server.
#[derive(Debug)]
pub enum ClientCommand {
    /// Send a form.
    Upload(ServerArgs, Send),
    /// Fetch one.
    Download(ServerArgs, Fetch),
    /// List so many uploads.
    List(ServerArgs, usize),
    /// Show uploads.
    Show(ServerArgs, Vec<String>),
    /// Delete uploads.
    Delete(ServerArgs, Vec<String>),
    /// Have the index compared.
    Reindex(ServerArgs),
}

impl ClientCommand {
    /// Whether only results are printed.
    pub fn is_quiet(&self) -> bool {
        match self {
            ClientCommand::Upload(server, _)
            | ClientCommand::Download(server, _)
            | ClientCommand::List(server, _)
            | ClientCommand::Show(server, _)
            | ClientCommand::Delete(server, _)
            | ClientCommand::Reindex(server) => server.output.quiet,
        }
    }
}

/// Which server, and how to talk to it.
#[derive(Debug)]
pub struct ServerArgs {
    address: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Output {
    json: bool,
    quiet: bool,
}

/// The arguments of `wharf upload`.
#[derive(Debug)]
pub struct Send {
    files: Vec<PathBuf>,
    fields: Vec<(String, String)>,
    media_type: Option<String>,
    name: Option<String>,
    file_field: Option<String>,
    expires_in: Option<String>,
    max_downloads: Option<u64>,
    chunk: usize,
}

/// The arguments of `wharf download`.
#[derive(Debug)]
pub struct Fetch {
    names: Vec<String>,
    output: PathBuf,
    force: bool,
    fields: bool,
    retries: u32,
}

/// Runs a command; its errors have been printed when it returns.
pub fn run(command: ClientCommand) -> ExitCode {
    let outcome = match command {
        ClientCommand::Upload(server, send) => asking(&server, async |client| {
            upload::run(&client, send, server.output).await
        }),
        ClientCommand::Download(server, fetch) => asking(&server, async |client| {
            download::run(&client, fetch, server.output).await
        }),
        ClientCommand::List(server, limit) => asking(&server, async |client| {
            records::list(&client, limit, server.output).await
        }),
        ClientCommand::Show(server, ids) => asking(&server, async |client| {
            records::show(&client, &ids, server.output).await
        }),
        ClientCommand::Delete(server, ids) => asking(&server, async |client| {
            records::delete(&client, &ids, server.output).await
        }),
        ClientCommand::Reindex(server) => {
            asking(&server, async |client| records::reindex(&client).await)
        }
    };
    outcome.code()
}

/// Does `work` with a client of the server, on this thread alone.
fn asking(server: &ServerArgs, work: impl AsyncFnOnce(Client) -> Outcome) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::failed(&format!("cannot start: {error}")),
    };
    let outcome = match client(server) {
        Ok(client) => runtime.block_on(async {
            survive_file_limit();
            work(client).await
        }),
        Err(error) => Outcome::of(&error),
    };
    // A look-up of a name that hangs is not waited for.
    runtime.shutdown_background();
    outcome
}

fn client(server: &ServerArgs) -> Result<Client, ClientError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let address = server.address.clone().or_else(|| variable("WHARF_URL"));
    let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let mut builder = Client::builder(&address).timeout(server.timeout);
    let token = match &server.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            Some(text.map_err(|error| ClientError::File {
                path: path.clone(),
                error,
            })?)
        }
        None => variable("WHARF_TOKEN"),
    };
    if let Some(token) = token {
        builder = builder.token(Token::new(&token));
    }
    if let Some(path) = &server.ca_file {
        builder = builder.ca_file(path);
    }
    builder.build()
}

/// Ends with the first signal that asks for an end: a closed terminal does, unless `nohup` had it
/// ignored.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut all = vec![SignalKind::interrupt(), SignalKind::terminate()];
    all.extend((!ignores_hangup()).then(SignalKind::hangup));
    let received = all.into_iter().map(|kind| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signal) => signal.recv().await,
                // Without a handler the signal ends the process itself.
                Err(_) => std::future::pending().await,
            }
        })
    });
    futures_util::future::select_all(received).await;
}

/// An object of the server as one line that no terminal acts on.
fn json_line(value: &Value) -> String {
    format!("{}\n", plain_json(&value.to_string()))
}

/// Writes a result to standard output.
pub fn print(text: &[u8]) -> Outcome {
    match write(text) {
        Ok(()) => Outcome::Done,
        Err(error) => unprinted(&error),
    }
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

/// The outcome when standard output takes no more. A reader that has seen enough is no failure.
fn unprinted(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Outcome::Done,
        _ => Outcome::failed(&format!("standard output: {error}")),
    }
}
