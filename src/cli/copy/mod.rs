//! `wharf copy`: the uploads of one store in another, each with its id and its record as it is.
//!
//! Every file is compared with its digest on the way, and an upload is committed as a whole, as one
//! that a client sends. So a copy that ends anywhere leaves no half upload, and the next one goes on:
//! it copies what is missing, and replaces the records that have changed.
//!
//! - `walk`: which uploads are to be copied; `transfer`: one of them.
//! - `tally`: what was done, for the last line and for a terminal.

mod tally;
mod transfer;
mod walk;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches};
use tokio::signal::unix::{SignalKind, signal};

use super::check::report_unreplayed;
use super::settings::{self, Sources};
use super::stderr::say;
use crate::app::{self, AppOptions};
use crate::model::Clock;
use crate::shutdown::survive_file_limit;
use tally::Tally;
use walk::Walk;

/// How long the end of the changes that were begun is waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many files of uploads under way may be open.
const DESCRIPTORS: usize = 256;
/// The exit code when some uploads were not copied.
const PARTLY: u8 = 3;
/// The exit code after SIGINT or SIGTERM.
const INTERRUPTED: u8 = 130;

/// From where to where.
#[derive(Debug)]
pub struct CopyArgs {
    /// The store to copy.
    pub from: String,
    /// The store to copy to.
    pub to: String,
    /// Whether what is only there is removed.
    pub delete: bool,
}

impl CopyArgs {
    /// The arguments, for the command line.
    pub fn all() -> [Arg; 3] {
        let place = |name: &'static str, help: &'static str| {
            let arg = Arg::new(name).long(name).value_name("PLACE");
            arg.required(true).help(help)
        };
        [
            place(
                "from",
                "The store to copy: a folder, or s3://BUCKET/PREFIX; nothing in it is changed, and a server may go on serving it",
            ),
            place(
                "to",
                "The store to copy to, likewise; no server may have the folder. The index of a bucket lies below --dir, as a server's without Redis",
            ),
            Arg::new("delete")
                .long("delete")
                .action(ArgAction::SetTrue)
                .help(
                    "Remove from the second store what the first one does not have, or has no more",
                ),
        ]
    }

    /// Reads them.
    pub fn read(matches: &ArgMatches) -> Self {
        let text = |name| matches.get_one::<String>(name).cloned().unwrap_or_default();
        CopyArgs {
            from: text("from"),
            to: text("to"),
            delete: matches.get_flag("delete"),
        }
    }
}

/// Copies, and prints what could not be copied and how much was.
pub fn run(sources: &Sources, args: &CopyArgs) -> anyhow::Result<ExitCode> {
    let from = options_of(sources, &args.from).context("--from")?;
    let to = options_of(sources, &args.to).context("--to")?;
    if is_one_place(&from, &to) {
        bail!("--from and --to are the same store, {}", from.place());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let tally = Arc::new(Tally::new());
    let ended = runtime.block_on(copy(&from, &to, args.delete, &tally));
    tally.clear();
    let ended = ended?;
    writeln!(io::stdout(), "{tally}")?;
    Ok(match ended {
        Ended::Interrupted => {
            say("interrupted; the same command goes on from there");
            ExitCode::from(INTERRUPTED)
        }
        Ended::Whole if tally.has_failures() => ExitCode::from(PARTLY),
        Ended::Whole => ExitCode::SUCCESS,
    })
}

/// How a copy ended.
enum Ended {
    Whole,
    Interrupted,
}

async fn copy(
    from: &AppOptions,
    to: &AppOptions,
    delete: bool,
    tally: &Arc<Tally>,
) -> anyhow::Result<Ended> {
    survive_file_limit();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let source = app::inspect(from).context("--from")?;
    // A bucket or prefix that is named by mistake is not taken for an empty store: with --delete the
    // second one would be emptied too.
    if from.bucket.is_some() && source.identity().await.context("--from")?.is_none() {
        bail!("--from: there is no store in {}", from.place());
    }
    report_unreplayed(&*source).await?;
    let target = app::open(to, DESCRIPTORS).await.context("--to")?;
    let walk = Walk {
        source,
        target: target.repository.clone(),
        clock: Clock::system(),
        delete,
        tally: Arc::clone(tally),
    };
    let ended = tokio::select! {
        walked = walk.run() => walked.map(|()| Ended::Whole).with_context(|| {
            format!("stopped: {tally}; the same command goes on from there")
        }),
        _ = interrupt.recv() => Ok(Ended::Interrupted),
        _ = terminate.recv() => Ok(Ended::Interrupted),
    };
    drop(walk);
    target.repository.close(CLOSE_TIMEOUT).await?;
    ended
}

/// The options of a server that has its store at `place`. Without Redis: one that is set belongs to
/// the store that serves now.
fn options_of(sources: &Sources, place: &str) -> anyhow::Result<AppOptions> {
    if place.is_empty() {
        bail!("a folder or s3://BUCKET/PREFIX is needed");
    }
    let mut sources = sources.clone();
    let mut set = |key: &str, value: &str| {
        let value = vec![value.to_owned()];
        sources.flags.push((key.to_owned(), value));
    };
    if place.contains("://") {
        set("store", place);
    } else {
        set("store", "disk");
        set("dir", place);
    }
    let config = settings::check_values(&settings::load(&sources)?)?;
    Ok(AppOptions {
        sharing: None,
        ..config.app
    })
}

fn is_one_place(from: &AppOptions, to: &AppOptions) -> bool {
    match (&from.bucket, &to.bucket) {
        (Some(from), Some(to)) => from.to_string() == to.to_string(),
        (None, None) => {
            let real = |dir: &Path| dir.canonicalize().ok();
            real(&from.dir).is_some_and(|from| Some(from) == real(&to.dir))
        }
        _ => false,
    }
}
