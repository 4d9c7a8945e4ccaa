//! Where a bucket is and how it is used, and why it cannot be.

use std::fmt;
use std::time::Duration;

use super::budget::Budget;

/// Where a bucket is, and how it is used.
#[derive(Clone)]
pub struct BucketOptions {
    /// The bucket's name.
    pub bucket: String,
    /// The beginning of every key, without a slash at its end; may be empty.
    pub prefix: String,
    /// Where the store is, if it is not AWS.
    pub endpoint: Option<String>,
    /// Credentials, region and more, by the names of the AWS variables in lower case
    /// (`aws_access_key_id`, `aws_region`).
    pub settings: Vec<(String, String)>,
    /// The bytes of memory that all uploads together may hold: three quarters for their parts,
    /// the rest for the buffers of their connections.
    pub memory: u64,
    /// Whether clients are sent to the store for raw files (presigned URLs).
    pub redirect: bool,
    /// How long an upload may wait for its commit.
    pub stale_after: Duration,
}

impl BucketOptions {
    /// The least memory that serves.
    pub const LEAST_MEMORY: u64 = Budget::LEAST / 3 * 4;
}

impl fmt::Display for BucketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        match &self.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for BucketOptions {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketOptions({self})")
    }
}

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The store refuses, or cannot be reached.
    #[error("cannot use {place}: {why}")]
    At {
        /// The bucket.
        place: String,
        /// The reason.
        why: Box<BucketError>,
    },
    /// The store refuses, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The store lacks a property that every upload rests on.
    #[error(
        "{0}; a store is needed that keeps to If-None-Match and If-Match on PUT, and keeps user metadata, as S3 does, or uploads could be lost"
    )]
    Unfit(&'static str),
}

impl BucketError {
    /// The same, with the bucket that cannot be used.
    pub(super) fn at(self, options: &BucketOptions) -> Self {
        BucketError::At {
            place: options.to_string(),
            why: Box::new(self),
        }
    }
}
