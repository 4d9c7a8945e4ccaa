//! `wharf config`: the settings in effect.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::{Kind, Loaded, SETTINGS};

/// Prints every setting as a line of TOML, with its origin; secrets are masked.
pub fn run(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for setting in SETTINGS {
        let value = loaded.get(setting.key);
        let texts: Vec<String> = value
            .texts
            .iter()
            .map(|text| match text.split_once(':') {
                // The scopes are no secret, and tell the rules apart.
                Some((scopes, _)) if setting.secret => format!("{scopes}:***"),
                None if setting.secret => "***".to_owned(),
                _ => text.clone(),
            })
            .map(|text| toml::Value::String(text).to_string())
            .collect();
        let text = match setting.kind {
            Kind::List => format!("[{}]", texts.join(", ")),
            Kind::Single => texts.join(", "),
        };
        writeln!(out, "{} = {text} # {}", setting.key, value.origin)?;
    }
    Ok(ExitCode::SUCCESS)
}
