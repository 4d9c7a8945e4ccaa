//! The members of a record that this version does not know.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The members of a stored record that this version does not know, in their order and as they
/// came: a later version has written them, and finds them again when this one has replaced the
/// record. To be flattened into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members(
    /// Mostly there are none.
    Option<Box<Map<String, Value>>>,
);

impl Members {
    /// The bytes that they take in memory, about.
    pub fn weight(&self) -> usize {
        let members = self.0.iter().flat_map(|members| members.iter());
        members
            .map(|(name, value)| size_of::<(String, Value)>() + name.len() + weight(value))
            .sum()
    }
}

fn weight(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| size_of::<String>() + name.len() + weight(value))
            .sum(),
    };
    size_of::<Value>() + inner
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().flat_map(|members| members.iter()))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Rest)
    }
}

struct Rest;

impl<'de> Visitor<'de> for Rest {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the members of a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut found: A) -> Result<Members, A::Error> {
        let mut members: Option<Box<Map<String, Value>>> = None;
        while let Some((name, value)) = found.next_entry()? {
            members.get_or_insert_default().insert(name, value);
        }
        Ok(Members(members))
    }
}
