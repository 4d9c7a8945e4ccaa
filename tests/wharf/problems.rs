//! Every code of an error, given for a real cause, with its facts as members.

mod causes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::openapi::recorded;
use crate::support::{Connection, Form, Response, Server, Setup, try_request};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A form of one small file.
fn small() -> Form {
    Form::new().file("f", "a.txt", b"content")
}

/// Codes that were given, each with its last document.
type Codes = BTreeMap<String, Value>;

/// The problems that a server has answered.
struct Given<'a> {
    server: &'a Server,
    codes: Codes,
}

impl<'a> Given<'a> {
    fn by(server: &'a Server) -> Self {
        let codes = Codes::new();
        Given { server, codes }
    }

    /// Takes an answer, which is a problem with this status, this code and these members.
    #[track_caller]
    fn take(&mut self, answer: &Response, status: u16, code: &str, members: Value) {
        let said = answer.text();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{said}"
        );
        let after = answer
            .header("retry-after")
            .map(|text| text.parse::<u64>().unwrap());
        assert_eq!(answer.json()["retry_after"].as_u64(), after, "{said}");
        assert_eq!(after.is_some(), [409, 429, 503].contains(&status), "{said}");
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(answer.json()["request_id"], id);
        self.document(&answer.json(), status, code, members);
    }

    #[track_caller]
    fn document(&mut self, document: &Value, status: u16, code: &str, members: Value) {
        assert_eq!(
            (&document["status"], &document["code"]),
            (&json!(status), &json!(code))
        );
        assert_eq!(document["detail"], document["error"]);
        let all = [
            "type",
            "title",
            "status",
            "detail",
            "code",
            "request_id",
            "error",
        ];
        let known = document.as_object().unwrap().iter();
        let facts =
            known.filter(|(name, _)| !all.contains(&name.as_str()) && *name != "retry_after");
        let facts: serde_json::Map<String, Value> = facts
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        assert_eq!(Value::Object(facts), members, "{document}");
        // A stranger learns nothing of the inside.
        let text = document.to_string();
        let inside = [
            self.server.dir().to_str().unwrap(),
            "redis",
            "os error",
            ".wharf",
        ];
        assert!(!inside.iter().any(|word| text.contains(word)), "{text}");
        // Its type leads to what it means, which names its members.
        let page = document["type"].as_str().unwrap();
        let page = try_request(self.server.address, ANSWER_TIMEOUT, "GET", page, &[], b"");
        // A server that ends answers no client.
        if let Some(page) = page {
            let page = page.json();
            assert_eq!(page["code"], code);
            assert!(
                page["statuses"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(status)),
                "{page}"
            );
            for name in members.as_object().unwrap().keys() {
                assert!(
                    page["members"].as_array().unwrap().contains(&json!(name)),
                    "{name}"
                );
            }
        }
        let example = recorded::normal(document.clone(), self.server.address.port());
        self.codes.insert(code.to_owned(), example);
    }
}

#[test]
fn every_code_is_given_for_a_real_cause() {
    use causes::{answers, archives, components, crowds, forms, heads, records, scopes};
    let causes = [
        records, heads, forms, scopes, crowds, answers, components, archives,
    ];
    let given: Codes = std::thread::scope(|scope| {
        let running: Vec<_> = causes.iter().map(|cause| scope.spawn(cause)).collect();
        let ended = running.into_iter().map(|cause| cause.join());
        ended
            .flat_map(|codes| codes.expect("its causes are met"))
            .collect()
    });
    let all = Server::start().get("/problems").json();
    let all = all["problems"].as_array().unwrap().iter();
    let all: BTreeSet<String> = all
        .map(|known| known["code"].as_str().unwrap().to_owned())
        .collect();
    let codes: BTreeSet<String> = given.keys().cloned().collect();
    assert_eq!(codes, all);
    // These are the examples of the OpenAPI document.
    recorded::compare("problems.json", &json!(given));
}

#[test]
fn a_code_is_explained_to_people_and_programs_in_their_language() {
    let server = Server::with(&["--base-path", "/w"]);
    let ask = |path: &str, accept: &str, language: &str| {
        let headers = [("Accept", accept), ("Accept-Language", language)];
        server.request("GET", path, &headers, b"")
    };
    let path = "/w/problems/limit-exceeded";
    let known = ask(path, "*/*", "en");
    assert_eq!(known.json()["type"], path);
    assert_eq!(known.header("content-type"), Some("application/json"));
    assert!(
        known.json()["settings"]
            .as_array()
            .unwrap()
            .contains(&json!("max_file_size"))
    );
    let chinese = ask(path, "application/json", "zh-CN");
    assert_eq!(chinese.header("content-language"), Some("zh-Hans"));
    assert_ne!(chinese.json()["means"], known.json()["means"]);
    for (language, title) in [("en", "This is too large"), ("zh", "大小限制")] {
        let page = ask(path, "text/html", language).text();
        assert!(
            page.contains(title) && page.contains("<code>max_file_size</code>"),
            "{page}"
        );
        assert!(page.contains("/problems\""), "{page}");
        for path in ["/w/problems", "/w/problems/"] {
            let all = ask(path, "text/html", language).text();
            assert!(all.contains("/problems/internal\""), "{all}");
        }
    }
    // The page of an error leads to it, and the document does.
    let refused = ask("/w/files/none", "text/html", "en");
    assert!(
        refused.text().contains("/problems/name-not-found\""),
        "{}",
        refused.text()
    );
    let refused = server.get("/w/files/none").json();
    assert_eq!(refused["type"], "/w/problems/name-not-found");
    // Every setting that is named there is one.
    let settings = String::from_utf8(Setup::new().run(&["config"]).stdout).unwrap();
    for known in server.get("/w/problems").json()["problems"]
        .as_array()
        .unwrap()
    {
        for setting in known["settings"].as_array().unwrap() {
            let line = format!("\n{} = ", setting.as_str().unwrap());
            assert!(
                format!("\n{settings}").contains(&line),
                "{setting} in {settings}"
            );
        }
    }
}

/// Those that are refused together do not come back together.
#[test]
fn clients_are_told_different_times() {
    let server = Server::with(&["--max-uploads", "1"]);
    let _under_way = Connection::announcing(server.address, &small());
    let told = (0..40).map(|_| {
        let refused = server.post_to("/upload", &small(), &[]).json();
        refused["retry_after"].as_u64().unwrap()
    });
    let told: BTreeSet<u64> = told.collect();
    assert!(
        told.len() > 1 && told.iter().all(|after| (5..=10).contains(after)),
        "{told:?}"
    );
}
