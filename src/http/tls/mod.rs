//! TLS of the server's own: certificates from files, chosen by the name that a client asks for, and
//! read again when the files change.

mod certificates;
mod files;
mod validity;
mod watch;

pub use certificates::Secured;
pub use files::CertificateFiles;
pub use watch::{ReadCertificates, Tls, follow_files};
