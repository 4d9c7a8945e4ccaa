//! The commands.

mod args;
mod check;
mod client;
mod config;
mod reindex;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::config::{Config, Given, Loaded, Profiles};
use args::{Command, Invocation};

/// Runs the command the arguments name.
///
/// # Errors
/// What kept it from its end, for standard error.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut invocation = args::parse();
    let command = match std::mem::replace(&mut invocation.command, Command::Serve) {
        // They have no settings, and those of a server are none of their business.
        Command::Client(command) => return Ok(client::run(*command)),
        command => command,
    };
    let loaded = load(invocation)?;
    // Read last, so that the file named by one setting can hold others.
    let config = check_values(&loaded)?;
    match command {
        Command::Serve => serve::run(config, &loaded.warnings),
        Command::Config => config::run(&loaded),
        Command::Check => check::run(&config),
        Command::Reindex { adopt } => reindex::run(&config, adopt),
        Command::Client(_) => unreachable!("clients have run"),
    }
}

fn load(invocation: Invocation) -> anyhow::Result<Loaded> {
    let named = std::env::var_os("WHARF_CONFIG").filter(|path| !path.is_empty());
    let path = invocation.config.or(named.map(PathBuf::from));
    let file = path.map(|path| {
        let text = std::fs::read_to_string(&path);
        let text =
            text.with_context(|| format!("cannot read the settings in {}", path.display()))?;
        anyhow::Ok((path, text))
    });
    Ok(Loaded::from(Given {
        flags: invocation.flags,
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
