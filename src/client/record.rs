//! Uploads as the server shows them.

use serde::de::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::error::beginning;
use super::{ClientError, Token};
use crate::model::{Digest, Timestamp};

/// An upload as the server shows it. In a listing it has neither files nor fields.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[non_exhaustive]
pub struct UploadRecord {
    /// Its id.
    pub id: String,
    /// The address of its file, where it is one, or of the upload.
    pub url: String,
    /// The link to give to others: a page for people, the record for programs.
    #[serde(default)]
    pub upload_url: String,
    /// The address of all of it as one form.
    #[serde(default)]
    pub form_url: String,
    /// The address of all its files in one ZIP file, where it has files.
    #[serde(default)]
    pub archive_url: Option<String>,
    /// The length of all files together in bytes.
    #[serde(default, deserialize_with = "or_default")]
    pub size: u64,
    /// How many files it has.
    #[serde(default, deserialize_with = "or_default")]
    pub file_count: u64,
    /// The name of its file, where it is one.
    #[serde(default)]
    pub name: Option<String>,
    /// The media type of its file, where it is one.
    #[serde(default, rename = "type")]
    pub media_type: Option<String>,
    /// The digest of its file, where it is one and the server takes digests.
    #[serde(default)]
    pub sha256: Option<Digest>,
    /// The title.
    #[serde(default)]
    pub title: Option<String>,
    /// Its files, in the order of the form.
    #[serde(default)]
    pub files: Vec<StoredFile>,
    /// Its text fields: each name with its values, in the order of the form.
    #[serde(default, deserialize_with = "fields")]
    pub fields: Vec<(String, Vec<String>)>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it ends; `None` is never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// How many complete downloads of each file it allows; `None` is any number.
    #[serde(default)]
    pub max_downloads: Option<u64>,
    /// How many of them are left of the file that has most of them left.
    #[serde(default)]
    pub downloads_left: Option<u64>,
    /// Whether it has a password.
    #[serde(default)]
    pub protected: bool,
    /// The token that changes and deletes it: in the answer to the upload alone.
    #[serde(default, deserialize_with = "token")]
    pub delete_token: Option<Token>,
    /// The id and the token in one, which is taken wherever the token is: in the answer to the
    /// upload alone.
    #[serde(default, deserialize_with = "token")]
    pub manage_key: Option<Token>,
    #[serde(skip)]
    json: Value,
}

/// A file of an upload.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[non_exhaustive]
pub struct StoredFile {
    /// The field it was sent in.
    pub field: String,
    /// Its name.
    pub name: String,
    /// Where it lies below the upload, with `/` between the folders; empty where the server does
    /// not say. The text is the server's: the caller checks it before it becomes a path.
    #[serde(default)]
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Its digest, where the server takes digests.
    #[serde(default)]
    pub sha256: Option<Digest>,
    /// Its address.
    pub url: String,
    /// How many complete downloads of it are left; `None` is any number.
    #[serde(default)]
    pub downloads_left: Option<u64>,
}

impl UploadRecord {
    /// The upload in an answer of the server.
    ///
    /// # Errors
    /// It has no id, address or time, or they are of another kind.
    pub fn from_json(json: Value) -> Result<Self, ClientError> {
        let record = Self::recognize(json);
        record.map_err(|(_, error)| {
            // It repeats a value that stands where another was expected.
            let error = beginning(&error.to_string());
            ClientError::Answer(format!("it is no upload of wharf: {error}"))
        })
    }

    /// The same; a value that is no record comes back. A record of a hundred thousand files is not
    /// copied for it.
    pub(crate) fn recognize(json: Value) -> Result<Self, (Value, serde_json::Error)> {
        let mut record = match Self::deserialize(&json) {
            Ok(record) => record,
            Err(error) => return Err((json, error)),
        };
        record.file_count = record.file_count.max(record.files.len() as u64);
        if record.upload_url.is_empty() {
            record.upload_url.clone_from(&record.url);
        }
        record.json = json;
        Ok(record)
    }

    /// The upload as the server wrote it, with the members that this version does not know.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

fn or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Token>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.map(|text| Token::new(&text)))
}

/// Names and values in the order of the object, where a later version may have other values.
fn fields<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, Vec<String>)>, D::Error> {
    let members: Map<String, Value> = Map::deserialize(deserializer)?;
    let fields = members.into_iter().map(|(name, values)| {
        let values = values.as_array().into_iter().flatten();
        let values = values.filter_map(|value| value.as_str().map(str::to_owned));
        (name, values.collect())
    });
    Ok(fields.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_may_have_less_and_more() {
        let json = json!({
            "id": "x", "url": "u", "size": null, "created_at": "2026-01-01T00:00:00.000Z",
            "fields": {"b": ["1", "2"], "a": ["3"]}, "delete_token": "hush", "manage_key": "x.hush",
            "later": [1],
        });
        let record = UploadRecord::from_json(json.clone()).unwrap();
        assert_eq!((record.size, record.file_count), (0, 0));
        let values = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let fields = [
            ("b".to_owned(), values(&["1", "2"])),
            ("a".to_owned(), values(&["3"])),
        ];
        assert_eq!(record.fields, fields);
        assert_eq!(record.json(), &json);
        assert_eq!(record.delete_token.unwrap().reveal(), "hush");
        assert_eq!(record.manage_key.unwrap().reveal(), "x.hush");
        let error = UploadRecord::from_json(json!({"url": "u"})).unwrap_err();
        assert!(error.to_string().contains("`id`"), "{error}");
    }
}
