//! The output and the kept tokens of `wharf upload`; `wharf update` and `wharf delete`.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Server, Wharf, end_of, entries};

fn server(args: &[&str]) -> Server {
    let server = Server::with(args);
    std::fs::write(server.dir().join("a.txt"), "a").unwrap();
    server
}

fn id_of(server: &Server) -> String {
    let id = Wharf::of(server).done(&["put", "--print", "id", "a.txt"]);
    id.trim_end().to_owned()
}

#[test]
fn an_upload_prints_what_it_is_asked_for() {
    let server = server(&[]);
    let print = |args: &[&str]| {
        let args = [&["upload", "a.txt"], args].concat();
        let out = Wharf::of(&server).done(&args);
        assert_eq!(out.lines().count(), 1, "{args:?}: {out}");
        out.trim_end().to_owned()
    };
    let id = print(&["--print", "id"]);
    assert_eq!(server.get(&format!("/uploads/{id}")).status, 200);
    for args in [&["--print", "url"][..], &["--print=url", "-q"]] {
        let url = print(args);
        let path = url.strip_prefix(&server.url("")).unwrap();
        assert_eq!(server.get(path).body, b"a", "{url}");
    }
    let link = print(&["-q"]);
    let path = link.strip_prefix(&server.url("")).unwrap();
    assert_eq!(server.get(path).json()["upload_url"], json!(link));
    let told = server.request("POST", "/files?name=x", &[("Accept", "text/plain")], b"x");
    assert!(
        told.text().starts_with(&server.url("/uploads/")),
        "the same that others are told"
    );
    let token = print(&["--print", "token"]);
    assert!(token.len() >= 22 && !token.contains(['/', ' ']), "{token}");
    for args in [&["--print", "json"][..], &["--json"]] {
        let json: Value = serde_json::from_str(&print(args)).unwrap();
        assert_eq!(json["name"], "a.txt");
    }
}

#[test]
fn a_token_is_kept_where_it_was_sent_from() {
    let server = server(&[]);
    let id = id_of(&server);
    let tokens = server.dir().join(".state/wharf/tokens");
    let kept = || -> Vec<std::path::PathBuf> {
        let all = entries(&tokens).into_iter();
        let its = all.filter(|name| name.starts_with(&id));
        its.map(|name| tokens.join(name)).collect()
    };
    let mode = kept()[0].metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Another user, who has no token.
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Wharf::at(elsewhere.path()).env("WHARF_URL", &server.url(""));
    assert_eq!(stranger.run(&["delete", &id]).code, Some(4));
    // Without a server that is named it is the one that it was sent to.
    let said = Wharf::at(server.dir()).run(&["update", &id, "--expires-in", "7d"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("(in 6d23h)") || said.out.contains("(in 7d)"),
        "{said:?}"
    );
    assert_eq!(kept().len(), 1);
    assert_eq!(
        Wharf::at(server.dir()).done(&["rm", &id]),
        format!("deleted {id}\n")
    );
    assert!(kept().is_empty());
    let said = Wharf::of(&server)
        .env("WHARF_TOKEN", "x")
        .run(&["delete", &id]);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.err.contains("was not there"), "{said:?}");
}

#[test]
fn a_token_goes_to_no_other_server() {
    let (server, other) = (server(&[]), server(&[]));
    let id = id_of(&server);
    let said = Wharf::of(&server).run(&["delete", &id, "-s", &other.url("")]);
    assert_eq!(said.code, Some(5), "{said:?}");
    let hint = format!(
        "{id} was sent to {}: name that with --server",
        server.url("")
    );
    assert!(said.err.contains(&hint), "{said:?}");
    // A link names its server.
    let link = server.url(&format!("/files/{id}/a.txt"));
    let wharf = Wharf::at(server.dir()).env("WHARF_URL", &other.url(""));
    assert_eq!(wharf.done(&["delete", &link]), format!("deleted {id}\n"));
}

/// Two servers with copies of one store have uploads of the same ids, and tokens of their own.
#[test]
fn the_same_id_on_two_servers_has_two_tokens() {
    let (server, other) = (
        server(&["--base-path", "/a"]),
        server(&["--base-path", "/b"]),
    );
    let urls = [server.url("/a"), other.url("/b")];
    let wharf = || Wharf::at(server.dir());
    let id = wharf().done(&["put", "--print", "id", "a.txt", "-s", &urls[0]]);
    let id = id.trim_end();
    // The other server has it too, and its owner has another token there.
    let tokens = server.dir().join(".state/wharf/tokens");
    let first = entries(&tokens)
        .into_iter()
        .find(|name| name.starts_with(id));
    let text = std::fs::read_to_string(tokens.join(first.unwrap())).unwrap();
    let second = text.replace(&urls[0], &urls[1]);
    std::fs::write(tokens.join(format!("{id}@other")), second).unwrap();
    let said = wharf().run(&["rm", id]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(urls.iter().all(|url| said.err.contains(url)), "{said:?}");
    let said = wharf().run(&["rm", id, "-s", &urls[1]]);
    assert_eq!(said.code, Some(5), "{said:?}");
    wharf().done(&["rm", id, "-s", &urls[0]]);
}

#[test]
fn the_link_of_one_file_deletes_no_others() {
    let server = server(&[]);
    std::fs::write(server.dir().join("b.txt"), "b").unwrap();
    let id = Wharf::of(&server).done(&["put", "--print", "id", "a.txt", "b.txt"]);
    let id = id.trim_end();
    let said = Wharf::of(&server).run(&["rm", &server.url(&format!("/files/{id}/a.txt"))]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains(&format!("name the upload, {id}")),
        "{said:?}"
    );
    Wharf::of(&server).done(&["rm", &server.url(&format!("/uploads/{id}"))]);
}

#[test]
fn two_that_send_at_once_keep_both_tokens() {
    let server = server(&[]);
    let args = ["upload", "--print", "id", "a.txt"];
    let sending = [(); 8].map(|()| Wharf::of(&server).spawn(&args));
    let ids = sending.map(|child| end_of(child).out.trim_end().to_owned());
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let said = Wharf::of(&server).run(&[&["delete"], &ids[..]].concat());
    assert_eq!(
        (said.code, said.out.lines().count()),
        (Some(0), 8),
        "{said:?}"
    );
    let left = entries(&server.dir().join(".state/wharf/tokens"));
    assert_eq!(left, [".swept"]);
}

#[test]
fn a_token_that_cannot_be_kept_is_shown() {
    let server = server(&[]);
    let wharf = || Wharf::of(&server).env("XDG_STATE_HOME", "/dev/null");
    let said = wharf().run(&["upload", "a.txt"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let line = said.out.lines().last().unwrap().trim();
    let token = line.strip_prefix("delete token: ").unwrap();
    let said = wharf().run(&["upload", "--print", "url", "a.txt"]);
    assert!(
        said.err
            .contains("cannot keep the delete token in /dev/null"),
        "{said:?}"
    );
    let id = said.out.split('/').rev().nth(1).unwrap();
    let refused = wharf().env("WHARF_TOKEN", token).run(&["delete", id]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
}

#[test]
fn an_access_secret_and_a_kept_token_go_together() {
    let server = server(&["--access", "upload+download:hush"]);
    let wharf = || Wharf::of(&server).env("WHARF_TOKEN", "hush");
    let id = wharf().done(&["upload", "--print", "id", "a.txt"]);
    let id = id.trim_end();
    let said = wharf().run(&["update", id, "--expires-in", "1h", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.json()["expires_at"].is_string());
    assert_eq!(wharf().run(&["update", id]).code, Some(2));
    wharf().done(&["delete", id]);
}

#[test]
fn an_upload_is_changed() {
    let server = server(&[]);
    let id = id_of(&server);
    let update = |args: &[&str]| {
        let args = [&["update", id.as_str(), "--json"], args].concat();
        Wharf::of(&server).run(&args).json()
    };
    let changed = update(&[
        "--title",
        "Mine",
        "--max-downloads",
        "3",
        "--expires-at",
        "2030-12-31T18:00:00Z",
    ]);
    assert_eq!(
        (&changed["title"], &changed["max_downloads"]),
        (&json!("Mine"), &json!(3))
    );
    assert_eq!(changed["expires_at"], "2030-12-31T18:00:00.000Z");
    // A value that is not named stays; one that is taken away is gone.
    let changed = update(&["--title", ""]);
    assert_eq!(
        (&changed["title"], &changed["downloads_left"]),
        (&Value::Null, &json!(3))
    );
    let changed = update(&["--max-downloads", "none", "--expires-in", "never"]);
    assert_eq!(
        (&changed["max_downloads"], &changed["expires_at"]),
        (&Value::Null, &Value::Null)
    );
    let said = Wharf::of(&server).done(&["update", &id, "--max-downloads", "2"]);
    assert!(said.contains("  downloads: 2 of 2 left\n"), "{said}");
}

#[test]
fn failures_are_problem_documents_for_programs() {
    let server = server(&["--max-file-size", "1KiB", "--access", "admin:root"]);
    std::fs::write(server.dir().join("large"), [0; 2000]).unwrap();
    let run = |args: &[&str]| {
        let said = Wharf::of(&server).run(&[args, &["--json"]].concat());
        assert_eq!(said.out, "", "{args:?}: {said:?}");
        let lines: Vec<Value> = said
            .err
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 1, "{args:?}: {said:?}");
        (said.code, lines[0]["code"].clone(), lines[0].clone())
    };
    let (code, word, problem) = run(&["upload", "large"]);
    assert_eq!((code, word), (Some(1), json!("limit-exceeded")));
    assert_eq!(
        (&problem["setting"], &problem["limit"]),
        (&json!("max_file_size"), &json!(1024))
    );
    assert!(problem["request_id"].is_string(), "{problem}");
    let absent = "0123456789abcdefghjkmnpqrs";
    let (code, word, _) = run(&["show", absent]);
    assert_eq!((code, word), (Some(5), json!("upload-not-found")));
    let (code, word, _) = run(&["delete", absent]);
    assert_eq!((code, word), (Some(5), json!("upload-not-found")));
    let (code, word, _) = run(&["update", absent, "--title", "x"]);
    assert_eq!((code, word), (Some(4), json!("missing-secret")));
    let (code, word, _) = run(&["list", "-s", "127.0.0.1:1"]);
    assert_eq!((code, word), (Some(6), json!("unreachable")));
    let (code, word, _) = run(&["upload", "none"]);
    assert_eq!((code, word), (Some(1), json!("file")));
    let (code, word, _) = run(&["upload", "-", "-"]);
    assert_eq!((code, word), (Some(2), json!("usage")));
}

#[test]
fn help_is_short_or_long_and_has_what_the_command_has() {
    let dir = tempfile::tempdir().unwrap();
    let say = |args: &[&str]| Wharf::at(dir.path()).done(args);
    let lines = |text: &str| text.lines().count();
    let (short, long) = (say(&["-h"]), say(&["--help"]));
    assert!(
        lines(&short) < 75 && lines(&long) > 2 * lines(&short),
        "{short}"
    );
    assert!(long.contains("--s3-memory") && !short.contains("--s3-memory"));
    for command in ["upload", "download", "list", "show", "update", "delete"] {
        let (short, long) = (say(&[command, "-h"]), say(&[command, "--help"]));
        assert!(lines(&short) < 60, "{short}");
        assert!(
            long.contains("--timeout <SPAN>") && !short.contains("--timeout <SPAN>"),
            "{short}"
        );
        assert!(!long.contains("--dir <DIR>  Store"), "{long}");
        let page = say(&["man", command]);
        for text in [&short, &long, &page] {
            assert!(
                text.contains("Exit codes:") && text.contains("Examples:"),
                "{text}"
            );
        }
        assert!(short.contains("-s, --server <URL>"), "{short}");
        assert!(page.contains("Give up when nothing moves"), "{page}");
    }
    assert!(say(&["man"]).contains("The memory that all uploads"));
    for command in ["check", "reindex"] {
        let long = say(&[command, "--help"]);
        assert!(
            long.contains("--redis") && !long.contains("--max-file-size"),
            "{long}"
        );
        assert!(long.contains("Exit codes:"), "{long}");
    }
}
