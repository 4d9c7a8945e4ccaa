//! The `wharf` command.

#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::io::Write as _;
use std::process::ExitCode;

/// jemalloc gives memory back some seconds after it was freed, by a thread of its own. glibc keeps
/// what lies between blocks that are in use: of 118 MiB that 1,000 slow readers took, 72 stayed.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let _log = Log;
    // The one provider of TLS for the whole process. The only error is that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match wharf::cli::run() {
        Ok(code) => code,
        Err(error) => {
            wharf::log::flush(wharf::log::FLUSH_TIMEOUT);
            // Standard error may be closed.
            let _ = writeln!(std::io::stderr(), "wharf: {}", wharf::cli::reason(&error));
            ExitCode::FAILURE
        }
    }
}

/// Waits for the log at the end of the process, whether it ends well or with an error.
struct Log;

impl Drop for Log {
    fn drop(&mut self) {
        wharf::log::flush(wharf::log::FLUSH_TIMEOUT);
    }
}
