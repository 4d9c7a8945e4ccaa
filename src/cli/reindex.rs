//! `wharf reindex`: the index made anew while no server runs, or compared by one that does.

use std::process::ExitCode;

use anyhow::Context as _;
use http::StatusCode;

use super::remote::{self, RemoteError};
use crate::app;
use crate::config::Config;

/// Exit codes of commands that ask a server.
const NOT_AUTHORISED: u8 = 4;
const NETWORK: u8 = 6;

/// Makes the index anew.
pub fn run(config: &Config, adopt: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let compared = runtime.block_on(app::reindex(&config.app, adopt));
    let compared = compared.context("cannot make the index anew")?;
    Ok(report(compared.uploads, compared.damaged))
}

/// Has the server at `url` compare its index.
pub fn ask(url: &str) -> anyhow::Result<ExitCode> {
    let token = std::env::var("WHARF_TOKEN").ok();
    let runtime = tokio::runtime::Runtime::new()?;
    let error = match runtime.block_on(remote::post(url, "/reindex", token.as_deref())) {
        Ok(json) => {
            let count = |key: &str| json[key].as_u64().unwrap_or(0);
            return Ok(report(count("uploads"), count("damaged")));
        }
        Err(error) => error,
    };
    let code = match &error {
        RemoteError::Refused { status, .. }
            if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(status) =>
        {
            NOT_AUTHORISED
        }
        RemoteError::Network { .. } => NETWORK,
        _ => return Err(error.into()),
    };
    eprintln!("wharf: {error}");
    Ok(ExitCode::from(code))
}

fn report(uploads: u64, damaged: u64) -> ExitCode {
    println!("{uploads} uploads indexed, {damaged} damaged");
    if damaged == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
