use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The way in which a [`Proxy`] treats the bytes that go through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// Answers come 300 ms late.
    Delay,
    /// Questions arrive, and answers do not; connections that have lost one end afterwards.
    LoseAnswers,
    /// Nothing arrives, in either direction, as long as this lasts; then it does, late.
    BlackHole,
    /// Connections are reset, and new ones as well.
    Reset,
}

impl Fault {
    pub const ALL: [Fault; 5] = [
        Fault::Pass,
        Fault::Delay,
        Fault::LoseAnswers,
        Fault::BlackHole,
        Fault::Reset,
    ];
}

/// A path to a server that can be disturbed.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    fault: AtomicU8,
    closed: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl State {
    fn fault(&self) -> Fault {
        Fault::ALL[usize::from(self.fault.load(Ordering::SeqCst))]
    }
}

impl Proxy {
    /// A path to this port of the machine.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            fault: AtomicU8::new(0),
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                if shared.fault() == Fault::Reset {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let mut connections = shared.connections.lock().unwrap();
                connections.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                drop(connections);
                let ends = [
                    (
                        client.try_clone().unwrap(),
                        server.try_clone().unwrap(),
                        false,
                    ),
                    (server, client, true),
                ];
                for (from, to, answers) in ends {
                    let state = Arc::clone(&shared);
                    std::thread::spawn(move || forward(from, to, answers, &state));
                }
            }
        });
        Proxy { address, state }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Disturbs the connections that are open, and those that come.
    pub fn set(&self, fault: Fault) {
        self.state.fault.store(fault as u8, Ordering::SeqCst);
        if fault == Fault::Reset {
            for connection in self.state.connections.lock().unwrap().drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, answers: bool, state: &State) {
    let mut block = [0; 16 * 1024];
    let mut lost = false;
    while let Ok(read @ 1..) = from.read(&mut block) {
        while state.fault() == Fault::BlackHole {
            std::thread::sleep(Duration::from_millis(5));
        }
        match state.fault() {
            Fault::LoseAnswers if answers => {
                lost = true;
                continue;
            }
            Fault::Delay if answers => std::thread::sleep(Duration::from_millis(300)),
            _ => {}
        }
        if lost || to.write_all(&block[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.set(Fault::Reset);
        let _ = TcpStream::connect(self.address);
    }
}
