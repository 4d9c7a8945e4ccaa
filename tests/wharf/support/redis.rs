//! Real Redis servers, each in a folder and on a port of its own. Used by the tests of the binary
//! and by those beside the code.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server; it ends with the value.
pub struct Redis {
    child: Child,
    pub port: u16,
    args: Vec<String>,
    dir: tempfile::TempDir,
}

/// A port that nobody has, and whose neighbour 10,000 above (where a server of a cluster listens
/// for the others) is one.
pub fn free_port() -> u16 {
    loop {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let bus = port.checked_add(10_000);
        if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
            return port;
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
        until("Redis answers", || self.cli(&["PING"]).trim() == "PONG");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What redis-cli says to a command.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
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

    /// What redis-cli, following redirections, says to a command.
    pub fn cli(&self, args: &[&str]) -> String {
        let mut all = vec!["-c"];
        all.extend_from_slice(args);
        self.nodes[0].cli(&all)
    }

    /// The place among the nodes of the master that holds a key.
    pub fn master_of(&self, key: &str) -> usize {
        let slot: u64 = self.nodes[0]
            .cli(&["CLUSTER", "KEYSLOT", key])
            .trim()
            .parse()
            .unwrap();
        self.nodes
            .iter()
            .position(|node| {
                let nodes = node.cli(&["CLUSTER", "NODES"]);
                let Some(own) = nodes.lines().find(|line| line.contains("myself,master")) else {
                    return false;
                };
                own.split(' ').skip(8).any(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    let inside = |first: u64, last: u64| (first..=last).contains(&slot);
                    matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if inside(first, last))
                })
            })
            .expect("a master has the slot")
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
