//! The field `Date`, when the clock of the machine is set.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::{Server, Setup, faketime, wait_until};

/// How far the `Date` of an answer is from this machine's clock, in seconds; over HTTP/2 too.
fn distance(server: &Server, args: &[&str]) -> i64 {
    let url = server.url("/healthz");
    let args = [args, &["-o", "/dev/null", "-D", "-", &url]].concat();
    let head = String::from_utf8(server.curl(&args)).unwrap();
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("date").then_some(value.trim())
    });
    let date = httpdate::parse_http_date(date.expect("a Date")).unwrap();
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    seconds(date) as i64 - seconds(SystemTime::now()) as i64
}

fn set(file: &Path, offset: &str) {
    // In one step, for it is read all the time.
    let new = file.with_extension("new");
    std::fs::write(&new, offset).unwrap();
    std::fs::rename(&new, file).unwrap();
}

#[test]
fn it_goes_where_the_clock_is_set() {
    let setup = Setup::new();
    let file = setup.folder().join("clock");
    set(&file, "+0");
    let server = setup
        .env("LD_PRELOAD", faketime().to_str().unwrap())
        .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start();
    for (offset, seconds) in [("+7200", 7200), ("-3600", -3600), ("+0", 0)] {
        set(&file, offset);
        for args in [&[][..], &["--http2-prior-knowledge"]] {
            wait_until(&format!("{offset} {args:?}"), || {
                std::thread::sleep(Duration::from_millis(50));
                (distance(&server, args) - seconds).abs() < 120
            });
            // On each of the threads.
            for _ in 0..8 {
                let off = distance(&server, args) - seconds;
                assert!(off.abs() < 120, "{offset} {args:?}: {off} s");
            }
        }
    }
}
