//! A form: its parts in their order, files to the store, text into the manifest.

use bytes::Bytes;
use futures_util::Stream;
use subtle::ConstantTimeEq as _;

use super::error::{BodyError, IngestError, Place};
use super::file::{FileContent, FileLimits, FileTarget, header_text, media_type, store_file};
use super::memory::HeldText;
use super::option_names::{FIELD_PREFIX, OptionPlace, UnknownOption, UploadOption};
use super::options::{GivenOptions, IngestOptions, InvalidOption, UploadOptions};
use super::quota::BodyLength;
use super::source::{CheckedBody, FormEvents};
use super::{Ingest, Receipt, UploadRequest};
use crate::form::{Boundary, DecodeErrorKind, Event, PartHead, RawFileName, quoted_printable};
use crate::model::media_type::{essence, guess};
use crate::model::{
    Digest, Field, FileName, FilePath, Limit, Part, RawText, StoredFile, Timestamp, UniqueNames,
    UniquePaths, expected_sha256,
};

/// The field that says that a form is of this server's own page. It is no option: it is read only
/// where nothing else tells, and never kept.
pub const FORM_FIELD: &str = "wharf_form";

impl Ingest {
    /// Stores a `multipart/form-data` body as one upload.
    ///
    /// # Errors
    /// Nothing was stored; see [`IngestError`].
    pub async fn form<S>(
        &self,
        boundary: Boundary,
        body: S,
        request: UploadRequest,
    ) -> Result<Receipt, IngestError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Unpin + Send,
    {
        // A wrong option in the head is refused before the body is read.
        let began = self.clock.now();
        request.given.parse(&self.options, began)?;
        let length = request.length.map_or(BodyLength::Unknown, BodyLength::Form);
        let mut upload = self.begin(length).await?;
        let frames = CheckedBody::new(body, self.options.max_request_size, request.content_digest);
        let mut form = IncomingForm {
            source: FormEvents::new(frames, boundary),
            options: &self.options,
            in_head: request.given,
            in_fields: GivenOptions::default(),
            began,
            parts: Vec::new(),
            names: UniqueNames::default(),
            paths: UniquePaths::default(),
            files: 0,
            fields: 0,
            fields_size: 0,
            held: &mut upload.held,
            proof: request.proof,
        };
        while let Some(event) = form.source.next().await? {
            let Event::Part(head) = event else { continue };
            form.count_names(&head).await?;
            match &head.file {
                None => form.field(*head).await?,
                Some(_) => {
                    let target = FileTarget {
                        staged: &mut *upload.staged,
                        claim: &mut upload.claim,
                    };
                    form.file(*head, target).await?;
                }
            }
        }
        form.check_proof()?;
        let options = form.given(self.clock.now())?;
        let parts = form.parts;
        self.commit(upload, parts, options).await
    }
}

/// A form that is being received.
struct IncomingForm<'a, S> {
    source: FormEvents<S>,
    options: &'a IngestOptions,
    /// Options given in the head of the request, which win.
    in_head: GivenOptions,
    /// Options given as text fields.
    in_fields: GivenOptions,
    /// When the request began.
    began: Timestamp,
    parts: Vec<Part>,
    names: UniqueNames,
    paths: UniquePaths,
    files: usize,
    fields: usize,
    fields_size: u64,
    held: &'a mut HeldText,
    /// The value that [`FORM_FIELD`] must have; `None` once it came, or if none is needed.
    proof: Option<String>,
}

impl<S> IncomingForm<'_, S>
where
    S: Stream<Item = Result<Bytes, BodyError>> + Unpin + Send,
{
    /// Refuses a form that has to say that it comes from this server's page, and does not.
    fn check_proof(&self) -> Result<(), IngestError> {
        match self.proof {
            None => Ok(()),
            Some(_) => Err(IngestError::OtherSite(FORM_FIELD)),
        }
    }

    /// Counts the names, which are kept in memory like the values of text fields.
    async fn count_names(&mut self, head: &PartHead) -> Result<(), IngestError> {
        let filename = head.file.as_ref().and_then(RawFileName::as_bytes);
        let extended = extended(head);
        let extended = extended.map(String::as_bytes);
        let optional = [filename, extended, head.content_type.as_deref()];
        let size: usize = optional.into_iter().flatten().map(<[u8]>::len).sum();
        let size = size + head.name.len();
        self.count_text(head.number, size)?;
        self.held.part(size).await
    }

    fn count_text(&mut self, part: usize, bytes: usize) -> Result<(), IngestError> {
        self.fields_size += bytes as u64;
        let max = self.options.max_fields_size;
        if self.fields_size > max {
            let limit = Limit::bytes("max_fields_size", max);
            return Err(IngestError::limit(part, limit));
        }
        Ok(())
    }

    /// The options of the upload, as far as its form has come.
    fn given(&self, now: Timestamp) -> Result<UploadOptions, InvalidOption> {
        // A value that another wins over has to be right as well.
        self.in_fields.parse(self.options, now)?;
        let given = self.in_head.clone().or(self.in_fields.clone());
        given.parse(self.options, now)
    }

    /// The option that a text field is; `None` for the user's own.
    fn option(head: &PartHead) -> Result<Option<UploadOption>, IngestError> {
        if !head.name.starts_with(FIELD_PREFIX.as_bytes()) || head.name == FORM_FIELD {
            return Ok(None);
        }
        let name = String::from_utf8_lossy(&head.name);
        let place = OptionPlace::Field { part: head.number };
        match place.find(&name) {
            Some(option) => Ok(Some(option)),
            None => Err(UnknownOption::new(place, &name, &UploadOption::ALL, &[]).into()),
        }
    }

    /// Reads the value of a text field.
    async fn value(
        &mut self,
        head: &PartHead,
        media_type: Option<&String>,
    ) -> Result<Vec<u8>, IngestError> {
        let part = head.number;
        let expected = expected(head)?;
        let is_mixed = |it: &String| essence(it).eq_ignore_ascii_case("multipart/mixed");
        if media_type.is_some_and(is_mixed) {
            return Err(self.source.fault(part, DecodeErrorKind::Mixed));
        }
        self.fields += 1;
        if self.fields > self.options.max_fields {
            let limit = Limit::count("max_fields", self.options.max_fields);
            return Err(IngestError::limit(part, limit));
        }
        let mut value = Vec::new();
        while let Some(data) = self.source.data().await? {
            let max = self.options.max_field_size;
            if (value.len() + data.len()) as u64 > max {
                let limit = Limit::bytes("max_field_size", max);
                return Err(IngestError::limit(part, limit));
            }
            self.count_text(part, data.len())?;
            self.held.take(data.len()).await?;
            value.extend_from_slice(&data);
        }
        if head.quoted_printable {
            let decoded = quoted_printable(&value);
            let fault = || self.source.fault(part, DecodeErrorKind::QuotedPrintable);
            value = decoded.ok_or_else(fault)?;
        }
        for expected in expected.into_iter().flatten() {
            super::source::compare(part, expected, sha256(&value))?;
        }
        Ok(value)
    }

    async fn field(&mut self, head: PartHead) -> Result<(), IngestError> {
        let part = head.number;
        let option = Self::option(&head)?;
        let media_type = head.content_type.as_deref().and_then(header_text);
        let value = self.value(&head, media_type.as_ref()).await;
        let mut value = value.map_err(|error| error.of_field(&head.name))?;
        if head.name == FORM_FIELD {
            let said = |proof: &String| bool::from(proof.as_bytes().ct_eq(&value));
            self.proof = self.proof.take().filter(|proof| !said(proof));
            return Ok(());
        }
        if let Some(option) = option {
            self.in_fields
                .set(OptionPlace::Field { part }, option, &value)?;
            // A fault is said before the files behind it are sent.
            self.given(self.began)?;
            return Ok(());
        }
        value.shrink_to_fit();
        self.parts.push(Part::Field(Field {
            field: head.name.into(),
            value: value.into(),
            media_type,
            rest: Default::default(),
        }));
        Ok(())
    }

    async fn file(&mut self, head: PartHead, target: FileTarget<'_>) -> Result<(), IngestError> {
        let part = head.number;
        let expected = expected(&head).map_err(|error| error.of_field(&head.name))?;
        // The page sends this field before its files, so that no file of another site's form is
        // received.
        self.check_proof()?;
        let first = self.source.data().await?;
        let (original, path) = file_name(&head);
        let extended = extended(&head).cloned();
        // A file input of a browser that was left empty.
        if first.is_none() && original.as_bytes().is_empty() {
            return Ok(());
        }
        self.files += 1;
        if self.files > self.options.max_files {
            let limit = Limit::count("max_files", self.options.max_files);
            return Err(IngestError::limit(part, limit).of_field(&head.name));
        }
        let name = self.names.assign(path.file_name());
        let known = self.paths.kept();
        let path = Some(self.paths.assign(&path));
        self.held.take(self.paths.kept() - known).await?;
        let path = path.filter(|path| path.as_str() != name.as_str());
        let limits = FileLimits::new(part, expected, self.options);
        let content = PartContent {
            ended: first.is_none(),
            first,
            source: &mut self.source,
        };
        let received = store_file(target, name.clone(), &limits, content).await;
        let received = received.map_err(|error| error.of_field(&head.name))?;
        let (media_type, given_type) = types(head.content_type.as_deref(), &name);
        self.parts.push(Part::File {
            field: head.name.into(),
            file: StoredFile {
                media_type,
                given_type,
                name,
                original,
                path,
                extended,
                size: received.size,
                sha256: received.checksums.map(|of| of.sha256),
                crc32: received.checksums.map(|of| of.crc32),
                used: None,
                rest: Default::default(),
            },
        });
        Ok(())
    }
}

/// The content of a part, with the first bytes that were read ahead.
struct PartContent<'a, S> {
    first: Option<Bytes>,
    /// Whether the look has found the part's end: the next event is another part's.
    ended: bool,
    source: &'a mut FormEvents<S>,
}

impl<S> FileContent for PartContent<'_, S>
where
    S: Stream<Item = Result<Bytes, BodyError>> + Unpin + Send,
{
    async fn next(&mut self) -> Result<Option<Bytes>, IngestError> {
        match self.first.take() {
            Some(data) => Ok(Some(data)),
            None if self.ended => Ok(None),
            None => self.source.data().await,
        }
    }
}

/// The name of a file as it came, and its safe form with its folders.
fn file_name(head: &PartHead) -> (RawText, FilePath) {
    // A `filename*` that cannot be read: the name is made from the field's.
    let file = head.file.as_ref().unwrap_or(&RawFileName::Unreadable);
    let display = file.display(&head.name);
    let path = FilePath::from_upload(&display);
    let original = match file {
        RawFileName::Plain(name) => name.clone(),
        RawFileName::Encoded(encoded) => encoded.plain.clone(),
        RawFileName::Extended(_) | RawFileName::Unreadable => display.into_owned().into(),
    };
    (original.into(), path)
}

/// The `filename*` that the form gives back beside the name.
fn extended(head: &PartHead) -> Option<&String> {
    match &head.file {
        Some(RawFileName::Encoded(encoded)) => encoded.extended.as_ref(),
        _ => None,
    }
}

/// The media type of a file: as given, else guessed from its name (RFC 7578 section 4.4), then with
/// the text that was given.
fn types(given: Option<&[u8]>, name: &FileName) -> (String, Option<String>) {
    match given.and_then(media_type) {
        Some(media_type) => (media_type, None),
        None => {
            let given = given.and_then(header_text).unwrap_or_default();
            (guess(name.as_str()).to_owned(), Some(given))
        }
    }
}

/// The digests that the headers of a part announce.
fn expected(head: &PartHead) -> Result<[Option<Digest>; 2], IngestError> {
    let read = |field: &Option<Bytes>| match field {
        None => Ok(None),
        Some(field) => expected_sha256(field).map_err(|source| IngestError::DigestHeader {
            place: Place::part(head.number),
            source,
        }),
    };
    Ok([read(&head.repr_digest)?, read(&head.content_digest)?])
}

fn sha256(content: &[u8]) -> Digest {
    use sha2::Digest as _;
    let digest: [u8; 32] = sha2::Sha256::digest(content).into();
    digest.into()
}
