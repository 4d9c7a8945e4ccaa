//! The embedded index: how fast uploads are recorded and found. `cargo bench --profile dist --bench catalog`;
//! figures are of one run on a shared machine. `./bench I` makes an index anew.

#[path = "speed/stored.rs"]
#[allow(dead_code, reason = "`./bench` uses the other items of this module")]
mod stored;

use std::path::Path;
use std::time::Instant;

use wharf::catalog::{EmbeddedCatalog, Index as _, Listed, Verification as _};
use wharf::model::{Clock, FileName, Manifest, Timestamp};

const UPLOADS: usize = 100_000;

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
    let unverified = catalog.unverified().await.expect("an answer");
    catalog.mark_verified(unverified).await.expect("complete");
    let start = Instant::now();
    for manifest in manifests {
        catalog.record(manifest).await.expect("recorded");
    }
    report("record", manifests.len(), start);
    let start = Instant::now();
    catalog.close(true).await.expect("closed");
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
            catalog
                .list(None, 1000, now, &Listed::All.into())
                .await
                .expect("a page")
                .entries
                .len(),
            1000
        );
    }
    report("page of 1000", 100, start);
}

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let manifests: Vec<Manifest> = (0..UPLOADS).map(stored::manifest).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(record_and_find(dir.path(), &manifests));
}
