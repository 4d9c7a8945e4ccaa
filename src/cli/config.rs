//! `wharf config`: the settings in effect, and the defaults as a file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::config::{Config, Loaded, SETTINGS, Setting, SettingKind, SettingOrigin, SettingShape};
use crate::log;

/// Prints every setting with its origin, as a line of TOML each or as one JSON object; secrets are
/// masked.
///
/// # Errors
/// The log could not be begun with these settings, or nothing can be printed.
pub fn run(config: &Config, loaded: &Loaded, as_json: bool) -> anyhow::Result<ExitCode> {
    // The other values were tried when they were read.
    log::Filter::read(&config.log)?;
    let text = match as_json {
        true => format!("{:#}\n", object(loaded)),
        false => lines(loaded),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a settings file with every setting at its default, as a comment.
pub fn defaults() -> anyhow::Result<ExitCode> {
    let text = default_file()?;
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn lines(loaded: &Loaded) -> String {
    let lines = SETTINGS.iter().map(|setting| {
        let value = loaded.get(setting.key);
        let text = toml_of(setting, &value.texts);
        format!("{} = {text} # {}\n", setting.key, value.origin)
    });
    lines.collect()
}

fn object(loaded: &Loaded) -> Value {
    let members = SETTINGS.iter().map(|setting| {
        let value = loaded.get(setting.key);
        let mut member = json!({ "value": json_of(setting, &value.texts) });
        match &value.origin {
            SettingOrigin::Default => member["origin"] = json!("default"),
            SettingOrigin::File { path, line } => {
                member["origin"] = json!("file");
                member["path"] = json!(path.to_string_lossy());
                member["line"] = json!(line);
            }
            SettingOrigin::Environment(name) => {
                member["origin"] = json!("environment");
                member["name"] = json!(name);
            }
            SettingOrigin::Flag(name) => {
                member["origin"] = json!("flag");
                member["name"] = json!(format!("--{name}"));
            }
        }
        (setting.key.to_owned(), member)
    });
    Value::Object(members.collect::<Map<_, _>>())
}

/// A value that may be shown, as JSON and TOML alike have it.
fn typed(setting: &Setting, text: &str) -> Value {
    let shown = setting.shown(text);
    let number = shown.parse::<i64>().ok();
    match setting.shape {
        SettingShape::Number => number.map_or(Value::String(shown), Value::from),
        SettingShape::Switch => Value::Bool(matches!(text, "true" | "on")),
        SettingShape::Text => Value::String(shown),
    }
}

fn json_of(setting: &Setting, texts: &[String]) -> Value {
    let mut values = texts.iter().map(|text| typed(setting, text));
    match setting.kind {
        SettingKind::List => Value::Array(values.collect()),
        SettingKind::Single => values.next().unwrap_or(Value::Null),
    }
}

fn toml_of(setting: &Setting, texts: &[String]) -> String {
    let values = texts.iter().map(|text| match typed(setting, text) {
        Value::String(text) => toml::Value::String(text).to_string(),
        value => value.to_string(),
    });
    let values: Vec<String> = values.collect();
    match setting.kind {
        SettingKind::List => format!("[{}]", values.join(", ")),
        SettingKind::Single => values.concat(),
    }
}

/// The file of the defaults: a line of TOML for each setting, commented out with a bare `#`, below
/// its help.
fn default_file() -> Result<String, std::fmt::Error> {
    let mut text = format!(
        "# The settings of wharf {}, each with its default. Take the # away from those that you change.\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            write!(text, "\n# {group}\n")?;
        }
        let default: Vec<String> = match setting.default {
            "" => Vec::new(),
            default => vec![default.to_owned()],
        };
        let value = toml_of(setting, &default);
        write!(text, "\n# {}.\n#{} = {value}\n", setting.help, setting.key)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GivenSettings, Profiles};

    fn read(text: String) -> (Loaded, String) {
        let given = GivenSettings {
            file: Some(("wharf.toml".into(), text)),
            ..GivenSettings::default()
        };
        let loaded = Loaded::from(given).unwrap();
        let config = Config::new(&loaded, "", &Profiles::default(), "me".to_owned()).unwrap();
        // A file that says the default has said it.
        let config = format!("{config:?}");
        let config = config.replace("lifetime_is_given: true", "lifetime_is_given: false");
        (loaded, config)
    }

    #[test]
    fn the_file_of_the_defaults_is_read_back_to_the_defaults() {
        let (_, expected) = read(String::new());
        let text = default_file().unwrap();
        assert_eq!(read(text.clone()).1, expected);
        // With each setting in force.
        let settings = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        });
        let (loaded, config) = read(settings.collect::<Vec<_>>().join("\n"));
        for setting in SETTINGS {
            assert!(loaded.is_given(setting.key), "{}", setting.key);
            assert_eq!(loaded.get(setting.key).texts.concat(), setting.default);
        }
        assert_eq!(config, expected);
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let text = "max_files = 7\nmax_file_size = '1GiB'\ns3_redirect = 'on'\nhosts = ['a', 'b']\n\
                    idle_timeout = 90\nlisten = [':80', 'a:2']\nredis_prefix = '7'\ninstance = \"a\\\"b\"";
        let (loaded, config) = read(text.to_owned());
        let printed = lines(&loaded);
        for line in [
            "max_files = 7 # file wharf.toml, line 1",
            "s3_redirect = true # file wharf.toml, line 3",
            "hosts = [\"a\", \"b\"] # file wharf.toml, line 4",
            "idle_timeout = 90 # file wharf.toml, line 5",
            "redis_prefix = \"7\" # file wharf.toml, line 7",
            "max_fields = 1000 # default",
        ] {
            assert!(
                printed.lines().any(|known| known == line),
                "{line} in {printed}"
            );
        }
        assert_eq!(read(printed).1, config);
        let object = object(&loaded);
        let files = json!({ "value": 7, "origin": "file", "path": "wharf.toml", "line": 1 });
        assert_eq!(object["max_files"], files);
        assert_eq!(
            object["trusted_proxies"],
            json!({ "value": [], "origin": "default" })
        );
    }
}
