//! The arguments of the commands that ask a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, value_parser};

use super::{ClientCommand, Fetch, Output, Print, Send, ServerArgs, Target, values};
use crate::cli::help;
use crate::client::{
    ArchiveFormat, BLOCK, Change, DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Lifetime, RETRIES,
};
use crate::model::units::{format_duration, format_size, parse_duration};

/// The heading of what all commands have in common.
const SERVER: &str = "Server and output";

/// The commands.
pub fn commands() -> Vec<clap::Command> {
    let command = |name: &'static str, alias: Option<&'static str>, about: &'static str| {
        let command = clap::Command::new(name)
            .about(about)
            .long_about(help::about(name))
            .after_help(help::below(name));
        match alias {
            Some(alias) => command.visible_alias(alias),
            None => command,
        }
    };
    let upload = command(
        "upload",
        Some("put"),
        "Send files and text fields as one form",
    );
    let download = command("download", Some("get"), "Fetch files, and check them");
    let list = command("list", Some("ls"), "List uploads, newest first");
    let show = command("show", None, "Show uploads");
    let update = command(
        "update",
        None,
        "Change how long uploads are kept, or their titles",
    );
    let delete = command("delete", Some("rm"), "Delete uploads");
    let commands = [
        upload.args(of_upload()),
        download.args(of_download()),
        list.args([
            Arg::new("limit")
                .long("limit")
                .short('n')
                .value_name("N")
                .default_value("100")
                .help("List no more than so many")
                .value_parser(values::count),
            flag("all", "List all of them").conflicts_with("limit"),
            flag(
                "words",
                "Print ids and names alone, one a line, as completions do",
            )
            .conflicts_with_all(["json", "quiet"])
            .hide_short_help(true),
        ]),
        show.arg(ids()),
        update.arg(ids()).args(of_update()).group(
            ArgGroup::new("change")
                .args(["expires-in", "expires-at", "max-downloads", "title"])
                .required(true)
                .multiple(true),
        ),
        delete.arg(ids()),
    ];
    commands.into_iter().map(of_server).collect()
}

fn of_upload() -> Vec<Arg> {
    let [expires_in, expires_at, max_downloads, title] = options();
    vec![
        Arg::new("files")
            .value_name("FILE")
            .num_args(0..)
            .required_unless_present("field")
            .help("Send these files; - is standard input")
            .value_parser(value_parser!(PathBuf)),
        flag("recursive", "Send folders with all that is in them").short('r'),
        Arg::new("field")
            .long("field")
            .short('F')
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .help("Send this text field; may be repeated")
            .value_parser(values::field),
        expires_in,
        expires_at,
        max_downloads.value_parser(values::count),
        title,
        Arg::new("name")
            .long("name")
            .value_name("NAME")
            .help("Send the file under this name"),
        Arg::new("type")
            .long("type")
            .value_name("MIME")
            .help("Send the files with this media type [default: guessed from the name]"),
        Arg::new("file-field")
            .long("file-field")
            .value_name("NAME")
            .help("Send the files in this field [default: file]"),
        Arg::new("print")
            .long("print")
            .value_name("WHAT")
            .value_parser(["url", "id", "token", "json"])
            .help("Print this of the upload, and nothing else: url is the address of its file, where it is one"),
        Arg::new("chunk")
            .long("chunk")
            .value_name("SIZE")
            .default_value(format_size(BLOCK as u64))
            .hide_short_help(true)
            .help("Read files in blocks of 1KiB to 4MiB")
            .value_parser(values::chunk),
    ]
}

/// The options of an upload: how long, until when, how often, called what.
fn options() -> [Arg; 4] {
    [
        Arg::new("expires-in")
            .long("expires-in")
            .value_name("SPAN")
            .help("Have it kept for 90s, 15m, 12h, 7d, 2w, 1d12h, or never end")
            .value_parser(values::span),
        Arg::new("expires-at")
            .long("expires-at")
            .value_name("TIME")
            .conflicts_with("expires-in")
            .help("Have it kept until 2030-12-31T18:00:00Z")
            .value_parser(values::time),
        Arg::new("max-downloads")
            .long("max-downloads")
            .value_name("N")
            .help("Allow so many complete downloads of each file"),
        Arg::new("title")
            .long("title")
            .value_name("TEXT")
            .help("Call it so"),
    ]
}

fn of_update() -> [Arg; 4] {
    let [expires_in, expires_at, max_downloads, title] = options();
    [
        expires_in.help("Keep it for 90s, 15m, 12h, 7d, 2w, 1d12h from now, or never end"),
        expires_at.help("Keep it until 2030-12-31T18:00:00Z"),
        max_downloads
            .help("Allow so many complete downloads of each file, or none for any number")
            .value_parser(values::limit),
        title.help("Call it so; '' takes the title away"),
    ]
}

fn of_download() -> [Arg; 9] {
    [
        Arg::new("names")
            .value_name("NAME")
            .num_args(1..)
            .required(true)
            .help("A link, an id (all its files), ID/FILE, or the name of a file (the newest)"),
        Arg::new("output")
            .long("output")
            .short('o')
            .value_name("FILE")
            .help("Write the one file there; - is standard output")
            .value_parser(value_parser!(PathBuf)),
        Arg::new("dir")
            .long("dir")
            .short('d')
            .value_name("DIR")
            .conflicts_with("output")
            .help("Put the files into this folder, which is made when missing [default: .]")
            .value_parser(value_parser!(PathBuf)),
        flag(
            "flat",
            "Put all files into the folder itself, and not into their folders in it",
        )
        .conflicts_with("output"),
        flag(
            "zip",
            "Write all files of an upload into one ZIP file, ID.zip",
        )
        .conflicts_with_all(["flat", "fields"]),
        flag("tar", "The same as a tar file, ID.tar").conflicts_with_all(["zip", "flat", "fields"]),
        flag("force", "Replace files that have the same names").short('f'),
        flag("fields", "Print the text fields as JSON"),
        Arg::new("retries")
            .long("retries")
            .value_name("N")
            .default_value(RETRIES.to_string())
            .hide_short_help(true)
            .help("Give up when the transfer fails so often in a row without a new byte")
            .value_parser(values::number),
    ]
}

/// A command with the arguments that all have that ask a server.
fn of_server(command: clap::Command) -> clap::Command {
    let args = [
        server(),
        token_file(),
        ca_file().hide_short_help(true),
        Arg::new("timeout")
            .long("timeout")
            .value_name("SPAN")
            .default_value(format_duration(DEFAULT_TIMEOUT))
            .hide_short_help(true)
            .help("Give up when nothing moves for so long")
            .value_parser(parse_duration),
        flag(
            "json",
            "Print the server's objects, one a line; what fails is a problem document on standard error",
        ),
        flag("quiet", "Print no more than asked for, and no progress").short('q'),
    ];
    command.args(args.map(|arg| arg.help_heading(SERVER)))
}

/// The server.
pub fn server() -> Arg {
    Arg::new("server")
        .long("server")
        .short('s')
        .aliases(["to", "from"])
        .value_name("URL")
        .help(format!(
            "http://HOST:PORT, https://HOST or unix:/PATH (also WHARF_URL) [default: {DEFAULT_ADDRESS}]"
        ))
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
        .help("Their ids, or their links")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

/// The command of this name, when it is one that asks a server.
pub fn read(name: &str, matches: &ArgMatches) -> Option<ClientCommand> {
    Some(match name {
        "upload" => ClientCommand::Upload(server_args(matches), read_upload(matches)),
        "download" => ClientCommand::Download(server_args(matches), read_download(matches)),
        "list" => {
            let limit = matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
            let limit = if matches.get_flag("all") {
                u64::MAX
            } else {
                limit
            };
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            ClientCommand::List(server_args(matches), limit, matches.get_flag("words"))
        }
        "show" => ClientCommand::Show(server_args(matches), texts(matches, "ids")),
        "update" => {
            let ids = texts(matches, "ids");
            ClientCommand::Update(server_args(matches), ids, read_change(matches))
        }
        "delete" => ClientCommand::Delete(server_args(matches), texts(matches, "ids")),
        // Without an address it is the server's own command.
        "reindex" => {
            let address = text(matches, "server")?;
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
    let files = matches.get_many::<PathBuf>("files");
    let fields = matches.get_many::<(String, String)>("field");
    let printed = text(matches, "print");
    Send {
        files: files
            .map(|files| files.cloned().collect())
            .unwrap_or_default(),
        recursive: matches.get_flag("recursive"),
        fields: fields
            .map(|fields| fields.cloned().collect())
            .unwrap_or_default(),
        media_type: text(matches, "type"),
        name: text(matches, "name"),
        file_field: text(matches, "file-field"),
        lifetime: lifetime(matches),
        max_downloads: matches.get_one("max-downloads").copied(),
        title: text(matches, "title"),
        chunk: matches.get_one("chunk").copied().unwrap_or(BLOCK),
        print: match printed.as_deref() {
            Some("url") => Print::Url,
            Some("id") => Print::Id,
            Some("token") => Print::Token,
            Some("json") => Print::Json,
            _ if matches.get_flag("json") => Print::Json,
            _ if matches.get_flag("quiet") => Print::Link,
            _ => Print::All,
        },
    }
}

fn read_download(matches: &ArgMatches) -> Fetch {
    let target = match path(matches, "output") {
        Some(path) if path.as_os_str() == "-" => Target::Stdout,
        Some(path) => Target::File(path),
        None => Target::Directory(path(matches, "dir").unwrap_or_else(|| PathBuf::from("."))),
    };
    Fetch {
        names: texts(matches, "names"),
        target,
        flat: matches.get_flag("flat"),
        archive: match (matches.get_flag("zip"), matches.get_flag("tar")) {
            (true, _) => Some(ArchiveFormat::Zip),
            (_, true) => Some(ArchiveFormat::Tar),
            _ => None,
        },
        force: matches.get_flag("force"),
        fields: matches.get_flag("fields"),
        retries: matches.get_one("retries").copied().unwrap_or(RETRIES),
    }
}

fn read_change(matches: &ArgMatches) -> Change {
    let mut change = Change::new();
    if let Some(lifetime) = lifetime(matches) {
        change = change.lifetime(lifetime);
    }
    if let Some(count) = matches.get_one::<Option<u64>>("max-downloads") {
        change = change.max_downloads(*count);
    }
    if let Some(title) = text(matches, "title") {
        change = change.title(Some(title.as_str()).filter(|title| !title.is_empty()));
    }
    change
}

fn lifetime(matches: &ArgMatches) -> Option<Lifetime> {
    let span = matches.get_one::<Lifetime>("expires-in");
    span.or_else(|| matches.get_one("expires-at")).copied()
}

fn server_args(matches: &ArgMatches) -> ServerArgs {
    ServerArgs {
        address: text(matches, "server"),
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

fn text(matches: &ArgMatches, key: &str) -> Option<String> {
    matches.get_one::<String>(key).cloned()
}

fn texts(matches: &ArgMatches, key: &str) -> Vec<String> {
    let values = matches.get_many::<String>(key);
    values
        .map(|values| values.cloned().collect())
        .unwrap_or_default()
}

fn path(matches: &ArgMatches, key: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(key).cloned()
}
