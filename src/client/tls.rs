//! TLS as a client has it: in a configuration of its own, whatever the process has.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::ClientError;

/// The configuration that trusts the system's certificates and those in `ca_file`. The system's
/// are not read where no certificate is `verified`.
pub(super) fn configuration(
    verified: bool,
    ca_file: Option<&Path>,
) -> Result<ClientConfig, ClientError> {
    let unusable = |error: rustls::Error| ClientError::Setup(format!("TLS: {error}"));
    let certificates = match ca_file {
        Some(path) => read_certificates(path)?,
        None => Vec::new(),
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = if verified {
        let verifier = Verifier::new_with_extra_roots(certificates, provider);
        let verifier = Arc::new(verifier.map_err(unusable)?);
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let mut configuration = builder.with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = std::fs::read(path).map_err(|error| ClientError::file(path, error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ClientError::Setup(format!(
            "there are no PEM certificates in {}",
            path.display()
        ))),
    }
}
