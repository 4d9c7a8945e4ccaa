//! The decoder: frames in, parts and slices of their data out.

use bytes::{Buf, Bytes};

use super::Boundary;
use super::error::{DecodeError, DecodeErrorKind, Fault};
use super::headers::{HeadReader, PartHead};
use super::outside::{Epilogue, Preamble};
use super::scan::{Line, Scan, Scanner};

/// The findings of the decoder in the body, in its order: for each part `Part`, any number of
/// `Data`, `PartEnd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The headers of a part are complete. Boxed, so that the other events, of which there are
    /// more, are small.
    Part(Box<PartHead>),
    /// Bytes of the part's content, never empty: a slice of the frame pushed last.
    Data(Bytes),
    /// The part is complete. The body may still turn out to be broken:
    /// only [`Decoder::finish`] says that it is whole.
    PartEnd,
}

/// Decodes one `multipart/form-data` body.
///
/// Push a frame, take events until there are none, push the next; at the end of the body call
/// [`finish`](Self::finish). Data is handed on as slices of the frame and never kept: a possible
/// beginning of a delimiter at a frame's end is remembered by its length alone.
#[derive(Debug)]
pub struct Decoder {
    scanner: Scanner,
    head: HeadReader,
    state: DecoderState,
    /// The rest of the frame pushed last.
    frame: Bytes,
    /// Where `frame` begins in the body.
    offset: u64,
    /// The part we are in, from 1; 0 before the first.
    part: usize,
    /// The preamble, before the first delimiter.
    preamble: Preamble,
    /// The epilogue, behind the close delimiter.
    epilogue: Epilogue,
    failed: Option<DecodeError>,
}

#[derive(Debug, Clone, Copy)]
enum DecoderState {
    /// In the preamble or in a part's data.
    Data,
    /// Behind `--B` at the start of a line.
    Delimiter(Line),
    /// In the headers of a part.
    Head,
    /// Behind the line of the close delimiter.
    Epilogue,
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(boundary: Boundary) -> Self {
        let scanner = Scanner::new(&boundary);
        let head = HeadReader::new(scanner.dash_boundary());
        let preamble = Preamble::new(scanner.dash_boundary());
        let epilogue = Epilogue::new(scanner.dash_boundary());
        Decoder {
            scanner,
            head,
            state: DecoderState::Data,
            frame: Bytes::new(),
            offset: 0,
            part: 0,
            preamble,
            epilogue,
            failed: None,
        }
    }

    /// Gives the decoder the next bytes of the body. After an error they are dropped.
    ///
    /// # Panics
    /// When the frame before has not been used up, that is when [`next`](Self::next) has not yet
    /// answered `Ok(None)`: going on would lose bytes.
    pub fn push(&mut self, frame: Bytes) {
        assert!(
            self.frame.is_empty(),
            "a frame was pushed before the last one was used up"
        );
        if self.failed.is_none() {
            self.frame = frame;
        }
    }

    /// How many bytes of the body have been taken: all that stands before what
    /// [`next`](Self::next) will answer next.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next event, or `None` when another frame is needed.
    ///
    /// # Errors
    /// The body breaks the grammar. Every later call answers with the same error.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is not the end, and can be followed by more"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, DecodeError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.advance().map_err(|fault| self.fail(fault)),
        }
    }

    /// To be called at the end of the body, when [`next`](Self::next) has answered `Ok(None)`.
    ///
    /// # Errors
    /// The body ends before its close delimiter, or has been found broken before.
    ///
    /// # Panics
    /// When the last frame has not been used up.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        assert!(
            self.frame.is_empty(),
            "the body was ended before its last frame was used up"
        );
        let fault = match self.state {
            DecoderState::Epilogue | DecoderState::Delimiter(Line::Padding { close: true, .. }) => {
                return Ok(());
            }
            DecoderState::Head => self.head.cut_short(self.offset),
            DecoderState::Data if self.part == 0 => match self.preamble.check() {
                Ok(()) => Fault::new(DecodeErrorKind::Truncated, self.offset),
                Err(fault) => fault,
            },
            _ => Fault::new(DecodeErrorKind::Truncated, self.offset),
        };
        Err(self.fail(fault))
    }

    fn fail(&mut self, fault: Fault) -> DecodeError {
        let error = DecodeError {
            kind: fault.kind,
            part: self.part,
            offset: fault.at,
        };
        self.frame = Bytes::new();
        self.failed = Some(error.clone());
        error
    }

    fn advance(&mut self) -> Result<Option<Event>, Fault> {
        while !self.frame.is_empty() {
            let event = match self.state {
                DecoderState::Data => self.data()?,
                DecoderState::Delimiter(line) => self.delimiter(line)?,
                DecoderState::Head => self.head()?,
                DecoderState::Epilogue => self.epilogue()?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        // Even an empty slice keeps the frame's memory from being used again.
        self.frame = Bytes::new();
        Ok(None)
    }

    fn data(&mut self) -> Result<Option<Event>, Fault> {
        let before = self.frame.len();
        let scan = self.scanner.scan(&mut self.frame);
        self.offset += (before - self.frame.len()) as u64;
        match scan {
            Scan::More => {}
            Scan::Delimiter => {
                if self.part == 0 {
                    self.preamble.check()?;
                }
                self.state = DecoderState::Delimiter(Line::Boundary);
            }
            Scan::Data(data) if self.part > 0 => return Ok(Some(Event::Data(data))),
            Scan::Data(preamble) => self.preamble.push(&preamble)?,
        }
        Ok(None)
    }

    /// Takes one byte of the rest of a delimiter's line. The part before it ends with the line
    /// or, since nothing has to follow `--B--`, with its second dash.
    fn delimiter(&mut self, line: Line) -> Result<Option<Event>, Fault> {
        let line = line
            .step(self.frame[0])
            .map_err(|kind| Fault::new(kind, self.offset))?;
        self.frame.advance(1);
        self.offset += 1;
        self.state = DecoderState::Delimiter(line);
        let ended = match line {
            Line::Padding {
                close: true,
                len: 0,
            } => {
                if self.part == 0 {
                    self.preamble.check_empty()?;
                }
                self.part > 0
            }
            Line::End { close: true } => {
                self.state = DecoderState::Epilogue;
                false
            }
            Line::End { close: false } => {
                self.preamble.forget();
                self.part += 1;
                self.state = DecoderState::Head;
                self.head.begin(self.offset);
                self.part > 1
            }
            _ => false,
        };
        Ok(ended.then_some(Event::PartEnd))
    }

    fn head(&mut self) -> Result<Option<Event>, Fault> {
        let head = self
            .head
            .read(&mut self.frame, &mut self.offset, self.part)?;
        if head.is_some() {
            self.state = DecoderState::Data;
            self.scanner.begin_at_line();
        }
        Ok(head.map(|head| Event::Part(Box::new(head))))
    }

    fn epilogue(&mut self) -> Result<Option<Event>, Fault> {
        self.epilogue.read(&self.frame, self.offset)?;
        self.offset += self.frame.len() as u64;
        self.frame = Bytes::new();
        Ok(None)
    }
}
