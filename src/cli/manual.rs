//! `wharf completions` and `wharf man`.

use std::process::ExitCode;

use clap_complete::Shell;

use super::args;
use super::client::{Output, print};

/// Prints the completions for a shell.
pub fn completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::completed(), "wharf", &mut text);
    print(with_server(shell, text).as_bytes()).code()
}

/// The completions with those of ids and names, which the server is asked for. The server's answer
/// is no program: a shell that expands lists of words is not given them as such a list.
fn with_server(shell: Shell, text: Vec<u8>) -> String {
    let text = String::from_utf8(text).expect("completions are text");
    match shell {
        Shell::Bash => text + include_str!("completions.bash"),
        Shell::Fish => text + include_str!("completions.fish"),
        Shell::Zsh => {
            // zsh finds out by the first line whose completions they are, and calls them at the end.
            let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
            let lines = rest.lines().map(|line| match line.trim_start() {
                start if ZSH_NAMES.iter().any(|names| start.starts_with(names)) => {
                    line.replace(":_default'", ":_wharf_words'") + "\n"
                }
                _ => format!("{line}\n"),
            });
            let rest: String = lines.collect();
            format!("{first}\n{}\n{rest}", include_str!("completions.zsh"))
        }
        _ => text,
    }
}

/// How the lines begin by which zsh completes ids, and names as well.
const ZSH_NAMES: [&str; 2] = ["'*::ids -- ", "'*::names -- "];

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
    // Flags that `-h` leaves out would stand there without their help.
    let command = command.mut_args(|arg| arg.hide_short_help(false));
    let mut text = Vec::new();
    match clap_mangen::Man::new(command).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => Output::default().failed_here(&error.to_string()),
    }
    .code()
}
