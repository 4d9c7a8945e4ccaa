use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A path to a server that cuts connections: the first after so many bytes of answers, the next
/// after the next count, and so on; once they are used up it cuts no more.
pub struct Cutter {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicBool>,
}

impl Cutter {
    pub fn to(server: SocketAddr, cuts: &[usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, closed) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let (shared, ended) = (Arc::clone(&heads), Arc::clone(&closed));
        let mut cuts = Vec::from(cuts).into_iter();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else {
                    continue;
                };
                let (cut, heads) = (cuts.next(), Arc::clone(&shared));
                let questions = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || forward(questions.0, questions.1, None, Some(&heads)));
                std::thread::spawn(move || forward(server, client, cut, None));
            }
        });
        Cutter {
            address,
            heads,
            closed,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests that came, one a connection.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    cut: Option<usize>,
    heads: Option<&Mutex<Vec<String>>>,
) {
    let mut left = cut.unwrap_or(usize::MAX);
    let mut block = [0; 16 * 1024];
    let mut first = true;
    while let Ok(read @ 1..) = from.read(&mut block) {
        if let (Some(heads), true) = (heads, first) {
            let text = String::from_utf8_lossy(&block[..read]).into_owned();
            heads.lock().unwrap().push(text);
        }
        first = false;
        let passed = read.min(left);
        left -= passed;
        if to.write_all(&block[..passed]).is_err() || left == 0 {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}
