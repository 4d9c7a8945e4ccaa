//! The arguments.

use std::path::PathBuf;

use clap::builder::styling::Styles;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use crate::config::{Kind, SETTINGS};

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve,
    /// Print the settings.
    Config,
    /// Read every stored file.
    Check,
    /// Make the index anew.
    Reindex {
        /// Whatever store and Redis were told before.
        adopt: bool,
    },
    /// Have the server at this address compare its index.
    ReindexAt(String),
}

/// What was asked for.
#[derive(Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// The settings given as flags.
    pub flags: Vec<(String, Vec<String>)>,
    /// The settings file.
    pub config: Option<PathBuf>,
}

/// Reads the arguments of the process; on a mistake, or for help, it ends the process.
pub fn parse() -> Invocation {
    read(&command().get_matches())
}

fn command() -> clap::Command {
    let styles = if std::env::var_os("NO_COLOR").is_some() {
        Styles::plain()
    } else {
        Styles::styled()
    };
    let mut command = clap::Command::new("wharf")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A server for multipart/form-data in both directions")
        .styles(styles)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("Read settings from this TOML file (also WHARF_CONFIG)")
                .value_parser(value_parser!(PathBuf))
                .global(true),
        )
        .arg(
            Arg::new("port")
                .short('p')
                .long("port")
                .value_name("PORT")
                .help("Listen on this port")
                .value_parser(value_parser!(u16))
                .conflicts_with("listen"),
        )
        .arg(
            Arg::new("bind")
                .short('b')
                .long("bind")
                .value_name("HOST")
                .help("Listen on this address")
                .conflicts_with("listen"),
        );
    for setting in SETTINGS {
        let action = match setting.kind {
            Kind::Single => ArgAction::Set,
            Kind::List => ArgAction::Append,
        };
        let default = match setting.default {
            "" => String::new(),
            text => format!(" [default: {text}]"),
        };
        command = command.arg(
            Arg::new(setting.key)
                .long(setting.flag())
                .value_name(setting.value)
                .help(format!("{}{default}", setting.help))
                .help_heading(setting.group)
                .action(action)
                .global(true),
        );
    }
    let subcommand =
        |name: &'static str, about: &'static str| clap::Command::new(name).about(about);
    command
        .subcommand(subcommand(
            "serve",
            "Serve (what wharf does without a command)",
        ))
        .subcommand(subcommand(
            "config",
            "Print the settings in effect, and where each was given",
        ))
        .subcommand(subcommand(
            "check",
            "Read every stored file and compare it with its manifest; changes nothing",
        ))
        .subcommand(
            subcommand("reindex", "Make the index anew from the manifests")
                .arg(
                    Arg::new("to")
                        .long("to")
                        .value_name("URL")
                        .help("Ask the server that runs there, with the admin secret in WHARF_TOKEN; without it, no server may run, unless they share the store through Redis"),
                )
                .arg(
                    Arg::new("adopt")
                        .long("adopt")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("to")
                        .help("Take the store and Redis to belong together, whatever they were told before"),
                ),
        )
}

fn read(matches: &ArgMatches) -> Invocation {
    let (command, sub) = match matches.subcommand() {
        Some(("config", sub)) => (Command::Config, sub),
        Some(("check", sub)) => (Command::Check, sub),
        Some(("reindex", sub)) => {
            let to = sub.get_one::<String>("to").cloned();
            let adopt = sub.get_flag("adopt");
            (
                to.map_or(Command::Reindex { adopt }, Command::ReindexAt),
                sub,
            )
        }
        Some((_, sub)) => (Command::Serve, sub),
        None => (Command::Serve, matches),
    };
    let mut flags = Vec::new();
    for setting in SETTINGS {
        if let Some(values) = sub.get_many::<String>(setting.key) {
            flags.push((setting.key.to_owned(), values.cloned().collect()));
        }
    }
    let (port, bind) = (
        matches.get_one::<u16>("port"),
        matches.get_one::<String>("bind"),
    );
    if port.is_some() || bind.is_some() {
        let host = bind.map_or("127.0.0.1", String::as_str);
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let address = format!("{host}:{}", port.unwrap_or(&8080));
        flags.push(("listen".to_owned(), vec![address]));
    }
    Invocation {
        command,
        flags,
        config: sub.get_one::<PathBuf>("config").cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Vec<(String, Vec<String>)> {
        let args = ["wharf"].iter().chain(args);
        read(&command().try_get_matches_from(args).unwrap()).flags
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn settings_stand_before_or_behind_the_command() {
        let expected = [("max_files".to_owned(), vec!["3".to_owned()])];
        assert_eq!(flags(&["--max-files", "3", "config"]), expected);
        assert_eq!(flags(&["config", "--max-files=3"]), expected);
    }

    #[test]
    fn short_forms_of_the_address() {
        let listen = |args: &[&str]| flags(args)[0].1.clone();
        assert_eq!(listen(&["-p", "0"]), ["127.0.0.1:0"]);
        assert_eq!(listen(&["-b", "::1", "-p", "81"]), ["[::1]:81"]);
        assert_eq!(listen(&["-b", "0.0.0.0"]), ["0.0.0.0:8080"]);
        assert_eq!(
            listen(&["--listen", "a:1", "--listen", "b:2"]),
            ["a:1", "b:2"]
        );
        assert!(
            command()
                .try_get_matches_from(["wharf", "--max-fils", "3"])
                .is_err()
        );
    }
}
