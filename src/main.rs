//! The `wharf` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    match wharf::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wharf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
