//! The field: the contestants of each case.

use super::contestant::{Contestant, Kind, Wharf};
use super::options::Options;
use super::peers;

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
                strict,
                digest,
                ..Wharf::new(binary.clone())
            };
            let label = format!("{label}, {mode}");
            all.push(Contestant::new(label, Kind::Wharf(wharf)));
        }
    }
    all.extend(wanted(peers::uploads(), options));
    all
}

/// Everyone who gives files.
pub fn downloads(options: &Options) -> Vec<Contestant> {
    let mut all = vec![
        Contestant::new("sendfile", Kind::Source { sendfile: true }),
        Contestant::new("read and write", Kind::Source { sendfile: false }),
    ];
    for (at, (label, binary)) in options.wharfs.iter().enumerate() {
        for (mode, form, sendfile) in [
            ("raw", false, None),
            ("form", true, None),
            ("raw, sendfile on", false, Some("on")),
            ("raw, sendfile off", false, Some("off")),
        ] {
            // Another build may have but one way.
            if at > 0 && sendfile.is_some() {
                continue;
            }
            let wharf = Wharf {
                form,
                sendfile,
                ..Wharf::new(binary.clone())
            };
            let label = format!("{label}, {mode}");
            all.push(Contestant::new(label, Kind::Wharf(wharf)));
        }
    }
    all.extend(wanted(peers::downloads(), options));
    all
}

/// Each build of wharf once, and the peers.
pub fn servers(options: &Options) -> Vec<Contestant> {
    let mut all = wharfs(options);
    let mut peers = peers::downloads();
    peers.retain(|peer| !matches!(peer.kind, Kind::Nginx { sendfile: false }));
    all.extend(wanted(peers, options));
    all
}

/// Each build of wharf once.
pub fn wharfs(options: &Options) -> Vec<Contestant> {
    let wharfs = options.wharfs.iter().map(|(label, binary)| {
        let wharf = Wharf::new(binary.clone());
        Contestant::new(label.clone(), Kind::Wharf(wharf))
    });
    wharfs.collect()
}

fn wanted(peers: Vec<Contestant>, options: &Options) -> impl Iterator<Item = Contestant> {
    let wanted = |peer: &Contestant| options.wants(&peer.label);
    peers.into_iter().filter(wanted)
}
