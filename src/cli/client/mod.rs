//! The commands that ask a server: wharf as a client.

pub mod args;
mod bars;
mod changes;
mod download;
mod kept;
mod link;
mod outcome;
mod records;
mod upload;
mod values;
mod words;

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::client::{
    ArchiveFormat, Change, Client, ClientError, DEFAULT_ADDRESS, Lifetime, Token, server_name,
};
use crate::model::plain_json;
use crate::shutdown::{ignores_hangup, survive_file_limit};

use link::Named;
pub use outcome::Outcome;

/// A command that asks a server.
#[derive(Debug)]
pub enum ClientCommand {
    /// Send a form.
    Upload(ServerArgs, Send),
    /// Fetch one.
    Download(ServerArgs, Fetch),
    /// List so many uploads, in words for completions or in lines.
    List(ServerArgs, usize, bool),
    /// Show uploads.
    Show(ServerArgs, Vec<String>),
    /// Change uploads.
    Update(ServerArgs, Vec<String>, Change),
    /// Delete uploads.
    Delete(ServerArgs, Vec<String>),
    /// Have the index compared.
    Reindex(ServerArgs),
}

impl ClientCommand {
    fn server(&self) -> &ServerArgs {
        match self {
            ClientCommand::Upload(server, _)
            | ClientCommand::Download(server, _)
            | ClientCommand::List(server, ..)
            | ClientCommand::Show(server, _)
            | ClientCommand::Update(server, ..)
            | ClientCommand::Delete(server, _)
            | ClientCommand::Reindex(server) => server,
        }
    }

    /// Tells people something beside the result, where they want to know.
    pub fn note(&self, what: &str) {
        self.server().output.note(what);
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

/// The part of the answer to an upload that is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Print {
    /// All that a person needs, the link first.
    All,
    /// The link to give to others.
    Link,
    /// The address of its file, where it is one.
    Url,
    Id,
    Token,
    Json,
}

/// The arguments of `wharf upload`.
#[derive(Debug)]
pub struct Send {
    files: Vec<PathBuf>,
    recursive: bool,
    fields: Vec<(String, String)>,
    media_type: Option<String>,
    name: Option<String>,
    file_field: Option<String>,
    lifetime: Option<Lifetime>,
    max_downloads: Option<u64>,
    title: Option<String>,
    chunk: usize,
    print: Print,
}

/// The arguments of `wharf download`.
#[derive(Debug)]
pub struct Fetch {
    names: Vec<String>,
    target: Target,
    flat: bool,
    archive: Option<ArchiveFormat>,
    force: bool,
    fields: bool,
    retries: u32,
}

/// Where files go.
#[derive(Debug)]
pub enum Target {
    Directory(PathBuf),
    File(PathBuf),
    Stdout,
}

/// Runs a command; its errors have been printed when it returns.
pub fn run(command: ClientCommand) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(async {
                survive_file_limit();
                run_on(command).await
            });
            // A look-up of a name that hangs is not waited for.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => {
            let output = command.server().output;
            output.failed_here(&format!("cannot start: {error}"))
        }
    };
    outcome.code()
}

async fn run_on(command: ClientCommand) -> Outcome {
    let output = command.server().output;
    let client = |server: &ServerArgs, link: Option<&str>| {
        let client = server.client_of(link);
        client.map_err(|error| output.failed(&error))
    };
    match command {
        ClientCommand::Upload(server, send) => match client(&server, None) {
            Ok(client) => upload::run(&client, send, output).await,
            Err(outcome) => outcome,
        },
        ClientCommand::Download(server, mut fetch) => match unlinked(&mut fetch) {
            Ok(link) => match client(&server, link.as_deref()) {
                Ok(client) => download::run(&client, fetch, output).await,
                Err(outcome) => outcome,
            },
            Err(reason) => output.usage(reason),
        },
        ClientCommand::List(server, limit, words) => match client(&server, None) {
            Ok(client) => records::list(&client, limit, words, output).await,
            Err(outcome) => outcome,
        },
        ClientCommand::Reindex(server) => match client(&server, None) {
            Ok(client) => records::reindex(&client, output).await,
            Err(outcome) => outcome,
        },
        ClientCommand::Show(server, ids) => records::show(&server, &ids).await,
        ClientCommand::Update(server, ids, change) => changes::update(&server, &ids, &change).await,
        ClientCommand::Delete(server, ids) => changes::delete(&server, &ids).await,
    }
}

/// Takes links for the names they lead to; answers with their server.
///
/// # Errors
/// They lead to several servers.
fn unlinked(fetch: &mut Fetch) -> Result<Option<String>, &'static str> {
    let names = &mut fetch.names;
    let read: Vec<Named> = names.iter().map(|name| Named::read(name)).collect();
    let Some(server) = read.first().map(|named| named.server.clone()) else {
        return Ok(None);
    };
    if read.iter().any(|named| named.server != server) {
        return Err("the links lead to different servers: fetch them one by one");
    }
    for (name, named) in names.iter_mut().zip(read) {
        *name = named.name;
        fetch.archive = fetch.archive.or(named.archive);
    }
    Ok(server)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl ServerArgs {
    /// The address that the user has named.
    fn named(&self) -> Option<String> {
        self.address.clone().or_else(|| variable("WHARF_URL"))
    }

    fn default_address() -> String {
        DEFAULT_ADDRESS.to_owned()
    }

    /// A client of the server of a link, or else of the one that the user has named.
    fn client_of(&self, link: Option<&str>) -> Result<Client, ClientError> {
        let address = link.map(str::to_owned).or_else(|| self.named());
        self.client_at(&address.unwrap_or_else(Self::default_address))
    }

    /// A client of the server at `address`. A secret goes to the server that the environment or the
    /// default names, and to one that is given as a flag: not to the servers of links, which come
    /// from others.
    fn client_at(&self, address: &str) -> Result<Client, ClientError> {
        let mut builder = Client::builder(address).timeout(self.timeout);
        let own = self.named().unwrap_or_else(Self::default_address);
        let is_own = server_name(&own).ok() == server_name(address).ok();
        let token = match &self.token_file {
            Some(path) if is_own => {
                let token = read_token(path);
                Some(token.map_err(|error| ClientError::File {
                    path: path.clone(),
                    error,
                })?)
            }
            None if is_own => variable("WHARF_TOKEN"),
            _ => None,
        };
        if let Some(token) = token {
            builder = builder.token(Token::new(&token));
        }
        if let Some(path) = &self.ca_file {
            builder = builder.ca_file(path);
        }
        builder.build()
    }
}

/// The secret in a file.
///
/// # Errors
/// The file cannot be read, is empty, or is far longer than a secret.
fn read_token(path: &Path) -> io::Result<String> {
    const MAX_LENGTH: u64 = 16 << 10;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let length = file.take(MAX_LENGTH + 1).read_to_string(&mut text)? as u64;
    if length > MAX_LENGTH {
        return Err(io::Error::other(format!(
            "it has more than {MAX_LENGTH} bytes, and is no secret"
        )));
    }
    if text.trim().is_empty() {
        return Err(io::Error::other("it is empty, and has no secret"));
    }
    Ok(text)
}

/// The result of `work`, unless it is interrupted.
async fn uninterrupted<T>(
    work: impl Future<Output = Result<T, ClientError>>,
    output: Output,
) -> Result<T, Outcome> {
    tokio::select! {
        result = work => result.map_err(|error| output.failed(&error)),
        () = interrupted() => Err(output.interrupted("interrupted")),
    }
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
        _ => Output::default().failed_here(&format!("standard output: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_has_a_secret_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            read_token(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"secret\n"), Ok("secret\n".to_owned()));
        assert!(read(b" \n").unwrap_err().contains("empty"));
        // A device never ends.
        let endless = read_token(Path::new("/dev/zero")).unwrap_err();
        assert!(endless.to_string().contains("16384 bytes"), "{endless}");
    }
}
