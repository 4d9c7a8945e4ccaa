//! `wharf reindex`: the index made anew, while no server runs.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::app;
use crate::config::Config;

/// Makes the index anew.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let compared = runtime
        .block_on(app::reindex(&config.app))
        .context("cannot make the index anew")?;
    println!(
        "{} uploads indexed, {} damaged",
        compared.uploads, compared.damaged
    );
    Ok(if compared.damaged == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
