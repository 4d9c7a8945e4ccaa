//! One entry for each request.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, Version, header};
use http_body::{Body as _, Frame, SizeHint};

use super::AppState;
use super::body_meter::BodyMeter;
use super::guard;
use super::metrics::{Answered, CountedNow, ServerMetrics};
use super::render;
use super::route_labels::RouteLabels;
use crate::delivery::{DeliveryError, Missing};
use crate::http::resources::page::{Language, PageReader};
use crate::http::rules::accept::Accept;
use crate::http::rules::origin::{Origin, Peer};
use crate::http::rules::problem::Problem;
use crate::http::rules::request_id;
use crate::http::server::AnswerEnd;
use crate::model::UploadId;

/// A request that is being answered: its log entry, and what the client wants a problem to look
/// like.
pub struct RequestLog {
    entry: Box<AccessLogEntry>,
    accept: Accept,
    language: Language,
}

impl RequestLog {
    /// Gives a request its id, its origin, and the count of its body.
    pub fn new(app: &AppState, labels: &RouteLabels, peer: &Peer, request: &mut Request) -> Self {
        let start = Instant::now();
        let (uri, headers) = (request.uri(), request.headers());
        let origin = Origin::of(peer, uri, headers, &app.options.trusted_proxies);
        let route = labels.of(uri.path());
        let method = request.method();
        let received = BodyMeter::of(origin.one_client(&app.options.trusted_proxies));
        let mut log = RequestLog {
            accept: Accept::of(headers),
            language: Language::of(uri.query(), headers),
            entry: Box::new(AccessLogEntry {
                id: request_id::of(headers),
                is_upload: labels.is_upload(method, route),
                method: method.clone(),
                route,
                upload: labels.upload(uri.path()),
                version: request.version(),
                user_agent: headers.get(header::USER_AGENT).cloned(),
                uri: uri.clone(),
                client: origin.client,
                key: None,
                status: StatusCode::INTERNAL_SERVER_ERROR,
                received: received.clone(),
                sent: 0,
                announced: None,
                whole: false,
                start,
                _counted: app.metrics.answering(),
                metrics: Arc::clone(&app.metrics),
            }),
        };
        log.entry.key = guard::identify(&app.options.access, request);
        request.extensions_mut().insert(origin);
        request.extensions_mut().insert(received);
        log
    }

    /// Writes out the problem it ended in, and logs it when the last byte of the answer has gone.
    pub fn end(self, app: &AppState, mut response: Response) -> Response<LoggedBody> {
        let RequestLog {
            mut entry,
            accept,
            language,
        } = self;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            let (_, code) = problem.codes();
            if let Some(inside) = problem.inside() {
                tracing::error!(
                    event = "problem",
                    request_id = %entry.id,
                    code = code.name(),
                    error = inside,
                    "{} {}",
                    entry.method,
                    entry.uri.path(),
                );
            }
            if entry.is_upload {
                app.metrics.refused(code);
            }
            // Fields that were added on the way stay: Allow, CORS, nosniff.
            let mut added = std::mem::take(response.headers_mut());
            // That of the empty answer which carried the problem.
            added.remove(header::CONTENT_LENGTH);
            let problem = match added.get(header::ALLOW) {
                Some(methods) => problem.allowing(methods),
                None => problem,
            };
            let reader = PageReader {
                language,
                base: &app.options.base_path,
                look: &app.look,
            };
            response = render::problem(problem, &entry.id, &accept, &reader);
            for (name, value) in &added {
                response.headers_mut().append(name, value.clone());
            }
            if entry.method == Method::HEAD {
                // The router, which takes the body from the answer to a HEAD, does not see this
                // one.
                let length = response.body().size_hint().exact().map(HeaderValue::from);
                response
                    .headers_mut()
                    .extend(length.map(|length| (header::CONTENT_LENGTH, length)));
                *response.body_mut() = Body::empty();
            }
        }
        if let Ok(value) = HeaderValue::from_str(&entry.id) {
            response.headers_mut().insert(request_id::FIELD, value);
        }
        entry.status = response.status();
        let announced = response.headers().get(header::CONTENT_LENGTH);
        entry.announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
        // The answer to a HEAD, and one without a body, is whole with its head.
        entry.whole = entry.method == Method::HEAD || response.body().is_end_stream();
        response.map(|body| LoggedBody { body, entry })
    }
}

/// One line of the access log, written when it is dropped.
struct AccessLogEntry {
    id: String,
    method: Method,
    uri: Uri,
    route: &'static str,
    /// Whether it was to store an upload.
    is_upload: bool,
    /// The upload that its path names.
    upload: Option<UploadId>,
    version: Version,
    user_agent: Option<HeaderValue>,
    /// `None` is a process on this machine.
    client: Option<IpAddr>,
    /// The name of the secret that it was sent with.
    key: Option<Arc<str>>,
    status: StatusCode,
    received: BodyMeter,
    sent: u64,
    /// The announced length of the answer: hyper asks for no more than that.
    announced: Option<u64>,
    whole: bool,
    start: Instant,
    _counted: CountedNow,
    metrics: Arc<ServerMetrics>,
}

impl AccessLogEntry {
    /// Says why not all of it could be sent, when that is not its reader's doing.
    fn failed(&self, error: &dyn fmt::Display) {
        let (request_id, path) = (&self.id, self.uri.path());
        tracing::error!(event = "broken", %request_id, %error, "{path} broke off");
    }

    /// The same where its upload was removed meanwhile, as people may do at any time.
    fn removed(&self, missing: &Missing) {
        let (request_id, path) = (&self.id, self.uri.path());
        tracing::info!(event = "broken", %request_id, "{path} broke off: {missing} any more");
    }
}

impl AnswerEnd for AccessLogEntry {
    fn broken_off(&mut self, unsent: u64, failure: Option<&str>) {
        self.whole = false;
        self.sent = self.sent.saturating_sub(unsent);
        if let Some(failure) = failure {
            self.failed(&failure);
        }
    }
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        let answered = Answered {
            method: &self.method,
            route: self.route,
            status: self.status.as_u16(),
            request_bytes: self.received.get(),
            response_bytes: self.sent,
            time: self.start.elapsed(),
        };
        self.metrics.request(&answered);
        let ended = if self.whole { "" } else { " (broken off)" };
        let path = self.uri.path();
        let upload = self.received.upload().or(self.upload);
        let user_agent = self.user_agent.as_ref();
        tracing::info!(
            event = "request",
            request_id = %self.id,
            upload_id = upload.as_ref().map(display),
            method = %self.method,
            path,
            route = self.route,
            status = answered.status,
            request_bytes = answered.request_bytes,
            response_bytes = answered.response_bytes,
            // Of a float that was multiplied, more digits would be printed than there are.
            duration_ms = answered.time.as_micros() as f64 / 1000.0,
            client = %ClientName(self.client),
            key = self.key.as_deref(),
            user_agent = user_agent.and_then(|value| value.to_str().ok()),
            protocol = protocol(self.version),
            "{} {path} {}{ended}",
            self.method,
            answered.status,
        );
    }
}

/// The client as a line of the log names it: a process on this machine has no address.
struct ClientName(Option<IpAddr>);

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unix"),
        }
    }
}

/// The protocol as a line of an access log has it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// What a body broke off for because it is not there any more.
fn missing(error: &axum::Error) -> Option<&Missing> {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref());
    causes.find_map(|cause| match cause {
        DeliveryError::NotFound(missing) => Some(missing),
        _ => None,
    })
}

/// A body whose end is logged.
pub struct LoggedBody {
    body: Body,
    /// Boxed: a connection that waits for a request keeps the room of the last answer.
    entry: Box<AccessLogEntry>,
}

impl LoggedBody {
    /// Says that not all of it reached the reader, although all was handed over.
    pub fn broken_off(&mut self) {
        self.entry.whole = false;
    }

    /// Its end, for an answer whose last bytes are on their way when its body has handed them out.
    pub fn into_end(self) -> Box<dyn AnswerEnd> {
        self.entry
    }
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.entry.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.entry.whole =
                    self.body.is_end_stream() || self.entry.announced == Some(self.entry.sent);
            }
            Poll::Ready(Some(Err(error))) => match missing(error) {
                Some(missing) => self.entry.removed(missing),
                None => self.entry.failed(error),
            },
            Poll::Ready(None) => self.entry.whole = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
