//! curl as the client: as a user has it, with a file to send or one to fetch.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::content::Intake;
use super::limits;
use super::load::Outcome;

/// Sends a file.
pub fn upload(address: SocketAddr, intake: Intake, file: &Path, size: u64) -> Result<Outcome> {
    let with = |prefix: &str, suffix: &str| {
        let mut argument = OsString::from(prefix);
        argument.push(file);
        argument.push(suffix);
        argument
    };
    let mut curl = Command::new("curl");
    match intake {
        Intake::Form {
            path,
            field,
            before,
        } => {
            if let Some((name, value)) = before {
                curl.arg("--form").arg(format!("{name}={value}"));
            }
            let content = with(&format!("{field}=@"), ";type=application/octet-stream");
            curl.arg("--form").arg(content);
            curl.arg(format!("http://{address}{path}"));
        }
        Intake::Put(path) => {
            let name = limits::name(0);
            curl.arg("--upload-file").arg(file);
            curl.arg(format!("http://{address}{path}{name}"));
        }
        Intake::Bare => unreachable!("a sink speaks no HTTP"),
    }
    run(curl, size)
}

/// Fetches a file, and drops it.
pub fn download(address: SocketAddr, path: &str, size: u64) -> Result<Outcome> {
    let mut curl = Command::new("curl");
    curl.args(["--output", "/dev/null"]);
    curl.arg(format!("http://{address}{path}"));
    run(curl, size)
}

fn run(mut curl: Command, size: u64) -> Result<Outcome> {
    let began = Instant::now();
    let output = curl.args(["--silent", "--show-error", "--fail"]).output()?;
    let wall = began.elapsed();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "curl: {said}");
    Ok(Outcome {
        wall,
        requests: 1,
        bytes: size,
        latencies: vec![wall],
    })
}
