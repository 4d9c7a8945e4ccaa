//! `wharf config`: the settings in effect.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::{Loaded, SETTINGS, SettingKind};

/// Prints every setting as a line of TOML, with its origin; secrets are masked.
pub fn run(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for setting in SETTINGS {
        let value = loaded.get(setting.key);
        let texts: Vec<String> = value
            .texts
            .iter()
            .map(|text| toml::Value::String(setting.shown(text)).to_string())
            .collect();
        let text = match setting.kind {
            SettingKind::List => format!("[{}]", texts.join(", ")),
            SettingKind::Single => texts.join(", "),
        };
        writeln!(out, "{} = {text} # {}", setting.key, value.origin)?;
    }
    Ok(ExitCode::SUCCESS)
}
