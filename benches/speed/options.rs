//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

/// The cases to be run, and how.
pub struct Options {
    /// The cases; none means all.
    pub cases: Vec<String>,
    pub rounds: usize,
    /// Run by `cargo test`, which does not give `--bench`: quickly.
    pub test: bool,
    /// Tiny sizes and one round: whether all of it works, not how fast.
    pub quick: bool,
    /// The peers, by the beginning of their labels; `None` means all that are installed.
    pub peers: Option<Vec<String>>,
    /// The builds of wharf, each with its label; the first is this tree's.
    pub wharfs: Vec<(String, PathBuf)>,
}

const USAGE: &str =
    "./bench [CASE…] [--rounds N] [--quick] [--peers NAME,…|none] [--binary LABEL=PATH]…";

impl Options {
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Self> {
        let own = std::env::var_os("WHARF_BENCH_BINARY")
            .map_or(env!("CARGO_BIN_EXE_wharf").into(), PathBuf::from);
        let mut options = Options {
            cases: Vec::new(),
            rounds: 7,
            test: true,
            quick: false,
            peers: None,
            wharfs: vec![("wharf".to_owned(), own)],
        };
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg}: {USAGE}"));
            match arg.as_str() {
                "--bench" => options.test = false,
                "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
                "--quick" => options.quick = true,
                "--peers" => {
                    let names = value()?;
                    let names = names.split(',').filter(|name| *name != "none");
                    options.peers = Some(names.map(str::to_owned).collect());
                }
                "--binary" => {
                    let value = value()?;
                    let (label, path) = value.split_once('=').context("--binary LABEL=PATH")?;
                    let path = std::fs::canonicalize(path).with_context(|| path.to_owned())?;
                    options.wharfs.push((label.to_owned(), path));
                }
                case if !case.starts_with('-') => options.cases.push(case.to_uppercase()),
                _ => bail!("{arg}: {USAGE}"),
            }
        }
        if options.test {
            options.quick = true;
            options
                .peers
                .get_or_insert_with(|| vec!["nginx".to_owned()]);
        }
        if options.quick {
            options.rounds = 1;
        }
        ensure!(options.rounds > 0, "--rounds 0 measures nothing");
        Ok(options)
    }

    /// Whether a peer takes part.
    pub fn wants(&self, peer: &str) -> bool {
        match &self.peers {
            None => true,
            Some(names) => names.iter().any(|name| peer.starts_with(name.as_str())),
        }
    }

    /// A size or a number, and the value of a quick run instead.
    pub fn scale<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
