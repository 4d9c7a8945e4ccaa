//! Downloads: the form that comes, taken apart.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Url;

use super::receive::{Announced, Checked, Incoming, Place};
use super::received::{Names, ReceivedFile, shown};
use super::target::Destination;
use super::transfer::{Next, Transfer};
use super::{Client, ClientError, NoProgress, Progress};
use crate::form::{Boundary, ContentTypeError, Decoder, Event, PartHead, close};
use crate::hashing::ThreadHasher;
use crate::model::FilePath;

/// How often a transfer that brings nothing is tried again, unless said otherwise.
pub const RETRIES: u32 = 5;
/// The most bytes of text fields and names that are kept of a form, with all that belongs to them.
const KEPT_LIMIT: usize = 64 << 20;
/// The share of a part in that beside its texts, in bytes.
const PART_SIZE: usize = 512;

/// The names to be downloaded, and where their files go.
pub struct Download {
    pub(super) names: Vec<String>,
    pub(super) target: Destination,
    pub(super) replace: bool,
    flat: bool,
    pub(super) retries: u32,
    pub(super) progress: Arc<dyn Progress>,
}

/// The files and fields of a download.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Downloaded {
    /// The files, in their order.
    pub files: Vec<ReceivedFile>,
    /// The text fields, in their order, as name and value.
    pub fields: Vec<(String, String)>,
    /// Files that could not be kept while the rest was: their names are taken, or they arrived
    /// damaged.
    pub failures: Vec<ClientError>,
    /// Files that are complete and in their places, of the form as it was before it changed under
    /// way; the form as it is now has none of their names.
    pub outdated: Vec<ReceivedFile>,
}

impl Download {
    /// The form under one name: an upload's id is its whole form, `ID/FILE` one file of it, and
    /// a file name the newest file of that name. It goes into the current directory.
    pub fn new(name: &str) -> Self {
        Self::all([name])
    }

    /// The uploads and files under several names, 1 to 100, in one form. `ID/FILE` stands alone.
    pub fn all<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Download {
            names: names.into_iter().map(str::to_owned).collect(),
            target: Destination::Directory(PathBuf::from(".")),
            replace: false,
            flat: false,
            retries: RETRIES,
            progress: Arc::new(NoProgress),
        }
    }

    /// Puts the files into this directory, which is made when the server has them and it is
    /// missing.
    #[must_use]
    pub fn to_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.target = Destination::Directory(path.into());
        self
    }

    /// Puts the one file there is at this path, in a directory that is there.
    #[must_use]
    pub fn to_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.target = Destination::File(path.into());
        self
    }

    /// Writes the one file there is to `writer`, as it comes: only the end tells whether it is
    /// whole.
    #[must_use]
    pub fn to_writer(mut self, writer: impl Write + Send + 'static) -> Self {
        self.target = Destination::Writer(Box::new(writer));
        self
    }

    /// Puts all files into the directory itself, and not into their folders in it.
    #[must_use]
    pub fn flat(mut self, flat: bool) -> Self {
        self.flat = flat;
        self
    }

    /// Puts files in place of others that have their names.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Gives up when the transfer has failed so often in a row without a new byte; the default is
    /// [`RETRIES`].
    #[must_use]
    pub fn retries(mut self, count: u32) -> Self {
        self.retries = count;
        self
    }

    /// Tells `progress` how it goes.
    #[must_use]
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }
}

impl Client {
    /// Downloads a form and writes its files: each under a temporary name, until its length and its
    /// digest are found to be what the server says, and then under its own, in the folders that it
    /// was sent with. Names are made safe (see [`FilePath`]), and nothing is written outside the
    /// directory: not through symbolic links in it either.
    ///
    /// A connection that breaks is made again, and the form goes on where it broke. When the form
    /// has changed meanwhile, it begins anew.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or does not answer with a form; a file cannot be
    /// written. Files that were complete before are kept.
    pub async fn download(&self, download: Download) -> Result<Downloaded, ClientError> {
        let url = self.named_url("download", &download.names)?;
        let target = download.target.look()?;
        let (retries, progress) = (download.retries, download.progress);
        let mut transfer =
            Transfer::begin(self.clone(), url, retries, Arc::clone(&progress)).await?;
        let place = target.make()?;
        let names = Names::new(download.flat);
        let mut receiver = Receiver::new(place, names, download.replace, &*progress);
        let (mut decoder, mut close_len) = reading(&transfer)?;
        progress.begin(transfer.len());
        loop {
            match transfer.next().await? {
                Next::Bytes(bytes) => decoder.push(bytes),
                Next::Restarted => {
                    receiver.restart()?;
                    (decoder, close_len) = reading(&transfer)?;
                    progress.begin(transfer.len());
                }
                Next::End => break,
            }
            while let Some(event) = decoder.next()? {
                let left = transfer.len().map(|len| len - decoder.offset().min(len));
                if !receiver.take(event, left.map(|left| left.saturating_sub(close_len)))? {
                    return receiver.into_done();
                }
            }
        }
        decoder.finish()?;
        receiver.into_done()
    }

    /// The address of these names below `resource`.
    pub(super) fn named_url(&self, resource: &str, names: &[String]) -> Result<Url, ClientError> {
        if let [name] = names {
            // No path leads to these.
            let dots = |name: &str| matches!(name, "" | "." | "..");
            match name.split_once('/') {
                Some((id, file)) if !dots(id) && !dots(file) => {
                    return Ok(self.url(&[resource, id, file]));
                }
                None if !dots(name) => return Ok(self.url(&[resource, name])),
                _ => {}
            }
        }
        if let Some(name) = names.iter().find(|name| name.contains('/')) {
            let reason = format!("{name:?} names one file of an upload, which has to stand alone");
            return Err(ClientError::Setup(reason));
        }
        let mut url = self.url(&[resource]);
        let pairs = names.iter().map(|name| ("name", name));
        url.query_pairs_mut().extend_pairs(pairs);
        Ok(url)
    }
}

/// The decoder of the form that comes, and the length of its close delimiter.
fn reading(transfer: &Transfer) -> Result<(Decoder, u64), ClientError> {
    let content_type = transfer.header("content-type");
    let content_type = content_type.ok_or(ContentTypeError::NotFormData)?;
    let boundary = Boundary::from_content_type(content_type.as_bytes())?;
    let close_len = close(&boundary, true).len() as u64;
    Ok((Decoder::new(boundary), close_len))
}

/// Takes a form apart.
struct Receiver<'a> {
    place: Place,
    replace: bool,
    progress: &'a dyn Progress,
    names: Names,
    /// The files of forms before this one, in the places that this download may give again.
    before: HashMap<FilePath, ReceivedFile>,
    part: CurrentPart,
    /// The one file that goes to a path of its own: it gets its name when no other has come.
    only: Option<Checked>,
    hasher: ThreadHasher,
    /// How many bytes are kept of the form.
    kept: usize,
    done: Downloaded,
}

/// The part that is coming.
enum CurrentPart {
    /// None, or a file that cannot be kept.
    Dropped,
    Field {
        name: String,
        value: Vec<u8>,
    },
    File(Box<Incoming>),
}

impl<'a> Receiver<'a> {
    fn new(place: Place, names: Names, replace: bool, progress: &'a dyn Progress) -> Self {
        Receiver {
            place,
            replace,
            progress,
            names,
            before: HashMap::new(),
            part: CurrentPart::Dropped,
            only: None,
            hasher: ThreadHasher::default(),
            kept: 0,
            done: Downloaded::default(),
        }
    }

    /// Drops the form that has come: another comes.
    fn restart(&mut self) -> Result<(), ClientError> {
        self.place.restart()?;
        self.part = CurrentPart::Dropped;
        self.only = None;
        self.names.restart();
        self.kept = 0;
        let done = std::mem::take(&mut self.done);
        let placed = done.files.into_iter().filter(|file| file.path.is_some());
        let placed = placed.map(|file| (file.place.clone(), file));
        self.before.extend(placed);
        Ok(())
    }

    /// The result, when nothing more comes.
    fn into_done(mut self) -> Result<Downloaded, ClientError> {
        if let Some(only) = self.only.take() {
            let received = only.publish(&mut self.place)?;
            self.keep_received(received);
        }
        self.done.outdated = self.before.into_values().collect();
        self.done.outdated.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.done)
    }

    fn keep_received(&mut self, received: ReceivedFile) {
        self.before.remove(&received.place);
        self.progress.received(&received);
        self.done.files.push(received);
    }

    /// Takes the next event; `left` bytes of parts are to come. False when none of them is of use.
    fn take(&mut self, event: Event, left: Option<u64>) -> Result<bool, ClientError> {
        match event {
            Event::Part(head) => return self.begin(*head, left),
            Event::Data(data) => self.data(&data)?,
            Event::PartEnd => self.end()?,
        }
        Ok(true)
    }

    fn begin(&mut self, head: PartHead, left: Option<u64>) -> Result<bool, ClientError> {
        let Some(file) = &head.file else {
            let name = shown(&head.name);
            let value = Vec::new();
            self.keep(PART_SIZE + name.len())?;
            self.part = CurrentPart::Field { name, value };
            return Ok(true);
        };
        if self.only.is_some() {
            return Err(ClientError::SeveralFiles);
        }
        let media_type = head.content_type.as_ref().map_or(0, |text| text.len());
        let asked = file.display(&head.name);
        let known = self.names.kept();
        let path = self.names.assign(&asked);
        let folders = self.names.kept() - known;
        self.keep(PART_SIZE + folders + head.name.len() + media_type)?;
        let replace = self.replace || self.before.contains_key(&path);
        self.progress.file(path.as_str(), head.content_length);
        let announced = Announced::from(&head);
        match Incoming::begin(&mut self.place, &announced, path, replace, &mut self.hasher) {
            Ok(incoming) => self.part = CurrentPart::File(Box::new(incoming)),
            Err(error @ (ClientError::Exists(_) | ClientError::NotAFolder(_))) => {
                self.part = CurrentPart::Dropped;
                self.done.failures.push(error);
                // All that is left may be this file, which is dropped.
                return Ok(head.content_length.is_none() || head.content_length != left);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn data(&mut self, data: &Bytes) -> Result<(), ClientError> {
        match &mut self.part {
            CurrentPart::Dropped => self.progress.advance(data.len() as u64),
            CurrentPart::Field { value, .. } => {
                value.extend_from_slice(data);
                self.keep(data.len())?;
            }
            CurrentPart::File(incoming) => {
                incoming.write(&mut self.place, data, &mut self.hasher)?;
                self.progress.advance(data.len() as u64);
            }
        }
        Ok(())
    }

    /// Counts the bytes that are kept of the form to its end, however many parts it has.
    fn keep(&mut self, more: usize) -> Result<(), ClientError> {
        self.kept += more;
        if self.kept <= KEPT_LIMIT {
            return Ok(());
        }
        let reason = format!("its names and text fields take more than {KEPT_LIMIT} bytes");
        Err(ClientError::Answer(reason))
    }

    fn end(&mut self) -> Result<(), ClientError> {
        match std::mem::replace(&mut self.part, CurrentPart::Dropped) {
            CurrentPart::Dropped => self.progress.file_end(),
            CurrentPart::Field { name, value } => {
                let value = String::from_utf8_lossy(&value).into_owned();
                self.done.fields.push((name, value));
            }
            CurrentPart::File(incoming) => {
                self.progress.file_end();
                let checked = incoming.check(&mut self.hasher);
                let published = match (checked, &mut self.place) {
                    (Ok(only), Place::File { .. }) => {
                        self.only = Some(only);
                        return Ok(());
                    }
                    (checked, place) => checked.and_then(|checked| checked.publish(place)),
                };
                match published {
                    Ok(received) => self.keep_received(received),
                    Err(error @ (ClientError::Exists(_) | ClientError::Damaged { .. })) => {
                        self.done.failures.push(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
