//! The settings as values, in the options of the parts.

mod bucket;
mod shapes;

use std::time::Duration;

use http::Uri;

use super::access::AccessRule;
use super::aws::{self, Profiles};
use super::listen::{ListenAddress, parse_port};
use super::load::{ConfigError, Loaded};
use super::settings::find;
use crate::coordination::{Address, Keys};
use crate::http::admission::AdmissionLimits;
use crate::http::rules::access::{Access, Names, Policy, Rule};
use crate::http::rules::cors::Site;
use crate::http::rules::hosts::HostPattern;
use crate::http::rules::origin::Trusted;
use crate::store::disk::Durability;
use crate::{app, http as resources, ingest, log};

/// The shortest lease: its holder needs time to prolong it more than once.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The addresses to listen on.
    pub listen: Vec<ListenAddress>,
    /// The addresses for operators alone.
    pub admin_listen: Vec<ListenAddress>,
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
        let listen = read.listening()?;
        let bind = read.text("bind");
        let admin_listen = read.list("admin_listen", |text| ListenAddress::parse(text, bind))?;
        Ok(Config {
            listen,
            admin_listen,
            log_format: read.choice(
                "log_format",
                &[("text", log::Format::Text), ("json", log::Format::Json)],
            )?,
            log: match read.text("log") {
                "none" => "off".to_owned(),
                filter => filter.to_owned(),
            },
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
    /// Where to listen: on `listen`, or on `bind` and `port` where these are given by a source that
    /// counts for more.
    fn listening(&self) -> Result<Vec<ListenAddress>, ConfigError> {
        let port = self.parsed("port", |text| {
            parse_port(text).ok_or_else(|| format!("{text:?} is not a port, 0 to 65535"))
        })?;
        let bind = self.text("bind");
        let listen = self.0.get("listen");
        let [port_rank, bind_rank] = ["port", "bind"].map(|key| self.0.get(key).origin.rank());
        // `wharf config` prints all three in one file.
        let is_default = |key| find(key).is_some_and(|setting| self.text(key) == setting.default);
        let rank = listen.origin.rank();
        // It is parsed in any case, so that a fault in it is found.
        let alone = self.parsed("bind", |bind| ListenAddress::on(bind, port))?;
        let addresses = self.list("listen", |text| ListenAddress::parse(text, bind))?;
        if listen.texts.is_empty() || port_rank.max(bind_rank) > rank {
            return Ok(vec![alone]);
        }
        if port_rank == rank && !is_default("port") {
            let reason = "listen is given there too, and has the port: leave one of them out";
            return Err(self.0.refuse("port", reason));
        }
        let alone = listen.texts.iter().all(|text| parse_port(text).is_none());
        if bind_rank == rank && alone && !is_default("bind") {
            let reason =
                "listen is given there too, and none of it is a port alone: leave bind out";
            return Err(self.0.refuse("bind", reason));
        }
        match addresses.is_empty() {
            true => Err(self.0.refuse("listen", "there is nothing to listen on")),
            false => Ok(addresses),
        }
    }

    fn sharing(&self) -> Result<Option<app::Sharing>, ConfigError> {
        let redis = self.optional("redis", |text| {
            Address::parse(text).map_err(|error| error.to_string())
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
            default_expires_in: self.lifetime("default_expires_in", "never")?,
            max_expires_in: self.lifetime("max_expires_in", "none")?,
        })
    }

    fn http(
        &self,
        access_lines: &str,
        instance: String,
    ) -> Result<resources::HttpOptions, ConfigError> {
        let mut rules = self.list("access", AccessRule::parse)?;
        if self.text("access_file") != "none" {
            let from_file = AccessRule::parse_lines(access_lines);
            rules.extend(from_file.map_err(|reason| self.0.refuse("access_file", reason))?);
        }
        let rules = rules.into_iter();
        let rules = rules.map(|rule| Rule::new(rule.scopes, rule.id.as_deref(), &rule.secret));
        let instance = match self.text("instance") {
            "auto" => instance,
            name => name.to_owned(),
        };
        Ok(resources::HttpOptions {
            base_path: self.parsed("base_path", base_path)?,
            public_url: self.optional("public_url", origin)?,
            trusted_proxies: Trusted(self.list("trusted_proxies", |text| {
                let address = text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
                text.parse()
                    .or(address)
                    .map_err(|_| format!("{text:?} is neither an address nor a CIDR"))
            })?),
            hosts: self.list("hosts", HostPattern::parse)?,
            cors_origins: self.list("cors_origin", Site::parse)?,
            access: Access::new(rules.collect()),
            policy: Policy {
                names: self.choice(
                    "names",
                    &[
                        ("auto", Names::Auto),
                        ("shared", Names::Shared),
                        ("private", Names::Private),
                    ],
                )?,
                open: self.switch("open")?,
            },
            idle_timeout: self.duration("idle_timeout")?,
            limits: AdmissionLimits {
                uploads: self.count("max_uploads")?,
                per_client: self.optional_count("max_uploads_per_client")?,
                min_rate: self.size("min_rate")?,
            },
            instance,
        })
    }
}

/// `/a/b` or nothing, without a slash at the end.
fn base_path(text: &str) -> Result<String, String> {
    let path = match text {
        "none" => "",
        text => text.trim_matches('/'),
    };
    let plain = |segment: &str| {
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(fit)
    };
    match path {
        "" => Ok(String::new()),
        "healthz" | "readyz" => Err(format!(
            "{text:?} is where probes ask, whatever the base path"
        )),
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
        assert!(config.app.ingest.default_expires_in.is_none() && config.app.ingest.digest);
    }

    #[test]
    fn values_that_do_not_parse_are_named() {
        for (key, value, said) in [
            ("listen", "localhost", "\"localhost\" is none of PORT"),
            ("listen", "none", "nothing to listen on"),
            ("port", "80x", "\"80x\" is not a port"),
            ("bind", "a:1", "\"a:1\" is not an address or a name"),
            ("max_files", "0", "\"0\" is not a whole number above 0"),
            ("max_file_size", "1.5G", "\"1.5G\" is not a size"),
            ("idle_timeout", "0s", "\"0s\" is 0"),
            ("idle_timeout", "none", "\"none\" is not a duration"),
            ("default_expires_in", "soon", "never turns it off"),
            ("durability", "lax", "\"lax\" is none of strict, relaxed"),
            (
                "trusted_proxies",
                "10.0.0.0/33",
                "neither an address nor a CIDR",
            ),
            ("public_url", "https://a.example/x", "nothing behind it"),
            ("base_path", "/a/../b", "is not a path"),
            ("base_path", "/readyz", "is where probes ask"),
            (
                "access",
                "root:s3cret",
                "a scope that is none of upload, download, list, admin",
            ),
            ("access", "upload:", "empty secret"),
            ("redis", "a:s3cret@b", "begins with redis://"),
            ("redis_prefix", "a{b", "has a brace"),
            ("lease_ttl", "1s", "1s is shorter than 2s"),
            ("store", "/srv/files", "is neither disk nor s3://"),
            ("s3_endpoint", "minio:9000", "neither http:// nor https://"),
            ("s3_memory", "1MiB", "less than 33554432 bytes"),
            ("s3_redirect", "yes", "\"yes\" is neither true nor false"),
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

    #[test]
    fn none_turns_off_what_can_be_off_and_0_says_so() {
        for key in [
            "min_free",
            "max_total_size",
            "s3_memory",
            "max_file_size",
            "max_request_size",
            "max_field_size",
            "max_fields_size",
            "min_rate",
            "max_uploads_per_client",
            "max_expires_in",
            "default_expires_in",
        ] {
            let error = config(&[(key, "0")]).unwrap_err();
            let word = if key == "default_expires_in" {
                "never"
            } else {
                "none"
            };
            assert!(
                error.contains(&format!("\"0\" is 0: say {word}")),
                "{error}"
            );
        }
        for setting in super::super::SETTINGS {
            let off = config(&[(setting.key, "none")]);
            let never_off = [
                "bind",
                "dir",
                "durability",
                "names",
                "port",
                "listen",
                "store",
                "lease_ttl",
                "stale_after",
                "max_files",
                "max_fields",
                "max_connections",
                "max_uploads",
                "idle_timeout",
                "shutdown_grace",
                "log_format",
                "access_file",
            ];
            let refused = off.is_err();
            let may_be_refused = never_off.contains(&setting.key);
            assert!(!refused || may_be_refused, "{}: {off:?}", setting.key);
        }
    }

    #[test]
    fn listen_or_port_and_bind_whichever_counts_for_more() {
        let listen = |flags: &[(&str, &str)], variables: &[(&str, &str)], file: &str| {
            let flags = flags.iter();
            let variables = variables.iter();
            let loaded = Loaded::from(GivenSettings {
                flags: flags
                    .map(|(k, v)| ((*k).into(), vec![(*v).into()]))
                    .collect(),
                environment: variables.map(|(k, v)| (k.into(), v.into())).collect(),
                file: Some(("wharf.toml".into(), file.to_owned())),
                ..GivenSettings::default()
            })
            .unwrap();
            let config = Config::new(&loaded, "", &Profiles::default(), "me".to_owned());
            config
                .map(|config| config.listen)
                .map_err(|error| error.to_string())
        };
        let tcp = |text: &str| Ok(vec![ListenAddress::Tcp(text.to_owned())]);
        assert_eq!(listen(&[("port", "1")], &[], ""), tcp("127.0.0.1:1"));
        assert_eq!(listen(&[], &[], "port = 1\nbind = '::1'"), tcp("[::1]:1"));
        let variables = [("WHARF_BIND", "10.0.0.7")];
        assert_eq!(listen(&[], &variables, "port = 1"), tcp("10.0.0.7:1"));
        let file = "listen = ['a:2']";
        assert_eq!(listen(&[("port", "1")], &[], file), tcp("127.0.0.1:1"));
        assert_eq!(
            listen(&[("port", "8080")], &[], file),
            tcp("127.0.0.1:8080")
        );
        assert_eq!(listen(&[], &[], file), tcp("a:2"));
        let variables = [("WHARF_PORT", "1")];
        assert_eq!(listen(&[("listen", "a:2")], &variables, ""), tcp("a:2"));
        assert_eq!(listen(&[], &[], "listen = 8\nbind = 'b'"), tcp("b:8"));
        for (file, said) in [
            (
                "port = 1\nlisten = 'a:2'",
                "port (file wharf.toml, line 1): listen is given there too",
            ),
            (
                "bind = 'b'\nlisten = 'a:2'",
                "bind (file wharf.toml, line 1): listen is given there",
            ),
        ] {
            let error = listen(&[], &[], file).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
