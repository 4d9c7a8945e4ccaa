//! A small model of the key of an upload, explored exhaustively: clients store, prolong, delete and
//! download it, instances clean up, in every order of their steps, with any message lost, doubled or
//! late, and any process ended between two steps.
//!
//! The roles in `actors` mirror the code step by step and name it. The invariants are in
//! [`World::check`](world::World::check): the key goes from absent to live to gone and never
//! back; nothing answered is lost, nothing prolonged is removed, nothing deleted comes back; and
//! in the end index and store agree, and no file is without a manifest.
//!
//! Assumed are what the design rests on: a write to the key is whole and conditional; a message
//! does not come later than a commit may; tombstones outlast both together.

mod actors;
mod search;
mod world;

use actors::Role::{self, *};
use search::Scenario;
use world::{Mishaps, Rules};

const LOSES: Mishaps = Mishaps {
    flush: true,
    restore: false,
};
const GOES_BACK: Mishaps = Mishaps {
    flush: false,
    restore: true,
};
const NONE: Mishaps = Mishaps {
    flush: false,
    restore: false,
};

/// The actors that meet an upload that ends at its deadline: every three of them.
const PARTNERS: [Role; 6] = [Prolong, Delete, Sweep, Sweep, Orphans, Compare];

/// The actors that meet others.
const MORE: [([Role; 4], Mishaps); 10] = [
    ([CommitForEver, Delete, Orphans, Compare], NONE),
    ([CommitForEver, Delete, Delete, ProlongForEver], NONE),
    ([CommitForEver, Orphans, Orphans, Compare], LOSES),
    ([CommitLimited, Download, Download, Sweep], NONE),
    ([CommitLimited, Download, Delete, Sweep], NONE),
    ([CommitLimited, Download, DownloadFile, Sweep], NONE),
    ([CommitLimited, DownloadFile, DownloadFile, Download], NONE),
    ([Commit, Prolong, Sweep, Order], NONE),
    ([Commit, Prolong, Order, Compare], GOES_BACK),
    ([Commit, ProlongForEver, Order, Compare], GOES_BACK),
];

fn scenarios() -> Vec<Scenario> {
    let mut all = MORE.to_vec();
    for (place, first) in PARTNERS.iter().enumerate() {
        let others = &PARTNERS[place + 1..];
        for (place, second) in others.iter().enumerate() {
            for third in &others[place + 1..] {
                let roles = [Commit, *first, *second, *third];
                all.push((roles, LOSES));
            }
        }
    }
    let all = all.into_iter();
    all.map(|(roles, mishaps)| Scenario { roles, mishaps })
        .collect()
}

#[test]
fn in_every_order_of_events_all_promises_hold() {
    let mut worlds = 0;
    for scenario in scenarios() {
        match scenario.explore(&Rules::CODE) {
            Ok(count) => {
                println!("{count:>8} worlds: {scenario:?}");
                worlds += count;
            }
            Err(violation) => panic!("{scenario:?}: {violation:?}"),
        }
    }
    println!("{worlds} worlds");
    assert!(worlds > 1_000_000, "{worlds} worlds are few");
}

/// Leaves one rule out, and expects that one of the scenarios finds what it is for.
#[track_caller]
fn breaks(what: &str, rules: Rules) {
    let violations = scenarios()
        .into_iter()
        .map(|scenario| scenario.explore(&rules));
    let mut found = violations.filter_map(Result::err);
    assert!(found.any(|violation| violation.what == what), "{rules:?}");
}

#[test]
fn no_rule_can_be_left_out() {
    const CODE: Rules = Rules::CODE;
    let without = |leave_out: fn(&mut Rules)| {
        let mut rules = CODE;
        leave_out(&mut rules);
        rules
    };
    let lost = "what was answered is gone before its time";
    breaks(lost, without(|rules| rules.generation_checked = false));
    breaks(lost, without(|rules| rules.manifest_asked = false));
    breaks(lost, without(|rules| rules.order_compared = false));
    let back = "what was gone is back";
    breaks(back, without(|rules| rules.create_is_exclusive = false));
    breaks(back, without(|rules| rules.tombstones = false));
    breaks(back, without(|rules| rules.tombstone_life = 0));
    breaks(back, without(|rules| rules.commit_bounded = false));
    let holed = "an upload has lost its file";
    breaks(holed, without(|rules| rules.tombstone_first = false));
    breaks(holed, without(|rules| rules.unknown_commit_closes = false));
    breaks(holed, without(|rules| rules.late_commit_keeps = false));
    let twice = "one use was given twice";
    breaks(twice, without(|rules| rules.gone_breaks_off = false));
    breaks(twice, without(|rules| rules.all_or_none = false));
}
