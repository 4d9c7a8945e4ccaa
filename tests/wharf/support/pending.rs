use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::{Fleet, Form, Redis, post_many, since, wait_until};

/// The cost of so many uploads that wait for their deadline.
pub struct Pending {
    /// From the deadlines of 200 others to the start of their removal.
    pub lags: Vec<Duration>,
    /// Bytes of Redis for each that waits (INFO, used_memory).
    pub bytes: u64,
}

impl Pending {
    /// Stores `count` forms of one file that last for an hour, then 200 that last for seconds,
    /// and waits for the end of those.
    pub fn measure(redis: &Redis, fleet: &Fleet, count: usize) -> Self {
        const CLIENTS: usize = 6;
        const DUE: usize = 200;
        let form = Form::new().file("f", "pending.txt", b"pending");
        let before = used_memory(redis);
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let server = &fleet.servers[client % fleet.servers.len()];
                let share = count / CLIENTS + usize::from(client < count % CLIENTS);
                let form = &form;
                scope.spawn(move || post_many(server, form, "?expires_in=1h", share));
            }
        });
        let bytes = (used_memory(redis) - before) / count.max(1) as u64;
        let leader = &fleet.servers[fleet.leader()];
        let mut deadlines = HashMap::new();
        for i in 0..DUE {
            let query = format!("?expires_in={}", 1 + i % 10);
            for json in post_many(&fleet.servers[i % fleet.servers.len()], &form, &query, 1) {
                let id = json["id"].as_str().unwrap().to_owned();
                deadlines.insert(id, json["expires_at"].as_str().unwrap().to_owned());
            }
        }
        wait_until("all that were due are removed", || {
            leader.metric("wharf_uploads_expired_total") >= DUE as f64
        });
        // The log is written by a thread of its own, and may come later than the uploads that are
        // counted.
        let removing = || leader.lines("removing: it is over");
        wait_until("the log says so", || removing().len() >= DUE);
        let lags = removing().into_iter();
        let lags: Vec<Duration> = lags
            .map(|(at, line)| {
                let (_, id) = line.split_once("id=").unwrap();
                let deadline: jiff::Timestamp = deadlines[&id[..26]].parse().unwrap();
                let millis = u64::try_from(deadline.as_millisecond()).unwrap();
                since(SystemTime::UNIX_EPOCH + Duration::from_millis(millis), at)
            })
            .collect();
        assert_eq!(lags.len(), DUE);
        Pending { lags, bytes }
    }
}

fn used_memory(redis: &Redis) -> u64 {
    let info = redis.cli(&["INFO", "memory"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    line.unwrap().trim().parse().unwrap()
}
