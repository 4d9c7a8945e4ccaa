//! `wharf check`: every stored file read and compared with what its manifest says.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crate::app;
use crate::config::Config;
use crate::model::{Manifest, Prefix, UploadId};
use crate::repository::{Repository, compare_file};
use crate::store::{Store, StoreError};

/// How long the end of a removal is waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The result of a check.
#[derive(Debug, Default)]
struct Tally {
    uploads: u64,
    files: u64,
    bytes: u64,
    damaged: u64,
    removed: u64,
}

/// Reads everything, and prints the damage. With `remove`, uploads whose manifest is damaged
/// are removed; else nothing is changed.
pub fn run(config: &Config, remove: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let tally = runtime.block_on(async {
        // A folder that is named by mistake is not made a store.
        let store = app::inspect(&config.app)?;
        if !remove {
            report_unreplayed(&*store).await?;
            return check(&*store, None).await;
        }
        let opened = app::open(&config.app, 0).await?;
        let uploads = &opened.repository;
        let tally = check(&**uploads.store(), Some(uploads)).await;
        uploads.close(CLOSE_TIMEOUT).await?;
        tally
    })?;
    let removed = match remove {
        true => format!(", {} removed", tally.removed),
        false => String::new(),
    };
    writeln!(
        io::stdout(),
        "{} uploads, {} files, {} bytes read; {} damaged{removed}",
        tally.uploads,
        tally.files,
        tally.bytes,
        tally.damaged
    )?;
    Ok(if tally.damaged == tally.removed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints how many uploads only the journal has: a power cut has taken their names.
pub async fn report_unreplayed(store: &dyn Store) -> anyhow::Result<()> {
    let Some(local) = store.local() else {
        return Ok(());
    };
    let count = local.unreplayed().await?;
    if count > 0 {
        writeln!(
            io::stdout(),
            "{count} uploads are in the journal alone: start the server once"
        )?;
    }
    Ok(())
}

/// Checks all of `store`; uploads with a damaged manifest are removed, if `uploads` is given.
async fn check(store: &dyn Store, uploads: Option<&Repository>) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for prefix in Prefix::all() {
        for found in store.scan(prefix).await? {
            let id = found.id;
            match (store.manifest(&id).await, uploads) {
                (Ok(Some(manifest)), _) => check_upload(store, &manifest, &mut tally).await?,
                // Removed while we looked.
                (Ok(None), _) => {}
                (Err(error @ StoreError::Damaged(_)), Some(uploads)) => {
                    tally.report(&id, &error.to_string())?;
                    tally.remove(uploads, &id).await?;
                }
                (Err(error), _) => tally.report(&id, &error.to_string())?,
            }
        }
    }
    Ok(tally)
}

impl Tally {
    fn report(&mut self, id: &UploadId, what: &str) -> io::Result<()> {
        self.damaged += 1;
        writeln!(io::stdout(), "{id}: {what}")
    }

    /// Removes the upload that was reported, and prints that.
    async fn remove(&mut self, uploads: &Repository, id: &UploadId) -> io::Result<()> {
        let what = match uploads.remove_damaged(id).await {
            Ok(true) => {
                self.removed += 1;
                "removed, with all files under this id".to_owned()
            }
            Ok(false) => "left: it has changed meanwhile".to_owned(),
            Err(error) => format!("left: {error}"),
        };
        writeln!(io::stdout(), "{id}: {what}")
    }
}

async fn check_upload(store: &dyn Store, manifest: &Manifest, tally: &mut Tally) -> io::Result<()> {
    tally.uploads += 1;
    for (_, file) in manifest.files() {
        tally.files += 1;
        match compare_file(store, &manifest.id, file).await {
            Ok(bytes) => tally.bytes += bytes,
            Err(error) => {
                // An upload that was removed while we looked is no damage.
                if !matches!(store.manifest(&manifest.id).await, Ok(None)) {
                    tally.report(&manifest.id, &error.to_string())?;
                }
            }
        }
    }
    Ok(())
}
