//! The settings that programs for AWS have in common: variables, and profiles in two files.

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

/// What a profile may give, by the variable that wins over it.
const PROFILE_KEYS: [(&str, &str); 5] = [
    ("aws_access_key_id", "aws_access_key_id"),
    ("aws_secret_access_key", "aws_secret_access_key"),
    ("aws_session_token", "aws_session_token"),
    ("region", "aws_region"),
    ("endpoint_url", "aws_endpoint_url"),
];

/// All settings, by their variables' names in lower case. Credentials come from one place alone:
/// a key from a variable goes with no secret from a file.
pub fn merge(variables: &[(String, String)], profiles: &Profiles) -> Vec<(String, String)> {
    let mut merged: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
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
    for (key, name) in PROFILE_KEYS {
        let shadowed = match name {
            "aws_region" => region,
            "aws_endpoint_url" => endpoint,
            _ => credentials,
        };
        let value = profiles.get(key).filter(|_| !shadowed);
        merged.extend(value.map(|value| (name.to_owned(), value)));
    }
    merged
}

impl Profiles {
    fn get(&self, key: &str) -> Option<String> {
        // In the second file all but the default profile are called `profile NAME`.
        let long = format!("profile {}", self.name);
        let found = lookup(&self.credentials, &self.name, key)
            .or_else(|| lookup(&self.config, &long, key))
            .or_else(|| lookup(&self.config, &self.name, key));
        found.map(str::to_owned)
    }
}

/// A key of a section, in files as `git config` has them.
fn lookup<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut inside = false;
    for line in text.lines() {
        // What is indented belongs to a setting that has several.
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
}
