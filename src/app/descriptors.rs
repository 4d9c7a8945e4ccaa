//! The descriptors that the process may have open (getrlimit(2), `RLIMIT_NOFILE`), and what they are
//! for.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::model::Prefix;

/// How many are reserved beside connections and files of uploads: for folders, the index, files being
/// read.
const RESERVED: u64 = 1024;
/// How many are left, when everything is open, for what comes and goes: a manifest, a folder, a look
/// at the process.
const SPARE: u64 = 8;
/// How many are open at the start, about: sockets, the index, what the runtime has.
const OPEN: u64 = 40;
/// With so few connections a server is in trouble.
const MIN_CONNECTIONS: u64 = 64;

/// Raises the soft limit to the hard one, and divides it: what connections and the server itself do
/// not need may be files of the store.
pub fn for_files(max_connections: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of open files; the limit that is set counts");
        }
    }
    usize::try_from(files(all(), max_connections)).unwrap_or(usize::MAX)
}

fn files(all: u64, max_connections: usize) -> u64 {
    let connections = (max_connections as u64).min(all / 2);
    let left = all
        .saturating_sub(connections)
        .saturating_sub(RESERVED.min(all / 4));
    // A descriptor of a file being read goes with each connection.
    left / 2
}

/// How many connections there may be, once everything else is open: `max_connections`, or as many as
/// the limit allows. With more, some would be taken that nothing could be opened for.
pub fn for_connections(max_connections: usize) -> usize {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return max_connections;
    };
    let (all, open) = (all(), open.count() as u64);
    let most = connections(all, open, files(all, max_connections));
    if most >= max_connections as u64 {
        return max_connections;
    }
    let text = format!(
        "no more than {most} connections are taken at once, although max_connections is \
         {max_connections}: no more than {all} files may be open, those of the store included (raise \
         ulimit -n, or LimitNOFILE)"
    );
    match most < MIN_CONNECTIONS {
        true => tracing::warn!("{text}"),
        false => tracing::info!("{text}"),
    }
    usize::try_from(most).unwrap_or(max_connections)
}

/// How many files this process may have open, once it has raised its own limit, and how many
/// connections that is enough for.
pub fn room(max_connections: usize) -> (u64, u64) {
    let all = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    (all, connections(all, OPEN, files(all, max_connections)))
}

/// Each has a socket, and one of two a file that is read. The store's folders are opened when they
/// are needed.
fn connections(all: u64, open: u64, files: u64) -> u64 {
    let folders = (Prefix::COUNT as u64).min(all / 4);
    let taken = [open, folders, files, SPARE];
    let left = taken.into_iter().fold(all, u64::saturating_sub);
    (left / 3 * 2).max(1)
}

fn all() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        let all = |all| connections(all, 40, files(all, 10_000));
        assert_eq!(
            [1 << 20, 4096, 1024, 256, 40].map(all),
            [352_996, 2186, 394, 74, 1]
        );
    }
}
