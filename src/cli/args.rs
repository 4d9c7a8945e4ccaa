//! The arguments.

use std::path::PathBuf;

use clap::builder::styling::Styles;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use clap_complete::Shell;

use super::client::{self, ClientCommand};
use super::copy::CopyArgs;
use super::doctor::DoctorArgs;
use super::help;
use super::settings::Sources;
use crate::config::{SETTINGS, SHARING, STORAGE, Setting, SettingKind, SettingShape};

/// The settings that `-h` shows; `--help` shows all.
const COMMON: [&str; 8] = [
    "port",
    "bind",
    "store",
    "dir",
    "redis",
    "default_expires_in",
    "open",
    "access_file",
];

/// A command with its arguments.
#[derive(Debug)]
pub enum Command {
    /// A command with the settings of a server.
    Server(ServerCommand),
    /// Ask a server.
    Client(Box<ClientCommand>),
    /// Print a settings file that has the defaults.
    Defaults,
    /// Print completions.
    Completions(Shell),
    /// Print a manual page.
    Man(Option<String>),
}

/// A command that needs the settings of a server.
#[derive(Debug)]
pub enum ServerCommand {
    /// Serve.
    Serve,
    /// Print the settings.
    Config {
        /// Whether as a JSON object.
        json: bool,
    },
    /// Read every stored file.
    Check {
        /// Whether uploads whose manifest is damaged are removed.
        remove: bool,
    },
    /// Copy the uploads of one store to another.
    Copy(CopyArgs),
    /// Look at the settings and what they name.
    Doctor(DoctorArgs),
    /// Ask the server of these settings whether it can store.
    Healthcheck,
    /// Make the index anew.
    Reindex {
        /// Whether store and Redis are taken to belong together.
        adopt: bool,
    },
}

/// The arguments of the process.
#[derive(Debug)]
pub struct Invocation {
    /// The command.
    pub command: Command,
    /// Where the settings are.
    pub sources: Sources,
}

/// Reads the arguments of the process; on a mistake, or for help, it ends the process.
pub fn parse() -> Invocation {
    let mut command = command();
    let read = read(&command.get_matches_mut());
    read.unwrap_or_else(|reason| command.error(ErrorKind::ArgumentConflict, reason).exit())
}

/// All there is to be said on the command line.
pub fn command() -> clap::Command {
    with_settings(|setting| {
        [flag_of(setting)]
            .into_iter()
            .chain(former_flag_of(setting))
            .collect()
    })
}

/// The same without the flags that settings had before: completions do not hide them.
pub fn completed() -> clap::Command {
    with_settings(|setting| vec![flag_of(setting)])
}

fn with_settings(flags: fn(&'static Setting) -> Vec<Arg>) -> clap::Command {
    let styles = if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        Styles::plain()
    } else {
        Styles::styled()
    };
    let mut command = clap::Command::new("wharf")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A server for multipart/form-data in both directions, and its client")
        .after_help(help::below("wharf"))
        .styles(styles);
    command = settings(command, flags);
    let serving = [
        ("serve", "Serve (what wharf does without a command)"),
        (
            "config",
            "Print the settings in effect, and where each was given",
        ),
        (
            "check",
            "Read every stored file and compare it with its manifest; changes nothing without --remove",
        ),
        (
            "copy",
            "Copy all uploads of a store to another, from a folder to a bucket or back, while the first one serves",
        ),
        (
            "doctor",
            "Look at the settings and at what they name, before a server serves it; leaves nothing behind",
        ),
        (
            "healthcheck",
            "Ask the server of these settings, on this machine, whether it can store",
        ),
        ("reindex", "Make the index anew from the manifests"),
    ];
    for (name, about) in serving {
        let sub = clap::Command::new(name).about(about);
        let mut sub = settings(sub.after_help(help::below(name)), flags);
        match name {
            "reindex" => sub = reindex(sub),
            "check" => sub = sub.arg(removal()),
            "config" => sub = sub.args(forms_of_config()),
            "copy" => sub = sub.args(CopyArgs::all()),
            "doctor" => sub = sub.args(of_doctor()),
            _ => {}
        }
        command = command.subcommand(sub);
    }
    command.subcommands(client::args::commands()).subcommands([
        clap::Command::new("completions")
            .about("Print the completions for a shell")
            .arg(
                Arg::new("shell")
                    .value_name("SHELL")
                    .required(true)
                    .value_parser(value_parser!(Shell)),
            ),
        clap::Command::new("man")
            .about("Print the manual page of wharf, or of one of its commands")
            .arg(Arg::new("page").value_name("COMMAND")),
    ])
}

fn forms_of_config() -> [Arg; 2] {
    [
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("Print one JSON object: each setting with its value and where it was given"),
        Arg::new("defaults")
            .long("defaults")
            .action(ArgAction::SetTrue)
            .conflicts_with("json")
            .help("Print a settings file with every setting, its help and its default, whatever is set"),
    ]
}

fn of_doctor() -> [Arg; 3] {
    [
        Arg::new("url")
            .long("url")
            .value_name("URL")
            .help("Look as well at what the proxies before the server do, at the address that clients use"),
        client::args::ca_file(),
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("Print one JSON object"),
    ]
}

fn removal() -> Arg {
    Arg::new("remove")
        .long("remove")
        .action(ArgAction::SetTrue)
        .help(
            "Remove uploads whose manifest is damaged, with all files under their id, and say which; \
             no server may run, unless they share the store through Redis",
        )
}

fn reindex(command: clap::Command) -> clap::Command {
    let server = client::args::server().help(
        "Ask the server that runs there, with the admin secret in WHARF_TOKEN; without it, no \
         server may run, unless they share the store through Redis",
    );
    let adopt = Arg::new("adopt")
        .long("adopt")
        .action(ArgAction::SetTrue)
        .conflicts_with("server")
        .help("Take the store and Redis to belong together, even if they were paired with others before");
    command.args([
        server,
        client::args::token_file(),
        client::args::ca_file(),
        adopt,
    ])
}

/// The command with every setting as a flag.
fn settings(command: clap::Command, flags: fn(&'static Setting) -> Vec<Arg>) -> clap::Command {
    let command = command.arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("Read settings from this TOML file (also WHARF_CONFIG)")
            .value_parser(value_parser!(PathBuf)),
    );
    let name = command.get_name().to_owned();
    let args = SETTINGS.iter().flat_map(|setting| {
        let flags = flags(setting).into_iter();
        flags.map(|arg| shown_in(&name, setting, arg))
    });
    command.args(args.collect::<Vec<_>>())
}

/// The flag as the help of a command shows it: a command that looks after a store has no use for more than
/// where that is.
fn shown_in(command: &str, setting: &Setting, arg: Arg) -> Arg {
    if arg.is_hide_set() {
        return arg;
    }
    match command {
        "copy" => arg.hide(setting.group != STORAGE),
        "check" | "reindex" => arg.hide(![STORAGE, SHARING].contains(&setting.group)),
        _ => arg.hide_short_help(!COMMON.contains(&setting.key)),
    }
}

fn flag_of(setting: &'static Setting) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        text => format!(" [default: {text}]"),
    };
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.value)
        .help(format!("{}{default}", setting.help))
        .help_heading(setting.group)
        .action(match setting.kind {
            SettingKind::Single => ArgAction::Set,
            SettingKind::List => ArgAction::Append,
        });
    let arg = match setting.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match setting.shape {
        // The word behind the flag may be a command.
        SettingShape::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        _ => arg,
    }
}

/// The flag that a setting had before, which no help mentions.
fn former_flag_of(setting: &'static Setting) -> Option<Arg> {
    let former = setting.former?;
    let arg = Arg::new(former)
        .long(former.replace('_', "-"))
        .value_name(setting.value);
    Some(arg.hide(true).action(ArgAction::Set))
}

/// # Errors
/// Settings of the server stand before a command that is not the server's.
fn read(matches: &ArgMatches) -> Result<Invocation, String> {
    let mut flags = flags(matches);
    let mut config = matches.get_one::<PathBuf>("config").cloned();
    let command = match matches.subcommand() {
        None => Command::Server(ServerCommand::Serve),
        Some((name, sub)) => {
            if let Some(command) = without_settings(name, sub) {
                if let Some((key, _)) = flags.first() {
                    return Err(format!(
                        "{key} is a setting of the server, not of wharf {name}"
                    ));
                }
                command
            } else {
                // Flags behind the command are read last, and win.
                flags.extend(self::flags(sub));
                config = sub.get_one::<PathBuf>("config").cloned().or(config);
                Command::Server(server_command(name, sub))
            }
        }
    };
    Ok(Invocation {
        command,
        sources: Sources { flags, config },
    })
}

/// The command of this name, when it needs no settings of a server.
fn without_settings(name: &str, matches: &ArgMatches) -> Option<Command> {
    Some(match name {
        "completions" => Command::Completions(*matches.get_one::<Shell>("shell")?),
        "config" if matches.get_flag("defaults") => Command::Defaults,
        "man" => Command::Man(matches.get_one::<String>("page").cloned()),
        _ => Command::Client(Box::new(client::args::read(name, matches)?)),
    })
}

fn server_command(name: &str, matches: &ArgMatches) -> ServerCommand {
    match name {
        "config" => ServerCommand::Config {
            json: matches.get_flag("json"),
        },
        "doctor" => ServerCommand::Doctor(DoctorArgs {
            url: matches.get_one::<String>("url").cloned(),
            ca_file: matches.get_one::<PathBuf>("ca-file").cloned(),
            json: matches.get_flag("json"),
        }),
        "copy" => ServerCommand::Copy(CopyArgs::read(matches)),
        "healthcheck" => ServerCommand::Healthcheck,
        "check" => ServerCommand::Check {
            remove: matches.get_flag("remove"),
        },
        "reindex" => ServerCommand::Reindex {
            adopt: matches.get_flag("adopt"),
        },
        _ => ServerCommand::Serve,
    }
}

/// The settings given as flags.
fn flags(matches: &ArgMatches) -> Vec<(String, Vec<String>)> {
    let mut flags = Vec::new();
    for key in SETTINGS.iter().flat_map(Setting::keys) {
        if let Some(values) = matches.get_many::<String>(key) {
            flags.push((key.to_owned(), values.cloned().collect()));
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Vec<(String, Vec<String>)> {
        let args = ["wharf"].iter().chain(args);
        let matches = command().try_get_matches_from(args).unwrap();
        read(&matches).unwrap().sources.flags
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
        let both = flags(&["--max-files", "1", "serve", "--max-files=3"]);
        assert_eq!(both.last(), expected.first());
    }

    #[test]
    fn a_client_has_no_settings() {
        let before = ["wharf", "--max-files", "3", "list"];
        let matches = command().try_get_matches_from(before).unwrap();
        assert!(read(&matches).unwrap_err().contains("max_files"));
        let behind = ["wharf", "list", "--max-files", "3"];
        assert!(command().try_get_matches_from(behind).is_err());
    }

    #[test]
    fn short_flags_and_switches_and_old_names() {
        let owned = |key: &str, text: &str| (key.to_owned(), vec![text.to_owned()]);
        assert_eq!(flags(&["-p", "0"]), [owned("port", "0")]);
        let both = flags(&["serve", "-b", "::1", "--port=81"]);
        assert_eq!(both, [owned("port", "81"), owned("bind", "::1")]);
        assert_eq!(
            flags(&["--listen", "a:1", "--listen", "b:2"])[0].1,
            ["a:1", "b:2"]
        );
        let redirect = |text: &str| [owned("s3_redirect", text)];
        assert_eq!(flags(&["--s3-redirect", "serve"]), redirect("true"));
        assert_eq!(flags(&["--s3-redirect=off"]), redirect("off"));
        assert_eq!(
            flags(&["--expire-after", "7d"]),
            [owned("expire_after", "7d")]
        );
        let help = command().render_long_help().to_string();
        assert!(!help.contains("--expire-after") && help.contains("--default-expires-in"));
    }

    #[test]
    fn what_is_unknown_is_named_with_a_suggestion() {
        let wrong = ["wharf", "--max-fils", "3"];
        let error = command()
            .try_get_matches_from(wrong)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--max-fils") && error.contains("--max-files"),
            "{error}"
        );
    }
}
