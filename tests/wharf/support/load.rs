use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use super::{Connection, Fleet, Form, Server, noise, request, sha256};

/// Prints how long something took: the median, and the longest but for one in a hundred (p99).
pub fn print_spans(what: &str, mut spans: Vec<Duration>) {
    spans.sort();
    let at = |part: usize| spans[(spans.len() * part / 100).min(spans.len() - 1)];
    let (count, median, p99) = (spans.len(), at(50), at(99));
    println!("{what}: median {median:.1?}, p99 {p99:.1?} of {count}");
}

/// From one time to another; nothing when the clock ran backwards.
pub fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// Posts `form` so many times over one connection; the answers.
#[track_caller]
pub fn post_many(
    server: &Server,
    form: &Form,
    query: &str,
    count: usize,
) -> Vec<serde_json::Value> {
    let body = form.body();
    let head = format!(
        "POST /upload{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type(),
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let mut connection = Connection::open(server.address);
    (0..count)
        .map(|_| {
            connection.send(&request);
            let response = connection.response(false).expect("an answer");
            assert_eq!(response.status, 201, "{}", response.text());
            response.json()
        })
        .collect()
}

/// Clients that store forms all the time, and remember what they were answered.
pub struct Load {
    stop: Arc<AtomicBool>,
    stored: Arc<Mutex<Vec<(String, String)>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// One client of each of these.
    pub fn on(fleet: &Fleet) -> Self {
        let addresses = fleet.servers.iter().map(|server| server.address);
        let (stop, stored) = (Arc::default(), Arc::default());
        let clients = addresses.enumerate().map(|(client, address)| {
            let (stop, stored) = (Arc::clone(&stop), Arc::clone(&stored));
            std::thread::spawn(move || store(client, address, &stop, &stored))
        });
        Load {
            clients: clients.collect(),
            stop,
            stored,
        }
    }

    /// How many forms were stored so far.
    pub fn count(&self) -> usize {
        self.stored.lock().unwrap().len()
    }

    /// Ends it: id and digest of each form that was answered with 201.
    pub fn end(self) -> Vec<(String, String)> {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        std::mem::take(&mut self.stored.lock().unwrap())
    }
}

fn store(
    client: usize,
    address: SocketAddr,
    stop: &AtomicBool,
    stored: &Mutex<Vec<(String, String)>>,
) {
    for turn in 0_usize.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let content = noise(500 + turn % 7 * 3000, (client * 1_000_000 + turn) as u64);
        let name = format!("load-{client}-{turn}.bin");
        let form = Form::new().file("f", &name, &content);
        let content_type = form.content_type();
        let headers = [("Content-Type", content_type.as_str())];
        let response = request(address, "POST", "/upload", &headers, &form.body());
        match response.status {
            201 => {
                let id = response.json()["id"].as_str().unwrap().to_owned();
                let path = format!("{id}/{name}");
                stored.lock().unwrap().push((path, sha256(&content)));
            }
            503 => assert!(response.header("retry-after").is_some()),
            status => panic!("{status}: {}", response.text()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
