use std::path::PathBuf;
use std::sync::Arc;

use super::{Response, Server, Setup, wait_until};

/// Several instances on one directory and one Redis.
pub struct Fleet {
    pub servers: Vec<Server>,
    dir: Arc<tempfile::TempDir>,
    args: Vec<String>,
}

impl Fleet {
    /// Three of them, ready, one of them the leader.
    pub fn start(redis: &str) -> Self {
        Self::with(redis, 3, &[])
    }

    pub fn with(redis: &str, count: usize, args: &[&str]) -> Self {
        let mut all = vec!["--redis".to_owned(), redis.to_owned()];
        all.extend(args.iter().map(ToString::to_string));
        let mut fleet = Fleet {
            servers: Vec::new(),
            dir: Arc::new(tempfile::tempdir().unwrap()),
            args: all,
        };
        for number in 0..count {
            let server = fleet.setup(number).start();
            fleet.servers.push(server);
        }
        wait_until("all are ready", || {
            fleet
                .servers
                .iter()
                .all(|server| server.get("/readyz").status == 200)
        });
        fleet.leader();
        fleet
    }

    /// How the instance of this number is started.
    pub fn setup(&self, number: usize) -> Setup {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        Setup::new().store(&self.store()).args(&args).args(&[
            "--instance",
            &format!("i{number}"),
            "--log",
            "info,wharf=debug",
        ])
    }

    pub fn store(&self) -> PathBuf {
        self.dir.path().join("upload")
    }

    /// The place of the one leader, once there is just one.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let mut found = None;
        wait_until("there is one leader", || {
            let leaders: Vec<usize> = (0..self.servers.len())
                .filter(|place| role(&self.servers[*place].get("/status")) == "leader")
                .collect();
            found = leaders.first().copied().filter(|_| leaders.len() == 1);
            found.is_some()
        });
        found.unwrap()
    }

    /// The places of the others.
    pub fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.servers.len())
            .filter(|place| *place != leader)
            .collect()
    }
}

/// Leader or follower, as `/status` says.
pub fn role(status: &Response) -> String {
    let json = status.json();
    json["role"].as_str().unwrap_or_default().to_owned()
}
