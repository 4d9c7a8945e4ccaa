//! A session of commands, as a person sees it.

use std::path::Path;
use std::process::Command;

use crate::support::{Server, WHARF};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wharf/transcript.txt");
/// Set it to have the transcript written.
const UPDATE: &str = "WHARF_UPDATE_SNAPSHOTS";
/// Stands behind the output of a command, before its exit code.
const MARK: char = '\u{1}';

/// Runs the commands in one shell, as a person does; answers the output of each, and its exit code.
fn run(commands: &[&str], server: &Server, team: &Server) -> Vec<(String, i32)> {
    let mut script = String::new();
    for command in commands {
        script += &format!("{command}\nprintf '{MARK}%d{MARK}' $?\n");
    }
    let bin = Path::new(WHARF).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WHARF_")) {
        bash.env_remove(name);
    }
    let output = bash
        .args(["-c", &format!("exec 2>&1 </dev/null\n{script}")])
        .env("PATH", &path)
        .env("LC_ALL", "C")
        .env("XDG_STATE_HOME", server.dir().join(".state"))
        .env("WHARF_URL", server.url(""))
        .env("TEAM", team.url(""))
        .env_remove("COLUMNS")
        .current_dir(server.dir())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let pieces: Vec<&str> = text.split(MARK).collect();
    let pairs = pieces.chunks_exact(2);
    pairs
        .map(|pair| (pair[0].to_owned(), pair[1].parse().unwrap()))
        .collect()
}

/// Puts examples in the places of what is another each time.
#[derive(Default)]
struct Examples {
    ids: Vec<String>,
}

impl Examples {
    fn replace(&mut self, text: &str, servers: &[(String, &str)]) -> String {
        let mut text = text.to_owned();
        for (url, name) in servers {
            text = text.replace(url, name);
        }
        let mut replaced = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let word = rest.len() - rest.trim_start_matches(is_part_of_word).len();
            // Each other character stands for itself.
            let one = rest.chars().next().map_or(1, char::len_utf8);
            let (piece, more) = rest.split_at(word.max(one));
            replaced += &self.example(piece);
            rest = more;
        }
        replaced
    }

    fn example(&mut self, word: &str) -> String {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let time = |word: &str| {
            let form = word
                .bytes()
                .map(|b| if b.is_ascii_digit() { b'0' } else { b });
            form.collect::<Vec<u8>>()
                .starts_with(b"0000-00-00T00:00:00")
        };
        // Those that stand in the commands and in the help stay.
        if time(word) && !word.starts_with("2020") && !word.starts_with("2030") {
            let fraction = if word.contains('.') { ".000" } else { "" };
            return format!("2026-01-01T12:00:00{fraction}Z");
        }
        if word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit()) {
            return "0123456789abcdef".to_owned();
        }
        if word.len() == 26 && word.chars().all(lower) {
            let known = self.ids.iter().position(|id| id == word);
            let at = known.unwrap_or_else(|| {
                self.ids.push(word.to_owned());
                self.ids.len() - 1
            });
            return format!("{:02}examplexexamplexexamplex", at + 1);
        }
        let mixed = word.contains(|c: char| c.is_ascii_uppercase()) && word.contains(lower);
        if word.len() == 22 && mixed && !word.contains([':', '.']) {
            return "exampleTokenOf22Chars0".to_owned();
        }
        word.to_owned()
    }
}

fn is_part_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.')
}

/// A span that has begun is a moment shorter each time.
fn spans(text: &str) -> String {
    text.replace("(in 6d23h)", "(in 7d)")
        .replace("in 6d23h ", "in 7d    ")
}

#[test]
fn the_commands_say_what_the_transcript_says() {
    let server = Server::start();
    let team = Server::with(&["--access", "upload+list:s3cret", "--access", "admin:root"]);
    std::fs::write(server.dir().join("hello.txt"), "hello wharf\n").unwrap();
    std::fs::write(server.dir().join("notes.md"), "# Notes\n").unwrap();
    let expected = std::fs::read_to_string(FILE).unwrap();
    let commands: Vec<&str> = expected
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    assert!(commands.len() >= 40, "{}", commands.len());
    let said = run(&commands, &server, &team);
    assert_eq!(said.len(), commands.len());

    let servers = [
        (server.url(""), "http://localhost:8080"),
        (team.url(""), "http://team.example:8080"),
    ];
    let mut examples = Examples::default();
    let (intro, _) = expected.split_once("\n\n").unwrap();
    let mut now = intro.to_owned() + "\n";
    for (command, (out, code)) in commands.iter().zip(&said) {
        now += &format!("\n$ {command}\n");
        for line in spans(&examples.replace(out, &servers)).lines() {
            now += line.trim_end();
            now.push('\n');
        }
        if *code != 0 {
            now += &format!("[exit code {code}]\n");
        }
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(FILE, &now).unwrap();
        return;
    }
    for (at, (was, is)) in expected.lines().zip(now.lines()).enumerate() {
        assert_eq!(
            was,
            is,
            "line {} of tests/wharf/transcript.txt ({UPDATE}=1 writes it anew)",
            at + 1
        );
    }
    assert_eq!(expected.lines().count(), now.lines().count());
}
