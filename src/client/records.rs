//! Uploads as records: shown, listed, changed, deleted; and the requests of an admin.

use std::ops::ControlFlow;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use super::problem::Problem;
use super::{Change, Client, ClientError, UploadRecord};

/// The most uploads that a server lists at once.
const PAGE_SIZE: usize = 1000;
/// How many pages without an upload, one after the other, are followed: a server that has many
/// expired ones finds the next live upload some pages later.
const MAX_EMPTY_PAGES: usize = 1000;
/// How often a deletion is sent again whose answer does not come.
const DELETE_RETRIES: usize = 2;
/// The pause before the first of them; the next is four times as long.
const DELETE_RETRY_DELAY: Duration = Duration::from_millis(250);

/// How often the server is asked whether a comparison has ended.
const COMPARISON_POLL: Duration = Duration::from_millis(250);
/// How many answers one after the other may come from other instances than the one that compares.
const MAX_STRANGERS: usize = 40;

impl Client {
    /// An upload as the server shows it.
    ///
    /// # Errors
    /// There is none of this id, or the server cannot be asked.
    pub async fn show(&self, id: &str) -> Result<UploadRecord, ClientError> {
        let path = ["uploads", sent(id)?];
        UploadRecord::from_json(self.fetch_json(Method::GET, &path, &[]).await?)
    }

    /// The uploads of the server, newest first, up to `limit`; each goes to `each` as soon as its
    /// page has come, until that breaks off.
    ///
    /// # Errors
    /// The server cannot be asked, or refuses, or its listing leads nowhere.
    pub async fn list(
        &self,
        limit: usize,
        mut each: impl FnMut(UploadRecord) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let mut left = limit;
        let mut after: Option<String> = None;
        let mut empty = 0;
        while left > 0 {
            let mut query = vec![("limit", left.min(PAGE_SIZE).to_string())];
            query.extend(after.clone().map(|after| ("after", after)));
            let mut page = self.fetch_json(Method::GET, &["uploads"], &query).await?;
            let Some(Value::Array(uploads)) = page.get_mut("uploads").map(Value::take) else {
                return Err(ClientError::Answer("it is no listing".to_owned()));
            };
            left = left.saturating_sub(uploads.len());
            empty = if uploads.is_empty() { empty + 1 } else { 0 };
            for upload in uploads {
                if each(UploadRecord::from_json(upload)?).is_break() {
                    return Ok(());
                }
            }
            match page.get_mut("next_cursor").map(Value::take) {
                Some(Value::String(next)) if after.as_ref() == Some(&next) => {
                    let reason = format!("its listing goes on where it was, after {next:?}");
                    return Err(ClientError::Answer(reason));
                }
                Some(Value::String(next)) if empty < MAX_EMPTY_PAGES => after = Some(next),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Changes an upload, with its delete token or as an admin; answers with the upload as it is
    /// then.
    ///
    /// # Errors
    /// There is none of this id, the token is not its, a setting of the server forbids the change,
    /// or the server cannot be asked.
    pub async fn update(&self, id: &str, change: &Change) -> Result<UploadRecord, ClientError> {
        let url = self.url(&["uploads", sent(id)?]);
        let request = self
            .request(Method::PATCH, url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(change.patch().to_string());
        let answer = self.send(request).await?;
        UploadRecord::from_json(self.json(answer).await?)
    }

    /// Deletes an upload, with its delete token or as an admin. A try that breaks before its
    /// answer has come is repeated: one that finds nothing then has been answered as well.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with 404 when nothing is left of it, or the token is not its; or
    /// the server cannot be asked.
    pub async fn delete(&self, id: &str) -> Result<(), ClientError> {
        let path = ["uploads", sent(id)?];
        let mut tries = 0;
        let send = || {
            tries += 1;
            let repeated = tries > 1;
            async move {
                match self.fetch_json(Method::DELETE, &path, &[]).await {
                    Err(error) if repeated && error.is_not_found() => Ok(()),
                    answer => answer.map(drop),
                }
            }
        };
        let delays = ExponentialBuilder::new()
            .with_min_delay(DELETE_RETRY_DELAY)
            .with_factor(4.0)
            .with_max_times(DELETE_RETRIES);
        let unanswered = |error: &ClientError| {
            matches!(
                error,
                ClientError::Broken { .. } | ClientError::Timeout { .. }
            )
        };
        send.retry(delays).when(unanswered).await
    }

    /// Has the server compare its index with its records; answers with its counts. It takes as long
    /// as it takes: the server reads every record it has.
    ///
    /// # Errors
    /// The token is no admin's, the server cannot be asked, or the comparison broke off; or other
    /// instances answer, behind the same address, than the one that compares.
    pub async fn reindex(&self) -> Result<Value, ClientError> {
        let path = ["admin", "reindex"];
        let begun = self.fetch_json(Method::POST, &path, &[]).await?;
        let mut compared = begun.clone();
        let mut strange = 0;
        loop {
            match compared["state"].as_str() {
                // Behind a balancer: each instance knows of its own comparisons.
                _ if compared["run"] != begun["run"] => strange += 1,
                Some("done") => return Ok(compared),
                Some("running") => strange = 0,
                Some("failed") => {
                    let reason = "the comparison broke off; the server's log says why";
                    return Err(ClientError::Answer(reason.to_owned()));
                }
                _ => {
                    let reason = "it does not say how the comparison stands";
                    return Err(ClientError::Answer(reason.to_owned()));
                }
            }
            if strange == MAX_STRANGERS {
                let reason = format!(
                    "the comparison was begun at one instance of {}, and other instances answer: name \
                     the address of one instance",
                    self.name()
                );
                return Err(ClientError::Answer(reason));
            }
            tokio::time::sleep(COMPARISON_POLL).await;
            compared = self.fetch_json(Method::GET, &path, &[]).await?;
        }
    }

    async fn fetch_json(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Value, ClientError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.request(method, url);
        let request = request.header(header::ACCEPT, "application/json");
        let answer = self.send(request).await?;
        self.json(answer).await
    }
}

/// An id as it can be sent. No path leads to the few texts that would mean another resource.
fn sent(id: &str) -> Result<&str, ClientError> {
    if matches!(id, "" | "." | "..") {
        let detail = format!("there is no upload {id:?}");
        return Err(Problem::local(StatusCode::NOT_FOUND, detail).into());
    }
    Ok(id)
}
