//! `wharf download`.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::bars::Bars;
use super::outcome::Outcome;
use super::{Fetch, Output, Target, interrupted, json_line, print};
use crate::client::{ArchiveFormat, Client, ClientError, Download, Downloaded, ReceivedFile};
use crate::model::plain;

pub async fn run(client: &Client, fetch: Fetch, output: Output) -> Outcome {
    let to_stdout = matches!(fetch.target, Target::Stdout);
    if to_stdout && (output.json || fetch.fields) {
        return output.usage("standard output takes the file, and nothing beside it");
    }
    let bars = Bars::new(output);
    let mut download = Download::all(fetch.names.iter().map(String::as_str))
        .replace(fetch.force)
        .flat(fetch.flat)
        .retries(fetch.retries)
        .progress(bars.clone());
    download = match &fetch.target {
        Target::Directory(path) => download.to_directory(path),
        Target::File(path) => download.to_file(path),
        Target::Stdout => match io::stdout().as_fd().try_clone_to_owned() {
            // As it is: the standard library would look for lines in it.
            Ok(stdout) => download.to_writer(File::from(stdout)),
            Err(error) => return output.failed_here(&format!("standard output: {error}")),
        },
    };
    // Standard output needs no tidying up, and a write to a pipe without a reader is interrupted by
    // no signal but one that ends the process.
    let interrupted = async {
        match to_stdout {
            true => std::future::pending().await,
            false => interrupted().await,
        }
    };
    let result = tokio::select! {
        result = receive(client, download, fetch.archive) => result,
        () = interrupted => {
            bars.clear();
            let done = bars.received();
            print_files(&done, output, fetch.fields || to_stdout);
            return output.interrupted(&format!("interrupted; {}", count(done.len())));
        }
    };
    bars.clear();
    match result {
        Ok(downloaded) => report(&downloaded, fetch.fields, to_stdout, output),
        Err(error) => {
            let done = bars.received();
            print_files(&done, output, fetch.fields || to_stdout);
            let outcome = output.failed(&error).after(!done.is_empty());
            if outcome == Outcome::Partly {
                output.note(&count(done.len()));
            }
            outcome
        }
    }
}

/// Fetches the files, or all in one.
async fn receive(
    client: &Client,
    download: Download,
    archive: Option<ArchiveFormat>,
) -> Result<Downloaded, ClientError> {
    match archive {
        Some(format) => client.archive(download, format).await,
        None => client.download(download).await,
    }
}

fn count(files: usize) -> String {
    match files {
        0 => "no file is complete".to_owned(),
        1 => "1 file is complete".to_owned(),
        more => format!("{more} files are complete"),
    }
}

fn report(downloaded: &Downloaded, fields: bool, to_stdout: bool, output: Output) -> Outcome {
    let mut outcome = print_files(&downloaded.files, output, fields || to_stdout);
    if fields {
        let fields = fields_json(&downloaded.fields);
        let line = if output.json {
            json!({ "fields": fields })
        } else {
            fields
        };
        outcome = print(json_line(&line).as_bytes());
    }
    for failure in &downloaded.failures {
        outcome = output.failed(failure);
    }
    for file in &downloaded.outdated {
        let path = shown(file.path.as_deref());
        output.note(&format!(
            "{path} is of the form as it was before it changed on the server"
        ));
    }
    if downloaded.files.is_empty() && downloaded.failures.is_empty() && !fields {
        output.note("it has no files; --fields prints its text fields");
    }
    outcome.after(!downloaded.files.is_empty())
}

/// Prints where the files are: as objects, or as paths unless something else is printed.
fn print_files(files: &[ReceivedFile], output: Output, something_else: bool) -> Outcome {
    let terminal = io::stdout().is_terminal();
    let mut text = String::new();
    for file in files {
        if output.json {
            text += &json_line(&file_json(file));
        } else if !output.quiet && !something_else {
            let path = shown(file.path.as_deref());
            // A program is told the path as it is.
            let path = if terminal {
                plain(&path)
            } else {
                path.as_str().into()
            };
            text += &format!("{path}\n");
        }
    }
    print(text.as_bytes())
}

fn file_json(file: &ReceivedFile) -> Value {
    json!({
        "field": file.field,
        "name": file.name,
        "path": shown(file.path.as_deref()),
        "size": file.size,
        "type": file.media_type,
        "sha256": file.sha256,
        "verified": file.sha256.is_some(),
    })
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string())
        .unwrap_or_default()
}

/// Names and their values, in the order they came first.
fn fields_json(fields: &[(String, String)]) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        let values = object.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(value));
        }
    }
    Value::Object(object)
}
