//! The settings of a store in a bucket.

use super::SettingReader;
use crate::config::aws;
use crate::config::load::ConfigError;
use crate::store::object;

/// The longest prefix, in bytes: with it, id and file name a key stays below the 1,024 of S3.
const LONGEST_PREFIX: usize = 700;

impl SettingReader<'_> {
    /// Where the bucket is; `None` for the store on disk. `aws` are the settings of AWS.
    pub(super) fn bucket(
        &self,
        aws: Vec<(String, String)>,
    ) -> Result<Option<object::BucketOptions>, ConfigError> {
        let endpoint = self.optional("s3_endpoint", |text| {
            check_endpoint(text).map(|()| aws::without_user(text))
        })?;
        for (name, text) in &aws {
            if name.starts_with("aws_endpoint_url") {
                check_endpoint(text).map_err(|reason| {
                    let name = name.to_ascii_uppercase();
                    self.0.refuse("s3_endpoint", format!("{name}: {reason}"))
                })?;
            }
        }
        let memory = self.size("s3_memory")?.unwrap_or(u64::MAX);
        if memory < object::BucketOptions::LEAST_MEMORY {
            let reason = format!("less than {} bytes", object::BucketOptions::LEAST_MEMORY);
            return Err(self.0.refuse("s3_memory", reason));
        }
        let redirect = self.switch("s3_redirect")?;
        let stale_after = self.duration("stale_after")?;
        let place = self.parsed("store", |text| match text {
            "disk" => Ok(None),
            text => bucket_and_prefix(text).map(Some),
        })?;
        Ok(place.map(|(bucket, prefix)| object::BucketOptions {
            bucket,
            prefix,
            endpoint,
            settings: aws,
            memory,
            redirect,
            stale_after,
        }))
    }
}

/// Refuses what no request can be sent to.
fn check_endpoint(text: &str) -> Result<(), String> {
    let url: url::Url = text
        .parse()
        .map_err(|error| format!("{text:?} is no address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!(
            "{text:?} begins with neither http:// nor https:// and a host"
        ));
    }
    match url.query() {
        None => Ok(()),
        Some(_) => Err(format!("{text:?} has a query")),
    }
}

/// `s3://BUCKET` or `s3://BUCKET/PREFIX`.
fn bucket_and_prefix(text: &str) -> Result<(String, String), String> {
    let refused = |why: &str| format!("{text:?} {why}");
    let place = text
        .strip_prefix("s3://")
        .ok_or_else(|| refused("is neither disk nor s3://BUCKET/PREFIX"))?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if bucket.is_empty() || !bucket.bytes().all(fit) {
        return Err(refused("has no bucket's name behind s3://"));
    }
    let prefix = prefix.trim_end_matches('/');
    let plain = |part: &str| {
        let fit = |byte: u8| byte.is_ascii_graphic() || byte >= 0x80;
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(fit)
    };
    if prefix.len() > LONGEST_PREFIX || !(prefix.is_empty() || prefix.split('/').all(plain)) {
        return Err(refused("has a prefix that cannot begin a key"));
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses() {
        for text in [
            "http://127.0.0.1:9000",
            "https://s3.example/base",
            "http://[::1]:1",
        ] {
            assert_eq!(check_endpoint(text), Ok(()), "{text}");
        }
        for text in [
            "http://127.0.0.1:70000",
            "localhost:9000",
            "ftp://a",
            "http://",
            "http://a?b",
        ] {
            assert!(check_endpoint(text).unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn places_are_a_bucket_and_a_prefix() {
        let parsed = |text| bucket_and_prefix(text).unwrap();
        let owned = |bucket: &str, prefix: &str| (bucket.to_owned(), prefix.to_owned());
        assert_eq!(parsed("s3://files"), owned("files", ""));
        assert_eq!(parsed("s3://files/"), owned("files", ""));
        assert_eq!(parsed("s3://my.files/a/b/"), owned("my.files", "a/b"));
        for text in [
            "",
            "files",
            "s3://",
            "s3:///a",
            "s3://a b",
            "s3://user:key@a",
            "s3://a//b",
            "s3://a/../b",
            "s3://a/b c",
        ] {
            assert!(bucket_and_prefix(text).is_err(), "{text}");
        }
    }
}
