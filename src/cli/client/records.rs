//! `wharf list`, `show`, `delete`, and `reindex --to`.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use indicatif::BinaryBytes;
use serde_json::Value;

use super::outcome::Outcome;
use super::{Output, interrupted, json_line, print, unprinted, write};
use crate::cli::reindex;
use crate::cli::stderr::say;
use crate::client::{Client, ClientError};
use crate::model::plain;

/// The result of `work`, unless it is interrupted.
async fn uninterrupted<T>(
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Outcome> {
    tokio::select! {
        result = work => result.map_err(|error| Outcome::of(&error)),
        () = interrupted() => {
            say("interrupted");
            Err(Outcome::Interrupted)
        }
    }
}

pub async fn list(client: &Client, limit: usize, output: Output) -> Outcome {
    let mut printed = Outcome::Done;
    let each = |upload: Value| {
        let line = match (output.json, output.quiet) {
            (true, _) => json_line(&upload),
            (_, true) => format!("{}\n", text(&upload["id"])),
            _ => format!("{}\n", summary(&upload)),
        };
        match write(line.as_bytes()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                printed = unprinted(&error);
                ControlFlow::Break(())
            }
        }
    };
    match uninterrupted(client.list(limit, each)).await {
        Ok(()) => printed,
        Err(outcome) => outcome,
    }
}

pub async fn show(client: &Client, ids: &[String], output: Output) -> Outcome {
    let mut outcome = Outcome::Done;
    let mut done = false;
    for id in ids {
        match uninterrupted(client.show(id)).await {
            Ok(upload) => {
                done = true;
                let shown = if output.json {
                    json_line(&upload)
                } else {
                    describe(&upload)
                };
                outcome = worse(outcome, print(shown.as_bytes()));
            }
            Err(Outcome::Interrupted) => return Outcome::Interrupted,
            Err(failed) => outcome = worse(outcome, failed),
        }
    }
    outcome.after(done)
}

pub async fn delete(client: &Client, ids: &[String], output: Output) -> Outcome {
    let mut outcome = Outcome::Done;
    let mut done = false;
    for id in ids {
        let deleting = async {
            match client.delete(id).await {
                Err(error) if error.is_not_found() => Ok(false),
                deleted => deleted.map(|()| true),
            }
        };
        match uninterrupted(deleting).await {
            Ok(false) => {
                say(&format!("{id} was not there, or this is not its token"));
                outcome = worse(outcome, Outcome::NotFound);
            }
            Ok(true) => {
                done = true;
                if !output.quiet && !output.json {
                    outcome = worse(outcome, print(format!("deleted {id}\n").as_bytes()));
                }
            }
            Err(Outcome::Interrupted) => return Outcome::Interrupted,
            Err(failed) => outcome = worse(outcome, failed),
        }
    }
    outcome.after(done)
}

pub async fn reindex(client: &Client) -> Outcome {
    let counted = match uninterrupted(client.reindex()).await {
        Ok(counted) => counted,
        Err(outcome) => return outcome,
    };
    let (Some(uploads), Some(damaged)) = (counted["uploads"].as_u64(), counted["damaged"].as_u64())
    else {
        return Outcome::failed("the server's answer is no count of uploads");
    };
    let printed = print(format!("{}\n", reindex::report(uploads, damaged)).as_bytes());
    if damaged == 0 {
        printed
    } else {
        Outcome::Failed
    }
}

/// The first thing that went wrong.
fn worse(before: Outcome, now: Outcome) -> Outcome {
    if before == Outcome::Done { now } else { before }
}

fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or_default()).into_owned()
}

fn files(upload: &Value) -> impl Iterator<Item = &Value> {
    upload["files"].as_array().into_iter().flatten()
}

/// One line: id, when, how much, what.
fn summary(upload: &Value) -> String {
    let size = upload["size"].as_u64().unwrap_or_default();
    let what = match (upload["name"].as_str(), upload["file_count"].as_u64()) {
        (Some(name), _) => plain(name).into_owned(),
        (None, Some(count)) if count > 0 => format!("{count} files"),
        _ => String::new(),
    };
    let (id, created) = (text(&upload["id"]), text(&upload["created_at"]));
    let size = BinaryBytes(size).to_string();
    format!("{id}  {created}  {size:>11}  {what}")
        .trim_end()
        .to_owned()
}

/// All there is to say, a line each. Writing to a String does not fail.
fn describe(upload: &Value) -> String {
    let mut shown = format!("{}\n", text(&upload["id"]));
    for (label, key) in [("created", "created_at"), ("expires", "expires_at")] {
        if upload[key].is_string() {
            let _ = writeln!(shown, "  {label}: {}", text(&upload[key]));
        }
    }
    if let Some(count) = upload["max_downloads"].as_u64() {
        let _ = writeln!(shown, "  downloads: {count} at most");
    }
    for (name, values) in upload["fields"].as_object().into_iter().flatten() {
        for value in values.as_array().into_iter().flatten() {
            let _ = writeln!(shown, "  {} = {}", plain(name), text(value));
        }
    }
    for file in files(upload) {
        let size = BinaryBytes(file["size"].as_u64().unwrap_or_default());
        let (name, media_type) = (text(&file["name"]), text(&file["type"]));
        let _ = writeln!(
            shown,
            "  {name}  {size}  {media_type}  {}",
            text(&file["url"])
        );
        if file["sha256"].is_string() {
            let _ = writeln!(shown, "    sha-256 {}", text(&file["sha256"]));
        }
    }
    shown
}
