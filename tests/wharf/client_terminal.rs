//! The client before a person: bars, interruption, completions, manual pages.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::{Cutter, Server, Wharf, end_of, entries, noise, signal, wait_until};

const PTY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/wharf/clients/with_pty.py"
);

#[test]
fn bars_are_drawn_on_a_terminal_and_nowhere_else() {
    let server = Server::start();
    let mut files = Vec::new();
    for name in ["first.bin", "second.bin"] {
        std::fs::write(server.dir().join(name), noise(20_000_000, 3)).unwrap();
        files.push(name);
    }
    let on_terminal = |args: &[&str], no_color: bool| {
        let wharf = Wharf::under(&["python3", PTY], server.dir());
        let wharf = wharf.env("WHARF_URL", &server.url("")).env("TERM", "xterm");
        let wharf = if no_color {
            wharf.env("NO_COLOR", "1")
        } else {
            wharf
        };
        let said = wharf.run(args);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
    };
    let drawn = on_terminal(&["upload", "first.bin", "second.bin"], false);
    for part in [
        "first.bin",
        "second.bin",
        "total",
        "38.15 MiB",
        "/s",
        "\u{1b}[",
    ] {
        assert!(drawn.contains(part), "{part}: {drawn:?}");
    }
    let coloured = |text: &str| text.contains("\u{1b}[3") || text.contains("\u{1b}[0m");
    assert!(coloured(&drawn), "{drawn:?}");
    let plain = on_terminal(&["upload", "first.bin", "second.bin"], true);
    assert!(plain.contains("total") && !coloured(&plain), "{plain:?}");
    let down = on_terminal(&["download", "first.bin", "second.bin", "-f"], false);
    assert!(
        down.contains("total") && down.contains("second.bin"),
        "{down:?}"
    );
    let quiet = on_terminal(&["upload", "-q", "first.bin"], false);
    assert!(
        !quiet.contains('\u{1b}') && !quiet.contains("total"),
        "{quiet:?}"
    );
    let said = Wharf::of(&server).run(&["upload", "first.bin"]);
    assert!(
        said.err.is_empty() && !said.out.contains('\u{1b}'),
        "{said:?}"
    );
}

#[test]
fn an_interrupted_download_leaves_what_is_complete_and_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // One whole file, and the first half of another; then nothing more.
    let part = |name: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n")
    };
    let body = format!(
        "{}whole\r\n{}{}",
        part("whole.txt"),
        part("half.bin"),
        "x".repeat(50_000)
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 200000\r\n\r\n";
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 8192]);
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let dir = tempfile::tempdir().unwrap();
    let child = Wharf::at(dir.path())
        .env("WHARF_URL", &url)
        .spawn(&["download", "x"]);
    wait_until("the half is on the disk", || {
        let mut sizes = std::fs::read_dir(dir.path()).unwrap().map(|entry| {
            entry
                .unwrap()
                .metadata()
                .map_or(0, |metadata| metadata.len())
        });
        sizes.any(|size| size > 40_000)
    });
    assert_eq!(entries(dir.path()).len(), 2);
    signal(&child, Signal::INT);
    let said = end_of(child);
    assert_eq!(said.code, Some(130), "{said:?}");
    assert_eq!(said.out, "whole.txt\n");
    assert!(
        said.err.contains("interrupted; 1 file is complete"),
        "{said:?}"
    );
    assert_eq!(entries(dir.path()), ["whole.txt"]);
}

#[test]
fn an_interrupted_upload_stores_nothing_and_says_so() {
    for (sent, name) in [(Signal::INT, "int"), (Signal::TERM, "term")] {
        let server = Server::start();
        let path = Cutter::to(server.address, &[]);
        let wharf = Wharf::at(server.dir()).env("WHARF_URL", &path.url());
        let mut child = wharf.spawn(&["upload", "-", "--name", name]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&noise(500_000, 1)).unwrap();
        wait_until("the request is under way", || !path.heads().is_empty());
        signal(&child, sent);
        let said = end_of(child);
        assert_eq!(said.code, Some(130), "{said:?}");
        assert_eq!(said.err, "wharf: interrupted; nothing was stored\n");
        drop(stdin);
        assert_eq!(server.files(), [""; 0]);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let server = Server::start();
    std::fs::write(server.dir().join("a.txt"), "a").unwrap();
    for _ in 0..3 {
        Wharf::of(&server).done(&["upload", "-q", "a.txt"]);
    }
    let mut child = Wharf::of(&server).spawn(&["list", "--json"]);
    drop(child.stdout.take());
    let said = end_of(child);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
}

/// Has a real zsh complete the line, and says what became of it.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell 'zsh -f -i'
zpty -w shell 'autoload -Uz compinit; compinit -u -D; source <(wharf completions zsh)'
zpty -w shell 'say() { zle complete-word; print -r -- "$BUFFER" > line; exit }; zle -N say; bindkey "^I" say'
zpty -w -n shell "$1"$'\t'
while [[ ! -s line ]]; do zpty -r -t shell said; sleep 0.05; done
cat line
"#;

#[test]
fn ids_and_names_are_completed_from_the_server() {
    let server = Server::start();
    let strange = "a $(touch owned) b.txt";
    let mut ids = Vec::new();
    for name in ["plain.txt", strange] {
        std::fs::write(server.dir().join(name), "x").unwrap();
        let id = Wharf::of(&server).done(&["put", "--print", "id", name]);
        ids.push(id.trim_end().to_owned());
    }
    let bin = std::path::Path::new(crate::support::WHARF)
        .parent()
        .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = |shell: &str, args: &[&str]| {
        let output = Command::new(shell)
            .args(args)
            .env("PATH", &path)
            .env("WHARF_URL", server.url(""))
            .env("HOME", server.dir())
            .current_dir(server.dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let bash = |words: &str| {
        let script = format!(
            "source <(wharf completions bash); COMP_WORDS=({words}); COMP_CWORD=2
             _wharf_words wharf \"${{COMP_WORDS[2]}}\" x; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        run("bash", &["-c", &script])
    };
    let zsh = |line: &str| {
        let _ = std::fs::remove_file(server.dir().join("line"));
        run("zsh", &["-f", "-c", ZSH, "zsh", line])
    };
    let fish = |line: &str| {
        let script = format!("wharf completions fish | source; complete -C '{line}'");
        run("fish", &["--no-config", "-c", &script])
    };
    let start = &ids[0][..20];
    assert_eq!(bash(&format!("wharf rm {start}")), format!("{}\n", ids[0]));
    assert_eq!(
        zsh(&format!("wharf rm {start}")),
        format!("wharf rm {} \n", ids[0])
    );
    assert_eq!(fish(&format!("wharf rm {start}")), format!("{}\n", ids[0]));
    assert_eq!(bash("wharf get pl"), "plain.txt\n");
    assert_eq!(
        zsh("wharf download -f pl"),
        "wharf download -f plain.txt \n"
    );
    assert_eq!(fish("wharf get pl"), "plain.txt\n");
    // A name is quoted, and never run.
    let quoted = "a\\ \\$\\(touch\\ owned\\)\\ b.txt";
    assert_eq!(bash("wharf get a"), format!("{quoted}\n"));
    assert_eq!(zsh("wharf get a"), format!("wharf get {quoted} \n"));
    assert_eq!(fish("wharf get a"), format!("{strange}\n"));
    assert!(!server.dir().join("owned").exists());
    assert!(bash("wharf get -").contains("--force"));
    // Those of clap are left as they are.
    assert_eq!(zsh("wharf uplo"), "wharf upload \n");
    assert_eq!(zsh("wharf upload pl"), "wharf upload plain.txt \n");
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = Wharf::at(dir.path()).done(&["completions", shell]);
        assert!(
            text.contains("upload") && text.contains("max-downloads"),
            "{shell}"
        );
    }
    assert_eq!(
        Wharf::at(dir.path()).run(&["completions", "tcsh"]).code,
        Some(2)
    );
    let bash = Wharf::at(dir.path()).done(&["completions", "bash"]);
    let mut child = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(bash.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    let page = Wharf::at(dir.path()).done(&["man"]);
    assert!(
        page.contains(".TH wharf 1") && page.contains("wharf\\-upload(1)"),
        "{page}"
    );
    let page = Wharf::at(dir.path()).done(&["man", "download"]);
    assert!(
        page.contains(".TH wharf-download 1") || page.contains(".TH wharf\\-download 1"),
        "{page}"
    );
    assert!(page.contains("\\-\\-retries"), "{page}");
    assert_eq!(Wharf::at(dir.path()).run(&["man", "nothing"]).code, Some(2));
}
