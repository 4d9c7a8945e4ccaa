//! P: the decoder alone, in memory, beside multer on the same frames, and beside a search for the
//! delimiter (`memchr::memmem`), which every decoder does at least. How fast one processor takes
//! the SHA-256 of the same bytes says what an upload with a digest can come to at most, and how fast
//! it takes their CRC-32 what ZIP files cost an upload.

use std::convert::Infallible;
use std::hint::black_box;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};
use wharf::form::{Boundary, Decoder, Event};

use super::content;
use super::meter::Meter;
use super::options::Options;
use super::sample::Spread;
use super::table;

const BOUNDARY: &str = "Boundary7MA4YWxkTrZu0gW";
const DELIMITER: &str = "\r\n--Boundary7MA4YWxkTrZu0gW";

/// The size of what a form repeats: small enough for the processor's own cache, as the frames of a
/// connection are when they are looked at, since read(2) has just written them.
const BLOCK: usize = 1 << 20;

/// A form, and the content of its files: `begin`, so many times `block`, and the close delimiter.
struct Form {
    name: &'static str,
    begin: Bytes,
    block: Bytes,
    times: usize,
    end: Bytes,
    digest: [u8; 32],
}

impl Form {
    /// A file that holds `block` so many times.
    fn of_one(name: &'static str, block: Vec<u8>, times: usize) -> Self {
        let mut hash = Sha256::new();
        (0..times).for_each(|_| hash.update(&block));
        Form {
            name,
            begin: head(0).into(),
            block: block.into(),
            times,
            end: format!("{DELIMITER}--\r\n").into(),
            digest: hash.finalize().into(),
        }
    }

    /// Files of `content` that fill so many blocks.
    fn of_many(name: &'static str, content: &[u8], times: usize) -> Self {
        let (mut block, mut hash) = (Vec::new(), Sha256::new());
        let mut files = 0;
        while block.len() < BLOCK {
            block.extend_from_slice(head(files).as_bytes());
            block.extend_from_slice(content);
            block.extend_from_slice(b"\r\n");
            files += 1;
        }
        (0..files * times).for_each(|_| hash.update(content));
        Form {
            name,
            begin: Bytes::new(),
            block: block.into(),
            times,
            end: format!("--{BOUNDARY}--\r\n").into(),
            digest: hash.finalize().into(),
        }
    }

    fn frames(&self, size: usize) -> impl Iterator<Item = Bytes> {
        let length = self.block.len();
        let once = move |_| {
            let starts = (0..length).step_by(size);
            starts.map(move |at| self.block.slice(at..(at + size).min(length)))
        };
        let begin = [self.begin.clone()].into_iter();
        let frames = begin.chain((0..self.times).flat_map(once));
        let frames = frames.chain([self.end.clone()]);
        frames.filter(|frame| !frame.is_empty())
    }

    /// Bytes.
    fn len(&self) -> usize {
        self.begin.len() + self.times * self.block.len() + self.end.len()
    }
}

/// The head of a part of a file.
fn head(number: usize) -> String {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{number}.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
}

/// Data that is kind, and data that is not: it looks like the delimiter for as long as it can.
fn forms(options: &Options) -> Vec<Form> {
    let times = options.scale(64, 1);
    let near = &DELIMITER[..DELIMITER.len() - 1];
    let near: Vec<u8> = near.bytes().cycle().take(BLOCK).collect();
    vec![
        Form::of_one("random", content::random(BLOCK), times),
        Form::of_one("zeros", vec![0; BLOCK], times),
        Form::of_one("CR", vec![b'\r'; BLOCK], times),
        Form::of_one("near-boundaries", near, times),
        Form::of_many("files of 100 bytes", &content::random(100), times),
    ]
}

fn by_memmem(form: &Form, frame: usize) {
    let finder = memchr::memmem::Finder::new(DELIMITER);
    for frame in form.frames(frame) {
        black_box(finder.find_iter(&frame).count());
    }
}

fn by_hash(form: &Form, frame: usize) {
    let mut hash = Sha256::new();
    form.frames(frame).for_each(|frame| hash.update(&frame));
    black_box(hash.finalize());
}

/// The CRC-32 of ZIP files, which is taken beside the digest.
fn by_crc(form: &Form, frame: usize) {
    let mut crc = crc32fast::Hasher::new();
    form.frames(frame).for_each(|frame| crc.update(&frame));
    black_box(crc.finalize());
}

fn by_wharf(form: &Form, frame: usize, mut give: impl FnMut(&Bytes)) {
    let mut decoder = Decoder::new(Boundary::new(BOUNDARY).expect("a boundary"));
    for frame in form.frames(frame) {
        decoder.push(frame);
        while let Some(event) = decoder.next().expect("a well-formed body") {
            if let Event::Data(data) = event {
                give(&data);
            }
        }
    }
    decoder.finish().expect("a whole body");
}

async fn by_multer(form: &Form, frame: usize, mut give: impl FnMut(&Bytes)) {
    // It gathers all the frames that are ready before it looks at one. So none is before the one
    // before it has been looked at, as on a connection.
    let mut frames: Vec<Bytes> = form.frames(frame).collect();
    frames.reverse();
    let mut ready = true;
    let frames = futures_util::stream::poll_fn(move |context| {
        ready = !ready;
        if !ready {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(frames.pop().map(Ok::<_, Infallible>))
    });
    let mut form = multer::Multipart::new(frames, BOUNDARY);
    while let Some(mut field) = form.next_field().await.expect("a well-formed body") {
        while let Some(data) = field.chunk().await.expect("a well-formed body") {
            give(&data);
        }
    }
}

/// Runs the case.
pub fn run(options: &Options) -> Result<()> {
    table::title("P", "the decoder alone, in memory", options.rounds);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let drop = |data: &Bytes| {
        black_box(data);
    };
    let mut cells = Vec::new();
    for form in forms(options) {
        verify(&form, &runtime)?;
        for frame in [8, 64, 256] {
            let size = frame * 1024;
            let timed = |work: &dyn Fn()| {
                let began = spent();
                work();
                form.len() as f64 / 1e6 / (spent() - began).as_secs_f64()
            };
            let mut rates = [const { Vec::new() }; 5];
            for _ in 0..options.rounds {
                rates[0].push(timed(&|| by_memmem(&form, size)));
                rates[1].push(timed(&|| by_wharf(&form, size, drop)));
                rates[2].push(timed(&|| runtime.block_on(by_multer(&form, size, drop))));
                rates[3].push(timed(&|| by_hash(&form, size)));
                rates[4].push(timed(&|| by_crc(&form, size)));
            }
            let ratio = |other: usize| {
                let pairs = rates[1].iter().zip(&rates[other]);
                table::number(Spread::of(pairs.map(|(own, other)| own / other)).median)
            };
            let mut row = vec![format!("{}, {frame} KiB", form.name)];
            row.extend(
                rates
                    .iter()
                    .map(|rates| table::spread(rates.iter().copied())),
            );
            row.extend([ratio(0), ratio(2), table::number(growth(&form, size))]);
            cells.push(row);
        }
    }
    let heads = [
        "data, frames",
        "memmem MB/s",
        "wharf MB/s",
        "multer MB/s",
        "SHA-256 MB/s",
        "CRC-32 MB/s",
        "× memmem",
        "× multer",
        "memory MiB",
    ];
    table::print(&heads, &cells);
    Ok(())
}

/// The processor time of this thread so far: all is done on it, and waits for nothing but others'
/// turns on the processor.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("time goes forward")
}

/// Compares what both find with what the form was made of.
fn verify(form: &Form, runtime: &tokio::runtime::Runtime) -> Result<()> {
    let mut hash = Sha256::new();
    by_wharf(form, 8 * 1024, |data| hash.update(data));
    ensure!(
        hash.finalize()[..] == form.digest,
        "wharf finds other content"
    );
    let mut hash = Sha256::new();
    runtime.block_on(by_multer(form, 8 * 1024, |data| hash.update(data)));
    ensure!(
        hash.finalize()[..] == form.digest,
        "multer finds other content"
    );
    Ok(())
}

/// How much memory, in MiB, wharf's decoder takes beside the body.
fn growth(form: &Form, frame: usize) -> f64 {
    let meter = Meter::new(std::process::id(), None);
    let before = meter.memory().anonymous;
    let watch = meter.watch();
    by_wharf(form, frame, |_| {});
    let grown = watch.stop().anonymous.saturating_sub(before);
    grown as f64 / f64::from(1 << 20)
}
