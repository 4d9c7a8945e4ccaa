//! Objects of JSON in bodies.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::problem::{Code, Problem};
use super::query::shown;

/// The members of an object, in their order.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// The members of the object that `body` is; `like` shows one. Each name is there once: of two members
/// of one name a program in front may read the other one (RFC 8259 section 4).
///
/// # Errors
/// 400: it is no object, or has a member twice.
pub fn members(body: &[u8], like: &str) -> Result<Vec<(String, Value)>, Problem> {
    let members: Members = serde_json::from_slice(body).map_err(|error| {
        let detail = format!("the body is not {like} or the like: {error}");
        Problem::new(Code::InvalidJson, detail)
    })?;
    let mut known = HashSet::new();
    match members.0.iter().find(|(name, _)| !known.insert(name)) {
        None => Ok(members.0),
        Some((name, _)) => {
            let name = shown(name);
            let detail = format!("the member {name:?} is given twice");
            Err(Problem::new(Code::InvalidJson, detail).field(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_given_once() {
        let read = |body: &str| members(body.as_bytes(), "{}").map_err(|it| it.detail(""));
        let pair = |name: &str, value: u64| (name.to_owned(), value.into());
        assert_eq!(
            read(r#"{"b": 1, "a": 2}"#).unwrap(),
            [pair("b", 1), pair("a", 2)]
        );
        assert_eq!(read("{}").unwrap(), []);
        for twice in [r#"{"a": 1, "b": 2, "a": 1}"#, r#"{"a": null, "\u0061": 1}"#] {
            assert_eq!(read(twice).unwrap_err(), "the member \"a\" is given twice");
        }
        for none in ["", "[]", "null", "3", "{\"a\": 1", "{} x", "{\"a\": 1,}"] {
            let refused = read(none).unwrap_err();
            assert!(
                refused.starts_with("the body is not {}"),
                "{none}: {refused}"
            );
        }
    }
}
