//! A certificate and its key, as files.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::operators_files;

/// The files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those that lead from it to one that clients know.
    pub certificate: PathBuf,
    /// Its private key; the same file may hold both.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {path}: {reason}", path = path.display())]
pub struct CertificateError {
    /// The setting that names the file.
    setting: &'static str,
    path: PathBuf,
    reason: String,
}

/// The facts that tell one state of the files from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStates(Vec<Option<[i64; 6]>>);

impl FileStates {
    /// Looks at the files, through symbolic links.
    pub fn of(files: &[CertificateFiles]) -> Self {
        let paths = files.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        FileStates(paths.map(|path| state(path)).collect())
    }
}

/// `None` where there is no file.
fn state(path: &Path) -> Option<[i64; 6]> {
    let found = std::fs::metadata(path).ok()?;
    Some([
        found.dev().cast_signed(),
        found.ino().cast_signed(),
        found.size().cast_signed(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
    ])
}

impl CertificateFiles {
    /// Reads both.
    ///
    /// # Errors
    /// One of the files cannot be read, does not hold what it has to, or they do not belong
    /// together.
    pub fn read(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, CertificateError> {
        let chain = self.chain()?;
        let key = self.private_key()?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| {
            self.key_error(format!(
                "there is no private key in it that is understood: {error}"
            ))
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(Arc::new(certified)),
            Err(rustls::Error::InconsistentKeys(_)) => {
                let certificate = self.certificate.display();
                Err(self.key_error(format!(
                    "it is not the key of the certificate in {certificate}"
                )))
            }
            Err(error) => Err(self.error(format!(
                "its first certificate cannot be understood: {error}"
            ))),
        }
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let text = operators_files::read(&self.certificate);
        let text = text.map_err(|error| self.error(format!("it cannot be read: {error}")))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|error| self.error(format!("it is no PEM file: {error}")))?;
        match chain.is_empty() {
            true => Err(self.error("there is no certificate in it (BEGIN CERTIFICATE)".to_owned())),
            false => Ok(chain),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        let text = operators_files::read(&self.key);
        let text = text.map_err(|error| self.key_error(format!("it cannot be read: {error}")))?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let locked = [
                &b"BEGIN ENCRYPTED PRIVATE KEY"[..],
                b"Proc-Type: 4,ENCRYPTED",
            ];
            let has = |words: &[u8]| memchr::memmem::find(&text, words).is_some();
            self.key_error(match locked.into_iter().any(has) {
                true => "the key in it has a password: it has to be without".to_owned(),
                false => format!("there is no private key in it (BEGIN PRIVATE KEY): {error}"),
            })
        })
    }

    /// An error of the certificate.
    pub fn error(&self, reason: String) -> CertificateError {
        CertificateError {
            setting: "tls_cert",
            path: self.certificate.clone(),
            reason,
        }
    }

    fn key_error(&self, reason: String) -> CertificateError {
        CertificateError {
            setting: "tls_key",
            path: self.key.clone(),
            reason,
        }
    }
}
