//! The `wharf` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one provider of TLS for the whole process. The only error is that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match wharf::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wharf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
