//! The cases of what goes on beside the transfers: E, uploads that expire, and I, an index made
//! anew. Their limits are the same work on the files, by a loop that knows nothing else.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use wharf::model::Timestamp;

use super::connection::{Connection, Content};
use super::content::Message;
use super::contestant::{Kind, Wharf};
use super::field;
use super::options::Options;
use super::server::{self, Ended, Place, Server};
use super::stored;
use super::table;
use super::work::{self, Work};

/// A row of figures: uploads/s, seconds, processor seconds, peak MiB.
type Row = (String, Vec<Vec<f64>>);

const HEADS: [&str; 5] = ["", "uploads/s", "seconds", "CPU s", "peak MiB"];

fn figures(uploads: u64, ended: &Ended) -> Vec<f64> {
    let seconds = ended.wall.as_secs_f64();
    vec![
        uploads as f64 / seconds,
        seconds,
        ended.cpu.as_secs_f64(),
        ended.memory.peak as f64 / f64::from(1 << 20),
    ]
}

/// Fills a store with uploads, whose deadline is `expires_at` if there is one.
fn fill(dir: &Path, uploads: u64, expires_at: Option<Timestamp>) -> Result<()> {
    for i in 0..uploads {
        let mut manifest = stored::manifest(usize::try_from(i)?);
        manifest.expires_at = expires_at.or(manifest.expires_at);
        stored::store(dir, &manifest)?;
    }
    Ok(())
}

fn own(program: &str, files: &Path) -> Result<Vec<OsString>> {
    let name = format!("--program={program}");
    let bench = std::env::current_exe()?.into_os_string();
    Ok(vec![bench, name.into(), files.into()])
}

/// The command that makes the index of a store anew.
pub fn reindex(wharf: &Wharf, files: &Path) -> Vec<OsString> {
    let binary = wharf.binary.clone().into_os_string();
    vec![binary, "reindex".into(), "--dir".into(), files.into()]
}

/// `reader DIR`: reads every file that is a record.
pub fn reader(args: &[String]) -> Result<()> {
    for file in work::files(Path::new(&args[0]))? {
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            std::fs::read(file)?;
        }
    }
    Ok(())
}

/// `remover DIR`: removes every file.
pub fn remover(args: &[String]) -> Result<()> {
    for file in work::files(Path::new(&args[0]))? {
        std::fs::remove_file(file)?;
    }
    Ok(())
}

/// I: the index made anew.
pub fn index(options: &Options, work: &Work) -> Result<()> {
    let uploads = options.scale(100_000, 100);
    table::title(
        "I",
        &format!("index of {uploads} uploads made anew"),
        options.rounds,
    );
    let place = Place::new(&work.path().join("I"))?;
    fill(&place.files, uploads, None)?;
    work.settle()?;
    let mut rows: Vec<Row> = vec![("reading every record".to_owned(), Vec::new())];
    let wharfs = field::wharfs(options);
    rows.extend(wharfs.iter().map(|wharf| (wharf.label.clone(), Vec::new())));
    for _ in 0..options.rounds {
        let ended = server::run(&place, &own("reader", &place.files)?)?;
        rows[0].1.push(figures(uploads, &ended));
        for (row, contestant) in rows[1..].iter_mut().zip(&wharfs) {
            if let Kind::Wharf(wharf) = &contestant.kind {
                let ended = server::run(&place, &reindex(wharf, &place.files))?;
                let said = &ended.log;
                ensure!(said.contains(&uploads.to_string()), "reindex: {said}");
                row.1.push(figures(uploads, &ended));
            }
        }
    }
    table::figures(&HEADS, &rows);
    Ok(())
}

/// E: uploads whose deadline passed while no server ran, from its start until all are removed.
/// Each turn needs a store of its own, so that there are no more than three rounds.
pub fn expiry(options: &Options, work: &Work) -> Result<()> {
    let uploads = options.scale(100_000, 100);
    let rounds = options.rounds.min(3);
    table::title("E", &format!("expiry of {uploads} uploads"), rounds);
    let mut rows: Vec<Row> = vec![("removing every file".to_owned(), Vec::new())];
    let mut modes = Vec::new();
    for (label, binary) in &options.wharfs {
        for (mode, strict) in [("relaxed", false), ("strict", true)] {
            modes.push(Wharf {
                strict,
                ..Wharf::new(binary.clone())
            });
            rows.push((format!("{label}, {mode}"), Vec::new()));
        }
    }
    for _ in 0..rounds {
        for (at, row) in rows.iter_mut().enumerate() {
            let place = Place::new(&work.folder())?;
            fill(&place.files, uploads, Some(Timestamp::from_millis(1)))?;
            let ended = match at.checked_sub(1) {
                None => {
                    work.settle()?;
                    server::run(&place, &own("remover", &place.files)?)?
                }
                Some(mode) => {
                    server::run(&place, &reindex(&modes[mode], &place.files))?;
                    work.settle()?;
                    expire(&modes[mode], &place, uploads).context(row.0.clone())?
                }
            };
            row.1.push(figures(uploads, &ended));
            work.retire()?;
        }
    }
    table::figures(&HEADS, &rows);
    Ok(())
}

fn expire(wharf: &Wharf, place: &Place, uploads: u64) -> Result<Ended> {
    let server = Server::start(place, &wharf.command(place))?;
    let watch = server.meter.watch();
    let mut connection = Connection::open(server.address)?;
    let done = format!("wharf_uploads_expired_total {uploads}\n");
    loop {
        let mut text = Vec::new();
        let mut give = |bytes: &[u8]| text.extend_from_slice(bytes);
        connection.ask(&Message::get("/metrics"))?;
        connection.answer(Content::Give(&mut give))?;
        if memchr::memmem::find(&text, done.as_bytes()).is_some() {
            break;
        }
        let patience = Duration::from_secs(600);
        ensure!(server.started.elapsed() < patience, "{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let ended = Ended {
        wall: Instant::now() - server.started,
        cpu: server.meter.cpu()?,
        memory: watch.stop(),
        log: server.log(),
    };
    server.stop()?;
    let left = work::files(&place.files)?;
    let left = left
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "json" || e == "txt"));
    let left = left.count();
    ensure!(left == 0, "{left} files are left");
    Ok(ended)
}
