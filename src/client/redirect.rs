//! Redirections of downloads: to another address of the server, or to one of a bucket.
//!
//! The address of a bucket is signed: a reader of a log that has it could read the file. So no
//! message has it.

use reqwest::{Method, Response, StatusCode, Url, header};

use super::problem::Problem;
use super::{Client, ClientError};

/// How many redirections are followed, one after the other.
const MAX_HOPS: usize = 5;

/// The rest of a representation that is asked for.
pub(super) struct Rest<'a> {
    /// Its first byte.
    pub from: u64,
    /// The strong validator of the representation.
    pub etag: &'a header::HeaderValue,
    /// Whether the validator is of an address that the server leads to.
    pub elsewhere: bool,
}

/// The answer to a request, wherever it came from.
pub(super) struct Found {
    pub response: Response,
    /// Whether it is the answer of an address that is not the server's.
    pub elsewhere: bool,
    /// The address of the record that the server gave when it led there (RFC 8288).
    pub link: Option<header::HeaderValue>,
}

impl Client {
    /// Gets what is at `url`, or the `rest` of it, where the server leads. Secrets go to the server
    /// alone, and validators to where they came from.
    ///
    /// # Errors
    /// Nothing answers in time, or the server leads nowhere. A refusal is an answer.
    pub(super) async fn get(
        &self,
        url: &Url,
        rest: Option<&Rest<'_>>,
    ) -> Result<Found, ClientError> {
        let mut at = url.clone();
        let (mut elsewhere, mut link) = (false, None);
        for _ in 0..=MAX_HOPS {
            let mut request = match elsewhere {
                true => self.request_elsewhere(Method::GET, at.clone())?,
                false => self.request(Method::GET, at.clone()),
            };
            if let Some(rest) = rest
                && rest.elsewhere == elsewhere
            {
                request = request
                    .header(header::RANGE, format!("bytes={}-", rest.from))
                    .header(header::IF_RANGE, rest.etag);
            }
            let response = self.send(request).await.map_err(|error| match elsewhere {
                true => named(error, &at),
                false => error,
            })?;
            let Some(next) = self.next_place(&response, &at) else {
                return Ok(Found {
                    response,
                    elsewhere,
                    link,
                });
            };
            if at.scheme() == "https" && next.scheme() != "https" {
                let reason = format!("it leads from https to {}", place(&next));
                return Err(ClientError::Answer(reason));
            }
            if !elsewhere {
                link = response.headers().get(header::LINK).cloned();
            }
            // A request that has once left the server gets no secret any more.
            elsewhere |= !self.owns(&next);
            at = next;
        }
        let reason = format!("it leads on more than {MAX_HOPS} times");
        Err(ClientError::Answer(reason))
    }

    /// Where an answer leads: for now, to any place; for good, to an address of the server. That it
    /// has moved to another is for its users to know.
    fn next_place(&self, response: &Response, at: &Url) -> Option<Url> {
        let to = response.headers().get(header::LOCATION)?.to_str().ok()?;
        let mut next = at.join(to).ok()?;
        next.set_fragment(None);
        if !matches!(next.scheme(), "http" | "https") || !next.username().is_empty() {
            return None;
        }
        let follows = match response.status() {
            StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT => true,
            StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT => self.owns(&next),
            _ => false,
        };
        follows.then_some(next)
    }

    /// The response, unless it is a refusal. A message of another host than the server may repeat
    /// the address, and is not shown.
    pub(super) async fn taken(&self, found: Found) -> Result<Response, ClientError> {
        let status = found.response.status();
        if found.elsewhere && !status.is_success() {
            let at = place(found.response.url());
            let detail = format!("so says {at}, where the server keeps the file");
            return Err(Problem::local(status, detail).into());
        }
        self.accepted(found.response).await
    }
}

/// An address without all that may be secret in it.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The error of a request to an address that is not the server's.
fn named(error: ClientError, at: &Url) -> ClientError {
    let server = place(at);
    match error {
        ClientError::Unreachable { reason, .. } => ClientError::Unreachable { server, reason },
        ClientError::Broken { reason, .. } => ClientError::Broken { server, reason },
        ClientError::Timeout { after, .. } => ClientError::Timeout { server, after },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_servers_own_is_known() {
        let client = Client::new("http://a.example/w").unwrap();
        let owns = |url: &str| client.owns(&Url::parse(url).unwrap());
        assert!(owns("http://a.example:80/w/files/x") && owns("http://a.example/w"));
        for foreign in [
            "https://a.example/w/files/x",
            "http://a.example:81/w/files/x",
            "http://b.example/w/files/x",
            "http://a.example/wharf/x",
            "http://a.example/",
        ] {
            assert!(!owns(foreign), "{foreign}");
        }
        let signed = Url::parse("https://b.example/k?X-Amz-Signature=hush").unwrap();
        assert_eq!(place(&signed), "https://b.example");
    }
}
