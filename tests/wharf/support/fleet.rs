use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

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
        let fleet = Self::leaderless(redis, count, args);
        fleet.ready();
        fleet.leader();
        fleet
    }

    /// So many of them, just started.
    pub fn leaderless(redis: &str, count: usize, args: &[&str]) -> Self {
        let mut all = vec!["--redis".to_owned(), redis.to_owned()];
        all.extend(args.iter().map(ToString::to_string));
        let mut fleet = Fleet {
            servers: Vec::new(),
            dir: Arc::new(tempfile::tempdir().unwrap()),
            args: all,
        };
        for number in 0..count {
            fleet.add(number);
        }
        fleet
    }

    /// Starts one more.
    pub fn add(&mut self, number: usize) {
        let server = self.setup(number).start();
        self.servers.push(server);
    }

    /// Waits until all can store, and know all names.
    #[track_caller]
    pub fn ready(&self) {
        for server in &self.servers {
            wait_until("an instance is ready", || {
                let whole = server.get("/uploads?limit=1").status == 200;
                server.get("/readyz").status == 200 && whole
            });
        }
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

    /// Takes the leader out of the fleet.
    #[track_caller]
    pub fn take_leader(&mut self) -> Server {
        let leader = self.leader();
        self.servers.remove(leader)
    }

    /// When the leader took over, by its own log.
    #[track_caller]
    pub fn took_over(&self) -> SystemTime {
        let leader = &self.servers[self.leader()];
        let epoch = &leader.get("/status").json()["epoch"];
        let line = format!("acquired lease epoch={epoch}");
        wait_until("it is logged", || leader.log().contains(&line));
        leader.lines(&line)[0].0
    }
}

/// Leader or follower, as `/status` says.
pub fn role(status: &Response) -> String {
    let json = status.json();
    json["role"].as_str().unwrap_or_default().to_owned()
}
