//! Uploads.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Body, Method, Url, header};
use serde_json::Value;

use super::body::{FormBody, FormPieces, Sent, lock};
use super::{Client, ClientError, FilePart, Folder, Lifetime, NoProgress, Progress, UploadRecord};
use crate::form::{self, Boundary};
use crate::model::UploadId;

/// How much of a file is read and sent at a time, in bytes: the size that measures best.
pub const BLOCK: usize = 128 * 1024;
/// The slowest disk that a server is waited for: it syncs so many bytes a second.
const SYNC_RATE: u64 = 10 << 20;

/// A form to be sent: text fields, then files, in the order they are added.
///
/// Files are streamed, with a few blocks of them in memory.
pub struct Upload {
    pub(super) fields: Vec<(String, String)>,
    pub(super) files: Vec<FilePart>,
    options: Vec<(&'static str, String)>,
    block: usize,
    progress: Arc<dyn Progress>,
}

impl Default for Upload {
    fn default() -> Self {
        Upload {
            fields: Vec::new(),
            files: Vec::new(),
            options: Vec::new(),
            block: BLOCK,
            progress: Arc::new(NoProgress),
        }
    }
}

impl Upload {
    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, file: FilePart) -> Self {
        self.files.push(file);
        self
    }

    /// Adds the files of a folder.
    #[must_use]
    pub fn folder(mut self, folder: Folder) -> Self {
        self.files.extend(folder.files);
        self
    }

    /// Whether it has neither fields nor files.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.files.is_empty()
    }

    /// How many files it has.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// How long the server keeps it; otherwise as long as its settings say.
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        let (name, value) = lifetime.option();
        self.option(name, value)
    }

    /// How many complete downloads of each file there may be.
    #[must_use]
    pub fn max_downloads(self, count: u64) -> Self {
        self.option("max_downloads", count.to_string())
    }

    /// The title.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        self.option("title", title.to_owned())
    }

    fn option(mut self, name: &'static str, value: String) -> Self {
        self.options.push((name, value));
        self
    }

    /// Reads files in blocks of so many bytes, at least one; the default is [`BLOCK`].
    #[must_use]
    pub fn block(mut self, bytes: usize) -> Self {
        self.block = bytes.max(1);
        self
    }

    /// Tells `progress` how it goes.
    #[must_use]
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }
}

fn add(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    sum?.checked_add(more?)
}

impl Client {
    /// Stores a form, all of it or nothing.
    ///
    /// When it fails nothing is stored, unless the connection broke after the last byte: then the
    /// server may have stored it and could not say so.
    ///
    /// # Errors
    /// A file cannot be read or has changed since it was named, the server cannot be reached, is
    /// silent, refuses, or is none of wharf's.
    pub async fn upload(&self, upload: Upload) -> Result<UploadRecord, ClientError> {
        UploadRecord::from_json(self.send_form(upload).await?)
    }

    /// Sends a form to `/upload` of any server, with its exact `Content-Length` where all files are
    /// regular ones. Answers with the server's JSON; where it does not answer with that, with its
    /// text, or null where there is none.
    ///
    /// # Errors
    /// As those of [`upload`](Self::upload), but that any answer will do.
    pub async fn send_form(&self, upload: Upload) -> Result<Value, ClientError> {
        let id = UploadId::generate().map_err(|error| ClientError::Setup(error.to_string()))?;
        let boundary = Boundary::new(&format!("wharf-{id}"))?;
        let mut url = self.url(&["upload"]);
        add_options(&mut url, &upload.options);
        let (block, progress) = (upload.block, Arc::clone(&upload.progress));
        let files = upload.files.iter().map(FilePart::size);
        progress.begin(files.fold(Some(0), add));
        let content_type = form::content_type(&boundary);
        let pieces = FormPieces::new(boundary, &upload.fields, upload.files);
        let sent = Sent::default();
        let body = FormBody::new(pieces, block, sent.clone(), progress);
        let request = self
            .request(Method::POST, url)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::wrap(body));
        let answer = tokio::select! {
            answer = request.send() => answer.map_err(|error| self.failed(error)),
            silent = self.silence(&sent) => Err(silent),
        };
        let failure = lock(&sent.failure).take();
        match (failure, answer) {
            (Some(failure), _) => Err(failure),
            (None, Ok(answer)) => self.json(answer).await,
            (None, Err(error)) if sent.whole.borrow().is_some() => Err(unanswered(error)),
            (None, Err(error)) => Err(error),
        }
    }

    /// Ends when the server has not answered to the whole form in time. How long the form itself
    /// takes is between it and the network, which notices a peer that takes nothing; a unix socket
    /// does not.
    async fn silence(&self, sent: &Sent) -> ClientError {
        let mut whole = sent.whole.subscribe();
        let all = tokio::select! {
            all = whole.wait_for(Option::is_some) => all,
            () = sent.stalled(self.timeout()), if self.is_local() => {
                return self.timed_out(self.timeout());
            }
        };
        let bytes = all.ok().and_then(|all| *all).unwrap_or(0);
        let sync = Duration::from_secs(bytes / SYNC_RATE);
        let after = self.timeout().saturating_add(sync);
        tokio::time::sleep(after).await;
        self.timed_out(after)
    }
}

/// After a connection that broke when all was sent, the form may be stored or not.
fn unanswered(error: ClientError) -> ClientError {
    match error {
        ClientError::Broken { server, reason } => ClientError::Broken {
            server,
            reason: format!("{reason}; the whole form had been sent, and may have been stored"),
        },
        error => error,
    }
}

fn add_options(url: &mut Url, options: &[(&'static str, String)]) {
    if !options.is_empty() {
        url.query_pairs_mut().extend_pairs(options);
    }
}
