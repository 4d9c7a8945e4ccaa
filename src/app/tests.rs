//! Every request that changes something, dropped at every await: as hyper drops a handler whose
//! client has gone, and as the server does at its end.

use axum::body::Body;
use axum::extract::Request;
use tokio::sync::watch;

use super::*;
use crate::config::{Config, GivenSettings, Loaded};
use crate::http::Service;
use crate::http::rules::origin::Peer;
use crate::lease::Solo;
use crate::model::Manifest;
use crate::repository::slowed::{Bench, cut};

/// The server over a bench, as far as one request needs it.
fn front(bench: &Bench) -> Arc<Service> {
    let given = GivenSettings {
        flags: vec![("access".to_owned(), vec!["admin:root".to_owned()])],
        ..GivenSettings::default()
    };
    let loaded = Loaded::from(given).unwrap();
    let config = Config::new(&loaded, "", &Default::default(), "test".to_owned()).unwrap();
    let app = App {
        options: config.app,
        repository: bench.uploads.clone(),
        lease: Arc::new(Solo::new("test".to_owned())),
        trouble: watch::Sender::new(None).subscribe(),
        tasks: Vec::new(),
        shared: false,
        clock: Clock::system(),
        admin: Vec::new(),
        supervisor: Supervisor::default(),
        renewals: None,
        _lock: None,
    };
    let delivery = Delivery::new(app.repository.clone(), app.clock.clone());
    let http = app.http(
        &Shutdown::default(),
        expiry::ExpiryMetrics::default(),
        delivery,
    );
    crate::http::service(http, &Listening::default())
}

/// A request that changes something of an upload, or stores another.
struct Case {
    method: &'static str,
    /// `ID` stands for the upload.
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// The answer, when it comes.
    status: u16,
    /// How often the upload may be downloaded.
    max_downloads: Option<u64>,
    /// Whether the stored uploads are right, when the answer came.
    right: fn(&[Manifest]) -> bool,
}

impl Case {
    const fn new(method: &'static str, path: &'static str, status: u16) -> Self {
        Case {
            method,
            path,
            headers: &[("Authorization", "Bearer t")],
            body: "",
            status,
            max_downloads: None,
            right: |live| live.is_empty(),
        }
    }

    fn request(&self, upload: &Manifest) -> Request {
        let filled = |text: &str| text.replace("ID", upload.id.as_str());
        let mut request = ::http::Request::builder()
            .method(self.method)
            .uri(filled(self.path))
            .header("Host", "localhost");
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(filled(self.body))).unwrap()
    }
}

const FORM: &str =
    "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b.txt\"\r\n\r\nb\r\n--B--\r\n";
const AS_FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];

fn is_prolonged(live: &[Manifest]) -> bool {
    live.len() == 1 && live[0].expires_at.is_some()
}

fn cases() -> Vec<Case> {
    vec![
        Case::new("DELETE", "/uploads/ID", 204),
        Case {
            headers: AS_FORM,
            body: "token=t",
            ..Case::new("POST", "/uploads/ID/delete", 200)
        },
        Case {
            body: "ID.t",
            ..Case::new("DELETE", "/compat/filepond", 204)
        },
        Case {
            body: "{\"expires_in\":\"1h\"}",
            right: is_prolonged,
            ..Case::new("PATCH", "/uploads/ID", 200)
        },
        Case {
            headers: AS_FORM,
            body: "token=t&wharf_expires_in=1h",
            right: is_prolonged,
            ..Case::new("POST", "/uploads/ID/prolong", 303)
        },
        Case {
            headers: &[("Content-Type", "multipart/form-data; boundary=B")],
            body: FORM,
            right: |live| live.len() == 2,
            ..Case::new("POST", "/upload", 201)
        },
        Case {
            headers: &[("Content-Type", "multipart/form-data; boundary=B")],
            body: FORM,
            right: |live| live.len() == 2,
            ..Case::new("POST", "/compat/filepond", 201)
        },
        Case {
            headers: &[],
            body: "b",
            right: |live| live.len() == 2,
            ..Case::new("PUT", "/files/b.txt", 201)
        },
        Case {
            max_downloads: Some(2),
            right: |live| live.len() == 1 && live[0].used == 1,
            ..Case::new("GET", "/files/ID/a.txt", 200)
        },
        Case {
            max_downloads: Some(2),
            right: |live| live.len() == 1 && live[0].used == 1,
            ..Case::new("GET", "/download/ID", 200)
        },
    ]
}

#[tokio::test]
async fn a_change_that_is_dropped_at_any_await_is_whole_or_was_not_begun() {
    for case in cases() {
        let what = format!("{} {}", case.method, case.path);
        for polls in 0.. {
            let bench = Bench::new().await;
            let upload = bench.store(case.max_downloads).await;
            let front = front(&bench);
            let request = case.request(&upload);
            let asked = async {
                let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
                let answer = front.answer(peer, request).await;
                let status = answer.status();
                let body = axum::body::to_bytes(Body::new(answer.into_body()), 1 << 20);
                body.await.unwrap();
                status
            };
            let answered = cut(asked, polls).await;
            // Store, index and memory agree, whether the request was answered or not.
            let live = bench.settled().await;
            if let Some(status) = answered {
                assert_eq!(status, case.status, "{what}");
                assert!((case.right)(&live), "{what}: {live:?}");
            } else {
                let whole = (case.right)(&live);
                let same = live == [upload.clone()];
                assert!(whole || same, "{what} after {polls} polls: {live:?}");
            }
            bench.uploads.close(TASKS_TIMEOUT).await.unwrap();
            let unverified = bench.uploads.catalog().unverified().await.unwrap();
            assert!(unverified.is_empty(), "{what}: the index is clean");
            if answered.is_some() {
                assert!(polls > 1, "{what}: {polls} polls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_task_that_panics_or_ends_takes_the_server_with_it() {
    for panics in [true, false] {
        let shutdown = Shutdown::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            std::future::pending::<()>().await;
            Ok(())
        });
        tasks.spawn(async move {
            assert!(!panics, "as the test has it");
            Ok(())
        });
        let ended = super::watch(&mut tasks, &shutdown).await;
        let ended = ended.unwrap_err().to_string();
        let why = ["has ended", "panicked"][usize::from(panics)];
        assert!(ended.contains(why), "{ended}");
        assert!(shutdown.stop.is_cancelled());
    }
}
