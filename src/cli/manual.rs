//! `wharf completions` and `wharf man`.

use std::process::ExitCode;

use clap_complete::Shell;

use super::args;
use super::client::{Output, print};

/// Prints the completions for a shell.
pub fn completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::completed(), "wharf", &mut text);
    text.extend_from_slice(from_server(shell).as_bytes());
    print(&text).code()
}

/// Completions of ids and names, which the server is asked for. What it answers is no program: a
/// shell that expands lists of words is not given them as such a list.
fn from_server(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("completions.bash"),
        Shell::Fish => include_str!("completions.fish"),
        _ => "",
    }
}

/// Prints the manual page of wharf, or of the command `page`.
pub fn man(page: Option<&str>) -> ExitCode {
    let mut command = args::command();
    command.build();
    if let Some(name) = page {
        let Some(sub) = command.find_subcommand(name) else {
            return Output::default()
                .usage(&format!("there is no command {name:?}"))
                .code();
        };
        command = sub.clone();
    }
    // What `-h` leaves out would stand there without its help.
    let command = command.mut_args(|arg| arg.hide_short_help(false));
    let mut text = Vec::new();
    match clap_mangen::Man::new(command).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => Output::default().failed_here(&error.to_string()),
    }
    .code()
}
