//! The commands.

mod args;
mod check;
mod client;
mod config;
mod reindex;
mod reload;
mod serve;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::config::{Config, Given, Loaded, Profiles, unknown_variables};
use crate::model::plain;
use args::{Command, Invocation, Sources};
use reload::Reloader;

/// Runs the command the arguments name.
///
/// # Errors
/// What kept it from its end, for standard error.
pub fn run() -> anyhow::Result<ExitCode> {
    let Invocation { command, sources } = args::parse();
    let warnings = unknown_variables(std::env::vars_os().map(|(name, _)| name));
    let warn = || warnings.iter().for_each(|warning| say(warning));
    // A client has no settings, and those of a server are none of its business.
    if let Command::Client(command) = command {
        if !command.is_quiet() {
            warn();
        }
        return Ok(client::run(*command));
    }
    let loaded = load(&sources)?;
    // Read last, so that the file named by one setting can hold others.
    let config = check_values(&loaded)?;
    if !matches!(command, Command::Serve) {
        warn();
    }
    match command {
        Command::Serve => serve::run(config, &warnings, Reloader::new(sources, loaded)),
        Command::Config => config::run(&loaded),
        Command::Check { remove } => check::run(&config, remove),
        Command::Reindex { adopt } => reindex::run(&config, adopt),
        Command::Client(_) => unreachable!("clients have run"),
    }
}

/// Tells the user something on standard error, which may be closed.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "wharf: {}", plain(text));
}

/// An error with what led to it; a cause that is in the text before it is not said again.
pub fn reason(error: &anyhow::Error) -> String {
    let mut reason = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if reason.is_empty() {
            reason = text;
        } else if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
    }
    reason
}

/// Reads the settings from where they were given.
fn load(sources: &Sources) -> anyhow::Result<Loaded> {
    let file = sources.file().map(|path| {
        let text = std::fs::read_to_string(&path);
        let text =
            text.with_context(|| format!("cannot read the settings in {}", path.display()))?;
        anyhow::Ok((path, text))
    });
    Ok(Loaded::from(Given {
        flags: sources.flags.clone(),
        environment: std::env::vars_os().collect(),
        file: file.transpose()?,
    })?)
}

fn check_values(loaded: &Loaded) -> anyhow::Result<Config> {
    let access_file = match loaded.get("access_file").texts.first().map(String::as_str) {
        None | Some("none") => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("access_file: cannot read {path}"))?,
    };
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let instance = format!("{host}-{}", std::process::id());
    let profiles = aws_profiles(loaded)?;
    Ok(Config::new(loaded, &access_file, &profiles, instance)?)
}

/// The files that programs for AWS share, where there is a bucket.
fn aws_profiles(loaded: &Loaded) -> anyhow::Result<Profiles> {
    if loaded.get("store").texts == ["disk"] {
        return Ok(Profiles::default());
    }
    let variable = |name: &str| {
        let mut found = loaded
            .aws
            .iter()
            .filter(|(known, value)| known == name && !value.is_empty());
        found.next().map(|(_, value)| value.clone())
    };
    let file = |name: &str, usual: &str| {
        if let Some(path) = variable(name) {
            let text = std::fs::read_to_string(&path);
            return text.with_context(|| format!("{name}: cannot read {path}"));
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let text = home.and_then(|home| std::fs::read_to_string(home.join(usual)).ok());
        Ok(text.unwrap_or_default())
    };
    Ok(Profiles {
        credentials: file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
        config: file("AWS_CONFIG_FILE", ".aws/config")?,
        name: variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once() {
        let file = io::Error::other("no such file");
        let said = anyhow::Error::new(file).context("cannot open it: no such file");
        assert_eq!(reason(&said), "cannot open it: no such file");
        let said = anyhow::anyhow!("inside").context("outside");
        assert_eq!(reason(&said), "outside: inside");
    }
}
