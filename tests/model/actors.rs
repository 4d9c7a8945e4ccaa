//! The actors: each role takes the steps of the code it names, one at a time. Between any two of
//! them all others may act, and the process may end.

use crate::world::{
    FILES, FIRST, Files, Key, LATER, Manifest, Message, NEVER, Note, Rules, STALE, WIRE, World,
    Write, Written,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Nobody,
    /// Stores the upload (`disk::commit`, `Repository::commit`), which ends at [`FIRST`], or
    /// never, or allows one download.
    Commit,
    CommitForEver,
    CommitLimited,
    /// Moves its deadline to [`LATER`], or takes it away (`Repository::update` for a `PATCH`).
    Prolong,
    ProlongForEver,
    /// Deletes it (`Repository::remove` for a `DELETE`).
    Delete,
    /// Downloads its form, or one file of it, as one that is limited (`Uses::commit`); reservations
    /// are not asked, for Redis may have lost them.
    Download,
    DownloadFile,
    /// Removes what is over (`Sweeper::settle`), whether or not it has the lease.
    Sweep,
    /// Brings the index up to the store (`Repository::index`), and ends removals that were cut
    /// short (`Reconciler::settle`).
    Compare,
    /// Removes files without a manifest (`Reconciler::remove_orphans`).
    Orphans,
    /// Ends an upload whose marker expired (`MarkerListener::check`). There is no operator, so each
    /// such end would be wrong.
    Order,
}

/// How far an actor has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    Start,
    /// The commit: the files have their names.
    Named,
    /// The commit: it failed, or its outcome is unknown; because something was there already?
    Refused {
        exists: bool,
    },
    /// The commit: it found nothing, and closes the key.
    Closing,
    /// The manifest stands, the index is to be told.
    Published(Manifest),
    /// Has read this version, and will replace or remove it.
    Decided(Manifest),
    /// The tombstone stands, the files are next.
    Removed,
    /// The files are removed, the index is next.
    Cleared,
    /// Has recorded this version, and reads again.
    Recorded(Manifest),
    /// The comparison: the index knows that it is gone, the tombstone is next.
    Settled,
    /// The expiry of a marker was heard, or files without a manifest were seen, or a download
    /// begins.
    Heard,
    /// The order: by the index it is one.
    Believed,
    /// The order: by the manifest as well, and the marker is the next to be asked.
    MarkerNext,
    /// Nothing more to do, or ended by a crash.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Actor {
    pub role: Role,
    pub at: At,
}

type Next = Vec<(&'static str, World)>;

/// One step of one actor.
struct Turn<'a> {
    world: &'a World,
    rules: &'a Rules,
    place: usize,
    /// Whether messages can be lost and processes can end.
    faults: bool,
    next: &'a mut Next,
}

/// Where the world can go by a step of the actor at `place`.
pub fn step(world: &World, rules: &Rules, place: usize, faults: bool, next: &mut Next) {
    let actor = world.actors[place];
    let mut turn = Turn {
        world,
        rules,
        place,
        faults,
        next,
    };
    if actor.at != At::Start && actor.at != At::Done && faults {
        turn.goes("a process ends", turn.over(), |_| {});
    }
    match actor.role {
        Role::Nobody => {}
        Role::Commit => turn.commit(FIRST, 0),
        Role::CommitForEver => turn.commit(NEVER, 0),
        Role::CommitLimited => turn.commit(NEVER, 1),
        Role::Prolong => turn.prolong(LATER),
        Role::ProlongForEver => turn.prolong(NEVER),
        Role::Delete => turn.delete(),
        Role::Download => turn.download([true; FILES]),
        Role::DownloadFile => turn.download([true, false]),
        Role::Sweep => turn.sweep(),
        Role::Compare => turn.compare(),
        Role::Orphans => turn.orphans(),
        Role::Order => turn.order(),
    }
}

impl Turn<'_> {
    fn at(&self) -> At {
        self.world.actors[self.place].at
    }

    /// Where an actor is when it has nothing more to do: those that clean up begin again.
    fn over(&self) -> At {
        match self.world.actors[self.place].role {
            Role::Sweep | Role::Compare | Role::Orphans | Role::Order => At::Start,
            _ => At::Done,
        }
    }

    /// The actor goes on at `at`, after `change`.
    fn goes(&mut self, what: &'static str, at: At, change: impl Fn(&mut World)) {
        let mut after = *self.world;
        change(&mut after);
        after.actors[self.place].at = at;
        self.next.push((what, after));
    }

    /// Everything that can become of a message: it arrives and is answered; the answer is lost;
    /// it is lost; it comes late; it is answered and comes once more. `then` is told the answer,
    /// `None` when there is none.
    fn send(
        &mut self,
        what: &'static str,
        message: Message,
        mut then: impl FnMut(&mut World, Option<Written>) -> At,
    ) {
        let (rules, place) = (*self.rules, self.place);
        let apply = |world: &mut World| match message {
            Message::Store(write) => world.write(&rules, write),
            Message::Index(note) => {
                world.note(note);
                Written::Done
            }
        };
        let mut ends = |mut world: World, arrives: bool, answered: bool| {
            let written = arrives.then(|| apply(&mut world));
            let at = then(&mut world, written.filter(|_| answered));
            world.actors[place].at = at;
            self.next.push((what, world));
        };
        ends(*self.world, true, true);
        if !self.faults {
            return;
        }
        ends(*self.world, true, false);
        ends(*self.world, false, false);
        let mut late = *self.world;
        if let Some(free) = (0..WIRE).find(|place| late.wire[*place].is_none()) {
            late.wire[free] = Some((late.time, message));
            ends(late, false, false);
            ends(late, true, true);
        }
    }

    fn write(
        &mut self,
        what: &'static str,
        write: Write,
        then: impl FnMut(&mut World, Option<Written>) -> At,
    ) {
        self.send(what, Message::Store(write), then);
    }

    fn note(
        &mut self,
        what: &'static str,
        note: Note,
        mut then: impl FnMut(&mut World, bool) -> At,
    ) {
        self.send(what, Message::Index(note), |world, answer| {
            then(world, answer.is_some())
        });
    }

    fn commit(&mut self, deadline: u8, most: u8) {
        let manifest = Manifest {
            generation: 1,
            deadline,
            used: [0; FILES],
            most,
        };
        let (time, over) = (self.world.time, self.over());
        match self.at() {
            // The last byte came at 0.
            At::Start => self.goes("commit: names the file", At::Named, |world| {
                world.file = Some(time);
            }),
            At::Named if time > STALE && self.rules.commit_bounded => {
                self.goes("commit: gives up", over, |world| world.file = None);
            }
            At::Named => {
                let create = Write::Create(manifest);
                self.write(
                    "commit: creates the manifest",
                    create,
                    |_, written| match written {
                        Some(Written::Done) => At::Published(manifest),
                        Some(_) => At::Refused { exists: true },
                        None => At::Refused { exists: false },
                    },
                );
            }
            At::Refused { exists } => self.settle(exists),
            At::Closing => {
                let keeps = self.rules.late_commit_keeps;
                self.write("commit: closes the key", Write::Close, |world, written| {
                    match written {
                        // It has come by now: the record that stands there decides.
                        Some(Written::Exists) if keeps => return At::Refused { exists: false },
                        Some(_) => world.file = None,
                        None => {}
                    }
                    over
                });
            }
            At::Removed => self.goes("commit: removes its file", over, |world| world.file = None),
            At::Published(manifest) => {
                let create = true;
                let record = Note::Record { manifest, create };
                // An index that does not answer learns of it later: 201 in any case.
                self.note("commit: records", record, |world, _| {
                    world.known.stored = Some(manifest.deadline);
                    over
                });
            }
            _ => {}
        }
    }

    /// `disk::commit::settle`.
    fn settle(&mut self, exists: bool) {
        let over = self.over();
        match self.world.key {
            Key::Live(manifest) if exists => {
                self.goes("commit: it is ours", At::Published(manifest), |_| {});
            }
            Key::Live(manifest) => {
                let generation = manifest.generation + 1;
                let remove = Write::Remove { generation };
                self.write(
                    "commit: removes what failed",
                    remove,
                    |_, written| match written {
                        Some(Written::Done) => At::Removed,
                        _ => over,
                    },
                );
            }
            Key::Absent if self.rules.unknown_commit_closes => {
                self.goes("commit: finds nothing", At::Closing, |_| {});
            }
            Key::Absent | Key::Gone { .. } => {
                self.goes("commit: takes its file back", over, |world| {
                    world.file = None;
                });
            }
        }
    }

    fn prolong(&mut self, deadline: u8) {
        let (time, over) = (self.world.time, self.over());
        match self.at() {
            At::Start if self.world.known.stored.is_some() => match self.world.key {
                Key::Live(manifest) if !manifest.is_over(time) && time < deadline => {
                    self.goes("PATCH: reads", At::Decided(manifest), |_| {});
                }
                _ => self.goes("PATCH: answers 404", over, |_| {}),
            },
            At::Decided(read) => {
                let manifest = Manifest {
                    generation: read.generation + 1,
                    deadline,
                    ..read
                };
                let replace = Write::Replace(manifest);
                self.write("PATCH: replaces", replace, |_, written| match written {
                    Some(Written::Done) => At::Published(manifest),
                    Some(Written::Changed) => At::Start,
                    _ => over,
                });
            }
            At::Published(manifest) => {
                let create = false;
                let record = Note::Record { manifest, create };
                self.note("PATCH: tells the index", record, |world, answered| {
                    if answered {
                        world.known.stored = Some(manifest.deadline);
                    }
                    over
                });
            }
            _ => {}
        }
    }

    fn delete(&mut self) {
        match self.at() {
            At::Start if self.world.known.stored.is_some() => self.remove("DELETE", |_| true),
            at => self.ends_removal("DELETE", at),
        }
    }

    fn sweep(&mut self) {
        let time = self.world.time;
        let due = |manifest: Manifest| manifest.is_over(time);
        let (asked, record) = (self.rules.manifest_asked, self.world.index.record);
        match self.at() {
            At::Start if record.is_some_and(due) => {
                self.remove("sweeper", |manifest| due(manifest) || !asked);
            }
            at => self.ends_removal("sweeper", at),
        }
    }

    /// `Repository::remove`, up to the decision.
    fn remove(&mut self, who: &'static str, over: impl Fn(Manifest) -> bool) {
        let asked = who == "DELETE";
        let ask = |world: &mut World| world.known.delete_asked |= asked;
        match self.world.key {
            Key::Absent => self.goes(who, At::Cleared, ask),
            Key::Gone { .. } => self.goes(who, At::Removed, ask),
            Key::Live(manifest) if over(manifest) => self.goes(who, At::Decided(manifest), ask),
            Key::Live(_) => self.index(who),
        }
    }

    /// The rest of it.
    fn ends_removal(&mut self, who: &'static str, at: At) {
        let (over, deletes) = (self.over(), who == "DELETE");
        match at {
            At::Decided(read) => {
                let first = self.rules.tombstone_first;
                let generation = read.generation + 1;
                let remove = Write::Remove { generation };
                self.write(who, remove, |world, written| {
                    if !first {
                        world.file = None;
                    }
                    match written {
                        Some(Written::Done) => At::Removed,
                        Some(Written::Changed) => At::Start,
                        Some(_) => {
                            world.known.deleted |= deletes;
                            over
                        }
                        None => over,
                    }
                });
            }
            At::Removed => self.goes(who, At::Cleared, |world| world.file = None),
            At::Cleared => self.note(who, Note::Forget, |world, answered| {
                world.known.deleted |= deletes && answered;
                over
            }),
            At::Recorded(manifest) => self.reads_again(who, manifest),
            _ => {}
        }
    }

    /// `Repository::index`.
    fn index(&mut self, who: &'static str) {
        match self.world.key {
            Key::Live(manifest) => {
                let over = self.over();
                let create = true;
                let record = Note::Record { manifest, create };
                self.note(who, record, |_, answered| match answered {
                    true => At::Recorded(manifest),
                    false => over,
                });
            }
            _ => self.goes(who, At::Cleared, |_| {}),
        }
    }

    fn reads_again(&mut self, who: &'static str, recorded: Manifest) {
        match self.world.key {
            Key::Live(manifest) if manifest.generation == recorded.generation => {
                self.goes(who, self.over(), |_| {});
            }
            _ => self.index(who),
        }
    }

    fn compare(&mut self) {
        const WHO: &str = "comparison";
        let (time, life, over) = (self.world.time, self.rules.tombstone_life, self.over());
        match (self.at(), self.world.key) {
            (At::Start, Key::Absent) if self.world.index.record.is_none() => {}
            (At::Start, Key::Absent | Key::Live(_)) => self.index(WHO),
            (At::Start, Key::Gone { .. }) => {
                self.goes(WHO, At::Settled, |world| world.file = None);
            }
            (At::Cleared, _) => self.note(WHO, Note::Forget, |_, _| over),
            (At::Recorded(manifest), _) => self.reads_again(WHO, manifest),
            (At::Settled, key) => self.note(WHO, Note::Forget, |world, answered| {
                if let Key::Gone { since } = key
                    && answered
                    && since + life <= time
                {
                    world.key = Key::Absent;
                }
                over
            }),
            _ => {}
        }
    }

    fn orphans(&mut self) {
        const WHO: &str = "orphans";
        let (world, over) = (self.world, self.over());
        match (self.at(), world.file) {
            (At::Start, Some(named))
                if world.key == Key::Absent && world.time.saturating_sub(named) > STALE =>
            {
                self.goes(WHO, At::Heard, |_| {});
            }
            (At::Heard, _) => self.write(WHO, Write::Close, |_, written| match written {
                Some(Written::Done) => At::Removed,
                _ => over,
            }),
            (At::Removed, _) => self.goes(WHO, over, |world| world.file = None),
            _ => {}
        }
    }

    fn download(&mut self, files: Files) {
        let (over, rules) = (self.over(), *self.rules);
        let breaks_off = rules.gone_breaks_off;
        let serve = move |world: &mut World| {
            for (served, wanted) in world.known.served.iter_mut().zip(files) {
                *served += u8::from(wanted);
            }
        };
        match (self.at(), self.world.key) {
            (At::Start, Key::Live(manifest))
                if !manifest.is_over(self.world.time) && manifest.allows(&rules, files) =>
            {
                self.goes("GET: begins", At::Heard, |_| {});
            }
            (At::Heard, Key::Live(manifest)) if !manifest.allows(&rules, files) => {
                self.goes("GET: breaks off", over, |_| {});
            }
            (At::Heard, Key::Live(manifest)) => {
                self.goes("GET: reads again", At::Decided(manifest), |_| {});
            }
            (At::Heard, _) => self.goes("GET: it is gone", over, |world| {
                if !breaks_off {
                    serve(world);
                }
            }),
            (At::Decided(read), _) => {
                let mut manifest = Manifest {
                    generation: read.generation + 1,
                    ..read
                };
                for (used, wanted) in manifest.used.iter_mut().zip(files) {
                    *used += u8::from(wanted);
                }
                let replace = Write::Replace(manifest);
                self.write("GET: keeps its use", replace, |world, written| {
                    match written {
                        Some(Written::Done) => serve(world),
                        Some(Written::Changed) => return At::Heard,
                        Some(_) if !breaks_off => serve(world),
                        Some(_) | None => {}
                    }
                    over
                });
            }
            _ => {}
        }
    }

    fn order(&mut self) {
        let (world, over, compared) = (self.world, self.over(), self.rules.order_compared);
        let time = world.time;
        match (self.at(), world.key) {
            (At::Start, _) if world.event.is_some() => {
                self.goes("order: heard", At::Heard, |world| world.event = None);
            }
            (At::Heard, _) => {
                let goes_on = |record: Manifest| record.deadline > time && record.deadline != NEVER;
                let at = match world.index.record.is_some_and(goes_on) || !compared {
                    true => At::Believed,
                    false => over,
                };
                self.goes("order: asks the index", at, |_| {});
            }
            (At::Believed, Key::Live(manifest))
                if !manifest.is_over(time) && manifest.deadline != NEVER =>
            {
                self.goes("order: asks the manifest", At::MarkerNext, |_| {});
            }
            (At::MarkerNext, _) if world.has_marker() => {
                self.goes("order: there is a marker", over, |_| {});
            }
            (At::MarkerNext, Key::Live(manifest)) if !manifest.is_over(time) => {
                self.goes("order: reads", At::Decided(manifest), |_| {});
            }
            (At::Believed | At::MarkerNext, _) => self.goes("order: it is over", over, |_| {}),
            (At::Decided(read), _) => {
                let replace = Write::Replace(Manifest {
                    generation: read.generation + 1,
                    deadline: time,
                    ..read
                });
                self.write("order: ends it", replace, |_, written| match written {
                    Some(Written::Changed) => At::MarkerNext,
                    _ => over,
                });
            }
            _ => {}
        }
    }
}
