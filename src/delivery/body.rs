//! The stream of a representation: blocks of files and bytes from memory, in order.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio_util::task::AbortOnDropHandle;

use super::archive_cursor::ArchiveCursor;
use super::checks::slices_of_many_files;
use super::cursor::{FileRange, FormCursor, Step, damage};
use super::memory::ManifestBudget;
use super::representation::{ByteSource, Slice};
use super::uses::Uses;
use super::{Delivery, DeliveryError, DeliveryPiece, Representation};
use crate::repository::Repository;
use crate::store::{Blob, FileSpan, StoreError};

/// A body with no more bytes than this behind its first block is read before it is sent: damage in
/// a small form is found before its head goes out, and all of it goes out in one write.
const SHORT_BODY: u64 = 64 << 10;

/// After so many blocks that were in memory the task lets others run: a socket may have room for
/// hundreds, and all other connections of the thread would wait.
const BLOCKS_A_TURN: u32 = 64;

/// A body, exactly as many bytes as its pieces have.
pub enum BodyContent {
    /// All of it.
    Whole(Bytes),
    /// Block by block.
    Blocks(Box<Blocks>),
}

/// The blocks of a body.
pub struct Blocks {
    /// The one that was read before the head went out.
    first: Option<Block>,
    reader: BodyReader,
}

/// The next bytes of a body.
#[derive(Debug)]
pub enum Block {
    /// They are there.
    Bytes(Bytes),
    /// They are a file's, and the kernel can send them.
    File(Box<dyn FileSpan>),
}

impl Blocks {
    /// The next block, which may be a file's if the caller `takes_files`; `None` at the end.
    ///
    /// # Errors
    /// It ends with an error when a file is missing or damaged, or the store fails.
    pub async fn next(&mut self, takes_files: bool) -> Result<Option<Block>, DeliveryError> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.reader.next(takes_files).await,
        }
    }
}

impl Block {
    fn len(&self) -> u64 {
        match self {
            Block::Bytes(bytes) => bytes.len() as u64,
            Block::File(span) => span.left() as u64,
        }
    }
}

impl Delivery {
    /// Opens the body made of `pieces`, in which the whole of `representation` is sent if `counts`.
    /// Its first block is read when this answers, and all of a short one; one that is in memory may
    /// be a file's if the caller `takes_files`.
    ///
    /// # Errors
    /// A missing or damaged file is found before the first byte goes out if it is in the first
    /// block or in a short body; or no use is left of a limited download, or no room to count it.
    pub async fn open(
        &self,
        representation: &Representation,
        pieces: Vec<DeliveryPiece>,
        counts: bool,
        takes_files: bool,
    ) -> Result<BodyContent, DeliveryError> {
        // Its manifest may have been in memory.
        self.uploads.store().answers()?;
        self.verify_doubted(&pieces).await?;
        self.prepare(&pieces).await?;
        self.verify_archives(&pieces).await?;
        let uses = if counts && representation.is_limited() {
            Some(self.reserve(representation).await?)
        } else {
            None
        };
        let slices = slices_of_many_files(&pieces);
        let mut reader = BodyReader {
            uploads: self.uploads.clone(),
            manifests: self.manifests.clone(),
            left: pieces.iter().map(DeliveryPiece::len).sum(),
            read: 0,
            pieces: pieces.into(),
            cursor: None,
            steps: VecDeque::new(),
            blob: None,
            ahead: None,
            uses,
        };
        let first = match reader.next(takes_files).await? {
            None => return Ok(BodyContent::Whole(Bytes::new())),
            Some(Block::Bytes(bytes)) if reader.left == 0 => return Ok(BodyContent::Whole(bytes)),
            Some(Block::Bytes(bytes)) if reader.left <= SHORT_BODY => {
                return Ok(BodyContent::Whole(reader.rest(bytes).await?));
            }
            first => first,
        };
        for (outline, range) in &slices {
            self.verify(outline, range).await?;
        }
        if let Some(uses) = &mut reader.uses {
            uses.hold_room().await?;
        }
        Ok(BodyContent::Blocks(Box::new(Blocks { first, reader })))
    }
}

/// Reads the rest of a body.
struct BodyReader {
    uploads: Repository,
    manifests: ManifestBudget,
    pieces: VecDeque<DeliveryPiece>,
    /// The form or archive of which the first piece was a part.
    cursor: Option<Cursor>,
    /// The next steps that are known already: a file, then the text before the next file.
    steps: VecDeque<Step>,
    /// The file of the first step, once it is opened.
    blob: Option<Box<dyn Blob>>,
    /// The next file, which is being opened.
    ahead: Option<AbortOnDropHandle<Opened>>,
    /// Bytes.
    left: u64,
    /// Blocks that were read.
    read: u32,
    uses: Option<Uses>,
}

/// The next piece of a body that is written as it is read.
enum Cursor {
    Form(FormCursor),
    Archive(ArchiveCursor),
}

type Opened = Result<Box<dyn Blob>, DeliveryError>;

impl BodyReader {
    /// The next block. The uses are kept before the last one is handed out.
    async fn next(&mut self, takes_files: bool) -> Result<Option<Block>, DeliveryError> {
        self.read = self.read.wrapping_add(1);
        if self.read.is_multiple_of(BLOCKS_A_TURN) {
            tokio::task::yield_now().await;
        }
        let block = self.read(takes_files).await?;
        if let Some(block) = &block {
            self.left -= block.len();
        }
        if self.left == 0
            && let Some(uses) = self.uses.take()
        {
            uses.commit().await?;
        }
        Ok(block)
    }

    /// The block that was read and all that is left, in one piece.
    async fn rest(&mut self, read: Bytes) -> Result<Bytes, DeliveryError> {
        let mut all = BytesMut::from(read);
        while let Some(Block::Bytes(block)) = self.next(false).await? {
            all.extend_from_slice(&block);
        }
        Ok(all.freeze())
    }

    async fn read(&mut self, takes_files: bool) -> Result<Option<Block>, DeliveryError> {
        loop {
            if self.steps.is_empty() {
                let step = self.step().await?;
                self.steps.extend(step);
            }
            match self.steps.front_mut() {
                None => return Ok(None),
                Some(Step::Text(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.steps.pop_front();
                    return Ok(Some(Block::Bytes(bytes)));
                }
                Some(Step::File(file)) => {
                    if self.blob.is_none()
                        && self.ahead.is_none()
                        && let Some(bytes) = try_read_cached(&self.uploads, file)
                    {
                        self.steps.pop_front();
                        return Ok(Some(Block::Bytes(bytes)));
                    }
                }
            }
            let blob = self.file().await?;
            if takes_files && let Some(span) = blob.span() {
                return Ok(Some(Block::File(span)));
            }
            if let Some(block) = blob.next().await? {
                return Ok(Some(Block::Bytes(block)));
            }
            self.blob = None;
            self.steps.pop_front();
        }
    }

    /// The next step behind those that are known.
    async fn step(&mut self) -> Result<Option<Step>, DeliveryError> {
        loop {
            if let Some(cursor) = &mut self.cursor {
                let step = match cursor {
                    Cursor::Form(form) => form.next(&self.uploads, &self.manifests).await?,
                    Cursor::Archive(archive) => {
                        archive.next(&self.uploads, &self.manifests).await?
                    }
                };
                if step.is_some() {
                    return Ok(step);
                }
                self.cursor = None;
            }
            let Slice { source, range } = match self.pieces.pop_front() {
                None => return Ok(None),
                Some(DeliveryPiece::Bytes(bytes)) => return Ok(Some(Step::Text(bytes))),
                Some(DeliveryPiece::Slice(slice)) => slice,
            };
            match source {
                ByteSource::Form(outline) => {
                    self.cursor = Some(Cursor::Form(FormCursor::new(outline, range)));
                }
                ByteSource::Archive(outline) => {
                    self.cursor = Some(Cursor::Archive(ArchiveCursor::new(outline, range)));
                }
                ByteSource::File(..) if range.is_empty() => {}
                ByteSource::File(id, name, size) => {
                    return Ok(Some(Step::File(FileRange {
                        id,
                        name,
                        size,
                        range,
                    })));
                }
            }
        }
    }

    /// The file of the first step.
    async fn file(&mut self) -> Result<&mut Box<dyn Blob>, DeliveryError> {
        if self.blob.is_none() {
            let opened = match (self.ahead.take(), self.steps.front()) {
                (Some(opening), _) => opening.await.map_err(StoreError::ended)?,
                (None, Some(Step::File(file))) => open(&self.uploads, file.clone()).await,
                (None, _) => unreachable!("a file comes next"),
            };
            self.blob = Some(opened?);
            self.open_ahead().await?;
        }
        Ok(self.blob.as_mut().expect("it was opened"))
    }

    /// Begins to open the next file, where that takes long.
    async fn open_ahead(&mut self) -> Result<(), DeliveryError> {
        if !self.uploads.store().is_remote() {
            return Ok(());
        }
        // Behind the file that is read: the next one, or a text and then the next one.
        while self.steps.len() < 3 && !matches!(self.steps.get(1), Some(Step::File(_))) {
            match self.step().await? {
                Some(step) => self.steps.push_back(step),
                None => break,
            }
        }
        let next = self.steps.iter().skip(1).find_map(|step| match step {
            Step::File(file) => Some(file),
            Step::Text(_) => None,
        });
        if let Some(next) = next {
            let opening = tokio::spawn(open(&self.uploads, next.clone()));
            self.ahead = Some(AbortOnDropHandle::new(opening));
        }
        Ok(())
    }
}

/// The whole wanted range of a file, if the page cache holds it.
fn try_read_cached(uploads: &Repository, file: &FileRange) -> Option<Bytes> {
    let store = uploads.store().local()?;
    let content = store.try_read_cached(&file.id, &file.name, file.size)?;
    // It is in memory: its length fits a usize, and the range lies within it.
    Some(content.slice(file.range.start as usize..file.range.end as usize))
}

/// Opens a file. One that is missing is damage, unless its upload was removed since its manifest
/// was read.
fn open(uploads: &Repository, file: FileRange) -> impl Future<Output = Opened> + Send + use<> {
    let uploads = uploads.clone();
    async move {
        let FileRange {
            id,
            name,
            size,
            range,
        } = file;
        let opened = uploads.store().open(&id, &name, size, range).await;
        match opened {
            Ok(blob) => Ok(blob),
            Err(error) => Err(damage(&uploads, &id, error).await?),
        }
    }
}
