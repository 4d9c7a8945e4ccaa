//! The cases that move files: in each round everyone has a turn.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::connection::{Connection, Content};
use super::content::{self, Message, Received};
use super::contestant::{Contestant, Kind};
use super::curl;
use super::field;
use super::limits;
use super::load::{Gate, Load, Outcome};
use super::options::Options;
use super::sample::{Sample, Unit};
use super::server::{Place, Server};
use super::table::{self, Row};
use super::work::{self, Work};

/// Which way the files go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// The clients that send or fetch them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// So many connections, a thread for each.
    Threads(usize),
    /// The same, and each waits in the middle of its body until all have come so far.
    Together(usize),
    /// Threads that have the kernel drop what comes.
    Dropping(usize),
    /// `curl`, which reads a file from disk, as a user does.
    Curl,
}

/// A case of uploads or downloads.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub title: &'static str,
    pub way: Way,
    pub client: Client,
    pub unit: Unit,
    pub requests: u64,
    /// How many files each request has.
    pub files: u64,
    /// How many bytes each file has.
    pub size: u64,
}

impl Case {
    /// Runs it, and prints its tables.
    pub fn run(&self, options: &Options, work: &Work) -> Result<()> {
        table::title(self.name, self.title, options.rounds);
        if self.client == Client::Curl {
            work.original(0, self.size)?;
        }
        let mut rows = self.field(options);
        if let Some(first) = rows.first() {
            // One more that does not count: the cost of cold caches is no contestant's.
            self.turn(&first.contestant, work, true)?;
        }
        for round in 0..options.rounds {
            for row in &mut rows {
                if row.samples.len() < round {
                    continue; // It has failed before.
                }
                let sample = self.turn(&row.contestant, work, round == 0);
                let label = &row.contestant.label;
                match sample.with_context(|| format!("{}, {label}", self.name)) {
                    Ok(sample) => row.samples.push(sample),
                    Err(error) => {
                        work.retire()?;
                        super::failed(&error);
                    }
                }
            }
        }
        rows.retain(|row| row.samples.len() == options.rounds);
        table::case(self.unit, &rows);
        work.clear(self.name)
    }

    fn field(&self, options: &Options) -> Vec<Row> {
        let mut all = match self.way {
            Way::Up => field::uploads(options),
            Way::Down => field::downloads(options),
        };
        // They speak no HTTP.
        all.retain(|contestant| self.client != Client::Curl || !contestant.is_limit());
        let rows = all.into_iter().map(|contestant| Row {
            contestant,
            samples: Vec::new(),
        });
        rows.collect()
    }

    fn turn(&self, contestant: &Contestant, work: &Work, first: bool) -> Result<Sample> {
        match self.way {
            Way::Up => self.upload(contestant, work, first),
            Way::Down => self.download(contestant, work, first),
        }
    }

    fn upload(&self, contestant: &Contestant, work: &Work, verify: bool) -> Result<Sample> {
        let place = Place::new(&work.folder())?;
        let server = Server::start(&place, &contestant.command(&place)?)?;
        work.touch((self.requests * self.files * self.size).min(2 << 30))?;
        let intake = contestant.intake();
        let gate = match self.client {
            Client::Together(connections) => Some(Gate::new(connections)),
            _ => None,
        };
        let (outcome, sample) = self.measure(
            &server,
            || {
                let file = work.original(0, self.size)?;
                curl::upload(server.address, intake, &file, self.size)
            },
            |connection, number| {
                let names: Vec<String> = (0..self.files)
                    .map(|file| limits::name(number * self.files + file))
                    .collect();
                let message = Message::upload(intake, &names, self.size);
                send(connection, &message, gate.as_ref())?;
                Ok(self.files * self.size)
            },
        )?;
        server.stop()?;
        if verify {
            let sent = outcome.requests * self.files;
            let intact = work::intact(&place.files, self.size)?;
            ensure!(
                intact == sent,
                "of {sent} files {intact} are as they were sent"
            );
        }
        work.retire()?;
        Ok(sample)
    }

    /// Downloads, from a folder that is filled before the first round and stays.
    fn download(&self, contestant: &Contestant, work: &Work, first: bool) -> Result<Sample> {
        let place = Place::new(&self.kept(contestant, work))?;
        if first {
            self.fill(contestant, &place, work)?;
            work.settle()?;
        }
        let server = Server::start(&place, &contestant.command(&place)?)?;
        if first {
            self.compare(contestant, &server)?;
        }
        let (_, sample) = self.measure(
            &server,
            || {
                curl::download(
                    server.address,
                    &contestant.path(&limits::name(0)),
                    self.size,
                )
            },
            |connection, number| {
                let content = match self.client {
                    Client::Dropping(_) => Content::Drop,
                    _ => Content::Read,
                };
                self.fetch(contestant, connection, number, content)?;
                Ok(self.size)
            },
        )?;
        server.stop()?;
        Ok(sample)
    }

    fn measure(
        &self,
        server: &Server,
        by_curl: impl FnOnce() -> Result<Outcome>,
        by_thread: impl Fn(&mut Connection, u64) -> Result<u64> + Sync,
    ) -> Result<(Outcome, Sample)> {
        let watch = server.meter.watch();
        let before = server.meter.cpu()?;
        let outcome = match self.client {
            Client::Curl => by_curl(),
            Client::Threads(connections)
            | Client::Together(connections)
            | Client::Dropping(connections) => {
                let load = Load {
                    connections,
                    requests: self.requests,
                    limit: Duration::from_secs(10),
                };
                load.run(server.address, by_thread)
            }
        };
        let cpu = server.meter.cpu()?.saturating_sub(before);
        let memory = watch.stop();
        let outcome = outcome.with_context(|| server.log())?;
        let sample = Sample::new(self.unit, &outcome, cpu, memory);
        Ok((outcome, sample))
    }

    /// How many different files are downloaded.
    fn different(&self) -> u64 {
        self.requests.min(1000)
    }

    /// The folder that downloads come from: one for each build of wharf, one for all others.
    fn kept(&self, contestant: &Contestant, work: &Work) -> PathBuf {
        let name = match &contestant.kind {
            Kind::Wharf(wharf) => wharf.binary.display().to_string().replace('/', "-"),
            _ => String::new(),
        };
        work.path().join(format!("{}{name}", self.name))
    }

    /// Fills a folder with the files that are to be downloaded.
    fn fill(&self, contestant: &Contestant, place: &Place, work: &Work) -> Result<()> {
        if std::fs::read_dir(&place.files)?.next().is_some() {
            return Ok(());
        }
        if !contestant.is_wharf() {
            for number in 0..self.different() {
                let original = work.original(number, self.size)?;
                std::fs::hard_link(original, place.files.join(limits::name(number)))?;
            }
            return Ok(());
        }
        let server = Server::start(place, &contestant.command(place)?)?;
        let mut connection = Connection::open(server.address)?;
        for number in 0..self.different() {
            let names = [limits::name(number)];
            let message = Message::upload(contestant.intake(), &names, self.size);
            send(&mut connection, &message, None)?;
        }
        server.stop()
    }

    /// Downloads each file and looks at its content.
    fn compare(&self, contestant: &Contestant, server: &Server) -> Result<()> {
        let expected = content::digest(self.size);
        let form = matches!(&contestant.kind, Kind::Wharf(wharf) if wharf.form);
        let mut connection = Connection::open(server.address)?;
        for number in 0..self.different() {
            let mut received = Received::new(self.size, form);
            let mut give = |bytes: &[u8]| received.take(bytes);
            let content = Content::Give(&mut give);
            let length = self.fetch(contestant, &mut connection, number, content)?;
            let same = received.digest() == expected && (form || length == self.size);
            ensure!(same, "file {number} is not as it was sent");
        }
        Ok(())
    }

    fn fetch(
        &self,
        contestant: &Contestant,
        connection: &mut Connection,
        number: u64,
        content: Content,
    ) -> Result<u64> {
        let number = number % self.different();
        let length = match contestant.kind {
            Kind::Source { .. } => {
                connection.ask(&Message::ask(number))?;
                connection.bare(content)?
            }
            _ => {
                connection.ask(&Message::get(&contestant.path(&limits::name(number))))?;
                connection.answer(content)?
            }
        };
        ensure!(length >= self.size, "of {} bytes came {length}", self.size);
        Ok(length)
    }
}

/// Sends an upload and takes its answers.
fn send(connection: &mut Connection, message: &Message, gate: Option<&Gate>) -> Result<()> {
    match gate {
        None => connection.ask(message)?,
        Some(gate) => {
            let [first, second] = message.halves();
            connection.send(&first)?;
            gate.wait()?;
            connection.send(&second)?;
        }
    }
    if message.bare {
        return connection.receipts(message.answers);
    }
    for _ in 0..message.answers {
        connection.answer(Content::Read)?;
    }
    Ok(())
}
