//! The field: who takes part in which case.

use std::path::{Path, PathBuf};

use super::contestant::{Contestant, Kind, Wharf};
use super::options::Options;

/// Everyone who takes files.
pub fn uploads(options: &Options) -> Vec<Contestant> {
    let mut all = vec![
        Contestant::new("sink", Kind::Sink { fsync: false }),
        Contestant::new("sink, fsync", Kind::Sink { fsync: true }),
    ];
    for (label, binary) in &options.wharfs {
        for (mode, strict, digest) in [
            ("relaxed, no digest", false, false),
            ("relaxed", false, true),
            ("strict, no digest", true, false),
            ("strict", true, true),
        ] {
            let wharf = Wharf {
                binary: binary.clone(),
                strict,
                digest,
                form: false,
            };
            all.push(Contestant::new(
                format!("{label}, {mode}"),
                Kind::Wharf(wharf),
            ));
        }
    }
    let mut peers = vec![Contestant::new("nginx PUT", Kind::Nginx { sendfile: true })];
    for (label, program) in [
        ("Go ParseMultipartForm", "go-parse"),
        ("Go MultipartReader", "go-stream"),
    ] {
        peers.push(Contestant::new(label, Kind::Go(built(program))));
    }
    all.extend(present(peers, options));
    all
}

/// Everyone who gives files.
pub fn downloads(options: &Options) -> Vec<Contestant> {
    let mut all = vec![
        Contestant::new("sendfile", Kind::Source { sendfile: true }),
        Contestant::new("read and write", Kind::Source { sendfile: false }),
    ];
    for (label, binary) in &options.wharfs {
        for (mode, form) in [("raw", false), ("form", true)] {
            let wharf = Wharf {
                binary: binary.clone(),
                strict: false,
                digest: true,
                form,
            };
            all.push(Contestant::new(
                format!("{label}, {mode}"),
                Kind::Wharf(wharf),
            ));
        }
    }
    let peers = vec![
        Contestant::new("nginx", Kind::Nginx { sendfile: true }),
        Contestant::new("nginx, no sendfile", Kind::Nginx { sendfile: false }),
        Contestant::new("Go", Kind::Go(built("go-parse"))),
    ];
    all.extend(present(peers, options));
    all
}

/// Where `./bench` puts a program that it built.
fn built(program: &str) -> PathBuf {
    let peers = std::env::var_os("WHARF_BENCH_PEERS").unwrap_or_default();
    Path::new(&peers).join("bin").join(program)
}

/// Those that are wanted and installed.
fn present(peers: Vec<Contestant>, options: &Options) -> impl Iterator<Item = Contestant> {
    peers.into_iter().filter(|peer| {
        let installed = match &peer.kind {
            Kind::Go(program) => program.exists(),
            Kind::Nginx { .. } => ["/usr/sbin/nginx", "/usr/bin/nginx"]
                .iter()
                .any(|path| Path::new(path).exists()),
            _ => true,
        };
        installed && options.wants(&peer.label)
    })
}
