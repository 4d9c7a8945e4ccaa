//! The settings of this process: read from where they were given, and checked.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::config::{Config, GivenSettings, Loaded, Profiles, ReadFile};
use crate::http::rules::brand::{Logo, MAX_LOGO};
use crate::operators_files;

/// The sources of settings, beside the environment.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The settings given as flags.
    pub flags: Vec<(String, Vec<String>)>,
    /// The settings file.
    pub config: Option<PathBuf>,
}

impl Sources {
    /// The settings file, named by the flag or else by `WHARF_CONFIG`.
    pub fn file(&self) -> Option<PathBuf> {
        let named = std::env::var_os("WHARF_CONFIG").filter(|path| !path.is_empty());
        self.config.clone().or(named.map(PathBuf::from))
    }
}

/// Reads the settings from where they were given.
pub fn load(sources: &Sources) -> anyhow::Result<Loaded> {
    let file = sources.file().map(|path| {
        let text = operators_files::read_text(&path);
        let text =
            text.with_context(|| format!("cannot read the settings in {}", path.display()))?;
        anyhow::Ok((path, text))
    });
    Ok(Loaded::from(GivenSettings {
        flags: sources.flags.clone(),
        environment: std::env::vars_os().collect(),
        file: file.transpose()?,
        read: ReadFile(|path| operators_files::read_text(path)),
    })?)
}

pub fn check_values(loaded: &Loaded) -> anyhow::Result<Config> {
    let access_file = match loaded.get("access_file").texts.first().map(String::as_str) {
        None | Some("none") => String::new(),
        Some(path) => operators_files::read_text(path)
            .with_context(|| format!("access_file: cannot read {path}"))?,
    };
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let instance = format!("{host}-{}", std::process::id());
    let profiles = aws_profiles(loaded)?;
    let mut config = Config::new(loaded, &access_file, &profiles, instance)?;
    config.app.http.brand.logo = logo(loaded)?;
    Ok(config)
}

/// The picture that `brand_logo` names.
fn logo(loaded: &Loaded) -> anyhow::Result<Option<Logo>> {
    let path = match loaded.get("brand_logo").texts.first().map(String::as_str) {
        None | Some("none") => return Ok(None),
        Some(path) => path,
    };
    let read = || {
        let mut bytes = Vec::new();
        // No more of a file that is too large than shows it.
        let most = MAX_LOGO as u64 + 1;
        operators_files::open(path)?
            .take(most)
            .read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let bytes = read().with_context(|| format!("brand_logo: cannot read {path}"))?;
    let logo = Logo::read(bytes);
    let logo = logo.map_err(|reason| loaded.refuse("brand_logo", format!("{path}: {reason}")));
    Ok(Some(logo?))
}

/// The files that programs for AWS share, where there is a bucket.
fn aws_profiles(loaded: &Loaded) -> anyhow::Result<Profiles> {
    if loaded.get("store").texts == ["disk"] {
        return Ok(Profiles::default());
    }
    let variable = |name: &str| {
        let mut found = loaded
            .aws
            .iter()
            .filter(|(known, value)| known == name && !value.is_empty());
        found.next().map(|(_, value)| value.clone())
    };
    let file = |name: &str, usual: &str| {
        if let Some(path) = variable(name) {
            let text = operators_files::read_text(&path);
            return text.with_context(|| format!("{name}: cannot read {path}"));
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let text = home.and_then(|home| operators_files::read_text(home.join(usual)).ok());
        Ok(text.unwrap_or_default())
    };
    Ok(Profiles {
        credentials: file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
        config: file("AWS_CONFIG_FILE", ".aws/config")?,
        name: variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()),
    })
}
