//! The commands.

mod args;
mod check;
mod client;
mod config;
mod copy;
mod doctor;
mod exposure;
mod healthcheck;
mod help;
mod listening;
mod manual;
mod reindex;
mod reload;
mod serve;
mod settings;
mod stderr;

use std::process::ExitCode;

use crate::config::unknown_variables;
use args::{Command, Invocation, ServerCommand};
use reload::Reloader;
use stderr::say;

pub use stderr::reason;

/// Runs the command the arguments name.
///
/// # Errors
/// The failure, for standard error.
pub fn run() -> anyhow::Result<ExitCode> {
    let Invocation { command, sources } = args::parse();
    let mut warnings = unknown_variables(std::env::vars_os().map(|(name, _)| name));
    let command = match command {
        Command::Completions(shell) => return Ok(manual::completions(shell)),
        Command::Man(page) => return Ok(manual::man(page.as_deref())),
        Command::Defaults => return config::defaults(),
        // A client has no settings, and does not read those of a server.
        Command::Client(command) => {
            warnings.iter().for_each(|warning| command.note(warning));
            return Ok(client::run(*command));
        }
        Command::Server(command) => command,
    };
    let read = || {
        let loaded = settings::load(&sources)?;
        // Read last, so that the file named by one setting can hold others.
        let config = settings::check_values(&loaded)?;
        anyhow::Ok((loaded, config))
    };
    let (loaded, config) = match (read(), &command) {
        (Err(error), ServerCommand::Doctor(args)) => return doctor::refused(&error, args),
        (read, _) => read?,
    };
    warnings.extend_from_slice(&loaded.warnings);
    if !matches!(command, ServerCommand::Serve) {
        warn(&warnings);
    }
    match command {
        ServerCommand::Serve => serve::run(config, &warnings, Reloader::new(sources, loaded)),
        ServerCommand::Config { json } => config::run(&config, &loaded, json),
        ServerCommand::Doctor(args) => doctor::run(&config, &loaded, &args),
        ServerCommand::Healthcheck => healthcheck::run(&config),
        ServerCommand::Copy(args) => copy::run(&sources, &args),
        ServerCommand::Check { remove } => check::run(&config, remove),
        ServerCommand::Reindex { adopt } => reindex::run(&config, adopt),
    }
}

fn warn(warnings: &[String]) {
    warnings.iter().for_each(|warning| say(warning));
}
