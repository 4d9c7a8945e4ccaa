//! Idle: the cost of a server that does nothing, and how soon it answers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wharf::catalog::{EmbeddedCatalog, Index as _};
use wharf::model::Clock;

use super::connection::{Connection, Content};
use super::content::Message;
use super::contestant::Contestant;
use super::field;
use super::limits;
use super::options::Options;
use super::server::{Place, Server};
use super::stored;
use super::table;
use super::work::Work;

const HEADS: [&str; 6] = [
    "",
    "first answer ms",
    "resident MiB",
    "anonymous MiB",
    "with idle connections, resident",
    "anonymous",
];

/// Memory after the start, and with 10,000 idle connections; the time to the first answer.
pub fn servers(options: &Options, work: &Work) -> Result<()> {
    let connections = options.scale(10_000, 100).min(descriptors());
    let title = format!("a server at rest, and with {connections} idle connections");
    table::title("IDLE", &title, options.rounds);
    let mut rows: Vec<(String, Vec<Vec<f64>>)> = Vec::new();
    let mut all = field::servers(options);
    for round in 0..options.rounds {
        all.retain(|contestant| {
            let label = &contestant.label;
            match rest(contestant, connections, work).with_context(|| format!("IDLE, {label}")) {
                Ok(values) if round == 0 => rows.push((label.clone(), vec![values])),
                Ok(values) => {
                    let mut rows = rows.iter_mut();
                    let row = rows.find(|row| row.0 == *label);
                    row.expect("a row since the first round").1.push(values);
                }
                Err(error) => {
                    super::failed(&error);
                    rows.retain(|row| row.0 != *label);
                    return false;
                }
            }
            true
        });
    }
    table::figures(&HEADS, &rows);
    Ok(())
}

/// How many files this process may have open, less what it needs itself.
fn descriptors() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(u64::MAX).saturating_sub(200)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn rest(contestant: &Contestant, count: u64, work: &Work) -> Result<Vec<f64>> {
    let place = Place::new(&work.folder())?;
    if !contestant.is_wharf() {
        std::fs::write(place.files.join(limits::name(0)), stored::FILE)?;
    }
    let (server, first) = first_answer(contestant, &place)?;
    let alone = server.meter.memory();
    let ask = Message::get(contestant.readiness());
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(server.address)?;
        connection.ask(&ask)?;
        connection.answer(Content::Read)?;
        ensure!(connection.is_open(), "it keeps no connection");
        connections.push(connection);
    }
    let held = server.meter.memory();
    drop(connections);
    server.stop()?;
    work.retire()?;
    Ok(vec![
        first,
        mib(alone.resident),
        mib(alone.anonymous),
        mib(held.resident),
        mib(held.anonymous),
    ])
}

/// Starts a server; how many milliseconds it took until it had answered that it serves.
fn first_answer(contestant: &Contestant, place: &Place) -> Result<(Server, f64)> {
    let server = Server::start(place, &contestant.command(place)?)?;
    let ask = Message::get(contestant.readiness());
    loop {
        let mut connection = Connection::open(server.address)?;
        connection.ask(&ask)?;
        let answer = connection.answer(Content::Read);
        let elapsed = server.started.elapsed();
        match answer {
            Ok(_) => return Ok((server, elapsed.as_secs_f64() * 1e3)),
            Err(error) if elapsed > Duration::from_secs(60) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The time to the first answer with a million uploads in the catalog. They are in the catalog
/// alone: a start that follows an orderly stop looks at nothing else.
pub fn start(options: &Options, work: &Work) -> Result<()> {
    let uploads = options.scale(1_000_000, 100);
    let title = format!("start with {uploads} uploads in the catalog");
    table::title("START", &title, options.rounds);
    let mut rows = Vec::new();
    for (at, contestant) in field::wharfs(options).iter().enumerate() {
        let place = Place::new(&work.path().join(format!("START-{at}")))?;
        // Makes the store.
        first_answer(contestant, &place)?.0.stop()?;
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(record(&place, uploads))?;
        let mut rounds = Vec::new();
        for _ in 0..options.rounds {
            let (server, first) = first_answer(contestant, &place)?;
            let memory = server.meter.memory();
            rounds.push(vec![first, mib(memory.resident), mib(memory.anonymous)]);
            server.stop()?;
        }
        rows.push((contestant.label.clone(), rounds));
    }
    table::figures(&HEADS[..4], &rows);
    Ok(())
}

async fn record(place: &Place, uploads: usize) -> Result<()> {
    let path = place.files.join(".wharf/catalog.redb");
    let catalog = EmbeddedCatalog::open(&path, Clock::system())?;
    for i in 0..uploads {
        catalog.record(&stored::manifest(i)).await?;
    }
    catalog.close(true).await?;
    Ok(())
}
