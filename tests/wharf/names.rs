use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Form, Server};

#[test]
fn no_name_leads_out_of_the_folder() {
    let server = Server::start();
    let long = format!("{}.tar.gz", "x".repeat(400));
    let names = [
        "../../etc/passwd",
        "..\\..\\evil.txt",
        "/etc/shadow",
        "C:\\x\\y.txt",
        "a/../../b",
        "....//c",
        "..",
        ".",
        "...",
        "%2e%2e%2fd.txt",
        "..%5cd.txt",
        "..\u{2215}f",
        "\u{202e}gpj.exe",
        "CON",
        "nul.txt",
        "COM1",
        ".htaccess",
        " . ",
        "e\u{301}.txt",
        "\u{e9}.txt",
        "A.TXT",
        "a.txt",
        "a.txt",
        "-rf",
        "$(reboot)",
        "`id`",
        "a;b",
        &long,
    ];
    let mut form = Form::new();
    for name in names {
        form = form.file("f", &name.replace('\\', "\\\\"), name.as_bytes());
    }
    let json = server.upload(&form);
    let id = json["id"].as_str().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for (name, file) in names.iter().zip(json["files"].as_array().unwrap()) {
        let stored = file["name"].as_str().unwrap();
        assert!(
            !stored.contains(['/', '\\', '\0', '\u{202e}']) && !stored.starts_with('.'),
            "{stored}"
        );
        assert!(
            stored.len() <= 200 && seen.insert(stored.to_lowercase()),
            "{stored}"
        );
        let path = server.store().join(&id[..2]).join(format!("{id}-{stored}"));
        assert_eq!(std::fs::read(path).unwrap(), name.as_bytes());
        let url = file["url"].as_str().unwrap();
        assert_eq!(server.get(&url[server.url("").len()..]).text(), *name);
    }
    assert_eq!(server.files().len(), names.len() + 1);
    let folders: Vec<_> = std::fs::read_dir(server.dir())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(folders, ["upload"]);
}

#[test]
fn names_that_are_not_utf_8_are_kept_as_they_came() {
    let server = Server::start();
    let body = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"caf\xe9.txt\"\r\n\r\nx\r\n--B--\r\n";
    let response = server.request(
        "POST",
        "/upload",
        &[("Content-Type", "multipart/form-data; boundary=B")],
        body,
    );
    let json = response.json();
    assert_eq!(json["name"], "caf\u{fffd}.txt");
    let id = json["id"].as_str().unwrap();
    let back = server.get(&format!("/download/{id}"));
    let name = b"filename=\"caf\xe9.txt\"";
    assert!(back.body.windows(name.len()).any(|window| window == name));
    let manifest =
        std::fs::read_to_string(server.store().join(&id[..2]).join(format!("{id}.json"))).unwrap();
    assert!(
        manifest.contains("{\"base64\":\"Y2Fm6S50eHQ=\"}"),
        "{manifest}"
    );
}

#[test]
fn control_characters_in_names_are_refused_or_removed() {
    let server = Server::start();
    let nul = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\0b\"\r\n\r\nx\r\n--B--\r\n";
    let content_type = [("Content-Type", "multipart/form-data; boundary=B")];
    assert_eq!(
        server.request("POST", "/upload", &content_type, nul).status,
        400
    );
    let encoded = Form::new().file("f", "a%0D%0Ab%22.txt", b"x").part(
        "Content-Disposition: form-data; name=f; filename*=UTF-8''a%00b%0d.txt",
        b"y",
    );
    let json = server.upload(&encoded);
    assert_eq!(json["files"][0]["name"], "ab_.txt");
    assert_eq!(json["files"][1]["name"], "ab.txt");
}

/// A form that is given back and posted again has the same names; a URL can hold any byte as well.
#[test]
fn names_that_no_header_can_hold_are_the_same_when_they_come_again() {
    let server = Server::start();
    let disposition = "Content-Disposition: form-data; name=f; filename*=UTF-8''";
    let form = Form::new()
        .part(&format!("{disposition}a%00b%0D%22.txt"), b"x")
        .part(&format!("{disposition}%00"), b"")
        .part(&format!("{disposition}%00%00"), b"y");
    let mut json = server.upload(&form);
    let put = server
        .request("PUT", "/files/a%00b%2200.txt", &[], b"z")
        .json();
    assert_eq!(put["name"], "ab_00.txt");
    let names = |json: &serde_json::Value| {
        let files = json["files"].as_array().unwrap().iter();
        files.map(|file| file["name"].clone()).collect::<Vec<_>>()
    };
    let first = [names(&json), names(&put)];
    assert_eq!(first[0], ["ab_.txt", "file", "file (2)"]);
    for (mut json, first) in [json.take(), put].into_iter().zip(first) {
        for _ in 0..2 {
            let path = format!("/download/{}", json["id"].as_str().unwrap());
            let given = server.get(&path);
            let headers = [("Content-Type", given.header("content-type").unwrap())];
            let again = server.request("POST", "/upload", &headers, &given.body);
            assert_eq!(again.status, 201, "{}", again.text());
            json = again.json();
            assert_eq!(names(&json), first);
        }
    }
}

#[test]
fn what_others_put_into_the_folder_is_left_alone() {
    let server = Server::start();
    let json = server.upload(&Form::new().file("f", "a.txt", b"x"));
    let id = json["id"].as_str().unwrap().to_owned();
    let folder = server.store().join(&id[..2]);
    let orphan = format!("{}zzzzzzzzzzzzzzzzzzzzzzzz-left.txt", &id[..2]);
    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    std::fs::write(server.store().join("README"), "mine").unwrap();
    std::fs::write(folder.join(&orphan), "a crash left this").unwrap();
    std::os::unix::fs::symlink(
        "/etc/passwd",
        folder.join(format!("{}zzzzzzzzzzzzzzzzzzzzzzzy-link", &id[..2])),
    )
    .unwrap();
    let server = server.kill().start();
    crate::support::wait_until("the orphan is removed", || !folder.join(&orphan).exists());
    assert_eq!(std::fs::read(folder.join("notes.txt")).unwrap(), b"mine");
    assert!(server.store().join("README").exists());
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(left.iter().any(|name| name.as_bytes().ends_with(b"-link")));
    // A link in the place of a stored file is not followed.
    let stored = folder.join(format!("{id}-a.txt"));
    std::fs::remove_file(&stored).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &stored).unwrap();
    assert_eq!(server.get(&format!("/files/{id}/a.txt")).status, 500);
}
