//! The settings as values, in the options of the parts.

mod bucket;

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::aws::{self, Profiles};
use super::load::{ConfigError, Loaded};
use crate::coordination::{Address, Keys};
use crate::http::admission::AdmissionLimits;
use crate::http::rules::access::{Access, Rule, Scope};
use crate::http::rules::cors::Site;
use crate::http::rules::hosts::HostPattern;
use crate::http::rules::origin::Trusted;
use crate::model::units::{parse_duration, parse_size};
use crate::store::disk::Durability;
use crate::{app, delivery, http as resources, ingest, log};

/// The shortest lease: its holder needs time to prolong it more than once.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);
/// The longest time a setting can be: longer ones mean no more, and clocks can be reckoned with.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Something to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host and port.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The addresses to listen on.
    pub listen: Vec<ListenAddress>,
    /// How log lines look.
    pub log_format: log::Format,
    /// Which log lines there are.
    pub log: String,
    /// The options of the parts.
    pub app: app::AppOptions,
}

impl Config {
    /// Checks every value. `access_lines` is the text of `access_file`, `profiles` those of AWS,
    /// and `instance` the name of this process where none is set.
    ///
    /// # Errors
    /// A value does not parse; the error names it and where it was given.
    pub fn new(
        loaded: &Loaded,
        access_lines: &str,
        profiles: &Profiles,
        instance: String,
    ) -> Result<Self, ConfigError> {
        let read = SettingReader(loaded);
        let listen = read.list("listen", |text| match text.strip_prefix("unix:") {
            Some("") => Err("unix: without a path".to_owned()),
            Some(path) => Ok(ListenAddress::Unix(path.into())),
            None if text
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) =>
            {
                Ok(ListenAddress::Tcp(text.to_owned()))
            }
            None => Err(format!("{text:?} is neither HOST:PORT nor unix:PATH")),
        })?;
        if listen.is_empty() {
            return Err(loaded.refuse("listen", "there is nothing to listen on"));
        }
        Ok(Config {
            listen,
            log_format: read.choice(
                "log_format",
                &[("text", log::Format::Text), ("json", log::Format::Json)],
            )?,
            log: read.text("log").to_owned(),
            app: app::AppOptions {
                dir: read.text("dir").into(),
                bucket: read.bucket(aws::merge(&loaded.aws, profiles))?,
                durability: read.choice(
                    "durability",
                    &[
                        ("strict", Durability::Strict),
                        ("relaxed", Durability::Relaxed),
                    ],
                )?,
                min_free: read.size("min_free")?.unwrap_or(0),
                stale_after: read.duration("stale_after")?,
                sharing: read.sharing()?,
                ingest: read.ingest()?,
                delivery: delivery::DeliveryOptions {
                    shared_names: read.choice("names", &[("shared", true), ("private", false)])?,
                },
                http: read.http(access_lines, instance)?,
                max_connections: read.count("max_connections")?,
                shutdown_grace: read.duration("shutdown_grace")?,
            },
        })
    }
}

/// Reads values by their shape.
struct SettingReader<'a>(&'a Loaded);

impl SettingReader<'_> {
    fn sharing(&self) -> Result<Option<app::Sharing>, ConfigError> {
        let redis = self.parsed("redis", |text| match text {
            "none" => Ok(None),
            text => Address::parse(text)
                .map(Some)
                .map_err(|error| error.to_string()),
        })?;
        let prefix = self.parsed("redis_prefix", |text| {
            let fit = |byte: u8| byte.is_ascii_graphic() && byte != b'{' && byte != b'}';
            match text.bytes().all(fit) {
                true => Ok(text.to_owned()),
                false => Err(format!(
                    "{text:?} has a brace, a space or a sign beyond ASCII"
                )),
            }
        })?;
        let lease_key = match self.text("lease_key") {
            "auto" => None,
            key => Some(key.to_owned()),
        };
        let lease_ttl = self.duration("lease_ttl")?;
        if lease_ttl < SHORTEST_LEASE {
            let reason = format!("{lease_ttl:?} is shorter than {SHORTEST_LEASE:?}");
            return Err(self.0.refuse("lease_ttl", reason));
        }
        Ok(redis.map(|redis| app::Sharing {
            redis,
            keys: Keys::new(&prefix),
            lease_key,
            lease_ttl,
        }))
    }

    fn ingest(&self) -> Result<ingest::IngestOptions, ConfigError> {
        Ok(ingest::IngestOptions {
            max_file_size: self.size("max_file_size")?,
            max_request_size: self.size("max_request_size")?,
            max_files: self.count("max_files")?,
            max_fields: self.count("max_fields")?,
            max_field_size: self.size("max_field_size")?.unwrap_or(u64::MAX),
            max_fields_size: self.size("max_fields_size")?.unwrap_or(u64::MAX),
            max_total_size: self.size("max_total_size")?,
            digest: self.choice("digest", &[("sha-256", true), ("none", false)])?,
            expire_after: self.optional_duration("expire_after", "never")?,
            max_expire_after: self.optional_duration("max_expire_after", "none")?,
        })
    }

    fn http(
        &self,
        access_lines: &str,
        instance: String,
    ) -> Result<resources::HttpOptions, ConfigError> {
        let mut rules = self.list("access", access_rule)?;
        if self.text("access_file") != "none" {
            let from_file = access_rules(access_lines);
            rules.extend(from_file.map_err(|reason| self.0.refuse("access_file", reason))?);
        }
        let instance = match self.text("instance") {
            "auto" => instance,
            name => name.to_owned(),
        };
        Ok(resources::HttpOptions {
            base_path: self.parsed("base_path", base_path)?,
            public_url: self.parsed("public_url", |text| match text {
                "none" => Ok(None),
                text => origin(text).map(Some),
            })?,
            trusted_proxies: Trusted(self.list("trusted_proxies", |text| {
                let address = text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
                text.parse()
                    .or(address)
                    .map_err(|_| format!("{text:?} is neither an address nor a CIDR"))
            })?),
            hosts: self.list("hosts", HostPattern::parse)?,
            cors_origins: self.list("cors_origin", Site::parse)?,
            access: Access::new(rules),
            idle_timeout: self.duration("idle_timeout")?,
            limits: AdmissionLimits {
                uploads: self.count("max_uploads")?,
                per_client: self.optional_count("max_uploads_per_client")?,
                min_rate: self.size("min_rate")?,
            },
            instance,
        })
    }

    fn text(&self, key: &'static str) -> &str {
        self.0.get(key).texts.first().map_or("", String::as_str)
    }

    fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(self.text(key)).map_err(|reason| self.0.refuse(key, reason))
    }

    fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let texts = self.0.get(key).texts.iter();
        let parsed: Result<Vec<T>, String> = texts.map(|text| parse(text)).collect();
        parsed.map_err(|reason| self.0.refuse(key, reason))
    }

    fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        self.parsed(key, |text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                format!("{text:?} is none of {}", names.join(", "))
            })
        })
    }

    fn size(&self, key: &'static str) -> Result<Option<u64>, ConfigError> {
        self.parsed(key, |text| match text {
            "none" => Ok(None),
            text => parse_size(text)
                .map(Some)
                .map_err(|error| error.to_string()),
        })
    }

    fn count(&self, key: &'static str) -> Result<usize, ConfigError> {
        self.parsed(key, |text| match text.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(format!("{text:?} is not a whole number above 0")),
        })
    }

    fn optional_count(&self, key: &'static str) -> Result<Option<usize>, ConfigError> {
        match self.text(key) {
            "none" => Ok(None),
            _ => self.count(key).map(Some),
        }
    }

    fn duration(&self, key: &'static str) -> Result<Duration, ConfigError> {
        self.parsed(key, |text| {
            let span = parse_duration(text).map_err(|error| error.to_string())?;
            Ok(span.min(LONGEST))
        })
    }

    fn optional_duration(
        &self,
        key: &'static str,
        absent: &str,
    ) -> Result<Option<Duration>, ConfigError> {
        if self.text(key) == absent {
            return Ok(None);
        }
        self.duration(key).map(Some)
    }
}

/// `/a/b` or nothing, without a slash at the end.
fn base_path(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let plain = |segment: &str| {
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(fit)
    };
    match path {
        "" => Ok(String::new()),
        path if path.split('/').all(plain) => Ok(format!("/{path}")),
        _ => Err(format!(
            "{text:?} is not a path of letters, digits and -._~"
        )),
    }
}

/// Scheme, host and port, as a browser writes an origin.
fn origin(text: &str) -> Result<String, String> {
    let refused =
        || format!("{text:?} is not http:// or https:// with a host, and nothing behind it");
    let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| refused())?;
    let (Some("http" | "https"), Some(authority), "/") =
        (uri.scheme_str(), uri.authority(), uri.path())
    else {
        return Err(refused());
    };
    if uri.query().is_some() || authority.as_str().contains('@') {
        return Err(refused());
    }
    let scheme = uri.scheme_str().unwrap_or("http");
    Ok(format!(
        "{scheme}://{}",
        authority.as_str().to_ascii_lowercase()
    ))
}

/// The rules of an access file: a line each, with empty lines and comments between.
fn access_rules(text: &str) -> Result<Vec<Rule>, String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rules: Vec<Rule> = lines.map(access_rule).collect::<Result<_, _>>()?;
    if rules.is_empty() {
        return Err("the file has no rule, which would leave the server open".to_owned());
    }
    Ok(rules)
}

/// `upload+download:SECRET`. The secret is in no error.
fn access_rule(text: &str) -> Result<Rule, String> {
    let (scopes, secret) = text
        .split_once(':')
        .ok_or("an access rule is not SCOPES:SECRET")?;
    let scope = |name: &str| match name {
        "upload" => Ok(Scope::Upload),
        "download" => Ok(Scope::Download),
        "admin" => Ok(Scope::Admin),
        name => Err(format!("{name:?} is none of upload, download, admin")),
    };
    let scopes: Vec<Scope> = scopes.split('+').map(scope).collect::<Result<_, _>>()?;
    if secret.is_empty() {
        return Err("an access rule has an empty secret".to_owned());
    }
    Ok(Rule::new(scopes, secret))
}

#[cfg(test)]
mod tests {
    use super::super::load::GivenSettings;
    use super::*;

    fn config(flags: &[(&str, &str)]) -> Result<Config, String> {
        let flags = flags
            .iter()
            .map(|(k, v)| ((*k).into(), vec![(*v).into()]))
            .collect();
        let loaded = Loaded::from(GivenSettings {
            flags,
            ..GivenSettings::default()
        })
        .unwrap();
        Config::new(&loaded, "", &Profiles::default(), "me-1".to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = config(&[]).unwrap();
        assert_eq!(
            config.listen,
            [ListenAddress::Tcp("127.0.0.1:8080".to_owned())]
        );
        assert_eq!(config.app.min_free, 64 << 20);
        assert_eq!(config.app.ingest.max_fields_size, 1 << 20);
        assert_eq!(config.app.http.instance, "me-1");
        assert_eq!(config.app.http.base_path, "");
        assert!(config.app.ingest.expire_after.is_none() && config.app.ingest.digest);
    }

    #[test]
    fn values_that_do_not_parse_are_named() {
        for (key, value, said) in [
            (
                "listen",
                "8080",
                "\"8080\" is neither HOST:PORT nor unix:PATH",
            ),
            ("max_files", "0", "\"0\" is not a whole number above 0"),
            ("max_file_size", "1 GiB", "\"1 GiB\" is not a size"),
            ("idle_timeout", "0s", "\"0s\" is not a duration"),
            ("durability", "lax", "\"lax\" is none of strict, relaxed"),
            (
                "trusted_proxies",
                "10.0.0.0/33",
                "neither an address nor a CIDR",
            ),
            ("public_url", "https://a.example/x", "nothing behind it"),
            ("base_path", "/a/../b", "is not a path"),
            (
                "access",
                "root:s3cret",
                "\"root\" is none of upload, download, admin",
            ),
            ("access", "upload:", "empty secret"),
            ("redis", "a:s3cret@b", "begins with redis://"),
            ("redis_prefix", "a{b", "has a brace"),
            ("lease_ttl", "1s", "1s is shorter than 2s"),
            ("store", "/srv/files", "is neither disk nor s3://"),
            ("s3_endpoint", "minio:9000", "neither http:// nor https://"),
            ("s3_memory", "1MiB", "less than 33554432 bytes"),
            ("s3_redirect", "yes", "\"yes\" is none of off, on"),
        ] {
            let error = config(&[(key, value)]).unwrap_err();
            let flag = key.replace('_', "-");
            assert!(
                error.starts_with(&format!("{key} (flag --{flag}): ")),
                "{error}"
            );
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn values_in_their_other_spellings() {
        let with = |key, value| config(&[(key, value)]).unwrap();
        assert_eq!(with("base_path", "a/b/").app.http.base_path, "/a/b");
        assert_eq!(
            with("listen", "[::1]:0").listen,
            [ListenAddress::Tcp("[::1]:0".to_owned())]
        );
        assert_eq!(
            with("listen", "unix:/x").listen,
            [ListenAddress::Unix("/x".into())]
        );
        assert_eq!(with("min_free", "none").app.min_free, 0);
        let url = with("public_url", "https://Files.example:8/")
            .app
            .http
            .public_url;
        assert_eq!(url.as_deref(), Some("https://files.example:8"));
    }
}
