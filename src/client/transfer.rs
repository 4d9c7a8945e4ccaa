//! The body of a download as one stream, over as many connections as it takes.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use bytes::{Buf as _, Bytes};
use reqwest::{Response, StatusCode, Url, header};

use super::redirect::Rest;
use super::{Client, ClientError, Progress};

/// The pause before the first reconnection, doubled each time, and the longest.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(250);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(8);
/// The longest pause that a server can ask for (`Retry-After`).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A representation being read. Where a connection breaks, another goes on at that byte (RFC 9110
/// sections 13.1.5 and 14.2), as long as the representation is the same.
pub(super) struct Transfer {
    client: Client,
    url: Url,
    progress: Arc<dyn Progress>,
    /// The pauses before the reconnections that may still fail in a row without a new byte.
    delays: ExponentialBackoff,
    /// Makes them anew after a new byte.
    policy: ExponentialBuilder,
    response: Response,
    /// Whether the response is of an address that the server led to.
    elsewhere: bool,
    /// The address of the record that the server gave when it led there.
    link: Option<header::HeaderValue>,
    /// A strong validator of the representation, if the server gives one.
    etag: Option<header::HeaderValue>,
    /// The length of the representation.
    len: Option<u64>,
    /// How many of its bytes were given out.
    at: u64,
    /// The most bytes that were given out of one form: a server that begins at the start each time
    /// makes progress only behind them.
    farthest: u64,
    /// How many bytes to drop of an answer that begins at the start again.
    skip: u64,
}

/// The next event of a transfer.
pub(super) enum Next {
    /// The next bytes.
    Bytes(Bytes),
    /// Another representation begins: all bytes before are void.
    Restarted,
    /// It is complete.
    End,
}

impl Transfer {
    /// Asks for `url`. A server that refuses for now and says for how long is asked again then; one
    /// that cannot be reached is not.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn begin(
        client: Client,
        url: Url,
        retries: u32,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, ClientError> {
        let policy = ExponentialBuilder::new()
            .with_min_delay(MIN_RETRY_DELAY)
            .with_max_delay(MAX_RETRY_DELAY)
            .with_max_times(retries as usize);
        let mut delays = policy.build();
        let (response, elsewhere, link) = loop {
            let answer = client.get(&url, None).await?;
            let (elsewhere, link) = (answer.elsewhere, answer.link.clone());
            let error = match client.taken(answer).await {
                Ok(response) => break (response, elsewhere, link),
                Err(error) => error,
            };
            let asked = asked_pause(&error).filter(|_| error.is_transient());
            let (Some(asked), Some(delay)) = (asked, delays.next()) else {
                return Err(error);
            };
            let wait = delay.max(asked);
            progress.retry(&error, 0, wait);
            tokio::time::sleep(wait).await;
        };
        let mut transfer = Transfer {
            client,
            url,
            progress,
            delays: policy.build(),
            policy,
            response,
            elsewhere,
            link,
            etag: None,
            len: None,
            at: 0,
            farthest: 0,
            skip: 0,
        };
        transfer.take_over();
        Ok(transfer)
    }

    /// A field of the head of the representation that comes.
    pub fn header(&self, name: &str) -> Option<&header::HeaderValue> {
        self.response.headers().get(name)
    }

    /// Whether it comes from an address that the server led to.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// The address of the record that the server gave when it led there.
    pub fn link(&self) -> Option<&header::HeaderValue> {
        self.link.as_ref()
    }

    /// How many bytes of the representation were given out.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The length of the representation in bytes, where it is known.
    pub fn len(&self) -> Option<u64> {
        self.len
    }

    /// The next bytes, another form, or the end.
    ///
    /// # Errors
    /// The transfer broke, and cannot go on.
    pub async fn next(&mut self) -> Result<Next, ClientError> {
        loop {
            match self.client.chunk(&mut self.response).await {
                Ok(Some(mut bytes)) => {
                    let dropped = self.skip.min(bytes.len() as u64);
                    self.skip -= dropped;
                    // It is no more than the block has.
                    bytes.advance(dropped as usize);
                    if !bytes.is_empty() {
                        self.at += bytes.len() as u64;
                        if self.at > self.farthest {
                            self.farthest = self.at;
                            self.delays = self.policy.build();
                        }
                        return Ok(Next::Bytes(bytes));
                    }
                }
                Ok(None) if self.len.is_none_or(|len| self.at == len) => return Ok(Next::End),
                Ok(None) => {
                    let reason = format!("it ended after {} bytes", self.at);
                    let server = self.client.name().to_owned();
                    if let Some(restarted) = self
                        .reconnect(ClientError::Broken { server, reason })
                        .await?
                    {
                        return Ok(restarted);
                    }
                }
                Err(_) if self.len == Some(self.at) => return Ok(Next::End),
                Err(error) => {
                    if let Some(restarted) = self.reconnect(error).await? {
                        return Ok(restarted);
                    }
                }
            }
        }
    }

    /// Makes another connection after `error`. `None` when the form goes on where it broke. More
    /// than a retry: the pauses go on from one break to the next until a new byte comes, and the
    /// server may ask for a longer one.
    async fn reconnect(&mut self, mut error: ClientError) -> Result<Option<Next>, ClientError> {
        let mut pause = Duration::ZERO;
        loop {
            let delay = error.is_transient().then(|| self.delays.next()).flatten();
            let Some(delay) = delay else {
                return Err(error);
            };
            let wait = delay.max(pause);
            self.progress.retry(&error, self.at, wait);
            tokio::time::sleep(wait).await;
            // An address that the server led to is good for minutes: it is asked for anew.
            let etag = self.etag.as_ref().filter(|_| self.at > 0);
            let rest = etag.map(|etag| Rest {
                from: self.at,
                etag,
                elsewhere: self.elsewhere,
            });
            let answer = match self.client.get(&self.url, rest.as_ref()).await {
                Ok(answer) => answer,
                Err(next) => {
                    error = next;
                    continue;
                }
            };
            if answer.response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                // More bytes have come than the form has now.
                self.etag = None;
                continue;
            }
            let elsewhere = answer.elsewhere;
            match self.client.taken(answer).await {
                Ok(answer) => return self.resume(answer, elsewhere),
                Err(next) => {
                    pause = asked_pause(&next).unwrap_or_default();
                    error = next;
                }
            }
        }
    }

    fn resume(&mut self, answer: Response, elsewhere: bool) -> Result<Option<Next>, ClientError> {
        let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
        let same = self.etag.is_some()
            && self.elsewhere == elsewhere
            && answer.headers().get(header::ETAG) == self.etag.as_ref();
        self.response = answer;
        self.elsewhere = elsewhere;
        if partial {
            let range = self.response.headers().get(header::CONTENT_RANGE);
            let begins = range.and_then(|range| first_byte(range.as_bytes()));
            if begins != Some(self.at) || !same {
                let reason = format!("it is not the rest from byte {} on", self.at);
                return Err(ClientError::Answer(reason));
            }
            self.skip = 0;
            return Ok(None);
        }
        if same {
            // The whole again, byte for byte: a server or a proxy without ranges.
            self.skip = self.at;
            return Ok(None);
        }
        self.at = 0;
        self.skip = 0;
        self.take_over();
        Ok(Some(Next::Restarted))
    }

    /// Takes the response for the whole of a representation.
    fn take_over(&mut self) {
        let headers = self.response.headers();
        let strong = |etag: &&header::HeaderValue| etag.as_bytes().starts_with(b"\"");
        self.etag = headers.get(header::ETAG).filter(strong).cloned();
        self.len = self.response.content_length();
    }
}

/// Where a `Content-Range` (RFC 9110 section 14.4) begins.
fn first_byte(value: &[u8]) -> Option<u64> {
    let range = str::from_utf8(value).ok()?.strip_prefix("bytes ")?;
    range.split('-').next()?.parse().ok()
}

/// The pause that a server asks for with its refusal, up to a limit.
fn asked_pause(refusal: &ClientError) -> Option<Duration> {
    let asked = refusal.problem()?.retry_after?;
    Some(asked.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_begin_somewhere() {
        assert_eq!(first_byte(b"bytes 7-9/10"), Some(7));
        assert_eq!(first_byte(b"bytes */10"), None);
        assert_eq!(first_byte(b"items 7-9/10"), None);
    }
}
