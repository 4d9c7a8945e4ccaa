//! The commands.

mod args;
mod check;
mod client;
mod config;
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
/// What kept it from its end, for standard error.
pub fn run() -> anyhow::Result<ExitCode> {
    let Invocation { command, sources } = args::parse();
    let warnings = unknown_variables(std::env::vars_os().map(|(name, _)| name));
    let warn = || warnings.iter().for_each(|warning| say(warning));
    let command = match command {
        Command::Completions(shell) => return Ok(manual::completions(shell)),
        Command::Man(page) => return Ok(manual::man(page.as_deref())),
        // A client has no settings, and does not read those of a server.
        Command::Client(command) => {
            if !command.is_quiet() {
                warn();
            }
            return Ok(client::run(*command));
        }
        Command::Server(command) => command,
    };
    let loaded = settings::load(&sources)?;
    // Read last, so that the file named by one setting can hold others.
    let config = settings::check_values(&loaded)?;
    if !matches!(command, ServerCommand::Serve) {
        warn();
    }
    match command {
        ServerCommand::Serve => serve::run(config, &warnings, Reloader::new(sources, loaded)),
        ServerCommand::Config => config::run(&loaded),
        ServerCommand::Check { remove } => check::run(&config, remove),
        ServerCommand::Reindex { adopt } => reindex::run(&config, adopt),
    }
}
