//! Expiry and everything beside it under faults that come at random: three instances on one
//! directory and one Redis, each with a path of its own to it, are killed, paused and cut off, and
//! Redis is restarted, set back and emptied, while clients store, prolong, download and delete.
//!
//! The invariants are checked from the answers that clients got ([`clients`]), from the log of
//! every instance and from what is in the store and in Redis afterwards ([`verify`]). The seed of
//! the faults is printed; `WHARF_SEED` sets it.

mod clients;
mod faults;
mod verify;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::{Cluster, Redis, soak};
use clients::{Client, Upload};
use faults::Instances;

/// How many clients there are.
const CLIENTS: u64 = 4;

/// The settings of the instances: short times, so that much happens, and a log of every action.
const ARGS: [&str; 8] = [
    "--stale-after",
    "3s",
    "--lease-ttl",
    "2s",
    "--min-free",
    "none",
    "--log",
    "info,wharf=debug,wharf::lease=trace",
];

/// Numbers that are the same for the same seed (xorshift64, Marsaglia 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Seeds that differ by little begin far apart.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// The seed that is asked for, or a random one.
fn seed() -> u64 {
    let asked = std::env::var("WHARF_SEED").ok();
    asked.map_or_else(
        || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            u64::from(now.unwrap().subsec_nanos())
        },
        |seed| seed.parse().expect("WHARF_SEED is a number"),
    )
}

/// Runs clients until `faults` has ended; answers what they know.
fn under_load(addresses: &Mutex<Vec<SocketAddr>>, seed: u64, faults: impl FnOnce()) -> Vec<Upload> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = Over(&over);
        let clients = (0..CLIENTS).map(|number| {
            let client = Client::new(number, Random::new(seed + 1 + number), addresses);
            let over = over.0;
            scope.spawn(move || client.run(over))
        });
        let clients: Vec<_> = clients.collect();
        faults();
        drop(over);
        let known = clients.into_iter().map(|client| client.join().unwrap());
        known.flatten().collect()
    })
}

/// Ends the clients with it, whatever happens.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One run; `all_lead` gives each instance a lock of its own, so that each cleans up all the
/// time.
fn run(seed: u64, span: Duration, all_lead: bool) {
    println!("WHARF_SEED={seed}");
    let mut redis = Redis::start();
    let mut instances = Instances::start(redis.port, all_lead);
    let addresses = Mutex::new(instances.addresses());
    let uploads = under_load(&addresses, seed, || {
        instances.disturb(&mut redis, &mut Random::new(seed), span, &addresses);
    });
    verify::all(&instances, &uploads, SystemTime::now(), &|args| {
        redis.cli(args)
    });
}

#[test]
fn nothing_answered_is_lost_and_nothing_gone_comes_back() {
    for round in 0..if soak() { 6 } else { 1 } {
        run(seed() + round, span(), false);
    }
}

#[test]
fn the_same_with_three_leaders_all_the_time() {
    for round in 0..if soak() { 6 } else { 1 } {
        run(seed() + 1000 + round, span(), true);
    }
}

/// The same on a cluster, whose masters change, by order and by force.
#[test]
fn the_same_on_a_cluster() {
    if !soak() {
        return;
    }
    let seed = seed() + 2000;
    println!("WHARF_SEED={seed}");
    let mut cluster = Cluster::start();
    let mut instances = Instances::at(vec![cluster.url(); 3], false);
    let addresses = Mutex::new(instances.addresses());
    let uploads = under_load(&addresses, seed, || {
        instances.disturb_cluster(&mut cluster, &mut Random::new(seed), span(), &addresses);
    });
    verify::all(&instances, &uploads, SystemTime::now(), &|args| {
        let masters = cluster.masters().into_iter();
        let said = masters.map(|master| cluster.nodes[master].cli(args));
        said.collect::<Vec<_>>().concat()
    });
}

fn span() -> Duration {
    Duration::from_secs(if soak() { 40 } else { 14 })
}
