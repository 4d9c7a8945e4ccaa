//! Where each setting's value comes from.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::access;
use super::file::{self, FileValue, Place};
use super::settings::{ACCESS, SETTINGS, Setting, SettingKind, env_of, find, flag_of};
use crate::model::closest;

/// Variables that begin like settings and are something else: the client's server and token,
/// the settings file, and a switch of the tests.
const NO_SETTINGS: [&str; 4] = ["WHARF_CONFIG", "WHARF_URL", "WHARF_TOKEN", "WHARF_SOAK"];

/// The given settings, by their source.
#[derive(Debug, Default)]
pub struct GivenSettings {
    /// Flags: keys and their values.
    pub flags: Vec<(String, Vec<String>)>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The settings file: its path and its text.
    pub file: Option<(PathBuf, String)>,
    /// How the files of secrets are read that the settings file names.
    pub read: ReadFile,
}

/// A way to read a file as text.
#[derive(Debug, Clone, Copy)]
pub struct ReadFile(pub fn(&Path) -> io::Result<String>);

impl Default for ReadFile {
    /// Reads none.
    fn default() -> Self {
        ReadFile(|_| Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    /// Nowhere.
    Default,
    /// In the settings file.
    File {
        /// Its path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In the environment, under this name.
    Environment(String),
    /// As this flag.
    Flag(String),
}

impl SettingOrigin {
    /// Of two values the one with the higher number counts.
    pub(super) fn rank(&self) -> u8 {
        match self {
            SettingOrigin::Default => 0,
            SettingOrigin::File { .. } => 1,
            SettingOrigin::Environment(_) => 2,
            SettingOrigin::Flag(_) => 3,
        }
    }
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingOrigin::Default => f.write_str("default"),
            SettingOrigin::File { path, line } => {
                write!(f, "file {}, line {line}", path.display())
            }
            SettingOrigin::Environment(name) => write!(f, "environment {name}"),
            SettingOrigin::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

/// The value of a setting, and where it was given. One value, or several of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingValue {
    /// As they were written.
    pub texts: Vec<String>,
    /// Where.
    pub origin: SettingOrigin,
}

/// Every setting's value.
#[derive(Debug, Clone)]
pub struct Loaded {
    values: BTreeMap<&'static str, SettingValue>,
    /// The variables of AWS, as they were given.
    pub aws: Vec<(String, String)>,
    /// Warnings for the user: old names, variables that are no settings after all.
    pub warnings: Vec<String>,
}

/// Why the settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is no TOML.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The fault, with the line.
        reason: String,
    },
    /// A key that is no setting.
    #[error("{origin}: there is no setting {key:?}{}", did_you_mean(.key))]
    Unknown {
        /// Where it was given.
        origin: String,
        /// The key.
        key: String,
    },
    /// A value that does not parse.
    #[error("{key} ({origin}): {reason}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Where it was given.
        origin: String,
        /// The fault.
        reason: String,
    },
}

impl Loaded {
    /// Merges the given settings.
    ///
    /// # Errors
    /// A key is unknown, a value has the wrong shape, or the file is no TOML.
    pub fn from(given: GivenSettings) -> Result<Self, ConfigError> {
        let mut loaded = Loaded {
            values: SETTINGS
                .iter()
                .map(|setting| (setting.key, default(setting)))
                .collect(),
            aws: Vec::new(),
            warnings: Vec::new(),
        };
        if let Some((path, text)) = given.file {
            loaded.add_file(path, &text, given.read)?;
        }
        // Old keys come last, and see whether the new one is there.
        let mut environment = given.environment;
        environment.sort_by_key(|(name, _)| is_old_variable(name));
        for (name, value) in environment {
            loaded.add_variable(&name, &value)?;
        }
        let mut flags = given.flags;
        flags.sort_by_key(|(key, _)| find(key).is_none());
        for (key, texts) in flags {
            let setting = of_key(&key).ok_or_else(|| ConfigError::Unknown {
                origin: "flag".to_owned(),
                key: key.clone(),
            })?;
            let origin = SettingOrigin::Flag(flag_of(&key));
            loaded.put(setting, &key, SettingValue { texts, origin })?;
        }
        Ok(loaded)
    }

    /// The value of a setting of the table.
    pub fn get(&self, key: &'static str) -> &SettingValue {
        // Every setting of the table has its default.
        &self.values[key]
    }

    /// Whether a setting of the table was given, be it as it is without.
    pub fn is_given(&self, key: &'static str) -> bool {
        self.get(key).origin != SettingOrigin::Default
    }

    /// An error about the value of `key`. Where `reason` repeats the value, its secrets are masked.
    pub fn refuse(&self, key: &'static str, reason: impl fmt::Display) -> ConfigError {
        let value = self.get(key);
        let mut reason = reason.to_string();
        for (text, setting) in value.texts.iter().zip(std::iter::repeat(find(key))) {
            let shown = setting.map_or_else(|| text.clone(), |setting| setting.shown(text));
            if shown != *text {
                let quoted = format!("{text:?}");
                reason = reason
                    .replace(&quoted, &format!("{shown:?}"))
                    .replace(text, &shown);
            }
        }
        ConfigError::Value {
            key,
            origin: value.origin.to_string(),
            reason,
        }
    }

    /// Takes a value that was given as `key`, which may be the one that the setting had before.
    ///
    /// # Errors
    /// The same source has it under its other key as well.
    fn put(
        &mut self,
        setting: &'static Setting,
        key: &str,
        value: SettingValue,
    ) -> Result<(), ConfigError> {
        let origin = &value.origin;
        if key != setting.key {
            let other = &self.get(setting.key).origin;
            if other.rank() == origin.rank() && other != origin {
                return Err(ConfigError::Value {
                    key: setting.key,
                    origin: origin.to_string(),
                    reason: format!("it is given under its old name {key} as well"),
                });
            }
            self.warnings.push(format!(
                "{origin}: {key} is called {} now; the old name is read for one release",
                setting.key
            ));
        }
        self.values.insert(setting.key, value);
        Ok(())
    }

    fn add_file(&mut self, path: PathBuf, text: &str, read: ReadFile) -> Result<(), ConfigError> {
        let entries = file::read(text).map_err(|reason| ConfigError::File {
            path: path.clone(),
            reason,
        })?;
        let mut known = Vec::new();
        for (Place { key, line }, value) in entries {
            let path = path.clone();
            let origin = SettingOrigin::File { path, line };
            let setting = of_key(&key).ok_or_else(|| ConfigError::Unknown {
                origin: origin.to_string(),
                key: key.clone(),
            })?;
            let texts = texts_of(setting, value, read).map_err(|reason| ConfigError::Value {
                key: setting.key,
                origin: origin.to_string(),
                reason,
            })?;
            known.push((setting, key, SettingValue { texts, origin }));
        }
        known.sort_by_key(|(setting, key, _)| key != setting.key);
        known
            .into_iter()
            .try_for_each(|(setting, key, value)| self.put(setting, &key, value))
    }

    fn add_variable(&mut self, name: &OsString, value: &OsString) -> Result<(), ConfigError> {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && name.starts_with("AWS_")
        {
            self.aws.push((name.to_owned(), value.to_owned()));
        }
        let Some((name, (setting, key))) = name
            .to_str()
            .and_then(|name| Some((name, of_variable(name)?)))
        else {
            return Ok(());
        };
        let origin = SettingOrigin::Environment(name.to_owned());
        let refused = |reason: &str| ConfigError::Value {
            key: setting.key,
            origin: origin.to_string(),
            reason: reason.to_owned(),
        };
        let text = value
            .to_str()
            .ok_or_else(|| refused("the value is not UTF-8"))?;
        if text.is_empty() && setting.group == ACCESS {
            return Err(refused(
                "the value is empty, which would leave the server open",
            ));
        }
        if text.is_empty() {
            return Ok(());
        }
        // Kubernetes sets it to the address of a service that is called wharf.
        if setting.key == "port" && ["tcp://", "udp://"].iter().any(|it| text.starts_with(it)) {
            let warning = "is the address of a service, no port; it is passed over";
            self.warnings
                .push(format!("environment {name}: {text:?} {warning}"));
            return Ok(());
        }
        let texts = match setting.kind {
            SettingKind::Single => vec![text.to_owned()],
            SettingKind::List => text.split(',').map(|text| text.trim().to_owned()).collect(),
        };
        self.put(setting, key, SettingValue { texts, origin })
    }
}

/// The setting that has this key, or had it before.
fn of_key(key: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.keys().any(|known| known == key))
}

/// The setting of a variable, and the key by which the variable is called.
fn of_variable(name: &str) -> Option<(&'static Setting, &'static str)> {
    let name = name.strip_prefix("WHARF_")?;
    let keys = SETTINGS
        .iter()
        .flat_map(|setting| setting.keys().map(move |key| (setting, key)));
    let mut keys = keys.filter(|(_, key)| key.to_ascii_uppercase() == name);
    keys.next()
}

fn is_old_variable(name: &OsString) -> bool {
    let found = name.to_str().and_then(of_variable);
    found.is_some_and(|(setting, key)| key != setting.key)
}

/// A question about the setting that may be meant, or nothing.
fn did_you_mean(key: &str) -> String {
    let meant = closest(key, SETTINGS.iter().map(|setting| setting.key));
    meant.map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"))
}

/// A warning for each variable of the environment that looks like a setting and is none.
/// Orchestrators set such variables, so it is no error.
pub fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.filter_map(|name| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("WHARF_"));
    let known = |name: &String| NO_SETTINGS.contains(&name.as_str()) || of_variable(name).is_some();
    ours.filter(|name| !known(name))
        .map(|name| {
            let key = name.trim_start_matches("WHARF_");
            let meant = closest(key, SETTINGS.iter().map(|setting| setting.key));
            let meant = meant.map(|key| format!("; did you mean {}?", env_of(key)));
            let meant = meant.unwrap_or_default();
            format!("the environment variable {name} is no setting{meant}")
        })
        .collect()
}

fn default(setting: &Setting) -> SettingValue {
    let texts = match setting.default {
        "" => Vec::new(),
        text => vec![text.to_owned()],
    };
    SettingValue {
        texts,
        origin: SettingOrigin::Default,
    }
}

/// The texts of a value of the file: of one, or of each in an array for a list.
///
/// # Errors
/// The value has another shape.
fn texts_of(setting: &Setting, value: FileValue, read: ReadFile) -> Result<Vec<String>, String> {
    let text = |value| match value {
        FileValue::One(text) => Ok(text),
        FileValue::Table(table) if setting.key == "access" => access::text_of_table(table, &read.0),
        _ => Err(match setting.kind {
            SettingKind::Single => "one value is needed".to_owned(),
            SettingKind::List => "an array of strings is needed".to_owned(),
        }),
    };
    match (setting.kind, value) {
        (SettingKind::List, FileValue::Many(values)) => values.into_iter().map(text).collect(),
        (_, value) => text(value).map(|text| vec![text]),
    }
}
