//! The settings as values, in the options of the parts.

mod bucket;
#[cfg(test)]
mod renewal_tests;
mod shapes;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use http::Uri;

use super::access::AccessRule;
use super::aws::{self, Profiles};
use super::listen::{Endpoint, ListenAddress, Usual, parse_port, without_scheme};
use super::load::{ConfigError, Loaded};
use super::settings::find;
use crate::coordination::{Address, Keys};
use crate::http::admission::AdmissionLimits;
use crate::http::rules::access::{Access, Names, Policy, Rule};
use crate::http::rules::brand::Brand;
use crate::http::rules::color::Color;
use crate::http::rules::cors::Site;
use crate::http::rules::hosts::HostPattern;
use crate::http::rules::origin::Trusted;
use crate::http::tls::CertificateFiles;
use crate::store::Sendfile;
use crate::store::disk::Durability;
use crate::{app, http as resources, ingest, log};

/// The shortest lease: its holder needs time to prolong it more than once.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The addresses to listen on.
    pub listen: Vec<Endpoint>,
    /// The addresses for operators alone.
    pub admin_listen: Vec<Endpoint>,
    /// The files of each certificate; none without TLS.
    pub certificates: Vec<CertificateFiles>,
    /// How log lines look.
    pub log_format: log::Format,
    /// Which log lines there are.
    pub log: String,
    /// The options of the parts.
    pub app: app::AppOptions,
}

impl Config {
    /// Checks every value but the file that `brand_logo` names. `access_lines` is the text of
    /// `access_file`, `profiles` those of AWS, and `instance` the name of this process where none
    /// is set.
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
        // Probes and collectors on the inside know no certificate.
        let usual = read.has_tls().then_some(Usual::Plain);
        let admin_listen = read.list("admin_listen", |text| Endpoint::parse(text, bind, usual))?;
        Ok(Config {
            listen,
            admin_listen,
            certificates: read.certificates()?,
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
                journal: read.journal()?,
                min_free: read.size("min_free")?.unwrap_or(0),
                sendfile: read.choice(
                    "sendfile",
                    &[
                        ("auto", Sendfile::Auto),
                        ("on", Sendfile::On),
                        ("off", Sendfile::Off),
                        ("none", Sendfile::Off),
                    ],
                )?,
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

impl Config {
    /// The settings of a server that was started with these when it reads `new` ones: all
    /// that needs no restart is as these have it.
    #[must_use]
    pub fn renewed(&self, new: &Config) -> Config {
        let same = self.certificates.is_empty() == new.certificates.is_empty();
        Config {
            log: new.log.clone(),
            // Whether an address has TLS is decided when it is taken.
            certificates: if same { new } else { self }.certificates.clone(),
            app: self.app.renewed(&new.app),
            ..self.clone()
        }
    }
}

/// Reads values by their shape.
struct SettingReader<'a>(&'a Loaded);

impl SettingReader<'_> {
    /// Where to listen: on `listen`, or on `bind` and `port` where these are given by a source that
    /// counts for more.
    fn listening(&self) -> Result<Vec<Endpoint>, ConfigError> {
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
        let alone = Endpoint {
            address: self.parsed("bind", |bind| ListenAddress::on(bind, port))?,
            tls: self.has_tls(),
        };
        let usual = self.has_tls().then_some(Usual::Tls);
        let addresses = self.list("listen", |text| Endpoint::parse(text, bind, usual))?;
        if listen.texts.is_empty() || port_rank.max(bind_rank) > rank {
            return Ok(vec![alone]);
        }
        if port_rank == rank && !is_default("port") {
            let reason = "listen is given there too, and has the port: leave one of them out";
            return Err(self.0.refuse("port", reason));
        }
        let is_port = |text: &String| parse_port(without_scheme(text).0).is_some();
        let alone = !listen.texts.iter().any(is_port);
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

    /// Bytes of the journal, if there is to be one.
    fn journal(&self) -> Result<Option<u64>, ConfigError> {
        let (least, most) = (32 << 20, 16 << 30);
        let wanted = self.choice("journal", &[("on", true), ("off", false), ("none", false)])?;
        let Some(size) = self.size("journal_size")? else {
            return Ok(None);
        };
        if !(least..=most).contains(&size) {
            let given = self.text("journal_size");
            let reason = format!("{given} is not between 32MiB and 16GiB");
            return Err(self.0.refuse("journal_size", reason));
        }
        Ok(wanted.then_some(size))
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
        let default_expires_in = self.lifetime("default_expires_in", "never")?;
        let max_expires_in = self.lifetime("max_expires_in", "none")?;
        if let (Some(default), Some(max)) = (default_expires_in, max_expires_in)
            && default > max
        {
            let [default, max] = ["default_expires_in", "max_expires_in"].map(|key| self.text(key));
            let reason = format!("{default} is longer than max_expires_in, which is {max}");
            return Err(self.0.refuse("default_expires_in", reason));
        }
        Ok(ingest::IngestOptions {
            max_file_size: self.size("max_file_size")?,
            max_request_size: self.size("max_request_size")?,
            max_files: self.count("max_files")?,
            max_fields: self.count("max_fields")?,
            max_field_size: self.size("max_field_size")?.unwrap_or(u64::MAX),
            max_fields_size: self.size("max_fields_size")?.unwrap_or(u64::MAX),
            max_total_size: self.size("max_total_size")?,
            digest: self.choice("digest", &[("sha-256", true), ("none", false)])?,
            default_expires_in,
            max_expires_in,
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
            embed: self.switch("embed")?,
            tls_redirect: self.switch("tls_redirect")?,
            hsts: self.optional_duration("hsts", "none")?,
            // Read when the server starts.
            tls: None,
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
            brand: Brand {
                name: self.parsed("brand_name", Brand::name)?,
                logo: None,
                color: self.optional("brand_color", Color::parse)?,
                imprint: self.optional("imprint_url", Brand::imprint)?,
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
