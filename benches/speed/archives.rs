//! Z: the files of an upload in one archive, beside the same as a form and what `zip` pipes out.

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::connection::{Connection, Content};
use super::content::Message;
use super::contestant::Kind;
use super::field;
use super::limits;
use super::options::Options;
use super::peers;
use super::server::{self, Place, Server};
use super::table;
use super::work::Work;

const MIB: u64 = 1 << 20;

const HEADS: [&str; 6] = [
    "",
    "MB/s",
    "CPU s/GiB",
    "peak MiB",
    "anonymous MiB",
    "× form",
];

/// The files of an upload, and how often it is fetched in a turn.
struct Case {
    title: String,
    files: u64,
    size: u64,
    times: u64,
}

fn cases(options: &Options) -> [Case; 2] {
    let (files, large) = options.scale((1000, 1024), (10, 1));
    [
        Case {
            title: format!("{files} files of 4 KiB in one archive, one after another"),
            files,
            size: 4096,
            times: options.scale(50, 2),
        },
        Case {
            title: format!("one file of {large} MiB in an archive"),
            files: 1,
            size: large * MIB,
            times: options.scale(2, 1),
        },
    ]
}

/// The result of one turn.
struct Turn {
    wall: Duration,
    cpu: Duration,
    memory: super::meter::Memory,
    /// How many bytes of content.
    bytes: u64,
}

impl Turn {
    fn rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.wall.as_secs_f64()
    }

    fn figures(&self, form: &Turn) -> Vec<f64> {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        vec![
            self.rate(),
            self.cpu.as_secs_f64() / (self.bytes as f64 / f64::from(1 << 30)),
            mib(self.memory.peak),
            mib(self.memory.anonymous),
            self.rate() / form.rate(),
        ]
    }
}

/// Runs both with each build of wharf, and `zip -0` over the same files.
pub fn run(options: &Options, work: &Work) -> Result<()> {
    for (number, case) in cases(options).iter().enumerate() {
        table::title("Z", &case.title, options.rounds);
        let mut rows: Vec<(String, Vec<Vec<f64>>)> = Vec::new();
        let mut add = |label: String, figures: Vec<f64>| match rows
            .iter_mut()
            .find(|(known, _)| *known == label)
        {
            Some((_, rounds)) => rounds.push(figures),
            None => rows.push((label, vec![figures])),
        };
        for round in 0..options.rounds {
            let mut zip_beside = None;
            for (build, contestant) in field::wharfs(options).iter().enumerate() {
                let Kind::Wharf(wharf) = &contestant.kind else {
                    continue;
                };
                let place = Place::new(&work.path().join(format!("Z{number}-{build}")))?;
                let id = case.stored(&place, &wharf.command(&place), work)?;
                let paths = [
                    ("form", format!("/download/{id}")),
                    ("zip", format!("/archive/{id}.zip")),
                    ("tar", format!("/archive/{id}.tar")),
                ];
                let mut form = None;
                for (what, path) in paths {
                    let label = format!("{}, {what}", contestant.label);
                    let turn = case.fetch(&place, &wharf.command(&place), &path);
                    let turn = turn.with_context(|| format!("Z, {label}"))?;
                    // The first is the form.
                    add(label, turn.figures(form.as_ref().unwrap_or(&turn)));
                    form = form.or(Some(turn));
                }
                zip_beside = zip_beside.or(form);
            }
            if let (Some(form), true) = (&zip_beside, peers::zip_is_there()) {
                let turn = case.piped(work, round)?;
                add("zip -0, piped".to_owned(), turn.figures(form));
            }
        }
        table::figures(&HEADS, &rows);
        work.clear("Z")?;
    }
    Ok(())
}

impl Case {
    /// The id of the upload that has them; it is stored in the first round.
    fn stored(&self, place: &Place, command: &[std::ffi::OsString], work: &Work) -> Result<String> {
        let known = place.scratch.join("id");
        if let Ok(id) = std::fs::read_to_string(&known) {
            return Ok(id);
        }
        let server = Server::start(place, command)?;
        let mut connection = Connection::open(server.address)?;
        let names: Vec<String> = (0..self.files).map(limits::name).collect();
        connection.ask(&Message::upload(peers::FORM, &names, self.size))?;
        let mut answer = Vec::new();
        connection.answer(Content::Give(&mut |bytes| answer.extend_from_slice(bytes)))?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let id = answer["id"].as_str().context("the id of the upload")?;
        server.stop()?;
        std::fs::write(known, id)?;
        work.settle()?;
        Ok(id.to_owned())
    }

    fn fetch(&self, place: &Place, command: &[std::ffi::OsString], path: &str) -> Result<Turn> {
        let server = Server::start(place, command)?;
        let mut connection = Connection::open(server.address)?;
        // The first request does not count: it reads what is cold.
        let message = Message::get(path);
        connection.ask(&message)?;
        connection.answer(Content::Read)?;
        let (watch, before) = (server.meter.watch(), server.meter.cpu()?);
        let began = Instant::now();
        for _ in 0..self.times {
            connection.ask(&message)?;
            let length = connection.answer(Content::Read)?;
            ensure!(length > self.files * self.size, "{path} has {length} bytes");
        }
        let wall = began.elapsed();
        let cpu = server.meter.cpu()?.saturating_sub(before);
        let memory = watch.stop();
        server.stop()?;
        Ok(Turn {
            wall,
            cpu,
            memory,
            bytes: self.times * self.files * self.size,
        })
    }

    /// The output of `zip` for a folder of the same files, read and dropped: no HTTP, no length, no
    /// ranges.
    fn piped(&self, work: &Work, round: usize) -> Result<Turn> {
        let folder = work.path().join(format!("Z-files-{}", self.size));
        if round == 0 && !folder.exists() {
            std::fs::create_dir_all(&folder)?;
            for number in 0..self.files {
                let original = work.original(number, self.size)?;
                std::fs::hard_link(original, folder.join(limits::name(number)))?;
            }
        }
        let mut total = Turn {
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            memory: super::meter::Memory::default(),
            bytes: 0,
        };
        let mut block = vec![0; 256 * 1024];
        for _ in 0..self.times {
            let began = Instant::now();
            let mut piped = server::Piped::start(&folder, &["zip", "-0", "-q", "-r", "-", "."])?;
            let mut length = 0;
            loop {
                match piped.output.read(&mut block)? {
                    0 => break,
                    read => length += read as u64,
                }
            }
            let (cpu, memory) = piped.end()?;
            ensure!(length > self.files * self.size, "zip gave {length} bytes");
            total.wall += began.elapsed();
            total.cpu += cpu;
            total.memory.peak = total.memory.peak.max(memory.peak);
            total.memory.anonymous = total.memory.anonymous.max(memory.anonymous);
            total.bytes += self.files * self.size;
        }
        Ok(total)
    }
}
