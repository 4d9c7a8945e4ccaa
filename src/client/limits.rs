//! The limits of a server, asked for before the first byte of an upload.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::Value;

use super::{Client, ClientError, FilePart, Upload};

/// The most bytes of what a server says of itself.
const MOST: usize = 64 << 10;
/// How long it may take to say it: an upload does not depend on that.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// Compares a form with what the server says that it takes: how many files and fields, and how
    /// large they may be. A server that does not say it, or is none of wharf's, is taken to take it:
    /// [`upload`](Self::upload) finds that out by sending it.
    ///
    /// # Errors
    /// [`ClientError::OverLimit`], or the server cannot be reached.
    pub async fn check(&self, upload: &Upload) -> Result<(), ClientError> {
        let limits = match self.limits().await {
            Ok(limits) => limits,
            Err(error @ ClientError::Unreachable { .. }) => return Err(error),
            Err(_) => return Ok(()),
        };
        for (setting, found, file) in needs(upload) {
            if let Some(limit) = limits[setting].as_u64()
                && found > limit
            {
                return Err(ClientError::OverLimit {
                    server: self.name().to_owned(),
                    setting,
                    limit,
                    found,
                    file,
                });
            }
        }
        Ok(())
    }

    /// The limits that the server has; null where it names none.
    async fn limits(&self) -> Result<Value, ClientError> {
        let request = self
            .request(Method::GET, self.url(&[""]))
            .header(header::ACCEPT, "application/json")
            .timeout(PATIENCE);
        let mut answer = self.send(request).await?;
        let mut body = Vec::new();
        while answer.status().is_success()
            && body.len() < MOST
            && let Some(chunk) = self.chunk(&mut answer).await?
        {
            body.extend_from_slice(&chunk);
        }
        let about: Value = serde_json::from_slice(&body).unwrap_or_default();
        Ok(match about["name"] == "wharf" {
            true => about["limits"].clone(),
            false => Value::Null,
        })
    }
}

/// What a form needs of each setting, in the words of the server, and the file that it needs it for.
/// Of a file whose size is not known nothing is said.
fn needs(upload: &Upload) -> impl Iterator<Item = (&'static str, u64, Option<String>)> {
    let (files, fields) = (&upload.files, &upload.fields);
    let sizes = files.iter().filter_map(FilePart::size);
    let largest = files.iter().max_by_key(|file| file.size());
    let largest = largest.and_then(|file| {
        let name = file.shown_name().into_owned();
        Some(("max_file_size", file.size()?, Some(name)))
    });
    let values = fields.iter().map(|(_, value)| value.len() as u64);
    let texts = fields
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .chain(files.iter().map(FilePart::text_len));
    let counted = [
        ("max_files", files.len() as u64),
        ("max_fields", fields.len() as u64),
        ("max_field_size", values.max().unwrap_or(0)),
        ("max_fields_size", texts.sum::<usize>() as u64),
        ("max_request_size", sizes.fold(0, u64::saturating_add)),
    ];
    let counted = counted.map(|(setting, found)| (setting, found, None));
    counted.into_iter().chain(largest)
}
