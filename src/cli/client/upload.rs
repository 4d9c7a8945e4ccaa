//! `wharf upload`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use serde_json::Value;

use super::bars::Bars;
use super::kept::KeptTokens;
use super::outcome::Outcome;
use super::{Output, Print, Send, interrupted, json_line, print, words};
use crate::client::{
    Client, ClientError, FilePart, Folder, LeftOut, LeftOutKind, Upload, UploadRecord,
};
use crate::model::plain;

/// The name of standard input, unless another is given.
const STDIN: &str = "stdin";
/// The most files of an upload that are listed when it is stored: wharf show lists all.
const LISTED: usize = 20;
/// With more files than these, or a folder, the server is asked what it takes before anything is sent.
const FEW: usize = 100;
/// How many paths of a kind that is left out are named.
const SHOWN: usize = 10;

pub async fn run(client: &Client, send: Send, output: Output) -> Outcome {
    let folder = |path: &PathBuf| send.recursive && path.is_dir();
    if send.name.is_some() && (send.files.len() != 1 || send.files.iter().any(folder)) {
        return output.usage("--name is for one file");
    }
    if send.files.iter().filter(|path| is_stdin(path)).count() > 1 {
        return output.usage("standard input can be sent once");
    }
    let bars = Bars::new(output);
    let printed = send.print;
    let has_folder = send.files.iter().any(folder);
    let upload = match prepare(send, output) {
        Ok(upload) => upload.progress(bars.clone()),
        Err(error) => return output.failed(&error),
    };
    let answer = tokio::select! {
        answer = send_checked(client, upload, has_folder) => answer,
        () = interrupted() => {
            bars.clear();
            let stored = if bars.sent_all() {
                "the whole form had been sent, and may have been stored"
            } else {
                "nothing was stored"
            };
            return output.interrupted(&format!("interrupted; {stored}"));
        }
    };
    bars.clear();
    match answer {
        Ok(answer) => report(client, answer, printed, output),
        Err(error) => output.failed(&error),
    }
}

/// Sends a form. One that the server does not take is refused here, and not after half of it was sent.
async fn send_checked(
    client: &Client,
    upload: Upload,
    has_folder: bool,
) -> Result<Value, ClientError> {
    if has_folder || upload.file_count() > FEW {
        client.check(&upload).await?;
    }
    client.send_form(upload).await
}

fn prepare(send: Send, output: Output) -> Result<Upload, ClientError> {
    let mut upload = Upload::new().block(send.chunk);
    for (name, value) in &send.fields {
        upload = upload.field(name, value);
    }
    let mut left_out = Vec::new();
    for path in &send.files {
        let files = if is_stdin(path) {
            vec![FilePart::reader(STDIN, std::io::stdin())]
        } else if send.recursive && path.is_dir() {
            let folder = Folder::read(path)?;
            left_out.extend(folder.left_out);
            folder.files
        } else {
            vec![FilePart::open(path)?]
        };
        for mut file in files {
            if let Some(name) = &send.name {
                file = file.name(name);
            }
            if let Some(field) = &send.file_field {
                file = file.field(field);
            }
            if let Some(media_type) = &send.media_type {
                file = file.media_type(media_type)?;
            }
            upload = upload.file(file);
        }
    }
    note_left_out(&left_out, output);
    if upload.is_empty() {
        let reason = "there is no file to be sent in what is named";
        return Err(ClientError::Setup(reason.to_owned()));
    }
    if let Some(lifetime) = send.lifetime {
        upload = upload.lifetime(lifetime);
    }
    if let Some(count) = send.max_downloads {
        upload = upload.max_downloads(count);
    }
    if let Some(title) = &send.title {
        upload = upload.title(title);
    }
    Ok(upload)
}

/// Says what of the folders is not sent, a line for each kind.
fn note_left_out(left_out: &[LeftOut], output: Output) {
    let kinds = [
        (LeftOutKind::Link, "symbolic links, which are not followed"),
        (LeftOutKind::Special, "pipes, sockets and devices"),
        (LeftOutKind::Litter, "files of file managers"),
        (LeftOutKind::EmptyFolder, "folders without anything in them"),
    ];
    for (kind, what) in kinds {
        let paths: Vec<String> = left_out
            .iter()
            .filter(|left| left.kind == kind)
            .map(|left| left.path.display().to_string())
            .collect();
        let more = match paths.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !paths.is_empty() {
            let shown = paths[..paths.len().min(SHOWN)].join(", ");
            output.note(&format!("left out are {what}: {shown}{more}"));
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Keeps the token of the upload, and prints the answer; that of another server as it came.
fn report(client: &Client, answer: Value, printed: Print, output: Output) -> Outcome {
    let upload = match (UploadRecord::recognize(answer), printed) {
        (Ok(upload), _) => upload,
        (Err((answer, _)), Print::All | Print::Json) => {
            return print(foreign(&answer, printed).as_bytes());
        }
        (Err(_), Print::Link | Print::Url | Print::Id | Print::Token) => {
            let reason = format!(
                "{} took the form, and what it says is no record of an upload: --json prints it",
                client.name()
            );
            return output.failed(&ClientError::Answer(reason));
        }
    };
    let kept = keep(client, &upload);
    if let Err(reason) = &kept
        && matches!(printed, Print::Url | Print::Id | Print::Link)
    {
        output.note(reason);
    }
    let line = |text: &str| format!("{}\n", plain(text));
    let text = match printed {
        Print::Json => json_line(upload.json()),
        Print::Link => line(&upload.upload_url),
        Print::Url => line(&upload.url),
        Print::Id => line(&upload.id),
        Print::Token => match &upload.delete_token {
            Some(token) => line(token.reveal()),
            None => return output.failed_here("the server has given no delete token"),
        },
        Print::All => describe(&upload, kept.is_ok()),
    };
    print(text.as_bytes())
}

/// Keeps the token of the upload for this user.
///
/// # Errors
/// In words, where there was one to keep.
fn keep(client: &Client, upload: &UploadRecord) -> Result<(), String> {
    let Some(token) = &upload.delete_token else {
        return Ok(());
    };
    let tokens = KeptTokens::of_user();
    let tokens = tokens.ok_or("the delete token is not kept: the user has no home")?;
    tokens.keep(client.name(), token, upload).map_err(|error| {
        let place = tokens.place().display();
        format!("cannot keep the delete token in {place}: {error}")
    })
}

/// The answer of another server.
fn foreign(answer: &Value, printed: Print) -> String {
    match answer {
        Value::Null => String::new(),
        Value::String(text) if printed != Print::Json => {
            let lines = text.trim_end().lines();
            lines.map(|line| format!("{}\n", plain(line))).collect()
        }
        answer => json_line(answer),
    }
}

/// The upload for people: its link, what it has, and how it is deleted.
fn describe(upload: &UploadRecord, kept: bool) -> String {
    let mut text = format!("{}\n", plain(&upload.upload_url));
    if upload.files.len() > LISTED {
        let (files, size) = (words::files(upload.file_count), BinaryBytes(upload.size));
        let _ = writeln!(text, "  {files}  {size}");
    }
    for file in upload.files.iter().filter(|_| upload.files.len() <= LISTED) {
        let (name, media_type) = (words::place(file), plain(&file.media_type));
        let size = BinaryBytes(file.size);
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name}  {size}  {media_type}");
        let _ = writeln!(text, "    {}", plain(&file.url));
    }
    text += &words::bounds(upload);
    let id = plain(&upload.id);
    let _ = match (&upload.delete_token, kept) {
        (Some(token), false) => {
            writeln!(
                text,
                "  id: {id}\n  delete token: {}",
                plain(token.reveal())
            )
        }
        (Some(_), true) => writeln!(text, "  delete it: wharf delete {id}"),
        (None, _) => writeln!(text, "  id: {id}"),
    };
    text
}
