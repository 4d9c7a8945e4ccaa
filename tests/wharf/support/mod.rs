//! A server in a folder of its own, and ways to talk to it.

mod browser;
mod capacity;
mod certificates;
mod cut;
mod far;
mod fleet;
mod form;
mod http;
mod http2;
mod load;
mod mounted;
mod nginx;
mod older;
mod pending;
mod recording;
pub mod redis;
pub mod s3;
mod s3_fs;
mod s3_proxy;
mod server;
mod tcp;
mod tls_proxy;
mod wharf;

pub use browser::Browser;
pub use capacity::{UnderWay, room_in};
pub use certificates::{certificate, certificates};
pub use cut::Cutter;
pub use far::Far;
pub use fleet::{Fleet, role};
pub use form::{Form, parts_of};
pub use http::{Connection, Response, request, try_request};
pub use http2::Unread;
pub use load::{Load, post_many, print_spans, since};
pub use mounted::{BTRFS, EXT2, EXT4, EXT4_WITHOUT_JOURNAL, Kind, Mounted, XFS};
pub use nginx::{Nginx, nginx_main};
pub use older::OlderStore;
pub use pending::Pending;
pub use recording::{Chance, Left, Record, RecordingDisk, Replay};
pub use redis::{Cluster, Redis};
pub use s3::{Bucket, S3};
pub use s3_fs::S3Fs;
pub use s3_proxy::{Asked, S3Proxy, Trouble};
pub use server::{Server, Setup, WHARF, WITHOUT_TERMINAL};
pub use tcp::{Fault, Proxy};
pub use tls_proxy::TlsProxy;
pub use wharf::{Foreign, Said, Wharf, end_of, entries, signal};

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// A command as root, as ./test installs its packages.
pub fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Whether the long versions are to run (`./test soak`).
pub fn soak() -> bool {
    std::env::var_os("WHARF_SOAK").is_some()
}

/// Prints what `./test` shows of a test that passes too: what was skipped, or measured in a soak.
pub fn say(what: &str) {
    // Not by a macro: the runner keeps the output of those.
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// The size of a file that is large. In a soak it needs more than 32 bits, if the disk has room for
/// what both tests of such files keep at once.
pub fn large(otherwise: u64) -> u64 {
    const SIZE: u64 = 5 << 30;
    const ROOM: u64 = 5 * SIZE;
    if !soak() {
        return otherwise;
    }
    let temporary = std::env::temp_dir();
    let stat = rustix::fs::statvfs(&temporary).unwrap();
    if stat.f_bavail * stat.f_frsize >= ROOM {
        return SIZE;
    }
    let (room, temporary) = (ROOM >> 30, temporary.display());
    say(&format!(
        "skipped: a file of 5 GiB: {temporary} has less than {room} GiB of room"
    ));
    otherwise
}

/// A file of a package from npm, which `./test` has installed.
pub fn npm(file: &str) -> std::path::PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-npm/node_modules");
    std::path::Path::new(folder).join(file)
}

/// The library that shows a program another time (libfaketime), to be preloaded.
pub fn faketime() -> std::path::PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
        .expect("the package faketime is installed by ./test")
}

/// Waits until `condition` holds; fails when it does not in time.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes that look random and are the same every time.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The sha-256 of `bytes` as the server writes it.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
