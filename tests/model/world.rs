//! The state of the world: one upload of two files, its key in the store, its place in the index,
//! the messages on their way, and the answers that its clients got. Time goes in ticks.

use crate::actors::{Actor, Role};

/// An upload that has this deadline has none.
pub const NEVER: u8 = u8::MAX;
/// The deadline given with the upload, and the one that a `PATCH` sets.
pub const FIRST: u8 = 1;
pub const LATER: u8 = 3;
/// A commit longer than this after the last byte is given up; files without a manifest that are
/// older than this are taken for abandoned (`stale_after`).
pub const STALE: u8 = 1;
/// A message that is late by more than this does not come any more.
pub const LATE: u8 = 1;
/// The last tick.
pub const END: u8 = 4;
/// How many files the upload has.
pub const FILES: usize = 2;
/// Which of them a download fetches.
pub type Files = [bool; FILES];
/// How many messages may be late at a time.
pub const WIRE: usize = 2;

/// The rules of the code; each can be left out, to see that it is needed.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A version is replaced or removed only by the next generation.
    pub generation_checked: bool,
    /// A manifest is created only where nothing stands.
    pub create_is_exclusive: bool,
    /// A removal leaves a tombstone.
    pub tombstones: bool,
    /// The tombstone stands before the file is removed.
    pub tombstone_first: bool,
    /// How long a tombstone stays, in ticks (`Tombstone::is_over`).
    pub tombstone_life: u8,
    /// A commit that is late is given up.
    pub commit_bounded: bool,
    /// A commit of an unknown outcome closes its key before it takes its files back.
    pub unknown_commit_closes: bool,
    /// Where the key cannot be closed because the manifest has come after all, the files stay.
    pub late_commit_keeps: bool,
    /// A removal asks the manifest whether it is over; else the index alone.
    pub manifest_asked: bool,
    /// The expiry of a marker counts as an order only if the index knows of a later deadline.
    pub order_compared: bool,
    /// A limited download whose upload was removed meanwhile is broken off: its use cannot be
    /// counted.
    pub gone_breaks_off: bool,
    /// A form is given out only where each of its files may be; else where any of them may.
    pub all_or_none: bool,
}

impl Rules {
    pub const CODE: Rules = Rules {
        generation_checked: true,
        create_is_exclusive: true,
        tombstones: true,
        tombstone_first: true,
        tombstone_life: 2 * STALE,
        commit_bounded: true,
        unknown_commit_closes: true,
        late_commit_keeps: true,
        manifest_asked: true,
        order_compared: true,
        gone_breaks_off: true,
        all_or_none: true,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Manifest {
    pub generation: u8,
    pub deadline: u8,
    /// Of each file.
    pub used: [u8; FILES],
    /// The most uses of each; 0 where they are not counted.
    pub most: u8,
}

impl Manifest {
    pub fn is_over(&self, time: u8) -> bool {
        self.deadline <= time || self.is_spent()
    }

    pub fn is_spent(&self) -> bool {
        self.most > 0 && self.used.iter().all(|used| *used >= self.most)
    }

    /// Whether these files may be downloaded once more.
    pub fn allows(&self, rules: &Rules, files: Files) -> bool {
        let mut wanted = self.used.iter().zip(files).filter(|(_, wanted)| *wanted);
        let left = |used: u8| self.most == 0 || used < self.most;
        match rules.all_or_none {
            true => wanted.all(|(used, _)| left(*used)),
            false => wanted.any(|(used, _)| left(*used)),
        }
    }
}

/// The record at the key of the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    Absent,
    Live(Manifest),
    Gone { since: u8 },
}

/// A conditional write to the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// `disk::key::create`, of a manifest.
    Create(Manifest),
    /// `disk::removal::close_key`: a tombstone where nothing stands.
    Close,
    /// `Store::replace`.
    Replace(Manifest),
    /// `Store::remove`, in place of the generation just before.
    Remove { generation: u8 },
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Written {
    Done,
    Exists,
    Changed,
    Gone,
}

/// The messages to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Note {
    /// `scripts::RECORD`.
    Record { manifest: Manifest, create: bool },
    /// `scripts::FORGET`.
    Forget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    Store(Write),
    Index(Note),
}

/// The index's entry of the upload, and the marker that an operator can remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Index {
    pub record: Option<Manifest>,
    /// When it ends.
    pub marker: Option<u8>,
}

/// The answers that clients got, and the events so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Known {
    /// 201, and the last deadline that was confirmed.
    pub stored: Option<u8>,
    /// A client that may has asked for its end.
    pub delete_asked: bool,
    /// 204.
    pub deleted: bool,
    /// There was a tombstone, or a removed manifest.
    pub gone: bool,
    /// The last use of the last file was kept.
    pub spent: bool,
    /// Whole downloads of each file of a limited upload.
    pub served: [u8; FILES],
}

/// The losses that Redis may still suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mishaps {
    /// `FLUSHALL`, or a restart without its data.
    pub flush: bool,
    /// A restart with what it knew when the upload was new.
    pub restore: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub time: u8,
    pub key: Key,
    /// When the file got its name.
    pub file: Option<u8>,
    pub index: Index,
    /// When a marker expired whose event is under way.
    pub event: Option<u8>,
    /// Late messages, and when each was sent.
    pub wire: [Option<(u8, Message)>; WIRE],
    pub actors: [Actor; 4],
    pub known: Known,
    pub mishaps: Mishaps,
}

impl World {
    /// Carries out a write, as the store does: at once and whole.
    pub fn write(&mut self, rules: &Rules, write: Write) -> Written {
        let next = |now: Manifest, generation| {
            now.generation + 1 == generation || !rules.generation_checked
        };
        match (write, self.key) {
            (Write::Create(manifest), key) => {
                if key != Key::Absent && rules.create_is_exclusive {
                    return Written::Exists;
                }
                self.key = Key::Live(manifest);
            }
            (Write::Close, Key::Absent) => self.end(rules),
            (Write::Close, _) => return Written::Exists,
            (_, Key::Absent | Key::Gone { .. }) => return Written::Gone,
            (Write::Replace(manifest), Key::Live(now)) => {
                if !next(now, manifest.generation) {
                    return Written::Changed;
                }
                self.key = Key::Live(manifest);
                self.known.spent |= manifest.is_spent();
            }
            (Write::Remove { generation }, Key::Live(now)) => {
                if !next(now, generation) {
                    return Written::Changed;
                }
                self.end(rules);
            }
        }
        Written::Done
    }

    fn end(&mut self, rules: &Rules) {
        let since = self.time;
        self.known.gone = true;
        self.key = match rules.tombstones {
            true => Key::Gone { since },
            false => Key::Absent,
        };
    }

    /// Tells the index, as its scripts do.
    pub fn note(&mut self, note: Note) {
        match note {
            Note::Forget => self.index = Index::default(),
            Note::Record { manifest, create } => {
                let refused = match self.index.record {
                    Some(known) => known.generation > manifest.generation,
                    None => !create,
                };
                if !refused {
                    self.index.record = Some(manifest);
                    self.index.marker = Some(manifest.deadline).filter(|end| *end != NEVER);
                }
            }
        }
    }

    /// Whether the marker is there: one whose time has come is not.
    pub fn has_marker(&self) -> bool {
        self.index.marker.is_some_and(|end| end > self.time)
    }

    /// The steps that the world takes by itself.
    pub fn happenings(&self, rules: &Rules, next: &mut Vec<(&'static str, World)>) {
        let mut happen = |what, change: &dyn Fn(&mut World)| {
            let mut after = *self;
            change(&mut after);
            next.push((what, after));
        };
        if self.time < END {
            happen("time passes", &|world| world.tick());
        }
        for place in 0..WIRE {
            let Some((_, message)) = self.wire[place] else {
                continue;
            };
            happen("a late message comes", &|world| {
                world.wire[place] = None;
                match message {
                    Message::Store(write) => drop(world.write(rules, write)),
                    Message::Index(note) => world.note(note),
                }
                world.wire.sort_unstable_by_key(Option::is_none);
            });
        }
        if self.index.marker.is_some_and(|end| end <= self.time) {
            happen("a marker expires", &|world| {
                world.index.marker = None;
                world.event = Some(world.time);
            });
            happen("a marker expires unheard", &|world| {
                world.index.marker = None
            });
        }
        if self.mishaps.flush {
            happen("Redis loses all", &|world| {
                world.mishaps.flush = false;
                world.index = Index::default();
            });
        }
        if let Some(record) = self.index.record.filter(|_| self.mishaps.restore) {
            happen("Redis goes back to an old snapshot", &|world| {
                world.mishaps.restore = false;
                let manifest = Manifest {
                    generation: 1,
                    deadline: FIRST,
                    used: [0; FILES],
                    ..record
                };
                world.index = Index::default();
                let create = true;
                world.note(Note::Record { manifest, create });
                // Redis drops what is over when it loads, and says nothing.
                world.index.marker = world.index.marker.filter(|end| *end > world.time);
            });
        }
    }

    /// Forgets what makes no difference to those who act here.
    pub fn simplified(mut self) -> Self {
        let acts = |role| self.actors.iter().any(|actor| actor.role == role);
        let (orders, orphans) = (acts(Role::Order), acts(Role::Orphans));
        let compares = acts(Role::Compare);
        if !orders {
            self.index.marker = None;
        }
        if !orphans {
            self.file = self.file.map(|_| 0);
        }
        if let Key::Gone { since } = &mut self.key
            && !compares
        {
            *since = 0;
        }
        self
    }

    pub fn tick(&mut self) {
        self.time += 1;
        let time = self.time;
        let late = |sent: u8| time - sent > LATE;
        for place in &mut self.wire {
            *place = place.filter(|(sent, _)| !late(*sent));
        }
        self.wire.sort_unstable_by_key(Option::is_none);
        self.event = self.event.filter(|at| !late(*at));
    }

    /// Invariants of every moment.
    pub fn check(&self) -> Result<(), &'static str> {
        let Known {
            stored,
            delete_asked,
            deleted,
            gone,
            spent,
            served,
        } = self.known;
        let live = matches!(self.key, Key::Live(_));
        if live && gone {
            return Err("what was gone is back");
        }
        if live && deleted {
            return Err("what was deleted is there");
        }
        if live && self.file.is_none() {
            return Err("an upload has lost its file");
        }
        let due = stored.is_some_and(|deadline| self.time < deadline);
        if due && !live && !delete_asked && !spent {
            return Err("what was answered is gone before its time");
        }
        if served.iter().any(|served| *served > 1) {
            return Err("one use was given twice");
        }
        Ok(())
    }

    /// Invariants of the end, when all is done and cleaned up.
    pub fn check_end(&self) -> Result<(), &'static str> {
        let indexed = self.index.record;
        match self.key {
            Key::Live(manifest) if manifest.is_over(self.time) => Err("what is over is left"),
            Key::Live(manifest) if indexed != Some(manifest) => {
                Err("the index does not know what there is")
            }
            Key::Live(_) => Ok(()),
            _ if indexed.is_some() => Err("the index knows what is gone"),
            _ if self.file.is_some() => Err("a file is left without a manifest"),
            _ => Ok(()),
        }
    }
}
