//! The clients of a run, and what they were answered.

use std::sync::Mutex;

use crate::support::{Chance, Form, RecordingDisk, Server, noise, sha256};

/// An upload that was answered, and its later changes; moments are those of the disk.
#[derive(Debug, Clone)]
pub struct Answered {
    pub id: String,
    pub token: String,
    /// The names and digests of its files.
    pub files: Vec<(String, String)>,
    pub at: usize,
    /// Deadlines it was given later, each with the moment of the answer.
    pub deadlines: Vec<(usize, String)>,
    /// The moments at which downloads were over that it counts.
    pub used: Vec<usize>,
    /// When its removal was asked for, and answered.
    pub removed: Option<(usize, usize)>,
}

/// Clients that upload, prolong, download what is counted, and remove.
pub fn load(server: &Server, disk: &RecordingDisk, each: usize, seed: u64) -> Vec<Answered> {
    let answered = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..4 {
            let answered = &answered;
            scope.spawn(move || {
                let mut chance = Chance(seed * 1000 + client * 77 + 1);
                let mut mine: Vec<Answered> = Vec::new();
                for _ in 0..each {
                    match chance.next() % 8 {
                        0 if !mine.is_empty() => {
                            let i = chance.next() as usize % mine.len();
                            prolong(server, disk, &mut mine[i], chance.next() % 1000 + 1);
                        }
                        1 if !mine.is_empty() => {
                            let i = chance.next() as usize % mine.len();
                            take(server, disk, &mut mine[i]);
                        }
                        2 if !mine.is_empty() => {
                            let i = chance.next() as usize % mine.len();
                            remove(server, disk, &mut mine[i]);
                        }
                        _ => mine.push(upload(server, disk, &mut chance)),
                    }
                }
                answered.lock().unwrap().append(&mut mine);
            });
        }
    });
    answered.into_inner().unwrap()
}

pub fn upload(server: &Server, disk: &RecordingDisk, chance: &mut Chance) -> Answered {
    let sizes = (0..chance.next() % 3 + 1).map(|_| match chance.next() % 6 {
        0 => 300_000,
        _ => 2000 + (chance.next() % 3000) as usize,
    });
    let sizes: Vec<usize> = sizes.collect();
    upload_of(server, disk, &sizes, chance)
}

/// Files of these sizes.
pub fn upload_of(
    server: &Server,
    disk: &RecordingDisk,
    sizes: &[usize],
    chance: &mut Chance,
) -> Answered {
    let mut form = Form::new().text("t", "x");
    let mut digests = Vec::new();
    for (i, size) in sizes.iter().enumerate() {
        let content = noise(*size, chance.next());
        form = form.file("f", &format!("{i}.bin"), &content);
        digests.push((format!("{i}.bin"), sha256(&content)));
    }
    let response = server.post_to("/upload?max_downloads=1000", &form, &[]);
    assert_eq!(response.status, 201, "{}", response.text());
    let (json, at) = (response.json(), disk.moment());
    let text = |key: &str| json[key].as_str().unwrap().to_owned();
    Answered {
        id: text("id"),
        token: format!("Bearer {}", text("delete_token")),
        files: digests,
        at,
        deadlines: Vec::new(),
        used: Vec::new(),
        removed: None,
    }
}

pub fn prolong(server: &Server, disk: &RecordingDisk, upload: &mut Answered, days: u64) {
    let path = format!("/uploads/{}", upload.id);
    let body = format!("{{\"expires_in\":\"{days}d\"}}");
    let response = server.request(
        "PATCH",
        &path,
        &[("Authorization", &upload.token)],
        body.as_bytes(),
    );
    if upload.removed.is_none() {
        assert_eq!(response.status, 200, "{}", response.text());
        let deadline = response.json()["expires_at"].as_str().unwrap().to_owned();
        upload.deadlines.push((disk.moment(), deadline));
    }
}

pub fn take(server: &Server, disk: &RecordingDisk, upload: &mut Answered) {
    let response = server.get(&format!("/download/{}", upload.id));
    if upload.removed.is_none() {
        assert!(response.status == 200 && response.whole);
        upload.used.push(disk.moment());
    }
}

pub fn remove(server: &Server, disk: &RecordingDisk, upload: &mut Answered) {
    let (path, asked) = (format!("/uploads/{}", upload.id), disk.moment());
    let response = server.request("DELETE", &path, &[("Authorization", &upload.token)], b"");
    assert!(matches!(response.status, 204 | 404), "{}", response.status);
    upload.removed.get_or_insert((asked, disk.moment()));
}
