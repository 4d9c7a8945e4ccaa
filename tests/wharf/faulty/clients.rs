//! Clients that know what they were answered, and look whether it is true.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::Random;
use crate::support::{Form, Response, noise, try_request};

/// How long a client waits for an answer; then it does not know.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// The lifetime that every `PATCH` asks for. Those that are carried out late only move the deadline
/// on.
pub const PROLONGED: Duration = Duration::from_secs(8);
/// How often each file of the limited uploads can be downloaded.
const MAX_USES: u64 = 3;
/// The name of their second file, and its content.
const SECOND: &str = "second.bin";

/// An upload that was answered with 201.
pub struct Upload {
    pub id: String,
    pub name: String,
    token: String,
    content: Vec<u8>,
    /// The deadline that was confirmed last, and every one before it, each with when that was;
    /// `None` is never.
    pub promised: Vec<(SystemTime, Option<SystemTime>)>,
    /// Whether some `PATCH` may be carried out at any time.
    pub maybe_prolonged: bool,
    /// When a `DELETE` was sent, and when it was confirmed.
    pub asked_to_go: bool,
    pub deleted: Option<SystemTime>,
    /// Whether its downloads are counted; then it has a second file. How many of each file may be
    /// used, and were whole.
    pub limited: bool,
    maybe_used: [u64; 2],
    whole: [u64; 2],
}

impl Upload {
    /// The deadline that was confirmed last.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.promised.last().expect("201 told one").1
    }

    /// Whether it must be there at `time`.
    pub fn must_be_there(&self, time: SystemTime) -> bool {
        let used = self.limited && self.maybe_used.iter().all(|used| *used >= MAX_USES);
        !self.asked_to_go && !used && self.deadline().is_none_or(|deadline| time < deadline)
    }

    /// Whether it must be gone at `time`, when nothing is under way any more since `quiet`.
    pub fn must_be_gone(&self, time: SystemTime, quiet: Option<SystemTime>) -> bool {
        let over = self.deadline().is_some_and(|deadline| deadline <= time);
        let late = match quiet {
            Some(quiet) => self.maybe_prolonged && time <= quiet + PROLONGED,
            None => self.maybe_prolonged,
        };
        self.deleted.is_some_and(|at| at <= time) || (over && !late)
    }

    pub fn path(&self) -> String {
        format!("/files/{}/{}", self.id, self.name)
    }

    /// Looks at the answer to a `GET` that was sent at `sent`; `by` is what it was asked by.
    pub fn check(&self, by: &str, sent: SystemTime, quiet: Option<SystemTime>, answer: &Response) {
        let (id, status) = (&self.id, answer.status);
        let received = SystemTime::now();
        match status {
            200 => {
                assert!(
                    !self.must_be_gone(sent, quiet),
                    "{id} is back, by its {by}: {:?}",
                    self.promised
                );
                let whole = !answer.whole || answer.body == self.content;
                assert!(whole, "{id} has other bytes, by its {by}");
            }
            404 => assert!(
                !self.must_be_there(received),
                "{id} is lost, by its {by}, {:?} before its end: {}",
                self.deadline()
                    .map(|deadline| deadline.duration_since(received)),
                answer.text()
            ),
            503 => assert!(answer.header("retry-after").is_some()),
            409 if self.limited => {}
            _ => panic!("{id}, by its {by}: {status}: {}", answer.text()),
        }
    }
}

/// One client. It alone changes the uploads that it has stored.
pub struct Client<'a> {
    number: u64,
    random: Random,
    addresses: &'a Mutex<Vec<SocketAddr>>,
    uploads: Vec<Upload>,
}

impl<'a> Client<'a> {
    pub fn new(number: u64, random: Random, addresses: &'a Mutex<Vec<SocketAddr>>) -> Self {
        Client {
            number,
            random,
            addresses,
            uploads: Vec::new(),
        }
    }

    /// Does this and that until it is over; answers what it knows.
    pub fn run(mut self, over: &AtomicBool) -> Vec<Upload> {
        for turn in 0.. {
            if over.load(Ordering::SeqCst) {
                break;
            }
            match self.random.below(10) {
                0..3 => self.store(turn),
                3..5 => self.prolong(),
                5 => self.delete(),
                _ => self.download(),
            }
            std::thread::sleep(self.random.millis(10, 50));
        }
        self.uploads
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        let addresses = self.addresses.lock().unwrap().clone();
        let address = *self.random.pick(&addresses);
        let answer = try_request(address, ANSWER_TIMEOUT, method, path, headers, body)?;
        let whole = answer.whole || method == "GET";
        whole.then_some(answer)
    }

    fn store(&mut self, turn: u64) {
        let seed = self.number * 1_000_000 + turn;
        let len = *self.random.pick(&[0, 300, 5_000, 70_000, 400_000]);
        let content = noise(len, seed);
        let name = format!("{}-{turn}.bin", self.number);
        let options = match self.random.below(8) {
            0 | 1 => String::new(),
            2 => format!("?max_downloads={MAX_USES}"),
            _ => format!("?expires_in={}", 1 + self.random.below(6)),
        };
        let form = Form::new()
            .file("f", &name, &content)
            .text("t", "beside it");
        let limited = options.contains("max");
        let form = match limited {
            true => form.file("g", SECOND, SECOND.as_bytes()),
            false => form,
        };
        let content_type = form.content_type();
        let headers = [("Content-Type", content_type.as_str())];
        let path = format!("/upload{options}");
        let Some(answer) = self.request("POST", &path, &headers, &form.body()) else {
            return;
        };
        if answer.status != 201 {
            assert!(answer.status >= 500, "{}: {}", answer.status, answer.text());
            return;
        }
        let json = answer.json();
        let text = |key: &str| json[key].as_str().unwrap().to_owned();
        self.uploads.push(Upload {
            id: text("id"),
            name,
            token: format!("Bearer {}", text("delete_token")),
            content,
            promised: vec![(SystemTime::now(), deadline(&json))],
            maybe_prolonged: false,
            asked_to_go: false,
            deleted: None,
            limited,
            maybe_used: [0; 2],
            whole: [0; 2],
        });
    }

    /// One of the last uploads that `fits`.
    fn choose(&mut self, fits: impl Fn(&Upload) -> bool) -> Option<usize> {
        let last = self.uploads.len().saturating_sub(30);
        let places: Vec<usize> = (last..self.uploads.len())
            .filter(|place| fits(&self.uploads[*place]))
            .collect();
        (!places.is_empty()).then(|| *self.random.pick(&places))
    }

    fn prolong(&mut self) {
        let ends = |upload: &Upload| {
            let now = SystemTime::now();
            upload.deadline().is_some() && upload.must_be_there(now)
        };
        let Some(place) = self.choose(ends) else {
            return;
        };
        let (path, token) = self.owned(place);
        let body = format!(r#"{{"expires_in":{}}}"#, PROLONGED.as_secs());
        let answer = self.request(
            "PATCH",
            &path,
            &[("Authorization", &token)],
            body.as_bytes(),
        );
        let (upload, now) = (&mut self.uploads[place], SystemTime::now());
        match answer {
            Some(answer) if answer.status == 200 => {
                upload.promised.push((now, deadline(&answer.json())));
            }
            Some(answer) if answer.status == 404 => {
                assert!(
                    !upload.must_be_there(now),
                    "{} is lost to a PATCH",
                    upload.id
                );
            }
            Some(answer) => {
                assert!(answer.status >= 500, "{}: {}", answer.status, answer.text());
                upload.maybe_prolonged = true;
            }
            None => upload.maybe_prolonged = true,
        }
    }

    fn delete(&mut self) {
        let Some(place) = self.choose(|_| true) else {
            return;
        };
        let (path, token) = self.owned(place);
        self.uploads[place].asked_to_go = true;
        let answer = self.request("DELETE", &path, &[("Authorization", &token)], b"");
        let upload = &mut self.uploads[place];
        match answer {
            Some(answer) if answer.status == 204 => {
                upload.deleted.get_or_insert(SystemTime::now());
            }
            Some(answer) => assert!(answer.status >= 500, "{}: {}", answer.status, answer.text()),
            None => {}
        }
    }

    fn owned(&self, place: usize) -> (String, String) {
        let upload = &self.uploads[place];
        (format!("/uploads/{}", upload.id), upload.token.clone())
    }

    fn download(&mut self) {
        let Some(place) = self.choose(|_| true) else {
            return;
        };
        if self.uploads[place].limited {
            return self.download_limited(place);
        }
        let path = self.uploads[place].path();
        let sent = SystemTime::now();
        let Some(answer) = self.request("GET", &path, &[], b"") else {
            return;
        };
        self.uploads[place].check("id", sent, None, &answer);
    }

    /// Downloads one file of a limited upload, or its form, which takes one use of both.
    fn download_limited(&mut self, place: usize) {
        let upload = &self.uploads[place];
        let (id, first) = (&upload.id, upload.path());
        let portions = [
            (first, [true, false]),
            (format!("/files/{id}/{SECOND}"), [false, true]),
            (format!("/download/{id}"), [true, true]),
        ];
        let (path, files) = self.random.pick(&portions);
        let sent = SystemTime::now();
        let answer = self.request("GET", path, &[], b"");
        let upload = &mut self.uploads[place];
        // A download that broke off may have been counted.
        let counted = answer
            .as_ref()
            .is_none_or(|answer| [200, 500, 503].contains(&answer.status));
        let whole = matches!(&answer, Some(answer) if answer.status == 200 && answer.whole);
        let mut used_up = false;
        for file in (0..2).filter(|file| files[*file]) {
            upload.maybe_used[file] += u64::from(counted);
            used_up |= upload.maybe_used[file] >= MAX_USES;
            upload.whole[file] += u64::from(whole);
            let served = upload.whole[file];
            assert!(served <= MAX_USES, "{} served too often", upload.id);
        }
        let Some(answer) = answer else { return };
        match (answer.status, files) {
            (404, _) if used_up => {}
            // These have other bytes than the first file.
            (200, [_, true]) => {
                let gone = upload.must_be_gone(sent, None);
                assert!(!gone, "{} is back: {:?}", upload.id, upload.promised);
            }
            _ => upload.check("id", sent, None, &answer),
        }
    }
}

fn deadline(json: &serde_json::Value) -> Option<SystemTime> {
    let time: jiff::Timestamp = json["expires_at"].as_str()?.parse().unwrap();
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(time.as_millisecond() as u64))
}
