//! The conditions of the figures: the day, the machine, the versions.

use std::path::Path;
use std::process::Command;

use super::options::Options;
use super::peers;

/// Prints it.
pub fn describe(options: &Options, work: &Path) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |path: &str, name: &str| {
        let text = read(path);
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal");
    let memory: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    let command: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    println!("# Speed, {}\n", jiff::Timestamp::now().strftime("%F"));
    println!("- `./bench {}`", command.join(" "));
    println!(
        "- {} × {}, {} GiB, Linux {}, {}",
        cores,
        field("/proc/cpuinfo", "model name"),
        memory.div_ceil(1 << 20),
        read("/proc/sys/kernel/osrelease").trim(),
        file_system(work),
    );
    println!("- load before: {}", read("/proc/loadavg").trim());
    let mut versions = vec![
        line(Command::new("rustc").arg("--version")),
        line(Command::new("curl").arg("--version")),
    ];
    for (label, binary) in &options.wharfs {
        let version = line(Command::new(binary).arg("--version"));
        versions.push(format!("{label}: {version}"));
    }
    if let Some(nginx) = peers::nginx_program() {
        versions.push(line(Command::new(nginx).arg("-v")));
        versions.push(line(Command::new("go").arg("version")));
    }
    for program in ["bin/dufs", "bin/miniserve", "venv/bin/copyparty"] {
        if let Some(program) = peers::installed(program) {
            versions.push(line(Command::new(program).arg("--version")));
        }
    }
    let commit = line(Command::new("git").args(["describe", "--always", "--dirty"]));
    versions.push(format!("commit {commit}"));
    println!("- {}\n", versions.join("; "));
}

/// The first words that a command says, on whichever stream.
fn line(command: &mut Command) -> String {
    let Ok(output) = command.output() else {
        return format!("no {}", command.get_program().display());
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let words = said.lines().next().unwrap_or_default().split(' ');
    words.take(4).collect::<Vec<_>>().join(" ")
}

/// The type and the options of the file system of a folder: the last mount that holds it.
fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        folder
            .starts_with(place)
            .then(|| (place.len(), format!("{kind} ({options})")))
    });
    mounts.max_by_key(|mount| mount.0).unwrap_or_default().1
}
