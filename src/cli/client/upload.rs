//! `wharf upload`.

use std::fmt::Write as _;
use std::path::Path;

use indicatif::BinaryBytes;
use serde_json::Value;

use super::bars::Bars;
use super::outcome::Outcome;
use super::{Output, Send, interrupted, json_line, print};
use crate::cli::stderr::say;
use crate::client::{Client, ClientError, FilePart, Upload};
use crate::model::plain;

/// What standard input is called, unless said otherwise.
const STDIN: &str = "stdin";

pub async fn run(client: &Client, send: Send, output: Output) -> Outcome {
    if send.name.is_some() && send.files.len() != 1 {
        return Outcome::usage("--name is for one file");
    }
    if send.files.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Outcome::usage("standard input can be sent once");
    }
    let bars = Bars::new(output);
    let upload = match prepare(send) {
        Ok(upload) => upload.progress(bars.clone()),
        Err(error) => return Outcome::of(&error),
    };
    let answer = tokio::select! {
        answer = client.upload(upload) => answer,
        () = interrupted() => {
            bars.clear();
            let stored = if bars.sent_all() {
                "the whole form had been sent, and may have been stored"
            } else {
                "nothing was stored"
            };
            say(&format!("interrupted; {stored}"));
            return Outcome::Interrupted;
        }
    };
    bars.clear();
    match answer {
        Ok(answer) => print(report(&answer, output).as_bytes()),
        Err(error) => Outcome::of(&error),
    }
}

fn prepare(send: Send) -> Result<Upload, ClientError> {
    let mut upload = Upload::new().block(send.chunk);
    for (name, value) in &send.fields {
        upload = upload.field(name, value);
    }
    for path in send.files {
        let mut file = if is_stdin(&path) {
            FilePart::reader(STDIN, std::io::stdin())
        } else {
            FilePart::open(path)?
        };
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
    if let Some(span) = &send.expires_in {
        upload = upload.expires_in(span);
    }
    if let Some(count) = send.max_downloads {
        upload = upload.max_downloads(count);
    }
    Ok(upload)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The answer for people, for scripts (the id alone), or as it came; another server's as it came.
fn report(answer: &Value, output: Output) -> String {
    let Some(id) = answer["id"].as_str().filter(|_| !output.json) else {
        return match answer {
            Value::Null => String::new(),
            Value::String(text) if !output.json => {
                let lines = text.trim_end().lines();
                lines.map(|line| format!("{}\n", plain(line))).collect()
            }
            answer => json_line(answer),
        };
    };
    let mut text = format!("{}\n", plain(id));
    if output.quiet {
        return text;
    }
    for file in answer["files"].as_array().into_iter().flatten() {
        let word = |key: &str| plain(file[key].as_str().unwrap_or_default());
        let size = BinaryBytes(file["size"].as_u64().unwrap_or_default());
        let (name, media_type, url) = (word("name"), word("type"), word("url"));
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name}  {size}  {media_type}  {url}");
    }
    for (label, key) in [("expires", "expires_at"), ("delete token", "delete_token")] {
        if let Some(value) = answer[key].as_str() {
            let _ = writeln!(text, "  {label}: {}", plain(value));
        }
    }
    text
}
