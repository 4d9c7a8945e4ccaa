//! The embedded index: how fast uploads are recorded and found, and a store of 100,000 uploads
//! indexed anew. `cargo bench --bench catalog`; figures are of one run on a shared machine.

use std::path::Path;
use std::time::Instant;

use wharf::app;
use wharf::catalog::{Catalog, EmbeddedCatalog};
use wharf::config::{Config, Given, Loaded, Profiles};
use wharf::model::{
    Clock, FileName, Manifest, Part, SCHEMA, Salt, StoredFile, Timestamp, TokenHash, UploadId,
};

const UPLOADS: usize = 100_000;

fn manifest(i: usize) -> Manifest {
    let name = format!("file-{}.txt", i % 1000);
    Manifest {
        schema: SCHEMA,
        generation: 1,
        id: UploadId::generate().expect("randomness"),
        created_at: Timestamp::from_millis(i as i64),
        expires_at: i
            .is_multiple_of(2)
            .then(|| Timestamp::from_millis(4_000_000_000_000 + i as i64)),
        max_downloads: None,
        used: 0,
        salt: Salt::generate().expect("randomness"),
        delete_token: TokenHash::of("t"),
        parts: vec![Part::File {
            field: b"f"[..].into(),
            file: StoredFile {
                name: FileName::from_upload(name.as_bytes()),
                original: name.into_bytes().into(),
                size: 10,
                media_type: "text/plain".to_owned(),
                sha256: None,
            },
        }],
    }
}

fn report(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {count} in {seconds:.2} s, {:.0}/s",
        count as f64 / seconds
    );
}

async fn record_and_find(dir: &Path, manifests: &[Manifest]) {
    let catalog =
        EmbeddedCatalog::open(&dir.join("bench.redb"), Clock::system()).expect("an index");
    let gaps = catalog.gaps().await.expect("gaps");
    catalog.mended(gaps).await.expect("complete");
    let start = Instant::now();
    for manifest in manifests {
        catalog.record(manifest).await.expect("recorded");
    }
    report("record", manifests.len(), start);
    let start = Instant::now();
    catalog.close().await.expect("closed");
    report("written and synced behind them", manifests.len(), start);
    let start = Instant::now();
    let now = Timestamp::from_millis(1);
    for i in 0..10_000 {
        let name = FileName::from_upload(format!("file-{}.txt", i % 1000).as_bytes());
        assert!(
            catalog
                .newest(&name, now, &[])
                .await
                .expect("an answer")
                .is_some()
        );
    }
    report("newest of a name", 10_000, start);
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(
            catalog.list(None, 1000, now).await.expect("a page").len(),
            1000
        );
    }
    report("page of 1000", 100, start);
}

async fn index_anew(dir: &Path, manifests: &[Manifest]) {
    let store = dir.join("upload");
    for manifest in manifests {
        let folder = store.join(manifest.id.prefix().as_str());
        std::fs::create_dir_all(&folder).expect("a folder");
        let json = serde_json::to_vec(manifest).expect("JSON");
        std::fs::write(folder.join(format!("{}.json", manifest.id)), json).expect("a manifest");
    }
    let given = Given {
        flags: vec![("dir".to_owned(), vec![store.display().to_string()])],
        ..Given::default()
    };
    let loaded = Loaded::from(given).expect("settings");
    let config =
        Config::new(&loaded, "", &Profiles::default(), "bench".to_owned()).expect("settings");
    let start = Instant::now();
    let compared = app::reindex(&config.app, false).await.expect("an index");
    assert_eq!(compared.uploads, manifests.len() as u64);
    report("indexed anew from the manifests", manifests.len(), start);
}

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let manifests: Vec<Manifest> = (0..UPLOADS).map(manifest).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(record_and_find(dir.path(), &manifests));
    runtime.block_on(index_anew(dir.path(), &manifests));
}
