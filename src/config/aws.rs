//! The common settings of programs for AWS: variables, and profiles in two files.

/// The text of the files, as far as they are there, and which profile of them counts.
#[derive(Debug, Default)]
pub struct Profiles {
    /// `~/.aws/credentials`, or `AWS_SHARED_CREDENTIALS_FILE`.
    pub credentials: String,
    /// `~/.aws/config`, or `AWS_CONFIG_FILE`.
    pub config: String,
    /// `AWS_PROFILE`, or `default`.
    pub name: String,
}

/// The keys of credentials.
const CREDENTIALS: [&str; 3] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];

/// All settings, by their variables' names in lower case. Credentials come from one place alone:
/// a key from a variable goes with no secret or token from a file, nor one from a file with those
/// of another.
pub fn merge(variables: &[(String, String)], profiles: &Profiles) -> Vec<(String, String)> {
    let mut merged: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for (name, value) in &mut merged {
        if matches!(name.as_str(), "aws_endpoint_url" | "aws_endpoint_url_s3") {
            *value = without_user(value);
        }
    }
    let given = |names: &[&str]| {
        merged
            .iter()
            .any(|(name, _)| names.contains(&name.as_str()))
    };
    let credentials = given(&[
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_web_identity_token_file",
        "aws_container_credentials_relative_uri",
        "aws_container_credentials_full_uri",
    ]);
    let region = given(&["aws_region", "aws_default_region"]);
    let endpoint = given(&["aws_endpoint_url", "aws_endpoint_url_s3"]);
    if !credentials {
        let profile = profiles.credentials();
        // A token that goes with no key here.
        merged.retain(|(name, _)| profile.is_empty() || name != "aws_session_token");
        merged.extend(profile);
    }
    let others = [
        ("region", "aws_region", region),
        ("endpoint_url", "aws_endpoint_url", endpoint),
    ];
    for (key, name, _) in others.into_iter().filter(|(_, _, shadowed)| !shadowed) {
        let value = profiles.get(key);
        merged.extend(value.map(|value| (name.to_owned(), without_user(&value))));
    }
    merged
}

/// An address without the user and the password in it. Requests to a store are signed, so they
/// are of no use there, and every error would show them.
pub fn without_user(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => address.to_owned(),
    }
}

impl Profiles {
    /// A key of the profile, from the first place that has it.
    fn get(&self, key: &str) -> Option<String> {
        let places = self.places();
        let mut found = places.iter().map(|(text, name)| lookup(text, name, key));
        found.find_map(|value| value.map(str::to_owned))
    }

    /// Key, secret and token of the first place that has a key.
    fn credentials(&self) -> Vec<(String, String)> {
        let [key, ..] = CREDENTIALS;
        let places = self.places();
        let place = places
            .iter()
            .find(|(text, name)| lookup(text, name, key).is_some());
        let values = place.into_iter().flat_map(|(text, name)| {
            CREDENTIALS.map(|key| lookup(text, name, key).map(|value| (key, value)))
        });
        values
            .flatten()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Where the profile may stand: the text of a file, and a section of it.
    fn places(&self) -> [(&str, String); 3] {
        // In the second file all but the default profile are called `profile NAME`.
        [
            (&self.credentials, self.name.clone()),
            (&self.config, format!("profile {}", self.name)),
            (&self.config, self.name.clone()),
        ]
    }
}

/// A key of a section, in files as `git config` has them.
fn lookup<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut inside = false;
    for line in text.lines() {
        // An indented line belongs to a setting with several values.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim_end();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            inside = name.split_whitespace().eq(section.split_whitespace());
        } else if let Some((name, value)) = line.split_once('=')
            && inside
            && name.trim() == key
        {
            return Some(value.trim()).filter(|value| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(variables: &[(&str, &str)], profile: &str) -> Vec<(String, String)> {
        let profiles = Profiles {
            credentials: "[default]\naws_access_key_id = k1\naws_secret_access_key=s1\n\n[other]\naws_access_key_id = k2\naws_secret_access_key = s2\naws_session_token = t2\n".to_owned(),
            config: "# mine\n[default]\nregion = eu-1\ns3 =\n  region = nested\n[profile other]\nregion=us-2\nendpoint_url = http://x\n".to_owned(),
            name: profile.to_owned(),
        };
        let variables = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        merge(&variables.collect::<Vec<_>>(), &profiles)
    }

    fn pairs(merged: &[(String, String)]) -> Vec<(&str, &str)> {
        merged
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect()
    }

    #[test]
    fn profiles_fill_what_variables_leave_open() {
        let default = merged(&[("AWS_PROFILE", "")], "default");
        let expected = [
            ("aws_access_key_id", "k1"),
            ("aws_secret_access_key", "s1"),
            ("aws_region", "eu-1"),
        ];
        assert_eq!(pairs(&default), expected);
        let other = merged(&[("AWS_DEFAULT_REGION", "ap-3")], "other");
        let expected = [
            ("aws_default_region", "ap-3"),
            ("aws_access_key_id", "k2"),
            ("aws_secret_access_key", "s2"),
            ("aws_session_token", "t2"),
            ("aws_endpoint_url", "http://x"),
        ];
        assert_eq!(pairs(&other), expected);
        let own = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let own = merged(&own, "default");
        assert_eq!(pairs(&own)[2..], [("aws_region", "eu-1")]);
        assert!(merged(&[], "unknown").is_empty());
    }

    #[test]
    fn credentials_are_of_one_place() {
        let profiles = Profiles {
            credentials: "[default]\naws_access_key_id = k\naws_secret_access_key = s\n[half]\naws_secret_access_key = s2\n".to_owned(),
            config: "[default]\naws_access_key_id = other\naws_session_token = t\n[profile half]\naws_access_key_id = k3\naws_secret_access_key = s3\n".to_owned(),
            name: "default".to_owned(),
        };
        let alone = [("aws_access_key_id", "k"), ("aws_secret_access_key", "s")];
        assert_eq!(pairs(&merge(&[], &profiles)), alone);
        let token = ("AWS_SESSION_TOKEN".to_owned(), "t".to_owned());
        assert_eq!(pairs(&merge(&[token], &profiles)), alone);
        let half = Profiles {
            name: "half".to_owned(),
            ..profiles
        };
        let whole = [("aws_access_key_id", "k3"), ("aws_secret_access_key", "s3")];
        assert_eq!(pairs(&merge(&[], &half)), whole);
    }
}
