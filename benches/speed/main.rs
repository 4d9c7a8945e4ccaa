//! The benchmark of speed: wharf beside the limits of the machine and its peers, in one run.
//! `./bench` runs it, and `benches/README.md` says how it measures.
//!
//! Without `--bench`, as under `cargo test`, it makes one tiny round of everything: whether all
//! contestants come to a figure and to the content that was sent, not how fast.

mod archives;
mod connection;
mod content;
mod contestant;
mod curl;
mod decoder;
mod field;
mod http2;
mod idle;
mod limits;
mod load;
mod machine;
mod memory;
mod meter;
mod options;
mod peers;
mod sample;
mod server;
mod stored;
mod table;
mod transfers;
mod upkeep;
mod work;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use options::Options;
use sample::Unit;
use transfers::{Case, Client, Way};
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
            "--program=reader" => upkeep::reader(args),
            "--program=remover" => upkeep::remover(args),
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
    let transfers = transfers(&options);
    let names = transfers.iter().map(|case| case.name);
    let names: Vec<&str> = names
        .chain(["P", "E", "I", "IDLE", "START", "MEM", "Z"])
        .collect();
    for wanted in &options.cases {
        let known = names.contains(&wanted.as_str());
        ensure!(known, "there is no case {wanted}, but {}", names.join(", "));
    }
    open_files()?;
    let work = Work::new()?;
    machine::describe(&options, work.path());
    let mut run = 0;
    for name in names {
        if !options.cases.is_empty() && !options.cases.iter().any(|wanted| wanted == name) {
            continue;
        }
        run += 1;
        match name {
            "P" => decoder::run(&options)?,
            "E" => upkeep::expiry(&options, &work)?,
            "I" => upkeep::index(&options, &work)?,
            "IDLE" => idle::servers(&options, &work)?,
            "START" => idle::start(&options, &work)?,
            "MEM" => memory::run(&options, &work)?,
            "Z" => archives::run(&options, &work)?,
            _ => {
                let case = transfers.iter().find(|case| case.name == name);
                case.expect("one of them").run(&options, &work)?;
            }
        }
    }
    if options.test && !FAILED.load(Ordering::Relaxed) {
        // As the test runner says it, for what counts its lines.
        println!("test result: ok. {run} passed; 0 failed");
    }
    Ok(())
}

/// Lets this process, and those it starts, open as many files as they may.
fn open_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("raising the limit of open files")
}

#[rustfmt::skip]
fn transfers(options: &Options) -> Vec<Case> {
    use Client::Curl;
    use Unit::{Files, Megabytes, Requests};
    use Way::{Down, Up};
    let case = |name, title, way, client, unit, requests, files, size| Case {
        name, title, way, client, unit, requests, files, size,
    };
    let threads = |full| Client::Threads(options.scale(full, 2));
    let number = |full| options.scale(full, 10);
    let size = |full: u64| options.scale(full * MIB, MIB);
    vec![
        case("U1", "1 GiB up on one connection", Up, threads(1), Megabytes, 1, 1, size(1024)),
        case("U1C", "1 GiB up, by curl", Up, Curl, Megabytes, 1, 1, size(1024)),
        case("U2", "256 MiB up on each of 4 connections", Up, threads(4), Megabytes, 4, 1, size(256)),
        case("U3", "forms with one file of 4 KiB up, on 32 connections", Up, threads(32), Requests, number(10_000), 1, 4096),
        case("U4", "forms with 1,000 files of 4 KiB up, one after another", Up, threads(1), Files(number(1000)), number(10), number(1000), 4096),
        case("U5", "16 MiB up on each of 64 connections", Up, threads(64), Megabytes, number(64), 1, size(16)),
        case("U6", "1 MiB up on each of 1,000 connections, all under way at once", Up, Client::Together(options.scale(1000, 2)), Megabytes, number(1000), 1, MIB),
        case("D1", "1 GiB down on one connection", Down, threads(1), Megabytes, 1, 1, size(1024)),
        case("D1N", "1 GiB down on one connection, by a client that reads nothing", Down, Client::Dropping(1), Megabytes, 1, 1, size(1024)),
        case("D1C", "1 GiB down, by curl", Down, Curl, Megabytes, 1, 1, size(1024)),
        case("D2", "files of 4 KiB down, on 32 connections", Down, threads(32), Requests, number(50_000), 1, 4096),
        case("D3", "16 MiB down on each of 64 connections", Down, threads(64), Megabytes, number(64), 1, size(16)),
    ]
}
