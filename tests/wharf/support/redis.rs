//! Real Redis servers, each in a folder and on a port of its own. Used by the tests of the binary
//! and by those beside the code.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A server; it ends with the value.
pub struct Redis {
    child: Child,
    pub port: u16,
    args: Vec<String>,
    dir: tempfile::TempDir,
}

/// A free port, whose neighbour 10,000 above (where a server of a cluster listens
/// for the others) is one.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of so many in a row. All lie below those that the system gives to connections
/// (ip(7), ip_local_port_range), so that none of the many a test opens takes them before a server
/// listens there.
pub fn free_ports(count: u16) -> u16 {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Other test programs that run at the same time begin elsewhere.
        let next = NEXT.fetch_add(count.into(), Ordering::Relaxed) + std::process::id() * 61;
        let first = u16::try_from(FIRST + next % PORTS).unwrap();
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(|port| free(port) && free(port + 10_000)) {
            return first;
        }
    }
}

impl Redis {
    /// One that keeps nothing on disk.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with more arguments, or other values of ours.
    pub fn with(args: &[&str]) -> Self {
        let redis = Self::spawn(free_port(), args);
        redis.wait();
        redis
    }

    fn spawn(port: u16, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let child = run(port, &args, &dir);
        Redis {
            child,
            port,
            args,
            dir,
        }
    }

    fn wait(&self) {
        // One with a password answers as well.
        let answers = |said: String| said.contains("PONG") || said.contains("NOAUTH");
        until("Redis answers", || answers(self.cli(&["PING"])));
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The output of redis-cli for a command.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// How many connections listen to it.
    pub fn listeners(&self) -> usize {
        let clients = self.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        clients
            .lines()
            .filter(|line| line.contains("addr="))
            .count()
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Has it keep nothing for its next start.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.dir.path().join("dump.rdb"));
    }

    /// Starts it again where it was, with what it has kept on disk.
    pub fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = run(self.port, &self.args, &self.dir);
        self.wait();
    }
}

fn run(port: u16, args: &[String], dir: &tempfile::TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(["--repl-diskless-sync-delay", "0"])
        .args(args)
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server runs")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three masters and a replica of each.
pub struct Cluster {
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// One that is ready.
    pub fn start() -> Self {
        let cluster = Cluster {
            nodes: (0..6).map(|_| Self::node()).collect(),
        };
        cluster.nodes.iter().for_each(Redis::wait);
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(
            cluster
                .nodes
                .iter()
                .map(|node| format!("127.0.0.1:{}", node.port)),
        );
        create.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let created = create.output().unwrap();
        assert!(created.status.success(), "{created:?}");
        cluster.wait();
        cluster
    }

    /// A server that can be one of a cluster.
    pub fn node() -> Redis {
        let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        Redis::spawn(free_port(), &args)
    }

    /// Waits until all know each other, and replicas are where their masters are.
    pub fn wait(&self) {
        for node in &self.nodes {
            until("the cluster is well", || {
                node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            });
            until("the replica has its master's data", || {
                let info = node.cli(&["INFO", "replication"]);
                info.contains("role:master") || info.contains("master_link_status:up")
            });
        }
    }

    pub fn url(&self) -> String {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    /// The output of redis-cli, following redirections, for a command.
    pub fn cli(&self, args: &[&str]) -> String {
        let mut all = vec!["-c"];
        all.extend_from_slice(args);
        self.nodes[0].cli(&all)
    }

    fn slot(&self, key: &str) -> u64 {
        let slot = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]);
        slot.trim().parse().unwrap_or_else(|_| panic!("{slot}"))
    }

    /// The place among the nodes of the master that holds a key, by its own word.
    #[track_caller]
    pub fn master_of(&self, key: &str) -> usize {
        let slot = self.slot(key);
        self.nodes
            .iter()
            .position(|node| {
                let nodes = node.cli(&["CLUSTER", "NODES"]);
                let own = nodes.lines().find(|line| line.contains("myself,master"));
                own.is_some_and(|own| holds(own, slot))
            })
            .expect("a master has the slot")
    }

    /// The same by the word of the node at this place.
    pub fn master_seen_by(&self, place: usize, key: &str) -> Option<usize> {
        let slot = self.slot(key);
        let nodes = self.nodes[place].cli(&["CLUSTER", "NODES"]);
        let master = nodes.lines().find(|line| holds(line, slot))?;
        self.nodes
            .iter()
            .position(|node| master.contains(&format!(":{}@", node.port)))
    }

    /// The id by which others know a node.
    fn id(&self, place: usize) -> String {
        self.nodes[place]
            .cli(&["CLUSTER", "MYID"])
            .trim()
            .to_owned()
    }

    /// The place of a replica of a master.
    pub fn replica_of(&self, master: usize) -> usize {
        let id = self.id(master);
        let replica = |node: &Redis| {
            let nodes = node.cli(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself,slave"));
            own.is_some_and(|own| own.contains(&id))
        };
        self.nodes
            .iter()
            .position(replica)
            .expect("it has a replica")
    }

    /// Has a replica take the place of its master, which holds a key. One that finds no time for it
    /// within five seconds has given it up, and is asked again.
    #[track_caller]
    pub fn hand_over(&self, replica: usize, key: &str) {
        let mut asked: Option<Instant> = None;
        until("the replica is the master", || {
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                asked = Some(Instant::now());
                self.nodes[replica].cli(&["CLUSTER", "FAILOVER"]);
            }
            self.master_seen_by(replica, key) == Some(replica)
        });
    }

    /// The places of all masters that hold slots.
    pub fn masters(&self) -> Vec<usize> {
        let masters = (0..self.nodes.len()).filter(|place| {
            let nodes = self.nodes[*place].cli(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself,master"));
            own.is_some_and(|own| own.split(' ').count() > 8)
        });
        masters.collect()
    }

    /// Whether all that live say that the cluster is, and all replicas have their masters' data.
    pub fn is_well(&self) -> bool {
        self.nodes.iter().all(|node| {
            let info = node.cli(&["INFO", "replication"]);
            let linked = info.contains("role:master") || info.contains("master_link_status:up");
            linked && node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        })
    }

    /// The place of a master that is not this.
    pub fn another_master(&self, master: usize) -> usize {
        let others = self.masters().into_iter().find(|other| *other != master);
        others.expect("there are three")
    }

    /// Adds a master without slots; its place.
    pub fn add(&mut self) -> usize {
        let node = Self::node();
        node.wait();
        let (new, known) = (node.port, self.nodes[0].port);
        self.nodes.push(node);
        let said = self.nodes[0].cli(&[
            "--cluster",
            "add-node",
            &format!("127.0.0.1:{new}"),
            &format!("127.0.0.1:{known}"),
        ]);
        assert!(said.contains("[OK] New node added"), "{said}");
        self.wait();
        self.nodes.len() - 1
    }

    /// Moves the slot of a key to the master at this place, keys and all (CLUSTER SETSLOT).
    pub fn migrate(&self, key: &str, to: usize) {
        let slot = self.slot(key).to_string();
        let from = self.master_of(key);
        let (giver, taker) = (self.id(from), self.id(to));
        let set = |place: usize, what: &[&str]| {
            let all = [&["CLUSTER", "SETSLOT", slot.as_str()], what].concat();
            let said = self.nodes[place].cli(&all);
            assert_eq!(said.trim(), "OK", "{all:?}");
        };
        set(to, &["IMPORTING", &giver]);
        set(from, &["MIGRATING", &taker]);
        let port = self.nodes[to].port.to_string();
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            let keys: Vec<&str> = keys.split_whitespace().collect();
            if keys.is_empty() {
                break;
            }
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            command.extend(keys);
            self.nodes[from].cli(&command);
        }
        set(to, &["NODE", &taker]);
        for place in self.masters() {
            set(place, &["NODE", &taker]);
        }
        until("all know where the slot is", || {
            (0..self.nodes.len()).all(|place| self.master_seen_by(place, key) == Some(to))
        });
    }
}

/// Whether a line of CLUSTER NODES is of a node that has the slot.
fn holds(line: &str, slot: u64) -> bool {
    line.split(' ').skip(8).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let inside = |first: u64, last: u64| (first..=last).contains(&slot);
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if inside(first, last))
    })
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
