//! An index of many uploads in Redis: how much it weighs, and how long its questions take.
//!
//! `cargo bench --profile dist --bench scale [-- COUNT]` (100,000 uploads if no number is given)
//! needs redis-server, and 1 KB of memory an upload. The records go the way that every instance
//! sends them; each has one file with a name of its own, and a deadline within the next day.

#[allow(
    dead_code,
    unused_imports,
    reason = "the harness of the tests, of which this needs a part"
)]
#[path = "../tests/wharf/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt as _, stream};
use support::{Redis, print_spans};
use wharf::catalog::{
    CatalogError, Deadlines as _, Index as _, Listed, RedisCatalog, Verification as _,
};
use wharf::coordination::{Address, Events, Keys, Link};
use wharf::model::{
    FIRST_SCHEMA, FileName, Manifest, Part, Prefix, Salt, StoredFile, Timestamp, TokenHash,
    UploadId,
};

/// How many commands are under way at once.
const AT_ONCE: usize = 64;
/// How often each question is asked.
const ASKED: usize = 200;
/// How many uploads are over at the same time.
const OVER: usize = 1000;
/// How many the cleaner takes at a time.
const BATCH: usize = 100;
/// How often Redis did not answer in time.
static RETRIES: AtomicU64 = AtomicU64::new(0);

fn main() {
    // Cargo adds `--bench`.
    let count = std::env::args().find_map(|arg| arg.parse().ok());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(count.unwrap_or(100_000)));
}

async fn measure(count: u64) {
    let redis = Redis::start();
    let address = Address::parse(&redis.url()).expect("an address");
    let link = Link::connect(address).await.expect("a connection");
    let events = Events::listen(&link, Vec::new());
    let keys = Keys::new("wharf");
    let catalog = RedisCatalog::new(link, events, keys, Duration::from_secs(3600));
    let unverified = catalog.unverified().await.expect("asked");
    catalog.mark_verified(unverified).await.expect("compared");

    let before = memory(&redis, "used_memory");
    let start = Instant::now();
    let step = count.div_ceil(10);
    for first in (0..count).step_by(usize::try_from(step).expect("it fits")) {
        let so_far = count.min(first + step);
        record(&catalog, first..so_far).await;
        let (rate, used) = (
            so_far as f64 / start.elapsed().as_secs_f64(),
            memory(&redis, "used_memory") - before,
        );
        let resident = memory(&redis, "used_memory_rss") as f64 / 1e9;
        println!(
            "{so_far} uploads: {rate:.0}/s, each {} bytes of Redis, {resident:.2} GB in all",
            used / so_far
        );
    }
    questions(&catalog, count).await;
    over(&catalog, count).await;
    let start = Instant::now();
    let prefix = Prefix::all().next().expect("256 of them");
    let ids = answer(|| catalog.with_prefix(prefix)).await.len();
    println!("the {ids} ids of one folder: {:.1?}", start.elapsed());
    let again = RETRIES.load(Ordering::Relaxed);
    println!("commands sent again, for Redis did not answer in time: {again}");
}

async fn record(catalog: &RedisCatalog, numbers: std::ops::Range<u64>) {
    let recorded = stream::iter(numbers).map(async |number| {
        // One each 8.64 ms where there are 10 million.
        let millis = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 86_400_000;
        let deadline = now().after(Duration::from_secs(3600) + Duration::from_millis(millis));
        let manifest = manifest(number, deadline);
        // As an instance does where Redis has not answered in time.
        answer(|| catalog.record(&manifest)).await;
    });
    recorded
        .buffer_unordered(AT_ONCE)
        .for_each(async |()| {})
        .await;
}

/// Asks until Redis answers in time, as an instance does; on a busy machine it may not.
async fn answer<T, F: Future<Output = Result<T, CatalogError>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(CatalogError::Unavailable(_)) => RETRIES.fetch_add(1, Ordering::Relaxed),
            Err(error) => panic!("{error}"),
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn questions(catalog: &RedisCatalog, count: u64) {
    let mut spans = [const { Vec::new() }; 3];
    for asked in 0..ASKED as u64 {
        let name = name(asked * (count / ASKED as u64));
        let start = Instant::now();
        let id = answer(|| catalog.newest(&name, now(), &[])).await;
        spans[0].push(start.elapsed());
        assert!(id.is_some());
        let start = Instant::now();
        assert!(answer(|| catalog.next_due()).await.is_some());
        spans[1].push(start.elapsed());
        let start = Instant::now();
        let all = Listed::All.into();
        let page = answer(|| catalog.list(None, 50, now(), &all)).await;
        spans[2].push(start.elapsed());
        assert!(!page.entries.is_empty());
    }
    let [newest, next, list] = spans;
    print_spans("what a name means", newest);
    print_spans("when the next one is over, of all shards", next);
    print_spans("the newest 50, of all shards", list);
}

/// As the cleaner does, but for the store.
async fn over(catalog: &RedisCatalog, count: u64) {
    let late = count..count + OVER as u64;
    for number in late {
        let manifest = manifest(number, now());
        answer(|| catalog.record(&manifest)).await;
    }
    let (mut spans, mut removed) = (Vec::new(), 0);
    let start = Instant::now();
    while removed < OVER {
        let asked = Instant::now();
        let again = now().after(Duration::from_secs(30));
        let due = answer(|| catalog.due(now(), BATCH, again)).await;
        spans.push(asked.elapsed());
        for id in due {
            answer(|| catalog.remove(&id, &[])).await;
            removed += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    print_spans("the next 100 that are over", spans);
    println!(
        "forgotten, one after the other: {:.0}/s",
        OVER as f64 / seconds
    );
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn name(number: u64) -> FileName {
    FileName::from_upload(format!("file-{number:08}.txt").as_bytes())
}

fn manifest(number: u64, deadline: Timestamp) -> Manifest {
    let name = name(number);
    let file = StoredFile {
        original: name.as_str().as_bytes().to_vec().into(),
        name,
        size: 1000,
        extended: None,
        given_type: None,
        media_type: "text/plain".to_owned(),
        sha256: None,
        crc32: None,
        path: None,
        used: None,
        rest: Default::default(),
    };
    Manifest {
        title: None,
        unseen: 0,
        rest: Default::default(),
        schema: FIRST_SCHEMA,
        generation: 1,
        id: UploadId::generate().expect("random bits"),
        created_at: now(),
        order: None,
        expires_at: Some(deadline),
        max_downloads: None,
        used: 0,
        salt: Salt::generate().expect("random bits"),
        delete_token: TokenHash::of("t"),
        parts: vec![Part::File {
            field: b"f"[..].into(),
            file,
        }],
    }
}

/// The memory of Redis (INFO), in bytes.
fn memory(redis: &Redis, field: &str) -> u64 {
    let info = redis.cli(&["INFO", "memory"]);
    let begin = format!("{field}:");
    let value = info.lines().find_map(|line| line.strip_prefix(&begin));
    value.expect("it says").trim().parse().expect("a number")
}
