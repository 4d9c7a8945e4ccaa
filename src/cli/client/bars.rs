//! Progress on a terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use indicatif::{BinaryBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;
use crate::client::{ClientError, Progress, ReceivedFile};
use crate::model::plain;
use crate::model::units::format_duration;

/// How often a second the bars are drawn.
const RATE: u8 = 10;

/// Bars on a terminal, one for the file under way and one for all; elsewhere only messages
/// that a person has to see. It keeps the list of complete files.
pub struct Bars {
    bars: Option<Drawn>,
    output: Output,
    /// The files that have come. The lock is held for the length of a call.
    received: Mutex<Complete>,
    sent: AtomicBool,
}

/// Files that are complete.
#[derive(Default)]
struct Complete {
    files: Vec<ReceivedFile>,
    /// Those that came before the form began anew, until others take their places.
    before: BTreeMap<PathBuf, ReceivedFile>,
}

struct Drawn {
    multi: MultiProgress,
    total: ProgressBar,
    /// The file under way. The lock is held for the length of a call.
    file: Mutex<Option<ProgressBar>>,
}

impl Bars {
    pub fn new(output: Output) -> Arc<Self> {
        let drawn = !output.quiet && !output.json && io::stderr().is_terminal();
        Arc::new(Bars {
            bars: drawn.then(Drawn::new),
            output,
            received: Mutex::default(),
            sent: AtomicBool::new(false),
        })
    }

    /// Removes the bars, so that later output has the terminal for itself.
    pub fn clear(&self) {
        if let Some(bars) = &self.bars {
            *held(&bars.file) = None;
            bars.total.finish_and_clear();
            // That a terminal cannot be written to is noticed with the results.
            let _ = bars.multi.clear();
        }
    }

    /// The files that have come so far.
    pub fn received(&self) -> Vec<ReceivedFile> {
        let complete = held(&self.received);
        let before = complete.before.values();
        before.chain(&complete.files).cloned().collect()
    }

    /// Whether the whole form was sent.
    pub fn sent_all(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.multi.println(format!("wharf: {}", plain(text)));
            }
            None => self.output.note(text),
        }
    }
}

impl Drawn {
    fn new() -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(RATE));
        let total = multi.add(ProgressBar::no_length());
        total.set_prefix("total");
        Drawn {
            multi,
            total,
            file: Mutex::new(None),
        }
    }
}

/// Bytes, rate and time left where the length is known, and the time gone where it is not.
fn style(length: Option<u64>) -> ProgressStyle {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let bar = if plain {
        "{wide_bar}"
    } else {
        "{wide_bar:.cyan}"
    };
    let template = match length {
        Some(_) => format!(
            "{{prefix:20!}} {bar} {{binary_bytes}}/{{binary_total_bytes}} {{binary_bytes_per_sec}} {{eta}}"
        ),
        None => {
            "{prefix:20!} {binary_bytes} {binary_bytes_per_sec} {elapsed} {wide_msg}".to_owned()
        }
    };
    ProgressStyle::with_template(&template)
        .expect("the template is well formed")
        .progress_chars("=> ")
}

fn show(bar: &ProgressBar, length: Option<u64>) {
    match length {
        Some(length) => bar.set_length(length),
        None => bar.unset_length(),
    }
    bar.set_style(style(length));
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Progress for Bars {
    fn begin(&self, bytes: Option<u64>) {
        let mut complete = held(&self.received);
        let files = std::mem::take(&mut complete.files).into_iter();
        let placed = files.filter_map(|file| Some((file.path.clone()?, file)));
        complete.before.extend(placed);
        drop(complete);
        if let Some(bars) = &self.bars {
            bars.total.reset();
            show(&bars.total, bytes);
        }
    }

    fn file(&self, name: &str, bytes: Option<u64>) {
        if let Some(bars) = &self.bars {
            let bar = bars
                .multi
                .insert_before(&bars.total, ProgressBar::no_length());
            bar.set_prefix(plain(name).into_owned());
            show(&bar, bytes);
            *held(&bars.file) = Some(bar);
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(bars) = &self.bars {
            bars.total.inc(bytes);
            if let Some(bar) = &*held(&bars.file) {
                bar.inc(bytes);
            }
        }
    }

    fn file_end(&self) {
        if let Some(bars) = &self.bars
            && let Some(bar) = held(&bars.file).take()
        {
            let line = format!("{} {}", bar.prefix(), BinaryBytes(bar.position()));
            bar.finish_and_clear();
            bars.multi.remove(&bar);
            let _ = bars.multi.println(line);
        }
    }

    fn sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }

    fn received(&self, file: &ReceivedFile) {
        let mut complete = held(&self.received);
        if let Some(path) = &file.path {
            complete.before.remove(path);
        }
        complete.files.push(file.clone());
    }

    fn retry(&self, error: &ClientError, at: u64, wait: Duration) {
        let wait = format_duration(wait);
        self.say(&match at {
            0 => format!("{error}; trying again in {wait}"),
            at => format!("{error}; going on from byte {at} in {wait}"),
        });
    }
}
