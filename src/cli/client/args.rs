//! The arguments of the commands that ask a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::{ClientCommand, Fetch, Output, Send, ServerArgs};
use crate::client::{BLOCK, DEFAULT_ADDRESS, DEFAULT_TIMEOUT, RETRIES};
use crate::model::units::{format_duration, format_size, parse_duration, parse_size};

/// The sizes of blocks in which files can be read.
const CHUNKS: std::ops::RangeInclusive<u64> = 1024..=4 << 20;

/// The commands.
pub fn commands() -> Vec<clap::Command> {
    let command = |name: &'static str, about: &'static str| clap::Command::new(name).about(about);
    vec![
        upload(command("upload", "Send files and text fields as one form")),
        download(command(
            "download",
            "Fetch a form, or files by name, and check them",
        )),
        server(command("list", "List uploads, newest first"), "from").args([
            Arg::new("limit")
                .long("limit")
                .short('n')
                .value_name("N")
                .default_value("100")
                .help("List no more than so many")
                .value_parser(value_parser!(u64).range(1..)),
            flag("all", "List all of them").conflicts_with("limit"),
        ]),
        server(command("show", "Show an upload"), "from").arg(ids()),
        server(
            command(
                "delete",
                "Delete uploads, with their delete token or as an admin",
            ),
            "from",
        )
        .arg(ids()),
    ]
}

fn upload(command: clap::Command) -> clap::Command {
    server(command, "to").args([
        Arg::new("files")
            .value_name("FILE")
            .num_args(0..)
            .required_unless_present("field")
            .help("Send these files; - is standard input")
            .value_parser(value_parser!(PathBuf)),
        Arg::new("field")
            .long("field")
            .short('F')
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .help("Send this text field; may be repeated")
            .value_parser(parse_field),
        Arg::new("type")
            .long("type")
            .value_name("MIME")
            .help("Send the files with this media type [default: guessed from the name]"),
        Arg::new("name")
            .long("name")
            .value_name("NAME")
            .help("Send the file under this name"),
        Arg::new("file-field")
            .long("file-field")
            .value_name("NAME")
            .help("Send the files in this field [default: file]"),
        Arg::new("expires-in")
            .long("expires-in")
            .value_name("SPAN")
            .help("Have it kept for 90s, 15m, 12h, 7d, 2w, 1d12h, or never end"),
        Arg::new("max-downloads")
            .long("max-downloads")
            .value_name("N")
            .help("Allow so many complete downloads of each file")
            .value_parser(value_parser!(u64).range(1..)),
        Arg::new("chunk")
            .long("chunk")
            .value_name("SIZE")
            .default_value(format_size(BLOCK as u64))
            .help("Read files in blocks of 1KiB to 4MiB")
            .value_parser(parse_chunk),
    ])
}

fn download(command: clap::Command) -> clap::Command {
    server(command, "from").args([
        Arg::new("names")
            .value_name("NAME")
            .num_args(1..)
            .required(true)
            .help(
                "An id (the whole form), ID/FILE, or the name of a file (the newest of that name)",
            ),
        Arg::new("output")
            .long("output")
            .short('o')
            .value_name("DIR")
            .default_value(".")
            .help("Put the files there; - writes one file to standard output")
            .value_parser(value_parser!(PathBuf)),
        flag("force", "Replace files that have the same names").short('f'),
        flag("fields", "Print the text fields as JSON"),
        Arg::new("retries")
            .long("retries")
            .value_name("N")
            .default_value(RETRIES.to_string())
            .help("Give up when the transfer fails so often in a row without a new byte")
            .value_parser(value_parser!(u32)),
    ])
}

/// The arguments of every command that asks a server. Its address is given as `--to` or `--from`,
/// whichever reads better; the other is taken as well.
fn server(command: clap::Command, flag_name: &'static str) -> clap::Command {
    let other = if flag_name == "to" { "from" } else { "to" };
    command.args([
        Arg::new("server")
            .long(flag_name)
            .alias(other)
            .value_name("URL")
            .help(format!(
                "The server: http://HOST:PORT, https://HOST or unix:/PATH (also WHARF_URL) [default: {DEFAULT_ADDRESS}]"
            )),
        token_file(),
        ca_file(),
        Arg::new("timeout")
            .long("timeout")
            .value_name("SPAN")
            .default_value(format_duration(DEFAULT_TIMEOUT))
            .help("Give up when nothing moves for so long")
            .value_parser(parse_duration),
        flag("json", "Print the server's objects, one a line"),
        flag("quiet", "Print no more than asked for, and no progress").short('q'),
    ])
}

/// The file with the token; the token itself is no argument, because those can be seen.
pub fn token_file() -> Arg {
    Arg::new("token-file")
        .long("token-file")
        .value_name("FILE")
        .help("Read the access secret or delete token from this file (else from WHARF_TOKEN)")
        .value_parser(value_parser!(PathBuf))
}

/// Certificates to be trusted.
pub fn ca_file() -> Arg {
    Arg::new("ca-file")
        .long("ca-file")
        .value_name("FILE")
        .help("Trust the certificates in this PEM file, beside the system's")
        .value_parser(value_parser!(PathBuf))
}

fn ids() -> Arg {
    Arg::new("ids")
        .value_name("ID")
        .num_args(1..)
        .required(true)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it is not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_chunk(text: &str) -> Result<usize, String> {
    let size = parse_size(text).map_err(|error| error.to_string())?;
    let fits = CHUNKS.contains(&size).then_some(size);
    let fits = fits.and_then(|size| usize::try_from(size).ok());
    fits.ok_or_else(|| "it is not between 1KiB and 4MiB".to_owned())
}

/// The command of this name, when it is one that asks a server.
pub fn read(name: &str, matches: &ArgMatches) -> Option<ClientCommand> {
    let texts = |key: &str| -> Vec<String> {
        let values = matches.get_many::<String>(key);
        values
            .map(|values| values.cloned().collect())
            .unwrap_or_default()
    };
    Some(match name {
        "upload" => ClientCommand::Upload(server_args(matches), read_upload(matches)),
        "download" => ClientCommand::Download(
            server_args(matches),
            Fetch {
                names: texts("names"),
                output: path(matches, "output").unwrap_or_default(),
                force: matches.get_flag("force"),
                fields: matches.get_flag("fields"),
                retries: matches.get_one("retries").copied().unwrap_or(RETRIES),
            },
        ),
        "list" => {
            let limit = matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
            let limit = if matches.get_flag("all") {
                u64::MAX
            } else {
                limit
            };
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            ClientCommand::List(server_args(matches), limit)
        }
        "show" => ClientCommand::Show(server_args(matches), texts("ids")),
        "delete" => ClientCommand::Delete(server_args(matches), texts("ids")),
        // Without an address it is the server's own command.
        "reindex" => {
            let address = matches.get_one::<String>("to")?.clone();
            ClientCommand::Reindex(ServerArgs {
                address: Some(address),
                token_file: path(matches, "token-file"),
                ca_file: path(matches, "ca-file"),
                timeout: DEFAULT_TIMEOUT,
                output: Output::default(),
            })
        }
        _ => return None,
    })
}

fn read_upload(matches: &ArgMatches) -> Send {
    let text = |key: &str| matches.get_one::<String>(key).cloned();
    let files = matches.get_many::<PathBuf>("files");
    let fields = matches.get_many::<(String, String)>("field");
    Send {
        files: files
            .map(|files| files.cloned().collect())
            .unwrap_or_default(),
        fields: fields
            .map(|fields| fields.cloned().collect())
            .unwrap_or_default(),
        media_type: text("type"),
        name: text("name"),
        file_field: text("file-field"),
        expires_in: text("expires-in"),
        max_downloads: matches.get_one("max-downloads").copied(),
        chunk: matches.get_one("chunk").copied().unwrap_or(BLOCK),
    }
}

fn server_args(matches: &ArgMatches) -> ServerArgs {
    ServerArgs {
        address: matches.get_one::<String>("server").cloned(),
        token_file: path(matches, "token-file"),
        ca_file: path(matches, "ca-file"),
        timeout: matches
            .get_one::<Duration>("timeout")
            .copied()
            .unwrap_or(DEFAULT_TIMEOUT),
        output: Output {
            json: matches.get_flag("json"),
            quiet: matches.get_flag("quiet"),
        },
    }
}

fn path(matches: &ArgMatches, key: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(key).cloned()
}
