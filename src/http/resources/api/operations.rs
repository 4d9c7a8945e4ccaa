//! The requests that the server answers, operation by operation.

mod descriptions;
mod downloads;
mod operators;
mod pages;
mod records;
mod uploads;
mod widgets;

use serde_json::{Value, json};

pub use super::describe::Operation;
use super::describe::{Described, Tag, reference};

/// All operations.
pub fn all() -> impl Iterator<Item = Operation> {
    let described = [
        uploads::all(),
        records::all(),
        downloads::all(),
        operators::all(),
        descriptions::all(),
        widgets::all(),
        pages::all(),
    ];
    described
        .into_iter()
        .flatten()
        .flat_map(Described::operations)
}

/// An answer of plain text.
fn text() -> (&'static str, Value) {
    ("text/plain", json!({ "type": "string" }))
}

/// A page.
fn html() -> (&'static str, Value) {
    ("text/html", json!({ "type": "string" }))
}

/// A document of this schema.
fn document(schema: &str) -> (&'static str, Value) {
    ("application/json", reference(schema))
}
