use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::redis::free_ports;
use crate::support::{Server, WHARF, wait_until};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The beginning of the commands that want several instances.
const CLUSTER: &str = "deploy/cluster.sh";

/// The commands of a page.
pub fn blocks_of(page: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let lines = |block: &str| {
        let block = block.split("```").next().unwrap();
        let lines = block.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    blocks.map(lines).collect()
}

/// The commands of the table of clients: those for a shell.
fn clients() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/clients.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let examples = rows.filter_map(|row| row.split(" | ").nth(1)?.split('`').nth(1));
    let shell = ["curl ", "wget ", "http ", "aria2c "];
    let commands = examples.filter(|text| shell.iter().any(|program| text.starts_with(program)));
    commands.map(str::to_owned).collect()
}

/// Runs a command in a folder; answers its output.
#[track_caller]
pub fn run(command: &str, dir: &Path) -> String {
    let bin = Path::new(WHARF).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-ec", command])
        .env("PATH", &path)
        .env("XDG_STATE_HOME", dir.join(".state"))
        .current_dir(dir)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command}\n{out}{err}");
    out.into_owned()
}

/// Runs every command of the README, but for the two that build and test, which run this; then
/// those of the pages on the command line, on settings and on clients, which use its files.
#[test]
fn every_command_works() {
    let blocks = blocks_of("README.md");
    assert!(blocks.len() >= 5);
    assert!(blocks[0][0].contains("cargo run --release") && blocks[0][1].contains("./test"));
    let server = Server::start();
    let pages = ["docs/client.md", "docs/settings.md"].map(blocks_of);
    assert!(pages.iter().all(|blocks| blocks.len() >= 2));
    let clients = clients();
    assert_eq!(clients.len(), 5);
    let blocks = blocks[1..].iter().chain(pages.iter().flatten());
    for line in blocks.flatten().chain(&clients) {
        let command = line.replace("localhost:8080", &server.address.to_string());
        // A client asks localhost:8080 as well, unless it is told otherwise.
        let command = format!("export WHARF_URL={}; {command}", server.url(""));
        let out = run(&command, server.dir());
        let refused = line.contains("expires_in=soon");
        assert_eq!(out.contains("\"status\":4"), refused, "{line}\n{out}");
        let link_alone = line.contains("text/plain' --form");
        if line.contains("/upload") && line.contains("--form") && !refused && !link_alone {
            assert!(out.contains("\"delete_token\""), "{line}\n{out}");
        }
        if line.contains("/download/part1.txt ") {
            assert!(out.contains("hello wharf"), "{out}");
        }
    }
    assert_eq!(std::fs::read("/tmp/part1.txt").unwrap(), b"hello wharf\n");
}

/// Runs every command of the page on the interface, one after the other; a comment says which error
/// is meant.
#[test]
fn the_interface_is_as_its_page_says() {
    let server = Server::start();
    let commands = blocks_of("docs/http.md").concat();
    assert!(commands.len() > 30);
    for line in commands {
        let command = line.replace("localhost:8080", &server.address.to_string());
        // The next commands use the values that one has found out.
        let script = format!(
            "if [ -e vars ]; then . ./vars; fi\n{command}\ndeclare -p id token etag version once zip >vars 2>/dev/null || true"
        );
        let out = run(&script, server.dir());
        let meant = line.split_once("     # ").map(|(_, meant)| meant);
        match meant.map(|meant| meant.split_once(' ').unwrap_or((meant, ""))) {
            None => {
                let failed = ["\"status\":4", "\"status\":5"];
                let failed = failed.iter().any(|status| out.contains(status));
                assert!(!failed, "{line}\n{out}");
            }
            Some((status, "")) => assert_eq!(out.trim(), status, "{line}"),
            Some((status, code)) => {
                let status = out.contains(&format!("\"status\":{status},"));
                let code = out.contains(&format!("\"code\":\"{code}\""));
                assert!(status && code, "{line}\n{out}");
            }
        }
    }
}

/// Every code that the page names is one.
#[test]
fn the_page_on_the_interface_names_codes_that_there_are() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/http.md")).unwrap();
    let problems = std::fs::read_to_string(Path::new(ROOT).join("docs/problems.md")).unwrap();
    let links = page.split("(problems.md#").skip(1);
    let links: Vec<&str> = links.filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 20);
    for code in links {
        assert!(problems.contains(&format!("\n## {code}\n")), "{code}");
    }
}

#[test]
fn several_instances_are_tried_out_as_it_says() {
    let blocks = blocks_of("docs/instances.md");
    let mut blocks = blocks.iter().filter(|lines| lines[0].starts_with(CLUSTER));
    let commands = blocks.next().expect("the page says how");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("part1.txt"), "hello wharf\n").unwrap();
    let (port, redis_port) = (free_ports(3), free_ports(6));
    let mut script = Command::new("bash")
        .arg(Path::new(ROOT).join(CLUSTER))
        .arg(dir.path().join("kept"))
        .env("PORT", port.to_string())
        .env("REDIS_PORT", redis_port.to_string())
        .env("WHARF", WHARF)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ready = |i: u16| {
        let url = format!("http://localhost:{}/uploads", port + i);
        let curl = Command::new("curl").args(["-sf", &url]).output().unwrap();
        curl.status.success()
    };
    for i in 0..3 {
        wait_until("an instance knows all names", || ready(i));
    }
    for line in &commands[1..] {
        let mut command = line.clone();
        for i in 0..3 {
            let (said, meant) = (8081 + i, port + i);
            command = command.replace(&format!("localhost:{said}"), &format!("localhost:{meant}"));
        }
        let out = run(&command, dir.path());
        let expected = match line {
            line if line.contains("/upload") => "\"delete_token\"",
            line if line.contains("/download/") => "hello wharf",
            _ => "\"role\"",
        };
        assert!(out.contains(expected), "{line}\n{out}");
    }
    run(&format!("kill {}", script.id()), dir.path());
    assert!(script.wait().unwrap().success());
    for port in (0..3)
        .map(|i| port + i)
        .chain((0..6).map(|i| redis_port + i))
    {
        assert!(
            std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
            "all of it has ended"
        );
    }
}
