//! The server as clients reach it: what the proxies before it do to requests. Nothing is stored:
//! every upload that is begun here has an option that the server refuses.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::Value;

use super::report::Report;
use crate::client::{Client, ClientError};
use crate::model::units::format_size;

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same where no answer is an answer.
const SHORT_TIMEOUT: Duration = Duration::from_secs(2);
/// An option that no server knows.
const REFUSED: (&str, &str) = ("doctor", "1");
/// Bytes that are sent of a body that is held.
const BLOCK: usize = 16 * 1024;
/// The length of a body that no proxy may be asked to take into its memory.
const HELD: u64 = 512 * 1024;
/// A body that is longer than every limit of a proxy.
const HUGE: u64 = 1 << 40;
/// Lengths that limits of proxies lie between.
const LENGTHS: [u64; 6] = [1 << 20, 10 << 20, 100 << 20, 1 << 30, 10 << 30, 100 << 30];
/// The length of a body that is sent whole.
const SENT: u64 = 4 << 20;
/// No answer that is wanted is longer.
const MAX_ANSWER: usize = 64 * 1024;
/// A host that a client may only claim to have asked (RFC 6761 section 6.4).
const CLAIMED: &str = "doctor.invalid";

/// A body of which some comes, and then no more.
struct HeldBody {
    first: Option<Bytes>,
    length: u64,
}

impl http_body::Body for HeldBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            // The request is given up by its time-out.
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// The program that answered an upload.
enum Answerer {
    /// wharf, with this code of a problem.
    Wharf,
    /// Something before it.
    Other(StatusCode),
    Nobody(ClientError),
}

pub async fn look(address: &str, ca_file: Option<&Path>, report: &mut Report) {
    let mut builder = Client::builder(address).timeout(TIMEOUT);
    if let Some(path) = ca_file {
        builder = builder.ca_file(path);
    }
    let client = match builder.build() {
        Ok(client) => client,
        Err(error) => return report.error("url", error.to_string(), "correct --url"),
    };
    let Some(about) = about(&client, report).await else {
        return;
    };
    ready(&client, report).await;
    origin(&client, &about, report).await;
    if streaming(&client, report).await {
        refusals(&client, report).await;
    }
    lengths(&client, report).await;
}

/// The server's description of itself.
async fn about(client: &Client, report: &mut Report) -> Option<Value> {
    let advice = "name the address with its base path, and have the proxy lead it to wharf";
    let answer = match ask_about(client, None).await {
        Ok(answer) => answer,
        Err(error) => {
            report.error("url", error.to_string(), "see that proxy and server run");
            return None;
        }
    };
    let status = answer.status();
    if let Some(to) = answer
        .headers()
        .get(header::LOCATION)
        .filter(|_| status.is_redirection())
    {
        let to = to.as_bytes().escape_ascii();
        report.error(
            "url",
            format!("{} leads to {to}", client.name()),
            "name that address",
        );
        return None;
    }
    let version = format!("{:?}", answer.version());
    let about = json_of(answer).await;
    if about["name"] != "wharf" {
        let text = format!("{} answers {status}, and is not wharf", client.name());
        report.error("url", text, advice);
        return None;
    }
    let wharf = about["version"].as_str().unwrap_or_default();
    report.ok(
        "url",
        format!("wharf {wharf} answers at {} ({version})", client.name()),
    );
    Some(about)
}

async fn ask_about(
    client: &Client,
    claim: Option<(&'static str, String)>,
) -> Result<Response, ClientError> {
    let request = client.request(Method::GET, client.url(&[""]));
    let request = request.header(header::ACCEPT, "application/json");
    client
        .send(match claim {
            Some((name, value)) => request.header(name, value),
            None => request,
        })
        .await
}

async fn ready(client: &Client, report: &mut Report) {
    let request = client.request(Method::GET, client.url(&["readyz"]));
    match client.send(request).await {
        Ok(answer) if answer.status().is_success() => report.ok("ready", "it can store"),
        Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
            report.error("ready", "it cannot store now", "its log says why");
        }
        Ok(answer) => report.warning(
            "ready",
            format!("readyz answers {}", answer.status()),
            "nothing has to be done if probes ask the server itself",
        ),
        Err(error) => report.error("ready", error.to_string(), "see that proxy and server run"),
    }
}

/// Where the server takes itself to be, and whether clients can tell it something else.
async fn origin(client: &Client, about: &Value, report: &mut Report) {
    let asked = client.url(&[""]);
    let itself = about["url"].as_str().unwrap_or_default();
    let same = |text: &str| url::Url::parse(text).is_ok_and(|url| url == asked);
    match same(&format!("{}/", itself.trim_end_matches('/'))) {
        true => report.ok("address", "the links that it gives begin with this address"),
        false => report.warning(
            "address",
            format!("the links that it gives begin with {itself}"),
            "set public_url and base_path; or name the proxy in trusted_proxies, and have it set X-Forwarded-Proto and X-Forwarded-Host",
        ),
    }
    for (name, value) in [
        ("x-forwarded-host", CLAIMED.to_owned()),
        ("forwarded", format!("host={CLAIMED};proto=https")),
    ] {
        let Ok(answer) = ask_about(client, Some((name, value))).await else {
            continue;
        };
        let about = json_of(answer).await;
        if about["url"]
            .as_str()
            .is_some_and(|url| url.contains(CLAIMED))
        {
            report.error(
                "address",
                format!("a client that sends {name} decides where links lead"),
                "have the proxy set X-Forwarded-For, -Proto and -Host anew, and remove Forwarded (deploy/ has examples)",
            );
        }
    }
}

/// Whether the head of an upload comes to the server before its body has ended.
async fn streaming(client: &Client, report: &mut Report) -> bool {
    match begin(client, HELD, TIMEOUT).await {
        Answerer::Wharf => {
            report.ok("streaming", "bodies go through as they come");
            return true;
        }
        Answerer::Other(status) => report.error(
            "streaming",
            format!("an upload of {} is answered {status} before wharf", format_size(HELD)),
            "have the proxy pass POST on, and bodies of any length",
        ),
        Answerer::Nobody(ClientError::Timeout { .. }) => report.warning(
            "streaming",
            "the proxy keeps bodies until they are whole: uploads take its disk, refusals come late, and progress is not wharf's",
            "nginx: proxy_request_buffering off and proxy_http_version 1.1",
        ),
        Answerer::Nobody(error) => report.error(
            "streaming",
            format!("an upload that is refused has no answer: {error}"),
            "see the proxy's log",
        ),
    }
    false
}

/// Whether a refusal reaches a client that still sends.
async fn refusals(client: &Client, report: &mut Report) {
    let body = reqwest::Body::from(vec![b'-'; usize::try_from(SENT).unwrap_or_default()]);
    match upload(client, body, TIMEOUT).await {
        Answerer::Wharf => report.ok("refusals", "a refusal reaches a client that still sends"),
        // Said with the lengths.
        Answerer::Other(StatusCode::PAYLOAD_TOO_LARGE) => {}
        Answerer::Other(status) => report.warning(
            "refusals",
            format!("a client that still sends when wharf refuses sees {status}"),
            "have the proxy pass early answers on",
        ),
        Answerer::Nobody(error) => report.warning(
            "refusals",
            format!("a client that still sends when wharf refuses sees no answer: {error}"),
            "have the proxy pass early answers on",
        ),
    }
}

/// The longest body that comes to the server.
async fn lengths(client: &Client, report: &mut Report) {
    let too_long = async |length| {
        let answer = begin(client, length, SHORT_TIMEOUT).await;
        matches!(answer, Answerer::Other(StatusCode::PAYLOAD_TOO_LARGE))
    };
    if !too_long(HUGE).await {
        return report.ok("lengths", "bodies of any length go through");
    }
    let mut passes = 0;
    let mut refused = HUGE;
    for length in LENGTHS {
        // One more than what is written in a configuration.
        if too_long(length + 1).await {
            refused = length;
            break;
        }
        passes = length;
    }
    let refused = format_size(refused);
    let text = match passes {
        0 => format!("the proxy refuses bodies above {refused}, or above less"),
        passes => format!(
            "the proxy refuses bodies above {refused}, or above less, and takes those of {}",
            format_size(passes)
        ),
    };
    report.error(
        "lengths",
        text,
        "take the limit away (nginx: client_max_body_size 0): wharf has limits of its own",
    );
}

/// The JSON of an answer; null where it is none, or too long.
async fn json_of(mut answer: Response) -> Value {
    let mut body = Vec::new();
    while body.len() < MAX_ANSWER {
        match tokio::time::timeout(TIMEOUT, answer.chunk()).await {
            Ok(Ok(Some(block))) => body.extend_from_slice(&block),
            _ => break,
        }
    }
    serde_json::from_slice(&body).unwrap_or_default()
}

/// Begins an upload that says to be so long.
async fn begin(client: &Client, length: u64, timeout: Duration) -> Answerer {
    let held = HeldBody {
        first: Some(Bytes::from(vec![b'-'; BLOCK])),
        length,
    };
    upload(client, reqwest::Body::wrap(held), timeout).await
}

async fn upload(client: &Client, body: reqwest::Body, timeout: Duration) -> Answerer {
    let mut url = client.url(&["upload"]);
    url.query_pairs_mut().append_pair(REFUSED.0, REFUSED.1);
    let request = client
        .request(Method::POST, url)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=doctor")
        .header(header::ACCEPT, "application/json")
        .body(body);
    let answer = async {
        let answer = client.send(request).await?;
        let status = answer.status();
        let problem = json_of(answer).await;
        Ok(
            match problem["code"].is_string() && problem["request_id"].is_string() {
                true => Answerer::Wharf,
                false => Answerer::Other(status),
            },
        )
    };
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer.unwrap_or_else(Answerer::Nobody),
        Err(_) => Answerer::Nobody(ClientError::Timeout {
            server: client.name().to_owned(),
            after: timeout,
        }),
    }
}
