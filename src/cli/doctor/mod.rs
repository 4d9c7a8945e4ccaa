//! `wharf doctor`: a look at the settings and at what they name, before a server serves it. It
//! leaves nothing behind.

mod backends;
mod folder;
mod process;
mod report;
mod url;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::stderr::reason;
use crate::config::{Config, Loaded, SETTINGS, SettingOrigin};
use report::{Level, Report};

/// The subjects of the look beside the settings, and how the report is printed.
#[derive(Debug, Default)]
pub struct DoctorArgs {
    /// The address that clients use, to be looked at through the proxies before it.
    pub url: Option<String>,
    /// Certificates to trust there, beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether the report is one JSON object.
    pub json: bool,
}

/// Looks, and prints a line for each finding. Only an error is a failure.
pub fn run(config: &Config, loaded: &Loaded, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let given = SETTINGS
        .iter()
        .filter(|setting| loaded.get(setting.key).origin != SettingOrigin::Default);
    report.ok(
        "settings",
        format!("{} are given, and all are right", given.count()),
    );
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(look(config, loaded, args, &mut report));
    print(&report, args)
}

/// Prints that the settings cannot be read, or that one of them is wrong: nothing else is looked at.
pub fn refused(error: &anyhow::Error, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    report.error("settings", reason(error), "correct it, and look again");
    print(&report, args)
}

fn print(report: &Report, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let text = match args.json {
        true => format!("{:#}\n", report.json()),
        false => report.lines(),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(match report.worst() {
        Level::Error => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

async fn look(config: &Config, loaded: &Loaded, args: &DoctorArgs, report: &mut Report) {
    process::clock(report);
    process::descriptors(config, report);
    process::listening(config, report).await;
    process::certificates(config, report);
    process::access(config, loaded, report).await;
    let shared = config.app.sharing.is_some();
    match &config.app.bucket {
        Some(bucket) => {
            backends::bucket(bucket, report).await;
            if !shared {
                folder::index(&config.app, report).await;
            }
        }
        None => folder::store(&config.app, report).await,
    }
    if let Some(sharing) = &config.app.sharing {
        backends::redis(&sharing.redis, report).await;
    }
    if let Some(url) = &args.url {
        url::look(url, args.ca_file.as_deref(), report).await;
    }
}
