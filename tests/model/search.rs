//! Breadth first through all worlds that can be, each once.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

use crate::actors::{Actor, At, Role, step};
use crate::world::{END, Index, Key, Known, Mishaps, Rules, WIRE, World};

/// The actors, and the losses that Redis may suffer.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub roles: [Role; 4],
    pub mishaps: Mishaps,
}

/// A way to a world that must not be.
pub struct Violation {
    pub what: &'static str,
    steps: Vec<&'static str>,
    world: World,
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.what)?;
        self.steps
            .iter()
            .try_for_each(|step| writeln!(f, "  {step}"))?;
        write!(f, "{:#?}", self.world)
    }
}

/// The hash of a world, which stands for it: of 10^6 worlds two share one of 2^64 hashes in one
/// search of 37 million.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        // The finalizer of splitmix64 (Steele, Lea, Flood 2014).
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Keeps a hash as it is.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are kept");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Scenario {
    fn start(&self) -> World {
        World {
            time: 0,
            key: Key::Absent,
            file: None,
            index: Index::default(),
            event: None,
            wire: [None; WIRE],
            actors: self.roles.map(|role| Actor {
                role,
                at: At::Start,
            }),
            known: Known::default(),
            mishaps: self.mishaps,
        }
    }

    /// Looks at every world; answers how many there are.
    pub fn explore(&self, rules: &Rules) -> Result<usize, Violation> {
        let hashes = BuildHasherDefault::<Mixed>::default();
        let mut seen: HashSet<u64, BuildHasherDefault<Same>> = HashSet::default();
        // Each world with the place of the one before it, and the step between them.
        let mut worlds: Vec<(World, u32, &'static str)> = vec![(self.start(), 0, "")];
        let mut next = Vec::new();
        let mut at = 0;
        while let Some((world, ..)) = worlds.get(at).copied() {
            let held = world.check().and_then(|()| end(&world, rules));
            if let Err(what) = held {
                return Err(violation(what, &worlds, at));
            }
            world.happenings(rules, &mut next);
            for place in 0..world.actors.len() {
                step(&world, rules, place, true, &mut next);
            }
            for (what, after) in next.drain(..) {
                let after = after.simplified();
                if seen.insert(hashes.hash_one(after)) {
                    worlds.push((after, at as u32, what));
                }
            }
            at += 1;
        }
        Ok(worlds.len())
    }
}

fn violation(what: &'static str, worlds: &[(World, u32, &'static str)], at: usize) -> Violation {
    let world = worlds[at].0;
    let mut steps = Vec::new();
    let mut place = at;
    while place != 0 {
        let (_, before, step) = worlds[place];
        steps.push(step);
        place = before as usize;
    }
    steps.reverse();
    Violation { what, steps, world }
}

/// At the end of all that is under way, the cleaner alone brings everything in order.
fn end(world: &World, rules: &Rules) -> Result<(), &'static str> {
    let rests = |actor: &Actor| matches!(actor.at, At::Start | At::Done);
    if world.time < END || world.wire != [None; WIRE] || !world.actors.iter().all(rests) {
        return Ok(());
    }
    let mut world = *world;
    world.event = None;
    let cleaner = [Role::Compare, Role::Sweep, Role::Orphans, Role::Nobody];
    world.actors = cleaner.map(|role| Actor {
        role,
        at: At::Start,
    });
    for _ in 0..4 {
        for place in 0..3 {
            run(&mut world, rules, place);
            world.check()?;
        }
        world.time += rules.tombstone_life.max(2);
    }
    world.check_end()
}

/// Runs one actor to its rest, without faults.
fn run(world: &mut World, rules: &Rules, place: usize) {
    let mut next = Vec::new();
    loop {
        step(world, rules, place, false, &mut next);
        let Some((_, after)) = next.drain(..).next() else {
            return;
        };
        *world = after;
        if world.actors[place].at == At::Start {
            return;
        }
    }
}
