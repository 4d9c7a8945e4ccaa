//! The log: events become lines, and a thread of its own writes them to standard error.
//!
//! Trouble with standard error (its reader goes away, or stops reading; the terminal is closed; its
//! disk is full) costs lines, and never a request or the end of the process. Lines that cannot be
//! written at once wait in a bounded buffer; a line without room there, or that cannot be written,
//! is [counted](dropped).

mod lines;

use std::fmt::Debug;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

pub use lines::Format;
use lines::{Lines, Sink};

/// How long the end of the process waits for lines to be written.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static LINES: Lines = Lines::new();

/// Why a log cannot be begun, or its filter not changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The text is no filter.
    #[error("log: {text:?} is no filter: {reason}")]
    Filter {
        /// The directives.
        text: String,
        /// The fault.
        reason: String,
    },
    /// The thread cannot be started.
    #[error("cannot start the thread of the log: {0}")]
    Thread(io::Error),
    /// The process has a log already.
    #[error("the log was begun before")]
    Begun,
}

/// Which lines there are; it can be changed while the process runs.
pub struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    /// Reads directives such as `wharf=debug,info`.
    ///
    /// # Errors
    /// The text is no filter.
    pub fn read(text: &str) -> Result<EnvFilter, LogError> {
        EnvFilter::try_new(text).map_err(|error| LogError::Filter {
            text: text.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Changes which lines there are from now on.
    pub fn set(&self, filter: EnvFilter) {
        // It fails only where the log has ended, which it does with the process.
        let _ = self.0.reload(filter);
    }
}

/// Begins the log of this process, with the lines that `filter` names.
///
/// # Errors
/// The filter cannot be read, or there is a log already.
pub fn start(format: Format, filter: &str) -> Result<Filter, LogError> {
    let filter = Filter::read(filter)?;
    LINES.start().map_err(LogError::Thread)?;
    let colour = format == Format::Text
        && io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let sink = move || Sink::new(&LINES, format, colour);
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().log_internal_errors(false).with_writer(sink);
    match format {
        Format::Text if colour => registry
            .with(layer.with_ansi(true).with_target(false))
            .try_init(),
        Format::Text => {
            let fields = debug_fn(plain_field).delimited(" ");
            let layer = layer.with_ansi(false).with_target(false);
            registry.with(layer.fmt_fields(fields)).try_init()
        }
        Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
    .map_err(|_| LogError::Begun)?;
    // The usual hook writes to standard error itself, and waits for its reader.
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a panic: {}", text.unwrap_or("without a text"));
    }));
    Ok(Filter(handle))
}

/// Writes a field of a line without colours. The usual way asks for the colour of each name and looks
/// at each character of the text; here [`Sink`] does that, once for the whole line.
fn plain_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    if field.name() != "message" {
        writer.write_str(field.name())?;
        writer.write_char('=')?;
    }
    write!(writer, "{value:?}")
}

/// How many lines were dropped since the start of the process.
pub fn dropped() -> u64 {
    LINES.dropped()
}

/// Waits until the lines logged so far are written or dropped, no longer than `limit`.
pub fn flush(limit: Duration) {
    LINES.flush(limit);
}
