//! The settings file: TOML, with the line of each key.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The key.
    pub key: String,
    /// Its line, from 1.
    pub line: usize,
}

/// A value as text, whatever TOML takes it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileValue {
    /// A string, a number, a truth value or a date.
    One(String),
    /// An array.
    Many(Vec<FileValue>),
    /// A table.
    Table(Vec<(Place, FileValue)>),
}

/// All keys of a file with their values, in the order of their lines.
///
/// # Errors
/// It is no TOML. The fault and its place, without the line itself, which may hold a secret.
pub(super) fn read(text: &str) -> Result<Vec<(Place, FileValue)>, String> {
    let table = DeTable::parse(text).map_err(|error| place_and_reason(text, &error))?;
    Ok(entries(text, table.into_inner()))
}

fn entries(text: &str, table: DeTable<'_>) -> Vec<(Place, FileValue)> {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| {
            let line = line_of(text, key.span().start);
            let key = key.into_inner().into_owned();
            (Place { key, line }, value_of(text, value))
        })
        .collect();
    entries.sort_by_key(|(place, _)| place.line);
    entries
}

fn value_of(text: &str, value: Spanned<DeValue<'_>>) -> FileValue {
    FileValue::One(match value.into_inner() {
        DeValue::String(text) => text.into_owned(),
        DeValue::Integer(number) => {
            let read = i128::from_str_radix(number.as_str(), number.radix());
            read.map_or_else(|_| number.to_string(), |number| number.to_string())
        }
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(values) => {
            let values = values.into_iter().map(|value| value_of(text, value));
            return FileValue::Many(values.collect());
        }
        DeValue::Table(table) => return FileValue::Table(entries(text, table)),
    })
}

/// The line, from 1, of the byte at `at`.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn place_and_reason(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before else {
        return error.message().to_owned();
    };
    let line = line_of(text, before.len());
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}
