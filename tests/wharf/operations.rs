//! The procedures of `docs/operations.md`, run as they are written.

use crate::readme::{blocks_of, run};
use crate::support::{Bucket, Form, Server, noise};

#[test]
fn every_command_works() {
    let server = Server::start();
    for i in 0..5 {
        let content = noise(10_000, i);
        server.upload(&Form::new().file("f", &format!("{i} é.txt"), &content));
    }
    let bucket = Bucket::new();
    // The values that the page leaves to its reader.
    let own = format!(
        "unset AWS_CA_BUNDLE; export WHARF_S3_ENDPOINT={0} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1",
        bucket.server.url()
    );
    let commands = blocks_of("docs/operations.md").concat();
    assert!(commands.len() >= 12);
    let mut checked = 0;
    for line in commands {
        let command = line
            .replace("localhost:8080", &server.address.to_string())
            .replace("my-bucket", &bucket.name);
        let said = run(&format!("{own}\n{command}"), server.dir());
        if line.starts_with("wharf check") {
            assert_eq!(
                said, "5 uploads, 5 files, 50000 bytes read; 0 damaged\n",
                "{line}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 3);
    // An upload that was moved there and back is served.
    let name = bucket.keys().into_iter().find(|key| key.ends_with(".json"));
    let id = name.unwrap();
    let id = id
        .rsplit('/')
        .next()
        .unwrap()
        .trim_end_matches(".json")
        .to_owned();
    let back = crate::support::Setup::new()
        .store(&server.dir().join("back"))
        .start();
    assert_eq!(back.get(&format!("/uploads/{id}")).status, 200);
}
