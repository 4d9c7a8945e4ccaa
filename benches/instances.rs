//! Several instances: how long it takes until another cleans up, and until what is due is removed.
//!
//! `cargo bench --profile dist --bench instances [-- NAME]` needs redis-server. It starts three instances on one
//! directory and a Redis, or a cluster of six, and takes the times from the logs of the
//! instances. The figures are of one machine: what they hold against are the time that a lock
//! lasts (4 s), and the time that Redis Cluster takes to replace a master
//! (cluster-node-timeout, 1 s here, and an election).

#[allow(
    dead_code,
    unused_imports,
    reason = "the harness of the tests, of which this needs a part"
)]
#[path = "../tests/wharf/support/mod.rs"]
mod support;

use std::time::{Duration, SystemTime};

use support::{Cluster, Fleet, Pending, Redis, Server, print_spans, since, wait_until};

const LOCK: &str = "wharf:{lead}:lock";

/// A case and its name.
type Case = (&'static str, fn());

const CASES: [Case; 5] = [
    ("handover", || {
        changes("graceful handover (SIGTERM)", 50, stop)
    }),
    ("lost", || {
        changes("the same, its message lost", 20, stop_unheard)
    }),
    ("crash", || changes("takeover after kill -9", 20, kill)),
    ("failover", failovers),
    ("expiry", expiry),
];

fn main() {
    // Cargo adds `--bench`.
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    for (name, run) in CASES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}

fn stop(_: &Redis, leader: Server) {
    assert_eq!(leader.stop().0.code(), Some(0));
}

fn stop_unheard(redis: &Redis, leader: Server) {
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    stop(redis, leader);
}

fn kill(_: &Redis, leader: Server) {
    leader.kill();
}

/// Ends the leader by `end` again and again.
fn changes(what: &str, rounds: usize, end: fn(&Redis, Server)) {
    let redis = Redis::start();
    let mut fleet = Fleet::start(&redis.url());
    let spans = (0..rounds).map(|round| {
        let leader = fleet.take_leader();
        let told = SystemTime::now();
        end(&redis, leader);
        let span = since(told, fleet.took_over());
        fleet.add(3 + round);
        wait_until("all listen", || redis.listeners() == 3);
        span
    });
    print_spans(what, spans.collect());
}

/// Kills the master that holds the lock again and again. How long the cluster itself did without
/// a master is measured beside it.
fn failovers() {
    let mut cluster = Cluster::start();
    let fleet = Fleet::start(&cluster.url());
    let (mut gaps, mut extra) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let master = cluster.master_of(LOCK);
        let other = cluster.another_master(master);
        let killed = SystemTime::now();
        cluster.nodes[master].kill();
        wait_until("the cluster has another master", || {
            let seen = cluster.master_seen_by(other, LOCK);
            seen.is_some_and(|seen| seen != master)
        });
        let replaced = SystemTime::now();
        // The one that led goes on where it can still say that it is the one.
        let lines = ["acquired lease", "renewed lease after an error"];
        let mut led = killed;
        wait_until("there is a leader again", || {
            let servers = fleet.servers.iter();
            let all = servers.flat_map(|server| lines.map(|line| server.lines(line)));
            let times = all.flatten().map(|(at, _)| at).filter(|at| *at > killed);
            led = times.min().unwrap_or(killed);
            led > killed
        });
        fleet.leader();
        gaps.push(since(killed, led));
        extra.push(since(replaced, led));
        cluster.nodes[master].restart();
        cluster.wait();
        fleet.ready();
    }
    print_spans("the lock's master killed, until there is a leader", gaps);
    print_spans("of that, after the cluster had another master", extra);
}

/// How late removals begin while many others wait.
fn expiry() {
    for count in [0, 10_000, 100_000] {
        let redis = Redis::start();
        let fleet = Fleet::with(&redis.url(), 3, &["--durability", "relaxed"]);
        let pending = Pending::measure(&redis, &fleet, count);
        println!("{count} wait, each for {} bytes of Redis", pending.bytes);
        let late = |lag: &&Duration| **lag > Duration::from_secs(1);
        let late = pending.lags.iter().filter(late).count();
        print_spans("from a deadline to the removal", pending.lags);
        println!("{late} of 200 later than 1 s");
    }
}
