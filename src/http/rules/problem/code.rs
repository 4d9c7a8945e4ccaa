//! The codes of errors: the words that programs read, and what belongs to each.

use http::StatusCode;

/// The properties of a code.
struct Entry {
    name: &'static str,
    statuses: &'static [u16],
    title: &'static str,
    settings: &'static [&'static str],
    members: &'static [&'static str],
    retry: Option<u64>,
}

/// The table of the codes: the name, the status codes (the usual one first), the title, the
/// settings that have to do with it, the members it may have beside those of every problem, and
/// after how many seconds it is worth while to try again.
macro_rules! codes {
    ($($code:ident $name:literal $statuses:tt $title:literal
        settings $settings:tt members $members:tt retry $retry:expr;)*) => {
        /// A code: a stable word. All errors of one code have one remedy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// All of them, in the order of the table.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            fn entry(self) -> &'static Entry {
                match self {
                    $(Code::$code => &Entry {
                        name: $name,
                        statuses: &$statuses,
                        title: $title,
                        settings: &$settings,
                        members: &$members,
                        retry: $retry,
                    },)*
                }
            }
        }
    };
}

#[rustfmt::skip]
codes! {
    UnknownOption "unknown-option" [400] "There is no such option"
        settings [] members ["option", "allowed", "part"] retry None;
    InvalidOption "invalid-option" [400] "An option cannot be understood"
        settings ["max_expires_in"] members ["option", "part", "setting", "limit"] retry None;
    InvalidParameter "invalid-parameter" [400] "A parameter cannot be understood"
        settings [] members ["field", "allowed", "name", "limit"] retry None;
    InvalidCursor "invalid-cursor" [400] "This is no place in a listing"
        settings [] members ["field"] retry None;
    InvalidJson "invalid-json" [400] "The body is not the JSON that is meant"
        settings [] members ["field"] retry None;
    MalformedRequest "malformed-request" [400] "The request cannot be understood"
        settings [] members ["field"] retry None;
    MalformedForm "malformed-form" [400] "The body is not a well-formed form"
        settings [] members ["part", "byte"] retry None;
    InvalidDigest "invalid-digest" [400] "A digest cannot be understood"
        settings [] members ["part", "field"] retry None;
    DigestMismatch "digest-mismatch" [400] "What came is not what was announced"
        settings [] members ["part", "field", "expected", "actual"] retry None;
    BodyIncomplete "body-incomplete" [400] "The body broke off"
        settings [] members [] retry None;
    BodyStalled "body-stalled" [408] "The body came too slowly"
        settings ["idle_timeout", "min_rate"] members ["setting", "limit", "retry_after"] retry None;
    MissingSecret "missing-secret" [401] "A secret is needed"
        settings ["access"] members ["scope"] retry None;
    BadSecret "bad-secret" [401] "The secret is not known here"
        settings ["access"] members ["scope"] retry None;
    MissingScope "missing-scope" [403] "The secret does not allow this"
        settings ["access"] members ["scope"] retry None;
    CrossSite "cross-site" [403] "Requests from other sites are refused"
        settings ["cors_origin"] members ["setting", "field"] retry None;
    WrongHost "wrong-host" [421] "This host is not served here"
        settings ["hosts", "public_url", "trusted_proxies"] members ["setting", "name"] retry None;
    UploadNotFound "upload-not-found" [404] "There is no such upload"
        settings [] members ["name"] retry None;
    FileNotFound "file-not-found" [404] "The upload has no such file"
        settings [] members ["name"] retry None;
    NameNotFound "name-not-found" [404] "There is nothing of that name"
        settings ["names"] members ["name"] retry None;
    NoSuchRoute "no-such-route" [404] "There is nothing at this address"
        settings ["base_path"] members [] retry None;
    MethodNotAllowed "method-not-allowed" [405] "This method is not allowed here"
        settings [] members ["allowed"] retry None;
    PreconditionFailed "precondition-failed" [412] "A precondition failed"
        settings [] members [] retry None;
    RangeNotSatisfiable "range-not-satisfiable" [416] "The range lies outside"
        settings [] members ["limit"] retry None;
    UnsupportedMediaType "unsupported-media-type" [415] "This media type is not taken here"
        settings [] members ["allowed"] retry None;
    UnsupportedCoding "unsupported-coding" [415, 501] "The body is coded"
        settings [] members ["field", "actual", "allowed"] retry None;
    LimitExceeded "limit-exceeded" [413] "The upload is too large"
        settings ["max_request_size", "max_file_size", "max_files", "max_fields", "max_field_size", "max_fields_size", "s3_memory"]
        members ["setting", "limit", "part", "field"] retry None;
    LastDownloadInProgress "last-download-in-progress" [409] "The last download is under way"
        settings [] members ["name", "retry_after"] retry Some(5);
    ArchivePreparing "archive-preparing" [503] "The archive is being prepared"
        settings ["digest"] members ["name", "retry_after"] retry Some(10);
    TooManyUploads "too-many-uploads" [503, 429] "Too many uploads are under way"
        settings ["max_uploads", "max_uploads_per_client"]
        members ["setting", "limit", "retry_after"] retry Some(5);
    TooManyDownloads "too-many-downloads" [503] "Too many answers wait for their readers"
        settings [] members ["retry_after"] retry Some(5);
    PrefetchRefused "prefetch-refused" [503] "A prefetch would use a download up"
        settings [] members ["retry_after"] retry Some(1);
    ShuttingDown "shutting-down" [503] "The server is shutting down"
        settings ["shutdown_grace"] members ["retry_after"] retry Some(5);
    IndexUnavailable "index-unavailable" [503] "The index does not answer"
        settings ["redis"] members ["retry_after"] retry Some(5);
    StorageUnavailable "storage-unavailable" [503] "The storage does not answer"
        settings ["dir", "store"] members ["retry_after"] retry Some(10);
    NoSpace "no-space" [507] "The storage is full"
        settings ["min_free"] members [] retry None;
    QuotaExceeded "quota-exceeded" [507] "All that may be stored is stored"
        settings ["max_total_size"] members ["setting", "limit"] retry None;
    Internal "internal" [500] "Something failed here"
        settings [] members [] retry None;
}

impl Code {
    /// The code of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// The word.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The usual status code.
    pub fn status(self) -> StatusCode {
        let first = self.entry().statuses[0];
        StatusCode::from_u16(first).expect("the table has status codes of HTTP")
    }

    /// All status codes that it comes with.
    pub fn statuses(self) -> &'static [u16] {
        self.entry().statuses
    }

    /// The title: the error in a few words.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// The settings that have to do with it.
    pub fn settings(self) -> &'static [&'static str] {
        self.entry().settings
    }

    /// The members that its document may have beside those of every problem.
    pub fn members(self) -> &'static [&'static str] {
        self.entry().members
    }

    /// After how many seconds it is worth while to try again, as a rule; `None` where nothing says
    /// that the next try would end otherwise.
    pub fn retry(self) -> Option<u64> {
        self.entry().retry
    }
}
