//! The certificates of a server, and which of them a client gets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto};

use super::files::{CertificateError, CertificateFiles};
use super::validity::validity;
use crate::model::Timestamp;

/// How long before its end the log begins to warn of a certificate.
const ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Certificates that were read, each with its key.
pub struct Certificates(Vec<Certificate>);

struct Certificate {
    key: Arc<CertifiedKey>,
    /// Its file, for people.
    file: String,
    begins: Timestamp,
    ends: Timestamp,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|certificate| &certificate.file))
            .finish()
    }
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read or understood, is over at `now`, or is not the key of its certificate.
    pub fn read(files: &[CertificateFiles], now: Timestamp) -> Result<Self, CertificateError> {
        let provider = crypto::ring::default_provider();
        let read = |files: &CertificateFiles| {
            let key = files.read(&provider)?;
            let times = key.cert.first().and_then(|first| validity(first));
            let (begins, ends) = times.ok_or_else(|| {
                files.error("the time in which it is valid cannot be understood".to_owned())
            })?;
            if ends <= now {
                return Err(files.error(format!("it is valid no more: it ended at {ends}")));
            }
            Ok(Certificate {
                key,
                file: files.certificate.display().to_string(),
                begins,
                ends,
            })
        };
        files
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Certificates)
    }

    /// Warnings for people: certificates that end soon, or do not count yet.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let warning = |certificate: &Certificate| {
            let Certificate {
                file, begins, ends, ..
            } = certificate;
            if *ends <= now {
                return Some(format!(
                    "the certificate in {file} ended at {ends}: clients refuse it"
                ));
            }
            if *begins > now {
                return Some(format!(
                    "the certificate in {file} is not valid before {begins}: clients refuse it"
                ));
            }
            (ends.since(now) <= ENDS_SOON).then(|| {
                let days = ends.since(now).as_secs() / (24 * 60 * 60);
                format!("the certificate in {file} ends in {days} days, at {ends}")
            })
        };
        self.0.iter().filter_map(warning).collect()
    }

    /// The file of each certificate, and when it ends.
    pub fn ends(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.0
            .iter()
            .map(|certificate| (certificate.file.as_str(), certificate.ends))
    }

    /// The configuration of connections that get one of these.
    ///
    /// # Errors
    /// The system gives no random bytes for the keys of tickets.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(crypto::ring::default_provider());
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = crypto::ring::Ticketer::new()?;
        Ok(Arc::new(config))
    }

    /// Those that are for this name.
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Certificate> {
        let name = ServerName::try_from(name).ok();
        self.0
            .iter()
            .filter(move |certificate| name.as_ref().is_some_and(|name| certificate.covers(name)))
    }
}

impl Certificate {
    fn covers(&self, name: &ServerName) -> bool {
        let first = self.key.cert.first();
        let parsed = first.and_then(|first| ParsedCertificate::try_from(first).ok());
        parsed.is_some_and(|parsed| verify_server_name(&parsed, name).is_ok())
    }
}

impl ResolvesServerCert for Certificates {
    /// The first that is for the name that the client asks for, with a key of a kind that it knows;
    /// the first of all where none is.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let fits =
            |certificate: &&Certificate| certificate.key.key.choose_scheme(schemes).is_some();
        let named = hello.server_name();
        let named = named.and_then(|name| self.of(name).find(fits));
        let any = || self.0.iter().find(fits).or(self.0.first());
        named.or_else(any).map(|found| Arc::clone(&found.key))
    }
}

/// A connection that has TLS of this server's.
pub struct Secured {
    /// The name that the client asked for (RFC 6066 section 3); none where it asked for an address.
    asked: Option<String>,
    certificates: Arc<Certificates>,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS({:?})", self.asked)
    }
}

impl Secured {
    /// A connection whose client asked for a name, and got one of these certificates.
    pub fn new(asked: Option<&str>, certificates: Arc<Certificates>) -> Self {
        Secured {
            asked: asked.map(str::to_owned),
            certificates,
        }
    }

    /// Whether a request for `host` belongs on this connection: its client asked for that name, or
    /// the certificate it got is for that name too. A client that asked for no name saw an
    /// address, and none knows better than it does whether it is the right one.
    pub fn serves(&self, host: &str) -> bool {
        let Some(asked) = &self.asked else {
            return true;
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if asked.eq_ignore_ascii_case(host) {
            return true;
        }
        let Ok(host) = ServerName::try_from(host) else {
            return false;
        };
        let mut got = self.certificates.of(asked).peekable();
        match got.peek() {
            Some(_) => got.any(|certificate| certificate.covers(&host)),
            None => self
                .certificates
                .0
                .first()
                .is_some_and(|first| first.covers(&host)),
        }
    }
}
