//! Several instances on a Redis Cluster whose servers come and go.

use std::time::{Duration, SystemTime};

use crate::support::{
    Cluster, Fleet, Load, Server, print_spans, request, role, sha256, since, wait_until,
};

const LOCK: &str = "wharf:{lead}:lock";

/// Three instances that are stored to all the time, on a cluster.
struct Scene {
    cluster: Cluster,
    fleet: Fleet,
    load: Load,
}

impl Scene {
    fn start() -> Self {
        let cluster = Cluster::start();
        let fleet = Fleet::start(&cluster.url());
        let load = Load::on(&fleet);
        let scene = Scene {
            cluster,
            fleet,
            load,
        };
        scene.goes_on("at first");
        scene
    }

    /// Waits until there is one leader by Redis too, all can store, and do.
    #[track_caller]
    fn goes_on(&self, when: &str) {
        let leader = self.fleet.leader();
        wait_until(&format!("the lock is held {when}"), || {
            self.cluster.cli(&["GET", LOCK]).starts_with('i')
        });
        for server in &self.fleet.servers {
            wait_until(&format!("an instance is ready {when}"), || {
                server.get("/readyz").status == 200
            });
        }
        let before = self.load.count();
        wait_until(&format!("forms are stored {when}"), || {
            self.load.count() > before + 10
        });
        assert!(leader < self.fleet.servers.len());
    }

    /// How long no instance could lead after `event`: until the first renewal or claim that Redis
    /// has answered since.
    #[track_caller]
    fn gap(&self, event: SystemTime) -> Duration {
        wait_until("the lock is held", || {
            self.cluster.cli(&["GET", LOCK]).starts_with('i')
        });
        since(event, SystemTime::now())
    }

    /// Everything that was answered is on every instance, under its id and its name.
    fn end(self) {
        let stored = self.load.end();
        println!("{} forms were stored", stored.len());
        self.fleet.ready();
        for (i, (path, digest)) in stored.iter().enumerate() {
            let server = &self.fleet.servers[i % self.fleet.servers.len()];
            let (_, name) = path.split_once('/').unwrap();
            for path in [path.as_str(), name] {
                let file = request(server.address, "GET", &format!("/files/{path}"), &[], b"");
                assert_eq!((file.status, &sha256(&file.body)), (200, digest), "{path}");
            }
        }
        for server in &self.fleet.servers {
            assert!(listed(server) == stored.len(), "each is listed everywhere");
        }
    }
}

fn listed(server: &Server) -> usize {
    let (mut count, mut after) = (0, String::new());
    loop {
        let page = server.get(&format!("/uploads?limit=1000{after}")).json();
        count += page["uploads"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return count,
        }
    }
}

#[test]
fn leaders_change_as_on_one_server() {
    let cluster = Cluster::start();
    let mut fleet = Fleet::start(&cluster.url());
    let old = fleet.take_leader();
    let told = SystemTime::now();
    assert_eq!(old.stop().0.code(), Some(0));
    let gap = since(told, fleet.took_over());
    print_spans("handover on a cluster", vec![gap]);
    fleet.add(3);
    let old = fleet.take_leader();
    let killed = SystemTime::now();
    old.kill();
    let gap = since(killed, fleet.took_over());
    print_spans("takeover after kill -9 on a cluster", vec![gap]);
    fleet.add(4);
    let old = fleet.take_leader();
    old.signal(19);
    fleet.leader();
    old.signal(18);
    wait_until("the old one follows", || {
        role(&old.get("/status")) == "follower"
    });
}

#[test]
fn a_master_that_is_lost_costs_no_upload() {
    let mut scene = Scene::start();
    // Killed.
    let master = scene.cluster.master_of(LOCK);
    let killed = SystemTime::now();
    scene.cluster.nodes[master].kill();
    let gaps = vec![scene.gap(killed)];
    print_spans("the lock's master killed, until the lock is held", gaps);
    scene.goes_on("after a master was killed");
    scene.cluster.nodes[master].restart();
    scene.cluster.wait();
    scene.goes_on("after it came back");
    // Paused, until after another has taken over.
    let master = scene.cluster.master_of(LOCK);
    let other = (master + 1) % scene.cluster.nodes.len();
    scene.cluster.nodes[master].signal("-STOP");
    wait_until("another has taken over", || {
        let seen = scene.cluster.master_seen_by(other, LOCK);
        seen.is_some_and(|seen| seen != master)
    });
    scene.goes_on("after a master was paused");
    scene.cluster.nodes[master].signal("-CONT");
    scene.cluster.wait();
    scene.goes_on("after it went on");
    scene.end();
}

#[test]
fn failovers_and_moves_cost_no_upload() {
    let mut scene = Scene::start();
    for turn in 0..3 {
        let master = scene.cluster.master_of(LOCK);
        let replica = scene.cluster.replica_of(master);
        scene.cluster.hand_over(replica, LOCK);
        scene.goes_on(&format!("after failover {turn}"));
        scene.cluster.wait();
    }
    // The keys of the lease move to another server, then to a new one.
    let to = scene.cluster.another_master(scene.cluster.master_of(LOCK));
    scene.cluster.migrate(LOCK, to);
    scene.goes_on("after its slot has moved");
    let new = scene.cluster.add();
    scene.cluster.migrate(LOCK, new);
    assert_eq!(scene.cluster.master_of(LOCK), new);
    scene.goes_on("after its slot has moved to a new server");
    wait_until("all listen to the new server", || {
        scene.cluster.nodes[new].listeners() == 3
    });
    scene.end();
}
