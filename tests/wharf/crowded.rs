//! More clients than there is room for: some wait, and some give way.

use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Connection, Form, Server, noise, try_request, wait_until};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn an_idle_connection_gives_way_to_a_new_one() {
    let server = Server::with(&["--max-connections", "50"]);
    server.upload(&Form::new().file("f", "big.bin", &noise(16 << 20, 4)));
    // One that is being answered, and others that wait for a request or its end.
    let mut busy = Connection::open(server.address);
    busy.send(b"GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(busy.stream().peek(&mut [0]).unwrap(), 1);
    let mut kept = Connection::open(server.address);
    kept.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(kept.response(false).unwrap().status, 200);
    let mut waiting = vec![kept];
    waiting.extend((0..30).map(|_| Connection::open(server.address)));
    waiting.extend((0..30).map(|_| {
        let mut unfinished = Connection::open(server.address);
        unfinished.send(b"GET /healthz HTTP/1.1\r\nX-Unfinished:");
        unfinished
    }));
    assert_eq!(server.get("/healthz").status, 200);
    // There is room for 50, the busy one among them; which go first is up to the order in which the
    // server's threads saw them.
    let gone = |waiting: &mut Vec<Connection>| {
        let closed = waiting.iter_mut().filter_map(|one| {
            let moment = Some(Duration::from_millis(10));
            one.stream().set_read_timeout(moment).unwrap();
            one.is_closed().then_some(())
        });
        closed.count()
    };
    wait_until("those that wait make room", || gone(&mut waiting) >= 12);
    assert_eq!(busy.response(false).unwrap().body.len(), 16 << 20);
}

/// A request that lies in its socket while all places are taken is answered when one is free, and
/// those that keep their connections give them up with an answer.
#[test]
fn a_request_that_has_come_is_answered_however_many_come() {
    let server = Server::with(&["--max-connections", "10"]);
    let kept: Vec<Connection> = (0..10)
        .map(|_| {
            let mut one = Connection::open(server.address);
            one.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(one.response(false).unwrap().status, 200);
            one
        })
        .collect();
    let mut asking: Vec<Connection> = (0..300)
        .map(|_| {
            let mut one = Connection::open(server.address);
            one.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            one
        })
        .collect();
    let mut closed = 0;
    for (place, one) in asking.iter_mut().enumerate() {
        let answer = one.response(false);
        let answer = answer.unwrap_or_else(|| panic!("{place} of 300 has no answer"));
        assert_eq!(answer.status, 200);
        closed += usize::from(answer.header("connection") == Some("close"));
    }
    assert!(closed > 0, "others waited behind them");
    drop(kept);
}

/// Readers that stand still leave little of their answers in the kernel where there are many.
#[test]
fn the_kernel_holds_little_of_what_is_not_read() {
    let server = Server::start();
    server.upload(&Form::new().file("f", "big.bin", &noise(32 << 20, 4)));
    let crowd: Vec<Connection> = (0..300)
        .map(|_| {
            let mut one = Connection::open(server.address);
            one.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(one.response(false).unwrap().status, 200);
            one
        })
        .collect();
    let mut reader = Connection::open(server.address);
    reader.send(b"GET /files/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (own, to) = (
        server.address.port(),
        reader.stream().local_addr().unwrap().port(),
    );
    // It grows until the kernel takes no more.
    let mut before = 0;
    wait_until("the socket is full", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = unsent(own, to);
        let full = now > 0 && now == before;
        before = now;
        full
    });
    assert!(before < 1 << 20, "{before} bytes wait to be sent");
    drop(crowd);
}

/// The bytes that the kernel holds to be sent from one local port to the other (proc_net_tcp(5)).
fn unsent(from: u16, to: u16) -> usize {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = [from, to].map(|port| format!(":{port:04X}"));
    let mut bytes = sockets.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote) = (fields.next()?, fields.next()?);
        let queued = fields.nth(1)?.split(':').next()?;
        let same = local.ends_with(&ends[0]) && remote.ends_with(&ends[1]);
        same.then(|| usize::from_str_radix(queued, 16).unwrap())
    });
    bytes.next().unwrap_or(0)
}

/// Clients that begin a head and never end it hold no other client up.
#[test]
fn unfinished_heads_give_way_where_nobody_is_idle() {
    let server = Server::with(&["--max-connections", "20"]);
    let unfinished = || {
        let mut one = Connection::open(server.address);
        one.send(b"GET /healthz HTTP/1.1\r\nX-Unfinished:");
        one
    };
    let mut held: Vec<Connection> = (0..20).map(|_| unfinished()).collect();
    for _ in 0..10 {
        assert_eq!(server.get("/healthz").status, 200);
        held.push(unfinished());
    }
}

#[test]
fn where_all_are_busy_a_new_one_waits() {
    let server = Server::with(&["--max-connections", "2"]);
    let form = Form::new().file("f", "a", b"x");
    let mut busy = [0, 1].map(|_| Connection::announcing(server.address, &form));
    let waiting = {
        let address = server.address;
        std::thread::spawn(move || {
            try_request(address, ANSWER_TIMEOUT, "GET", "/healthz", &[], b"")
        })
    };
    // A moment in which it would be answered, if it did not wait.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!waiting.is_finished(), "the third waits");
    for connection in &mut busy {
        connection.send(&form.body());
        assert_eq!(connection.response(false).unwrap().status, 201);
    }
    assert_eq!(waiting.join().unwrap().unwrap().status, 200);
}

/// Five who send a byte every four seconds have all uploads there may be.
#[test]
fn slow_uploads_give_way_where_there_is_no_room() {
    let server = Server::with(&["--max-uploads", "5", "--idle-timeout", "5s"]);
    let form = Form::new().file("f", "slow.bin", &noise(100_000, 2));
    let mut slow: Vec<Connection> = (0..5)
        .map(|_| Connection::announcing(server.address, &form))
        .collect();
    let streams: Vec<TcpStream> = slow
        .iter()
        .map(|connection| connection.stream().try_clone().unwrap())
        .collect();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let drip = std::thread::spawn(move || {
        use std::io::Write as _;
        while stopped.recv_timeout(Duration::from_secs(4)).is_err() {
            for mut stream in &streams {
                // One that gave way is closed.
                let _ = stream.write_all(b"-");
            }
        }
    });
    let other = Form::new().file("f", "other.bin", b"quick");
    let mut refused = 0;
    wait_until("another upload gets in", || {
        let answer = server.post_to("/upload", &other, &[]);
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some());
            refused += 1;
            std::thread::sleep(Duration::from_millis(250));
        }
        answer.status == 201
    });
    assert!(refused > 0, "at first nobody was too slow");
    server.says("408");
    stop.send(()).unwrap();
    drip.join().unwrap();
    let mut ended = 0;
    for connection in &mut slow {
        let patience = Some(Duration::from_millis(100));
        connection.stream().set_read_timeout(patience).unwrap();
        if let Some(answer) = connection.response(false) {
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (408, "body-stalled")
            );
            assert!(answer.header("retry-after").is_some());
            ended += 1;
        }
    }
    assert_eq!(ended, 1, "the slowest goes, and no other");
}

/// Where there is room, no client is too slow: the same five go on, and a sixth.
#[test]
fn where_there_is_room_they_stay() {
    let server = Server::with(&["--max-uploads", "50", "--min-rate", "1GiB"]);
    let form = Form::new().file("f", "slow.bin", b"x");
    let mut slow: Vec<Connection> = (0..5)
        .map(|_| Connection::announcing(server.address, &form))
        .collect();
    // Longer than a client has to be waited for before it is called slow.
    std::thread::sleep(Duration::from_secs(11));
    server.upload(&Form::new().file("f", "other.bin", b"quick"));
    for connection in &mut slow {
        connection.send(&form.body());
        assert_eq!(connection.response(false).unwrap().status, 201);
    }
}

/// Behind a trusted proxy a client is the address that the proxy names.
#[test]
fn one_address_has_no_more_uploads_than_are_set() {
    let server = Server::for_everybody(&[
        "--trusted-proxies",
        "127.0.0.1",
        "--max-uploads-per-client",
        "1",
    ]);
    let form = Form::new().file("f", "a", b"x");
    let announce = |client: &str| {
        let mut connection = Connection::open(server.address);
        let (media_type, length) = (form.content_type(), form.body().len());
        connection.send(
            format!(
                "POST /upload HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\
                 Content-Type: {media_type}\r\nContent-Length: {length}\r\n\
                 Expect: 100-continue\r\n\r\n"
            )
            .as_bytes(),
        );
        let answer = connection.response(false).unwrap();
        (answer.status, connection)
    };
    let (status, mut first) = announce("192.0.2.1");
    assert_eq!(status, 100);
    assert_eq!(announce("192.0.2.1").0, 429);
    assert_eq!(announce("192.0.2.2").0, 100);
    first.send(&form.body());
    assert_eq!(first.response(false).unwrap().status, 201);
    wait_until("its place is free", || announce("192.0.2.1").0 == 100);
}
