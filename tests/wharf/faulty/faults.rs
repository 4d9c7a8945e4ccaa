//! The instances, and the faults that they suffer.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{ARGS, Random};
use crate::support::{Cluster, Fault, Proxy, Redis, Server, Setup, wait_until};

const KILL: i32 = 9;
const STOP: i32 = 19;
const CONTINUE: i32 = 18;

/// Three instances on one directory.
pub struct Instances {
    pub servers: Vec<Server>,
    /// The log lines of instances that are no more, by the number of the instance.
    pub logs: Vec<Vec<String>>,
    proxies: Vec<Proxy>,
    /// Until when each is paused.
    paused: Vec<Option<Instant>>,
    /// Until when the path of each is disturbed.
    disturbed: Vec<Option<Instant>>,
    urls: Vec<String>,
    all_lead: bool,
    dir: tempfile::TempDir,
}

impl Instances {
    /// Three of them at the Redis on this port, each by a path of its own.
    pub fn start(port: u16, all_lead: bool) -> Self {
        let proxies: Vec<Proxy> = (0..3).map(|_| Proxy::to(port)).collect();
        let urls = proxies.iter().map(Proxy::url).collect();
        let mut instances = Self::at(urls, all_lead);
        instances.proxies = proxies;
        instances
    }

    /// One at each of these addresses of Redis.
    pub fn at(urls: Vec<String>, all_lead: bool) -> Self {
        let mut instances = Instances {
            servers: Vec::new(),
            logs: vec![Vec::new(); urls.len()],
            proxies: Vec::new(),
            paused: vec![None; urls.len()],
            disturbed: vec![None; urls.len()],
            urls,
            all_lead,
            dir: tempfile::tempdir().unwrap(),
        };
        for number in 0..instances.urls.len() {
            let server = instances.begin(number);
            instances.servers.push(server);
        }
        instances.ready();
        instances
    }

    pub fn setup(&self, number: usize) -> Setup {
        let instance = format!("i{number}");
        let mut args = vec!["--redis", &self.urls[number], "--instance", &instance];
        args.extend(ARGS);
        let key = format!("lock-of-{number}");
        if self.all_lead {
            args.extend(["--lease-key", &key]);
        }
        let store = self.dir.path().join("upload");
        Setup::new().store(&store).args(&args)
    }

    /// Starts one: again when Redis does not answer it at once.
    fn begin(&self, number: usize) -> Server {
        let mut started = None;
        wait_until("an instance starts", || {
            started = self.setup(number).try_start().ok();
            started.is_some()
        });
        started.unwrap()
    }

    /// Waits until all can store, and know all names.
    pub fn ready(&self) {
        for server in &self.servers {
            wait_until("an instance is ready", || {
                let whole = server.get("/uploads?limit=1").status == 200;
                server.get("/readyz").status == 200 && whole
            });
        }
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.address).collect()
    }

    /// The log lines of the instance of this number, in each of its lives.
    pub fn lives(&self, number: usize) -> Vec<String> {
        let mut lives = self.logs[number].clone();
        lives.push(self.servers[number].log());
        lives
    }

    fn kill(&mut self, number: usize) {
        self.servers[number].signal(KILL);
        self.servers[number].wait();
        self.paused[number] = None;
        self.logs[number].push(self.servers[number].log());
        // It could not start without Redis.
        self.reach(number, Fault::Pass);
        self.disturbed[number] = None;
        self.servers[number] = self.begin(number);
    }

    fn reach(&self, number: usize, fault: Fault) {
        if let Some(proxy) = self.proxies.get(number) {
            proxy.set(fault);
        }
    }

    /// Ends what has lasted for long enough; all of it with `all`.
    fn relent(&mut self, all: bool) {
        let over = |until: &Option<Instant>| until.is_some_and(|end| all || end <= Instant::now());
        for number in 0..self.servers.len() {
            if over(&self.paused[number]) {
                self.paused[number] = None;
                self.servers[number].signal(CONTINUE);
            }
            if over(&self.disturbed[number]) {
                self.disturbed[number] = None;
                self.reach(number, Fault::Pass);
            }
        }
    }

    /// Disturbs at random for so long, then no more.
    pub fn disturb(
        &mut self,
        redis: &mut Redis,
        random: &mut Random,
        span: Duration,
        addresses: &Mutex<Vec<SocketAddr>>,
    ) {
        self.often(random, span, addresses, |instances, random, number| {
            Some(match random.below(10) {
                0..5 => {
                    let fault = *random.pick(&Fault::ALL[1..]);
                    let pause = random.millis(200, 4000);
                    instances.reach(number, fault);
                    instances.disturbed[number] = Some(Instant::now() + pause);
                    format!("i{number} has {fault:?} for {pause:?}")
                }
                5 => said(redis, &["FLUSHALL"]),
                6 => said(redis, &["CLIENT", "KILL", "TYPE", "pubsub"]),
                7 => said(redis, &["SAVE"]),
                8 => {
                    redis.restart();
                    "Redis restarts with its last snapshot".to_owned()
                }
                _ => {
                    redis.forget();
                    redis.restart();
                    "Redis restarts with nothing".to_owned()
                }
            })
        });
    }

    /// The same on a cluster.
    pub fn disturb_cluster(
        &mut self,
        cluster: &mut Cluster,
        random: &mut Random,
        span: Duration,
        addresses: &Mutex<Vec<SocketAddr>>,
    ) {
        self.often(random, span, addresses, |_, random, _| {
            let masters = cluster.masters();
            // While one is away the others are left alone: so much the cluster must bear.
            let master = *random.pick(&masters);
            let whole = masters.len() == 3 && cluster.is_well();
            Some(match random.below(4) {
                0 if whole => {
                    let replica = cluster.replica_of(master);
                    said(&cluster.nodes[replica], &["CLUSTER", "FAILOVER"])
                }
                1 if whole => {
                    cluster.nodes[master].kill();
                    let replaced =
                        || cluster.masters().len() == 3 && !cluster.masters().contains(&master);
                    wait_until("another takes over", replaced);
                    cluster.nodes[master].restart();
                    format!("master {master} was killed and comes back")
                }
                2 => said(&cluster.nodes[master], &["FLUSHALL"]),
                3 => said(
                    &cluster.nodes[master],
                    &["CLIENT", "KILL", "TYPE", "pubsub"],
                ),
                _ => return None,
            })
        });
        cluster.wait();
    }

    /// Kills and pauses instances, and does `more`, for so long.
    fn often(
        &mut self,
        random: &mut Random,
        span: Duration,
        addresses: &Mutex<Vec<SocketAddr>>,
        mut more: impl FnMut(&mut Self, &mut Random, usize) -> Option<String>,
    ) {
        let start = Instant::now();
        while start.elapsed() < span {
            let number = random.below(self.servers.len() as u64) as usize;
            let what = match random.below(16) {
                0..3 => {
                    self.kill(number);
                    *addresses.lock().unwrap() = self.addresses();
                    Some(format!("i{number} is killed, and restarted"))
                }
                3..6 => {
                    // Up to longer than the lease lasts.
                    let pause = random.millis(300, 3500);
                    self.servers[number].signal(STOP);
                    self.paused[number] = Some(Instant::now() + pause);
                    Some(format!("i{number} is paused for {pause:?}"))
                }
                _ => more(self, random, number),
            };
            if let Some(what) = what {
                println!("{:>6.2} s: {what}", start.elapsed().as_secs_f64());
            }
            let next = Instant::now() + random.millis(50, 700);
            while Instant::now() < next {
                self.relent(false);
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.relent(true);
        self.ready();
    }
}

/// Gives Redis a command.
fn said(redis: &Redis, args: &[&str]) -> String {
    let answer = redis.cli(args);
    format!("Redis is told {}: {}", args.join(" "), answer.trim())
}
