//! `wharf check`: every stored file read and compared with what its manifest says.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::app;
use crate::config::Config;
use crate::model::{Manifest, Prefix, StoredFile, UploadId};
use crate::store::{Store, StoreError};
use sha2::{Digest as _, Sha256};

/// What a check came to.
#[derive(Debug, Default)]
struct Tally {
    uploads: u64,
    files: u64,
    bytes: u64,
    damaged: u64,
}

/// Reads everything, prints what is damaged, and changes nothing.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let store = app::inspect(&config.app)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let tally = runtime.block_on(check(&*store))?;
    writeln!(
        io::stdout(),
        "{} uploads, {} files, {} bytes read; {} damaged",
        tally.uploads,
        tally.files,
        tally.bytes,
        tally.damaged
    )?;
    Ok(if tally.damaged == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn check(store: &dyn Store) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for prefix in Prefix::all() {
        for found in store.scan(prefix).await? {
            let id = found.id;
            match store.manifest(&id).await {
                Ok(Some(manifest)) => check_upload(store, &manifest, &mut tally).await?,
                // Removed while we looked.
                Ok(None) => {}
                Err(error) => tally.report(&id, &error.to_string())?,
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
}

async fn check_upload(store: &dyn Store, manifest: &Manifest, tally: &mut Tally) -> io::Result<()> {
    tally.uploads += 1;
    for (_, file) in manifest.files() {
        tally.files += 1;
        match check_file(store, manifest, file).await {
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

async fn check_file(
    store: &dyn Store,
    manifest: &Manifest,
    file: &StoredFile,
) -> Result<u64, StoreError> {
    let (id, size) = (&manifest.id, file.size);
    let mut blob = store.open(id, &file.name, size, 0..size).await?;
    let mut hasher = Sha256::new();
    while let Some(block) = blob.next().await? {
        hasher.update(&block);
    }
    let found: [u8; 32] = hasher.finalize().into();
    match file.sha256 {
        Some(expected) if *expected.as_bytes() != found => Err(StoreError::Damaged(format!(
            "{} has another sha-256 than it was stored with",
            file.name
        ))),
        _ => Ok(size),
    }
}
