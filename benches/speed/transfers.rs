//! The cases that move files: U1 to U5 and D1 to D3, in rounds in which everyone has a turn.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::connection::{Connection, Content};
use super::content::{self, Intake, Message};
use super::contestant::{Contestant, Kind};
use super::limits;
use super::load::{Load, Outcome};
use super::options::Options;
use super::sample::{Sample, Unit};
use super::server::{Place, Server};
use super::table::{self, Row};
use super::work::{self, Work};

/// A case of uploads or downloads.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: Unit,
    pub connections: usize,
    pub requests: u64,
    /// How many files each request has.
    pub files: u64,
    /// How many bytes each file has.
    pub size: u64,
}

impl Case {
    fn load(&self) -> Load {
        Load {
            connections: self.connections,
            requests: self.requests,
            limit: Duration::from_secs(10),
        }
    }

    fn bytes(&self) -> u64 {
        self.requests * self.files * self.size
    }

    /// Runs it, and prints its tables.
    pub fn run(&self, options: &Options, work: &Work, upload: bool) -> Result<()> {
        let Case { name, title, .. } = self;
        println!("## {name}: {title} ({} rounds)\n", options.rounds);
        let contestants = match upload {
            true => super::field::uploads(options),
            false => super::field::downloads(options),
        };
        work.touch(self.bytes().min(2 << 30))?;
        let mut rows: Vec<Row> = contestants
            .into_iter()
            .map(|contestant| Row {
                contestant,
                samples: Vec::new(),
            })
            .collect();
        for round in 0..options.rounds {
            rows.retain_mut(|row| {
                let sample = match upload {
                    true => self.upload(&row.contestant, work, round == 0),
                    false => self.download(&row.contestant, work, round == 0),
                };
                let label = &row.contestant.label;
                match sample.with_context(|| format!("{name}, {label}")) {
                    Ok(sample) => row.samples.push(sample),
                    Err(error) => super::failed(&error),
                }
                row.samples.len() > round
            });
        }
        table::case(self.unit, &rows);
        Ok(())
    }

    fn upload(&self, contestant: &Contestant, work: &Work, verify: bool) -> Result<Sample> {
        let folder = work.folder();
        let place = Place::new(&folder)?;
        let server = Server::start(&place, &contestant.command(&place)?)?;
        let intake = contestant.intake();
        let (outcome, sample) = self.measure(&server, |connection, number| {
            let names: Vec<String> = (0..self.files)
                .map(|file| limits::name(number * self.files + file))
                .collect();
            let message = Message::upload(intake, &names, self.size);
            send(connection, intake, &message)?;
            Ok(self.files * self.size)
        })?;
        server.stop()?;
        if verify {
            let sent = outcome.requests * self.files;
            let intact = work::intact(&place.files, self.size)?;
            ensure!(
                intact == sent,
                "of {sent} files {intact} are as they were sent"
            );
        }
        work.retire(&folder)?;
        Ok(sample)
    }

    /// Downloads, from a folder that is filled before the first round and stays.
    fn download(&self, contestant: &Contestant, work: &Work, first: bool) -> Result<Sample> {
        let kept: String = contestant
            .label
            .replace(|c: char| !c.is_alphanumeric(), "-");
        let folder = work.path().join(format!("{}-{kept}", self.name));
        let place = Place::new(&folder)?;
        if first {
            self.fill(contestant, &place)?;
            work.settle()?;
        }
        let server = Server::start(&place, &contestant.command(&place)?)?;
        if first {
            self.compare(contestant, &server)?;
        }
        let (_, sample) = self.measure(&server, |connection, number| {
            self.fetch(contestant, connection, number, Content::Drop)?;
            Ok(self.size)
        })?;
        server.stop()?;
        Ok(sample)
    }

    fn measure<W>(&self, server: &Server, work: W) -> Result<(Outcome, Sample)>
    where
        W: Fn(&mut Connection, u64) -> Result<u64> + Sync,
    {
        let watch = server.meter.watch();
        let before = server.meter.cpu()?;
        let outcome = self.load().run(server.address, work);
        let cpu = server.meter.cpu()?.saturating_sub(before);
        let memory = watch.stop();
        let outcome = outcome.with_context(|| server.log())?;
        let sample = Sample::new(self.unit, &outcome, cpu, memory);
        Ok((outcome, sample))
    }

    /// How many different files are downloaded.
    fn kept(&self) -> u64 {
        self.requests.min(1000)
    }

    /// Fills a folder with the files that are to be downloaded.
    fn fill(&self, contestant: &Contestant, place: &Place) -> Result<()> {
        let names = (0..self.kept()).map(limits::name);
        if !matches!(contestant.kind, Kind::Wharf(_)) {
            for name in names {
                let mut file = std::fs::File::create(place.files.join(name))?;
                for piece in content::pieces(self.size) {
                    std::io::Write::write_all(&mut file, piece)?;
                }
            }
            return Ok(());
        }
        let server = Server::start(place, &contestant.command(place)?)?;
        let mut connection = Connection::open(server.address)?;
        for name in names {
            let message = Message::upload(contestant.intake(), &[name], self.size);
            send(&mut connection, contestant.intake(), &message)?;
        }
        server.stop()
    }

    /// Downloads each file and looks at its content: all of it, or, of a form, whether it is
    /// there as it was sent.
    fn compare(&self, contestant: &Contestant, server: &Server) -> Result<()> {
        let expected = content::digest(self.size);
        let mut connection = Connection::open(server.address)?;
        for number in 0..self.kept() {
            let mut hash = Sha256::new();
            let content = Content::Hash(&mut hash);
            self.fetch(contestant, &mut connection, number, content)?;
            let same = hash.finalize()[..] == expected;
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
    ) -> Result<()> {
        let number = number % self.kept();
        let length = match contestant.kind {
            Kind::Source { .. } => {
                connection.send(&Message::ask(number))?;
                connection.bare(content)?
            }
            _ => {
                connection.send(&Message::get(&contestant.path(&limits::name(number))))?;
                connection.answer(content)?
            }
        };
        ensure!(length >= self.size, "of {} bytes came {length}", self.size);
        Ok(())
    }
}

/// Sends an upload and takes its answers.
pub fn send(connection: &mut Connection, intake: Intake, message: &Message) -> Result<()> {
    connection.send(message)?;
    if matches!(intake, Intake::Bare) {
        return connection.receipts(message.answers);
    }
    for _ in 0..message.answers {
        connection.answer(Content::Drop)?;
    }
    Ok(())
}
