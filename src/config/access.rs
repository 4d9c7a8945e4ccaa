//! Access rules as they are written: a secret, what it allows, and its name for the log.

use std::fmt;
use std::path::Path;

use super::file::{FileValue, Place};
use crate::http::rules::access::Scope;
use crate::model::closest;

/// Every scope by its word.
const SCOPES: [(&str, Scope); 4] = [
    ("upload", Scope::Upload),
    ("download", Scope::Download),
    ("list", Scope::List),
    ("admin", Scope::Admin),
];
/// The keys of a table `[[access]]`.
const KEYS: [&str; 4] = ["id", "secret", "secret_file", "scopes"];
/// The longest id: it stands in every line of the log.
const LONGEST_ID: usize = 64;

/// One secret with what it allows. The secret is in no error and in no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// The scopes of the secret; at least one.
    pub scopes: Vec<Scope>,
    /// Its name in the log.
    pub id: Option<String>,
    /// The secret; neither empty nor with a colon.
    pub secret: String,
}

impl fmt::Debug for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessRule { scopes, id, .. } = self;
        write!(f, "AccessRule({scopes:?}, {id:?}, ***)")
    }
}

impl AccessRule {
    /// Reads `SCOPES:SECRET` or `SCOPES:ID:SECRET`, the scopes joined by `+`.
    ///
    /// # Errors
    /// The fault, without the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scopes, id, secret) = match parts[..] {
            [scopes, secret] => (scopes, None, secret),
            [scopes, id, secret] => (scopes, Some(id), secret),
            [_] => return Err("an access rule is SCOPES:SECRET or SCOPES:ID:SECRET".to_owned()),
            _ => {
                return Err(
                    "an access rule has at most two colons: SCOPES:ID:SECRET, and none in the secret"
                        .to_owned(),
                );
            }
        };
        let scopes: Result<Vec<Scope>, String> = scopes.split('+').map(scope).collect();
        let rule = AccessRule {
            scopes: scopes?,
            id: id.map(checked_id).transpose()?,
            secret: secret.to_owned(),
        };
        match secret {
            "" => Err("an access rule has an empty secret".to_owned()),
            _ => Ok(rule),
        }
    }

    /// Reads the lines of an access file: a rule each, with empty lines and comments between.
    ///
    /// # Errors
    /// A line is no rule, named by its number, or there is none.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let rule = |(at, line)| {
            AccessRule::parse(line).map_err(|reason| format!("line {}: {reason}", at + 1))
        };
        let rules: Vec<Self> = lines.map(rule).collect::<Result<_, _>>()?;
        if rules.is_empty() {
            return Err("the file has no rule, which would leave the server open".to_owned());
        }
        Ok(rules)
    }
}

fn scope(word: &str) -> Result<Scope, String> {
    let known = SCOPES.iter().find(|(name, _)| *name == word);
    known.map(|(_, scope)| *scope).ok_or_else(|| {
        let names = SCOPES.map(|(name, _)| name).join(", ");
        // A secret without scopes stands here, and is not repeated.
        match closest(word, SCOPES.map(|(name, _)| name)) {
            Some(meant) => format!("{word:?} is none of {names}; did you mean {meant:?}?"),
            None => format!("an access rule begins with a scope that is none of {names}"),
        }
    })
}

fn checked_id(id: &str) -> Result<String, String> {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
    match id.len() {
        1..=LONGEST_ID if id.bytes().all(fit) => Ok(id.to_owned()),
        // It may be half of a secret with a colon.
        _ => Err(format!(
            "the id of an access rule is 1 to {LONGEST_ID} letters, digits or -._@ (and a secret has no colon)"
        )),
    }
}

/// A table `[[access]]` as one text, `SCOPES:SECRET` or `SCOPES:ID:SECRET`. `read` reads the file of
/// a secret.
pub(super) fn text_of_table(
    table: Vec<(Place, FileValue)>,
    read: &dyn Fn(&Path) -> std::io::Result<String>,
) -> Result<String, String> {
    let (mut id, mut secret, mut scopes) = (None, None, None);
    for (Place { key, line }, value) in table {
        let refused = |reason: &str| format!("line {line}: {key} of an access rule {reason}");
        let text = |value| match value {
            FileValue::One(text) => Ok(text),
            _ => Err(refused("is not a string")),
        };
        let plain = |text: String| match text.contains([':', '\n']) {
            true => Err(refused("has a colon or a line feed")),
            false => Ok(text),
        };
        match key.as_str() {
            "id" => id = Some(plain(text(value)?)?),
            "scopes" => {
                let words = match value {
                    FileValue::Many(words) => words.into_iter().map(text).collect::<Result<_, _>>(),
                    value => text(value).map(|text| vec![text]),
                };
                scopes = Some(plain(words?.join("+"))?);
            }
            "secret" | "secret_file" if secret.is_some() => {
                return Err(refused(
                    "is given beside the other of secret and secret_file",
                ));
            }
            "secret" => secret = Some(plain(text(value)?)?),
            "secret_file" => {
                let path = text(value)?;
                let held = read(Path::new(&path))
                    .map_err(|error| refused(&format!("cannot be read: {path}: {error}")))?;
                secret = Some(plain(held.trim_end_matches(['\r', '\n']).to_owned())?);
            }
            key => {
                let meant = closest(key, KEYS);
                let meant = meant.map_or_else(
                    || format!("its keys are {}", KEYS.join(", ")),
                    |meant| format!("did you mean {meant:?}?"),
                );
                return Err(format!(
                    "line {line}: an access rule has no {key:?}; {meant}"
                ));
            }
        }
    }
    let scopes = scopes.ok_or("an access rule without scopes")?;
    let secret = secret.ok_or("an access rule without secret or secret_file")?;
    Ok(match id {
        Some(id) => format!("{scopes}:{id}:{secret}"),
        None => format!("{scopes}:{secret}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_scopes_and_a_secret_and_may_have_an_id() {
        let rule = AccessRule::parse("upload+list:s3cret").unwrap();
        assert_eq!(rule.scopes, [Scope::Upload, Scope::List]);
        assert_eq!((rule.id, rule.secret.as_str()), (None, "s3cret"));
        let rule = AccessRule::parse("download+admin:ci-7:s3cret").unwrap();
        assert_eq!(rule.scopes, [Scope::Download, Scope::Admin]);
        assert_eq!(rule.id.as_deref(), Some("ci-7"));
        assert_eq!(
            format!("{rule:?}"),
            "AccessRule([Download, Admin], Some(\"ci-7\"), ***)"
        );
    }

    #[test]
    fn what_is_no_rule_is_said_without_its_secret() {
        for (text, said) in [
            ("s3cret", "SCOPES:SECRET or SCOPES:ID:SECRET"),
            ("s3cret:upload", "none of upload, download, list, admin"),
            ("uplaod:s3cret", "did you mean \"upload\"?"),
            ("upload+:s3cret", "none of upload"),
            ("upload:", "empty secret"),
            ("upload:ci:", "empty secret"),
            ("upload::s3cret", "the id of an access rule"),
            ("upload:s3cret is here:s3cret", "the id of an access rule"),
            ("upload:ci:s3cret:s3cret", "at most two colons"),
        ] {
            let error = AccessRule::parse(text).unwrap_err();
            assert!(
                error.contains(said) && !error.contains("s3cret"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn files_have_a_rule_a_line() {
        let rules = AccessRule::parse_lines("# mine\n\nupload:a\n admin:me:b \n").unwrap();
        assert_eq!(rules.len(), 2);
        assert!(
            AccessRule::parse_lines("# none\n")
                .unwrap_err()
                .contains("no rule")
        );
        let error = AccessRule::parse_lines("upload:a\n\nrubbish\n").unwrap_err();
        assert!(error.starts_with("line 3: "), "{error}");
    }
}
