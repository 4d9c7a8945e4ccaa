//! Where each setting's value comes from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::settings::{ACCESS, SETTINGS, Setting, SettingKind, find};

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
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    /// Nowhere.
    Default,
    /// In the file of this path.
    File(PathBuf),
    /// In the environment, under this name.
    Environment(String),
    /// As this flag.
    Flag(String),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingOrigin::Default => f.write_str("default"),
            SettingOrigin::File(path) => write!(f, "file {}", path.display()),
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
#[derive(Debug)]
pub struct Loaded {
    values: BTreeMap<&'static str, SettingValue>,
    /// The variables of AWS, as they were given.
    pub aws: Vec<(String, String)>,
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
    #[error("{origin}: there is no setting {key:?}")]
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
        };
        if let Some((path, text)) = given.file {
            loaded.add_file(path, &text)?;
        }
        for (name, value) in given.environment {
            loaded.add_variable(&name, &value)?;
        }
        for (key, texts) in given.flags {
            let setting = find(&key).ok_or_else(|| ConfigError::Unknown {
                origin: "flag".to_owned(),
                key: key.clone(),
            })?;
            let origin = SettingOrigin::Flag(setting.flag());
            loaded
                .values
                .insert(setting.key, SettingValue { texts, origin });
        }
        Ok(loaded)
    }

    /// The value of a setting of the table.
    pub fn get(&self, key: &'static str) -> &SettingValue {
        // Every setting of the table has its default.
        &self.values[key]
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

    fn add_file(&mut self, path: PathBuf, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table =
            text.parse()
                .map_err(|error: toml::de::Error| ConfigError::File {
                    path: path.clone(),
                    reason: place_and_reason(text, &error),
                })?;
        for (key, value) in table {
            let origin = SettingOrigin::File(path.clone());
            let setting = find(&key).ok_or_else(|| ConfigError::Unknown {
                origin: origin.to_string(),
                key,
            })?;
            let texts = toml_texts(setting, value).ok_or_else(|| ConfigError::Value {
                key: setting.key,
                origin: origin.to_string(),
                reason: match setting.kind {
                    SettingKind::Single => "one value is needed".to_owned(),
                    SettingKind::List => "an array of strings is needed".to_owned(),
                },
            })?;
            self.values
                .insert(setting.key, SettingValue { texts, origin });
        }
        Ok(())
    }

    fn add_variable(&mut self, name: &OsString, value: &OsString) -> Result<(), ConfigError> {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && name.starts_with("AWS_")
        {
            self.aws.push((name.to_owned(), value.to_owned()));
        }
        let Some(name) = name.to_str().filter(|name| name.starts_with("WHARF_")) else {
            return Ok(());
        };
        let Some(setting) = of_variable(name) else {
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
        let texts = match setting.kind {
            SettingKind::Single => vec![text.to_owned()],
            SettingKind::List => text.split(',').map(|text| text.trim().to_owned()).collect(),
        };
        self.values
            .insert(setting.key, SettingValue { texts, origin });
        Ok(())
    }
}

/// The fault of a file and its place, without the line itself, which may hold a secret.
fn place_and_reason(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before else {
        return error.message().to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

fn of_variable(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.env() == name)
}

/// A warning for each variable of the environment that looks like a setting and is none.
/// Orchestrators set such variables, so it is no error.
pub fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.filter_map(|name| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("WHARF_"));
    let known = |name: &String| NO_SETTINGS.contains(&name.as_str()) || of_variable(name).is_some();
    ours.filter(|name| !known(name))
        .map(|name| format!("the environment variable {name} is no setting"))
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

/// The texts of a TOML value: a string or a number, or an array of such for a list.
fn toml_texts(setting: &Setting, value: toml::Value) -> Option<Vec<String>> {
    let text = |value: toml::Value| match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    match (setting.kind, value) {
        (SettingKind::List, toml::Value::Array(values)) => values.into_iter().map(text).collect(),
        (_, value) => text(value).map(|text| vec![text]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(flags: &[(&str, &str)], environment: &[(&str, &str)], file: &str) -> GivenSettings {
        GivenSettings {
            flags: flags
                .iter()
                .map(|(k, v)| ((*k).into(), vec![(*v).into()]))
                .collect(),
            environment: environment
                .iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
            file: Some(("wharf.toml".into(), file.to_owned())),
        }
    }

    #[test]
    fn flag_over_environment_over_file_over_default() {
        let value = |flags: &[_], environment: &[_], file| {
            Loaded::from(given(flags, environment, file))
                .unwrap()
                .get("max_files")
                .clone()
        };
        let (flag, variable, line) = (
            [("max_files", "4")],
            [("WHARF_MAX_FILES", "3")],
            "max_files = 2",
        );
        assert_eq!(value(&flag, &variable, line).texts, ["4"]);
        assert_eq!(value(&[], &variable, line).texts, ["3"]);
        assert_eq!(value(&[], &[], line).origin.to_string(), "file wharf.toml");
        assert_eq!(value(&[], &[("WHARF_MAX_FILES", "")], "").texts, ["1000"]);
    }

    #[test]
    fn lists_in_each_place() {
        let listen = |given| Loaded::from(given).unwrap().get("listen").texts.clone();
        let two = ["a:1", "b:2"];
        assert_eq!(listen(given(&[], &[("WHARF_LISTEN", "a:1, b:2")], "")), two);
        assert_eq!(listen(given(&[], &[], "listen = ['a:1', 'b:2']")), two);
        assert_eq!(listen(given(&[], &[], "listen = 'a:1'")), ["a:1"]);
    }

    #[test]
    fn what_is_unknown_is_named() {
        let error = |given| Loaded::from(given).unwrap_err().to_string();
        assert_eq!(
            error(given(&[], &[], "max_fils = 1")),
            "file wharf.toml: there is no setting \"max_fils\""
        );
        let said = error(given(
            &[],
            &[],
            "digest = 'none'\naccess = ['admin:s3cret' x]",
        ));
        assert!(
            said.starts_with("wharf.toml: line 2, column ") && !said.contains("s3cret"),
            "{said}"
        );
        assert!(error(given(&[], &[], "max_files = [1]")).contains("one value is needed"));
        assert!(
            error(given(&[], &[("WHARF_ACCESS", "")], "")).contains("would leave the server open")
        );
        let names = ["WHARF_PORT_80_TCP", "WHARF_URL", "WHARF_LISTEN", "HOME"];
        assert_eq!(
            unknown_variables(names.into_iter().map(OsString::from)),
            ["the environment variable WHARF_PORT_80_TCP is no setting"]
        );
    }
}
