//! Lines on their way to standard error.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::model::{is_active, plain_json};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The most bytes that wait, and again as many that are being written: some 10,000 lines.
const CAPACITY: usize = 1 << 20;
/// How long the first line waits for others: a wake-up and a write are shared by all that come.
const GATHER: Duration = Duration::from_millis(5);
/// The most bytes of several lines in one write: as much as a pipe takes without the lines of
/// another process between them (pipe(7), `PIPE_BUF`).
const WRITE: usize = 4096;
/// The buffer that is kept when nothing waits.
const KEPT: usize = 64 * 1024;

/// Lines that wait for the thread which writes them.
pub struct Lines {
    /// Guards the text that waits. A std mutex: held while a line is appended, or the text is
    /// taken; released before the thread is woken.
    state: Mutex<LineState>,
    /// Wakes the thread.
    more: Condvar,
    /// Wakes the callers that wait for the end of the writing.
    done: Condvar,
    dropped: AtomicU64,
}

struct LineState {
    /// Whole lines.
    text: Vec<u8>,
    /// Whether the thread waits for some.
    waiting: bool,
    /// Whether the thread has taken some, and not yet written them.
    writing: bool,
}

impl Lines {
    pub const fn new() -> Self {
        Lines {
            state: Mutex::new(LineState {
                text: Vec::new(),
                waiting: false,
                writing: false,
            }),
            more: Condvar::new(),
            done: Condvar::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Starts the thread.
    pub fn start(&'static self) -> io::Result<()> {
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(|| self.write(&mut LineOutput::new(io::stderr())))?;
        Ok(())
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn flush(&self, limit: Duration) {
        let waits = |state: &mut LineState| state.writing || !state.text.is_empty();
        // The process ends, whether the lines were written in time or not.
        drop(self.done.wait_timeout_while(self.lock(), limit, waits));
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        // Nothing between a lock and its release can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a line written, with its line end, if there is room for it.
    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.text.len() + line.len() > CAPACITY {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.text.extend_from_slice(line);
        let wake = std::mem::take(&mut state.waiting);
        drop(state);
        if wake {
            self.more.notify_one();
        }
    }

    /// Writes lines as they come, for ever.
    fn write<W: AsFd>(&self, output: &mut LineOutput<W>) {
        let mut text = Vec::new();
        let mut said = 0;
        loop {
            self.take(&mut text);
            for chunk in chunks(&text) {
                let lost = output.write(chunk);
                self.dropped.fetch_add(lost, Ordering::Relaxed);
                let dropped = self.dropped();
                if lost == 0 && dropped > said {
                    tracing::warn!(lines = dropped - said, "lines of the log were dropped");
                    said = dropped;
                }
            }
            text.clear();
            text.shrink_to(KEPT);
        }
    }

    /// Waits for text, and takes all there is.
    fn take(&self, text: &mut Vec<u8>) {
        let mut state = self.lock();
        state.writing = false;
        while state.text.is_empty() {
            self.done.notify_all();
            state.waiting = true;
            state = self
                .more
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting = false;
        drop(state);
        thread::sleep(GATHER);
        let mut state = self.lock();
        std::mem::swap(&mut state.text, text);
        state.writing = true;
    }
}

/// Whole lines, as many together as one write takes; one that is longer is alone.
fn chunks(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let last = memchr::memrchr(b'\n', &text[..text.len().min(WRITE)]);
        let end = last.or_else(|| memchr::memchr(b'\n', text))?;
        let (chunk, rest) = text.split_at(end + 1);
        text = rest;
        Some(chunk)
    })
}

/// Where lines go.
struct LineOutput<W> {
    out: W,
    /// Whether the last line that was begun there has no end.
    open: bool,
}

impl<W: AsFd> LineOutput<W> {
    fn new(out: W) -> Self {
        LineOutput { out, open: false }
    }

    /// Writes lines; answers how many of them are lost.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.open && self.write_all(b"\n").is_ok() {
            self.open = false;
        }
        match self.write_all(lines) {
            Ok(()) => 0,
            Err(rest) => {
                self.open |= rest < lines.len() && lines[lines.len() - rest - 1] != b'\n';
                memchr::memchr_iter(b'\n', &lines[lines.len() - rest..]).count() as u64
            }
        }
    }

    /// # Errors
    /// How many bytes could not be written.
    fn write_all(&self, mut bytes: &[u8]) -> Result<(), usize> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.out, bytes) {
                Ok(0) => return Err(bytes.len()),
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                // Another process that has the same pipe open made it non-blocking.
                Err(Errno::AGAIN) => {
                    let mut waited = [PollFd::new(&self.out, PollFlags::OUT)];
                    // If waiting fails, the next write reports it.
                    let _ = poll(&mut waited, None);
                }
                Err(_) => return Err(bytes.len()),
            }
        }
        Ok(())
    }
}

/// Where one line is handed over. It never fails, and never waits.
pub struct Sink {
    lines: &'static Lines,
    format: Format,
    colour: bool,
}

impl Sink {
    pub fn new(lines: &'static Lines, format: Format, colour: bool) -> Self {
        Sink {
            lines,
            format,
            colour,
        }
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if is_plain(line) {
            self.lines.push(line);
        } else {
            let shown = shown(line, self.format, self.colour);
            self.lines.push(shown.as_bytes());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a line is one line of printable ASCII, as nearly all are: no character of it is
/// escaped.
fn is_plain(line: &[u8]) -> bool {
    let plain = |body: &[u8]| {
        body.iter()
            .fold(true, |all, c| all & matches!(c, b' '..=b'~'))
    };
    line.split_last()
        .is_some_and(|(last, body)| *last == b'\n' && plain(body))
}

/// A line as one line that no terminal acts on; `colour` says that its escape sequences are the
/// log's own.
fn shown(line: &[u8], format: Format, colour: bool) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(line);
    let acts = |c: char| is_active(c) && c != '\t' && !(colour && c == '\x1b');
    let body = text.strip_suffix('\n').unwrap_or(&text);
    if text.len() > body.len() && !body.contains(acts) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 32);
    match format {
        Format::Json => shown.push_str(&plain_json(body)),
        Format::Text => {
            for c in body.chars() {
                if acts(c) {
                    // Writing to a String does not fail.
                    let _ = write!(shown, "{}", c.escape_default());
                } else {
                    shown.push(c);
                }
            }
        }
    }
    shown.push('\n');
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_that_acts_on_nothing() {
        let text = |line: &str, colour| shown(line.as_bytes(), Format::Text, colour).into_owned();
        assert_eq!(
            text("a\u{202e}b\nc\u{2028}\x1b[2J\u{9b}\r\n", false),
            "a\\u{202e}b\\nc\\u{2028}\\u{1b}[2J\\u{9b}\\r\n"
        );
        assert_eq!(
            text("\x1b[32m INFO\x1b[0m\té\n", true),
            "\x1b[32m INFO\x1b[0m\té\n"
        );
        assert!(is_plain(b" INFO a~\n"));
        for line in [
            "",
            "a",
            "a\tb\n",
            "a\nb\n",
            "\x7f\n",
            "\x1b[2J\n",
            "\u{e9}\n",
        ] {
            assert!(!is_plain(line.as_bytes()), "{line:?}");
        }
        let json = shown(
            "{\"a\":\"\u{9b}\u{202e}\"}\n".as_bytes(),
            Format::Json,
            false,
        );
        assert_eq!(json, "{\"a\":\"\\u009b\\u202e\"}\n");
    }

    #[test]
    fn lines_go_together_and_are_not_cut() {
        let line = |len: usize| [vec![b'x'; len - 1], vec![b'\n']].concat();
        let text = [line(4000), line(96), line(10), line(5000), line(7)].concat();
        let lengths: Vec<usize> = chunks(&text).map(<[u8]>::len).collect();
        assert_eq!(lengths, [4096, 10, 5000, 7]);
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let lines = Lines::new();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        for _ in 0..1030 {
            lines.push(&line);
        }
        assert_eq!(lines.dropped(), 6);
        lines.flush(Duration::from_millis(1));
    }

    #[test]
    fn what_cannot_be_written_is_lost_line_by_line() {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        assert_eq!(LineOutput::new(full).write(b"a\nb\n"), 2);
        let (reader, pipe) = io::pipe().unwrap();
        let mut output = LineOutput::new(pipe);
        assert_eq!(output.write(b"a\n"), 0);
        drop(reader);
        assert_eq!(output.write(b"b\n"), 1);
        assert!(!output.open);
    }
}
