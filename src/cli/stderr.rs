//! Messages to a person on standard error.

use std::io::{self, Write as _};

use crate::model::plain;

/// Tells the user something on standard error, which may be closed.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "wharf: {}", plain(text));
}

/// An error with what led to it; a cause that is in the text before it is not said again.
pub fn reason(error: &anyhow::Error) -> String {
    let mut reason = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if reason.is_empty() {
            reason = text;
        } else if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once() {
        let file = io::Error::other("no such file");
        let said = anyhow::Error::new(file).context("cannot open it: no such file");
        assert_eq!(reason(&said), "cannot open it: no such file");
        let said = anyhow::anyhow!("inside").context("outside");
        assert_eq!(reason(&said), "outside: inside");
    }
}
