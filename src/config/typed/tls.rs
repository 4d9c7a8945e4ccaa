//! The settings of TLS.

use super::SettingReader;
use crate::config::load::ConfigError;
use crate::http::tls::CertificateFiles;

impl SettingReader<'_> {
    /// The files of each certificate; none without TLS.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateFiles>, ConfigError> {
        let path = |text: &str| match text {
            "" => Err("the name of a file is missing".to_owned()),
            path => Ok(std::path::PathBuf::from(path)),
        };
        let certificates = self.list("tls_cert", path)?;
        let keys = self.list("tls_key", path)?;
        if certificates.len() != keys.len() && !keys.is_empty() {
            let reason = match (certificates.len(), keys.len()) {
                (0, _) => "tls_cert says which certificate it is the key of".to_owned(),
                (certificates, keys) => {
                    format!(
                        "each of the {certificates} files of tls_cert has one, and here are {keys}"
                    )
                }
            };
            return Err(self.0.refuse("tls_key", reason));
        }
        if self.switch("tls_redirect")?
            && certificates.is_empty()
            && self.text("public_url") == "none"
        {
            let reason =
                "there is no https to send clients to: neither tls_cert nor public_url is set";
            return Err(self.0.refuse("tls_redirect", reason));
        }
        let mut keys = keys.into_iter();
        let files = certificates
            .into_iter()
            .map(|certificate| CertificateFiles {
                key: keys.next().unwrap_or_else(|| certificate.clone()),
                certificate,
            });
        Ok(files.collect())
    }

    /// Whether there are certificates.
    pub(super) fn has_tls(&self) -> bool {
        let texts = &self.0.get("tls_cert").texts;
        !texts.is_empty() && *texts != ["none"]
    }
}
