//! The invariants of the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::clients::Upload;
use super::faults::Instances;
use crate::support::wait_until;

/// How many milliseconds a line of the log may be later than its event.
const WRITTEN: u128 = 20;

/// Lines that no instance logs in a run: there is no operator, no damage, and no fault of ours.
const NEVER: [&str; 5] = [
    "an operator has ended",
    "is damaged",
    "is left out of the index",
    "panicked",
    "status=500",
];

/// Everything. Nothing is disturbed any more since `quiet`; `cli` asks Redis.
pub fn all(
    instances: &Instances,
    uploads: &[Upload],
    quiet: SystemTime,
    cli: &dyn Fn(&[&str]) -> String,
) {
    let count = |what: fn(&Upload) -> bool| uploads.iter().filter(|upload| what(upload)).count();
    println!(
        "{} uploads were answered, {} deleted, {} prolonged, {} are still there",
        uploads.len(),
        count(|upload| upload.deleted.is_some()),
        count(|upload| upload.promised.len() > 1),
        count(|upload| upload.must_be_there(SystemTime::now())),
    );
    answers(instances, uploads, quiet, false);
    // The regular comparison finds the changes that instances took with them before they had
    // reached Redis.
    wait_until("store and index agree", || {
        Store::read(instances).live == index(cli)
    });
    answers(instances, uploads, quiet, true);
    wait_until("what is over is gone from the store, files and all", || {
        let store = Store::read(instances);
        uploads.iter().all(|upload| {
            let gone = upload.must_be_gone(SystemTime::now(), Some(quiet));
            match gone {
                true => !store.has(&upload.id),
                // An upload that may have been deleted may be there for ever.
                false => upload.deadline().is_none(),
            }
        })
    });
    wait_until("no file is without a manifest, and nothing waits", || {
        let store = Store::read(instances);
        let known = |id| store.live.contains_key(id);
        store.files.iter().all(known) && instances.servers[0].staged() == 0
    });
    let reindexed = instances.setup(0).run(&["reindex"]);
    let said = String::from_utf8_lossy(&reindexed.stdout).into_owned();
    assert!(said.ends_with(" 0 damaged\n"), "{said}");
    wait_until("store and index still agree", || {
        Store::read(instances).live == index(cli)
    });
    answers(instances, uploads, quiet, true);
    let checked = instances.setup(0).run(&["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
    actions(instances, uploads);
}

/// Every upload on every instance, by its id, and by its name once the index is whole.
fn answers(instances: &Instances, uploads: &[Upload], quiet: SystemTime, named: bool) {
    for upload in uploads {
        for server in &instances.servers {
            let sent = SystemTime::now();
            if upload.limited {
                // A look at the record counts for nothing.
                let there = server.get(&format!("/uploads/{}", upload.id)).status == 200;
                assert!(
                    there || !upload.must_be_there(sent),
                    "{} is lost",
                    upload.id
                );
                continue;
            }
            upload.check("id", sent, Some(quiet), &server.get(&upload.path()));
            if !named {
                continue;
            }
            let by_name = server.get(&format!("/files/{}", upload.name));
            upload.check("name", sent, Some(quiet), &by_name);
        }
    }
}

/// Generation and deadline of an upload.
type Version = (u64, Option<i64>);

/// The content of the directory.
struct Store {
    live: BTreeMap<String, Version>,
    /// The uploads whose files there are.
    files: BTreeSet<String>,
}

impl Store {
    fn read(instances: &Instances) -> Self {
        let (mut live, mut files) = (BTreeMap::new(), BTreeSet::new());
        let server = &instances.servers[0];
        for name in server.files() {
            let Some(id) = name.strip_suffix(".json") else {
                files.insert(name[..26].to_owned());
                continue;
            };
            let path = server.store().join(&id[..2]).join(&name);
            // It may be replaced or removed under our eyes.
            let Ok(json) = std::fs::read(path) else {
                continue;
            };
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            if json["gone"].is_null() {
                let generation = json["generation"].as_u64().unwrap();
                live.insert(id.to_owned(), (generation, time_of(&json["expires_at"])));
            }
        }
        Store { live, files }
    }

    fn has(&self, id: &str) -> bool {
        self.live.contains_key(id) || self.files.contains(id)
    }
}

/// A time in a manifest: milliseconds in the first schema, RFC 3339 in the second.
fn time_of(time: &serde_json::Value) -> Option<i64> {
    let parsed = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    time.as_i64().or_else(|| time.as_str().map(parsed))
}

/// The entries of the index.
fn index(cli: &dyn Fn(&[&str]) -> String) -> BTreeMap<String, Version> {
    // One answer for all shards: every one of them says the same of an upload everywhere.
    const RECORDS: &str = r"local found = {}
for _, key in ipairs(redis.call('KEYS', 'wharf:{u*}:upload:*')) do
  local shard, id = string.match(key, '^(.*):upload:(.*)$')
  local g, e = unpack(redis.call('HMGET', key, 'g', 'e'))
  local due = redis.call('ZSCORE', shard .. ':due', id)
  if not redis.call('ZSCORE', shard .. ':all', id) or (due or '') ~= e then g = 'not whole' end
  found[#found + 1] = id .. ' ' .. g .. ' ' .. e
end
return found";
    let said = cli(&["EVAL", RECORDS, "0"]);
    let lines = said.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let mut next = || words.next().unwrap_or_default().to_owned();
            let (id, generation, deadline) = (next(), next(), next());
            (id, (generation.parse().unwrap_or(0), deadline.parse().ok()))
        })
        .collect()
}

/// The actions that every instance has logged.
fn actions(instances: &Instances, uploads: &[Upload]) {
    let known: BTreeMap<&str, &Upload> = uploads
        .iter()
        .map(|upload| (upload.id.as_str(), upload))
        .collect();
    let mut removals = 0;
    for number in 0..instances.servers.len() {
        for life in instances.lives(number) {
            // Until when its lease is good, in milliseconds.
            let mut valid_until = 0;
            for line in life.lines() {
                for never in NEVER {
                    assert!(!line.contains(never), "{line}");
                }
                if line.contains("an upload that was never committed") {
                    let id = text(line, "upload_id");
                    assert!(!known.contains_key(id), "it was: {line}");
                }
                if line.contains("the claim lasts") && line.contains(" left=") {
                    valid_until = millis(line) + field(line, "left");
                }
                if !line.contains("removing: it is over") {
                    continue;
                }
                removals += 1;
                assert!(field(line, "left") > 0, "{line}");
                assert!(
                    millis(line) <= valid_until + WRITTEN,
                    "after its lease: {line}"
                );
                let id = text(line, "upload_id");
                if let Some(upload) = known.get(id).filter(|upload| !upload.limited) {
                    assert!(!promised(upload, millis(line)), "too early: {line}");
                }
            }
        }
    }
    println!("{removals} removals begun");
    assert!(removals > 0);
}

/// Whether any client had been told before `time` that an upload lives for longer.
fn promised(upload: &Upload, time: u128) -> bool {
    let since = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_millis()
    };
    upload.promised.iter().any(|(told, deadline)| {
        since(*told) < time && deadline.is_none_or(|deadline| since(deadline) > time)
    })
}

/// The time of a line of the log.
fn millis(line: &str) -> u128 {
    let time: jiff::Timestamp = line.split(' ').next().unwrap().parse().unwrap();
    u128::try_from(time.as_millisecond()).unwrap()
}

fn text<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap();
    rest.split(' ').next().unwrap()
}

fn field(line: &str, name: &str) -> u128 {
    text(line, name).parse().unwrap()
}
