//! A process that may open few files.

use std::net::TcpStream;

use crate::support::{Form, Setup};

#[test]
fn no_more_connections_are_taken_than_can_have_a_file() {
    for limit in [64, 256] {
        let server = Setup::new().open_files(limit).start();
        server.says("although max_connections is 10000");
        // More than there are descriptors, each without a request.
        let idle: Vec<TcpStream> = (0..limit)
            .filter_map(|_| TcpStream::connect(server.address).ok())
            .collect();
        assert!(idle.len() > 40);
        for number in 0..20 {
            let name = format!("{number}.txt");
            let form = Form::new().file("f", &name, b"a").file("g", "b.txt", b"b");
            server.upload(&form);
            assert_eq!(server.get(&format!("/files/{name}")).text(), "a");
            assert_eq!(server.get("/readyz").status, 200);
        }
        let log = server.log();
        assert!(!log.contains("no room for another connection"), "{log}");
    }
}
