//! The benchmark of speed: wharf beside the limits of the machine and its peers, in one run.
//! `./bench` runs it, and `benches/README.md` says how it measures.
//!
//! Without `--bench`, as under `cargo test`, it makes one tiny round of everything: whether it
//! works, not how fast.

mod connection;
mod content;
mod contestant;
mod field;
mod limits;
mod load;
mod meter;
mod options;
mod sample;
mod server;
mod table;
mod transfers;
mod work;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use options::Options;
use sample::Unit;
use transfers::Case;
use work::Work;

const MIB: u64 = 1 << 20;

/// Whether something failed; the rest runs on.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Reports that a contestant failed.
fn failed(error: &anyhow::Error) {
    eprintln!("failed: {error:#}");
    FAILED.store(true, Ordering::Relaxed);
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.split_first() {
        Some((first, args)) if first.starts_with("--program=") => match first.as_str() {
            "--program=launch" => server::launch(args),
            "--program=sink" => limits::sink(args),
            "--program=source" => limits::source(args),
            _ => Err(anyhow::anyhow!("{first}")),
        },
        _ => run(args.into_iter()),
    };
    if let Err(error) = result {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    match FAILED.load(Ordering::Relaxed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let options = Options::parse(args)?;
    let cases = cases(&options);
    for wanted in &options.cases {
        if !cases.iter().any(|(case, _)| case.name == wanted) {
            bail!("there is no case {wanted}");
        }
    }
    let work = Work::new()?;
    for (case, upload) in cases {
        if options.cases.is_empty() || options.cases.iter().any(|name| name == case.name) {
            case.run(&options, &work, upload)?;
        }
    }
    Ok(())
}

/// The cases of transfers; whether each is one of uploads.
#[rustfmt::skip]
fn cases(options: &Options) -> Vec<(Case, bool)> {
    let quick = |full, tiny| options.scale(full, tiny);
    let case = |name, title, unit, connections, requests, files, size| Case {
        name, title, unit, connections, requests, files, size,
    };
    use Unit::{Megabytes, Requests};
    vec![
        (case("U1", "one file of 1 GiB on one connection", Megabytes, 1, 1, 1, quick(1024 * MIB, MIB)), true),
        (case("U3", "forms with one file of 4 KiB on 32 connections", Requests, options.scale(32, 4), quick(10_000, 40), 1, 4096), true),
        (case("D1", "one file of 1 GiB on one connection", Megabytes, 1, 1, 1, quick(1024 * MIB, MIB)), false),
    ]
}
