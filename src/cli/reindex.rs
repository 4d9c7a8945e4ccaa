//! `wharf reindex`: the index made anew while no server runs.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::app;
use crate::config::Config;
use crate::shutdown::survive_file_limit;

/// Makes the index anew.
pub fn run(config: &Config, adopt: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let compared = runtime.block_on(async {
        survive_file_limit();
        app::reindex(&config.app, adopt).await
    });
    let compared = compared.context("cannot make the index anew")?;
    let (uploads, damaged) = (compared.uploads, compared.damaged);
    for (id, what) in &compared.reports {
        writeln!(io::stdout(), "{id}: {what}")?;
    }
    writeln!(io::stdout(), "{}", report(uploads, damaged))?;
    Ok(if damaged == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The result of a comparison in words, for one made here or by a server.
pub fn report(uploads: u64, damaged: u64) -> String {
    format!("{uploads} uploads indexed, {damaged} damaged")
}
