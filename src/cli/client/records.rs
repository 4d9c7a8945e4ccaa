//! `wharf list`, `show`, and `reindex --server`.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use indicatif::BinaryBytes;

use super::link::Named;
use super::outcome::Outcome;
use super::{Output, ServerArgs, json_line, print, uninterrupted, unprinted, words, write};
use crate::cli::reindex;
use crate::client::{Client, UploadRecord};
use crate::model::plain;

pub async fn list(client: &Client, limit: usize, words: bool, output: Output) -> Outcome {
    let mut printed = Outcome::Done;
    let mut any = false;
    let each = |upload: UploadRecord| {
        let line = match (output.json, output.quiet) {
            _ if words => completions(&upload),
            (true, _) => json_line(upload.json()),
            (_, true) => format!("{}\n", plain(&upload.id)),
            _ if any => format!("{}\n", words::row(&upload)),
            _ => format!("{}\n{}\n", words::header(), words::row(&upload)),
        };
        any = true;
        match write(line.as_bytes()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                printed = unprinted(&error);
                ControlFlow::Break(())
            }
        }
    };
    match uninterrupted(client.list(limit, each), output).await {
        Ok(()) => {
            if !any && !words {
                output.note("there are no uploads");
            }
            printed
        }
        Err(outcome) => outcome,
    }
}

/// The words that can be typed for an upload: its id, and the name of its file.
fn completions(upload: &UploadRecord) -> String {
    let name = upload.name.iter().map(|name| format!("{}\n", plain(name)));
    std::iter::once(format!("{}\n", plain(&upload.id)))
        .chain(name)
        .collect()
}

pub async fn show(server: &ServerArgs, ids: &[String]) -> Outcome {
    let output = server.output;
    let mut outcome = Outcome::Done;
    let mut done = false;
    for what in ids {
        let named = Named::read(what);
        let shown = async {
            let client = server.client_of(named.server.as_deref())?;
            // The link of a file is one of its upload as well.
            let id = match named.server {
                Some(_) => named.name.split('/').next().unwrap_or_default(),
                None => &named.name,
            };
            client.show(id).await
        };
        match uninterrupted(shown, output).await {
            Ok(upload) => {
                done = true;
                let shown = match output.json {
                    true => json_line(upload.json()),
                    false => describe(&upload),
                };
                outcome = outcome.or(print(shown.as_bytes()));
            }
            Err(Outcome::Interrupted) => return Outcome::Interrupted,
            Err(failed) => outcome = outcome.or(failed),
        }
    }
    outcome.after(done)
}

pub async fn reindex(client: &Client, output: Output) -> Outcome {
    let counted = match uninterrupted(client.reindex(), output).await {
        Ok(counted) => counted,
        Err(outcome) => return outcome,
    };
    let (Some(uploads), Some(damaged)) = (counted["uploads"].as_u64(), counted["damaged"].as_u64())
    else {
        return output.failed_here("the server's answer is no count of uploads");
    };
    let printed = print(format!("{}\n", reindex::report(uploads, damaged)).as_bytes());
    if damaged == 0 {
        printed
    } else {
        Outcome::Failed
    }
}

/// All there is to say, a line each. Writing to a String does not fail.
fn describe(upload: &UploadRecord) -> String {
    let mut shown = format!("{}\n", plain(&upload.id));
    let _ = writeln!(shown, "  link: {}", plain(&upload.upload_url));
    let _ = writeln!(shown, "  created: {}", words::second(upload.created_at));
    shown += &words::bounds(upload);
    for (name, values) in &upload.fields {
        for value in values {
            let _ = writeln!(shown, "  {} = {}", plain(name), plain(value));
        }
    }
    for file in &upload.files {
        let size = BinaryBytes(file.size);
        let (name, media_type, url) = (
            words::place(file),
            plain(&file.media_type),
            plain(&file.url),
        );
        let _ = writeln!(shown, "  {name}  {size}  {media_type}\n    {url}");
        if let Some(sha256) = file.sha256 {
            let _ = writeln!(shown, "    sha-256 {sha256}");
        }
    }
    shown
}
