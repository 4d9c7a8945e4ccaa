//! MEM: the memory of a server while many ask for much and read nothing, and how soon it answers
//! others meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use wharf::model::{Field, FileName, Manifest, Part, StoredFile};

use super::connection::{Connection, Content};
use super::content::Message;
use super::contestant::Kind;
use super::field;
use super::http2;
use super::options::Options;
use super::sample;
use super::server::{self, Place, Server};
use super::stored;
use super::table;
use super::upkeep;
use super::work::Work;

const MIB: u64 = 1 << 20;
/// How often another client asks whether the server is alive.
const EVERY: Duration = Duration::from_millis(10);

const HEADS: [&str; 7] = [
    "",
    "at rest, anonymous MiB",
    "peak above rest",
    "above rest a minute later",
    "/healthz p50 ms",
    "p99 ms",
    "CPU s",
];

/// The request, and the number of clients.
struct Case {
    title: &'static str,
    stored: Stored,
    connections: u64,
    /// How many requests each sends over HTTP/2; `None` is one over HTTP/1.1.
    streams: Option<u32>,
    /// How many answers must have begun before the figures count.
    answered: u64,
}

/// The content of the store.
enum Stored {
    /// So many uploads of 250 text fields, whose names are 4,000 quotation marks each.
    Names(u64),
    /// So many uploads of 1 MiB of text.
    Text(u64),
    /// A file of so many bytes.
    File(u64),
    /// A form of so many files whose field names are 8,000 control characters each.
    Controls(usize),
}

fn cases(options: &Options) -> Vec<Case> {
    let number = |full| options.scale(full, 4);
    let many = options.scale(1000, 20);
    vec![
        Case {
            title: "forms of 10,000 parts and 120 MB, 100 times over one HTTP/2 connection",
            stored: Stored::Names(number(40)),
            connections: 1,
            streams: Some(100),
            answered: 1,
        },
        Case {
            title: "a file of 16 MiB, 100 times over each of 20 HTTP/2 connections",
            stored: Stored::File(16 * MIB),
            connections: number(20),
            streams: Some(100),
            answered: number(20),
        },
        Case {
            title: "a listing of 1,000 uploads of 1 MiB of text, on 1,000 connections",
            stored: Stored::Text(many),
            connections: many,
            streams: None,
            answered: many,
        },
        Case {
            title: "a record of 6 MB, of a form of 1 MB, on 100 connections",
            stored: Stored::Controls(125),
            connections: options.scale(100, 20),
            streams: None,
            answered: options.scale(100, 20),
        },
        Case {
            title: "a file of 64 MiB, on 1,000 connections",
            stored: Stored::File(64 * MIB),
            connections: many,
            streams: None,
            answered: many,
        },
    ]
}

/// Runs all cases with each build of wharf.
pub fn run(options: &Options, work: &Work) -> Result<()> {
    for case in cases(options) {
        let rounds = options.rounds.min(3);
        table::title("MEM", case.title, rounds);
        let mut rows = Vec::new();
        for contestant in field::wharfs(options) {
            let Kind::Wharf(wharf) = &contestant.kind else {
                continue;
            };
            let place = Place::new(&work.folder())?;
            let target = fill(&case.stored, &place.files, work)?;
            server::run(&place, &upkeep::reindex(wharf, &place.files))?;
            work.settle()?;
            let mut figures = Vec::new();
            for _ in 0..rounds {
                let server = Server::start(&place, &contestant.command(&place)?)?;
                let values = measure(options, &case, &target, &server);
                figures.push(values.with_context(|| format!("{}: {}", case.title, server.log()))?);
                server.stop()?;
            }
            rows.push((contestant.label.clone(), figures));
            work.retire()?;
        }
        table::figures(&HEADS, &rows);
    }
    Ok(())
}

/// Fills a store; answers the names to be asked for.
fn fill(stored: &Stored, files: &Path, work: &Work) -> Result<String> {
    let upload = |i: u64, parts| -> Result<Manifest> {
        let manifest = stored::manifest(usize::try_from(i)?);
        Ok(Manifest { parts, ..manifest })
    };
    let texts = |count: usize, name: &[u8], value: &[u8]| {
        let field = Part::Field(Field {
            field: name.to_vec().into(),
            value: value.to_vec().into(),
            media_type: None,
            rest: Default::default(),
        });
        vec![field; count]
    };
    match stored {
        Stored::Names(count) => {
            let mut names = Vec::new();
            for i in 0..*count {
                let manifest = upload(i, texts(250, &[b'"'; 4000], b""))?;
                stored::store(files, &manifest)?;
                names.push(format!("name={}", manifest.id));
            }
            Ok(format!("/download?{}", names.join("&")))
        }
        Stored::Text(count) => {
            for i in 0..*count {
                stored::store(files, &upload(i, texts(16, b"text", &[b'x'; 65_000]))?)?;
            }
            Ok(format!("/uploads?limit={count}"))
        }
        Stored::Controls(count) => {
            let file = |i: usize| Part::File {
                field: vec![1; 8000].into(),
                file: file_of(&format!("{i}.bin"), stored::FILE.len() as u64),
            };
            let manifest = upload(0, (0..*count).map(file).collect())?;
            stored::store(files, &manifest)?;
            Ok(format!("/uploads/{}", manifest.id))
        }
        Stored::File(size) => {
            let file = file_of("large.bin", *size);
            let name = file.name.clone();
            let field = b"f"[..].into();
            let manifest = upload(0, vec![Part::File { field, file }])?;
            let id = manifest.id;
            stored::store(files, &manifest)?;
            let path = files
                .join(id.prefix().as_str())
                .join(format!("{id}-{name}"));
            std::fs::remove_file(&path)?;
            std::fs::hard_link(work.original(0, *size)?, path)?;
            Ok(format!("/files/{id}/{name}"))
        }
    }
}

/// A file of that name and of `size` bytes.
fn file_of(name: &str, size: u64) -> StoredFile {
    StoredFile {
        original: name.as_bytes().to_vec().into(),
        name: FileName::from_upload(name.as_bytes()),
        size,
        extended: None,
        media_type: "application/octet-stream".to_owned(),
        given_type: None,
        sha256: None,
        crc32: None,
        path: None,
        used: None,
        rest: Default::default(),
    }
}

fn measure(options: &Options, case: &Case, target: &str, server: &Server) -> Result<Vec<f64>> {
    ready(server.address)?;
    let (hold, after) = options.scale((10, 60), (2, 2));
    std::thread::sleep(Duration::from_secs(1));
    let rest = server.meter.memory().anonymous;
    let (watch, began) = (server.meter.watch(), server.meter.cpu()?);
    let health = Health::start(server.address)?;
    let connections = ask(case, target, server.address)?;
    let asked = Instant::now();
    let answered = connections.iter().filter(|stream| is_answered(stream));
    let answered = answered.count() as u64;
    ensure!(answered >= case.answered, "{answered} have an answer");
    // Shorter than the time after which the server ends readers that have stopped.
    let left = Duration::from_secs(hold).saturating_sub(asked.elapsed());
    std::thread::sleep(left);
    let times = health.stop()?;
    let (peak, cpu) = (watch.stop().anonymous, server.meter.cpu()? - began);
    drop(connections);
    std::thread::sleep(Duration::from_secs(after));
    let later = server.meter.memory().anonymous;
    let mib = |bytes: u64| bytes as f64 / MIB as f64;
    let millis = |part| sample::percentile(&times, part).as_secs_f64() * 1e3;
    Ok(vec![
        mib(rest),
        mib(peak.saturating_sub(rest)),
        mib(later.saturating_sub(rest)),
        millis(50),
        millis(99),
        cpu.as_secs_f64(),
    ])
}

/// Waits until the server knows all names.
fn ready(address: SocketAddr) -> Result<()> {
    let began = Instant::now();
    loop {
        let mut connection = Connection::open(address)?;
        connection.ask(&Message::get("/readyz"))?;
        match connection.answer(Content::Read) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > Duration::from_secs(60) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Sends all requests.
fn ask(case: &Case, target: &str, address: SocketAddr) -> Result<Vec<TcpStream>> {
    let requests = match case.streams {
        Some(count) => http2::requests(&address.to_string(), target, count),
        None => format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(),
    };
    let connections = (0..case.connections).map(|_| {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&requests)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(stream)
    });
    connections.collect()
}

/// Whether an answer has begun: its first bytes alone are read.
fn is_answered(mut stream: &TcpStream) -> bool {
    let mut some = [0; 9];
    stream.read_exact(&mut some).is_ok()
}

/// Another client, which asks all the time whether the server is alive.
struct Health {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Vec<Duration>>>,
}

impl Health {
    fn start(address: SocketAddr) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !stopped.load(Ordering::Acquire) {
                let began = Instant::now();
                connection.ask(&Message::get("/healthz"))?;
                connection.answer(Content::Read)?;
                times.push(began.elapsed());
                std::thread::sleep(EVERY);
            }
            times.sort_unstable();
            Ok(times)
        });
        Ok(Health { stop, thread })
    }

    /// How long each answer took, the shortest first.
    fn stop(self) -> Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("it does not panic")
    }
}
