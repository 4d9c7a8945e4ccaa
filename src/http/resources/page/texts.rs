//! The text fields of an upload, as its page shows them.

use serde_json::{Value, json};

use crate::form::display_name;
use crate::model::Manifest;

/// The bytes of all text fields that a page shows: a page is made at once, for each of its readers.
const MAX_TEXTS: usize = 64 << 10;

/// The text fields, as many bytes of them as a page shows.
#[derive(Default)]
pub struct Texts {
    /// The name of the sender: a field of the first page.
    pub from: Option<String>,
    /// The sender's message.
    pub note: Option<String>,
    /// All others, names and values.
    pub others: Vec<Value>,
    /// Whether that is not all.
    pub cut: bool,
}

impl Texts {
    /// Those of an upload.
    pub fn of(manifest: &Manifest) -> Texts {
        let mut room = MAX_TEXTS;
        let mut texts = Texts::default();
        for field in manifest.fields() {
            let name = display_name(field.field.as_bytes());
            let (name, value) = (String::from_utf8_lossy(&name), field.value.to_text());
            let (name, whole_name) = beginning(&name, &mut room);
            let (value, whole_value) = beginning(&value, &mut room);
            texts.add(name, value);
            if !whole_name || !whole_value {
                texts.cut = true;
                break;
            }
        }
        texts
    }

    /// Adds a field. A form without scripts sends those that were left empty.
    fn add(&mut self, name: &str, value: &str) {
        let own = match name {
            "from" => Some(&mut self.from),
            "note" => Some(&mut self.note),
            _ => None,
        };
        match own {
            Some(_) if value.trim().is_empty() => {}
            Some(own) if own.is_none() => *own = Some(value.to_owned()),
            _ => self.others.push(json!({ "name": name, "value": value })),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.from.is_none() && self.note.is_none() && self.others.is_empty()
    }
}

/// As much of a text as there is `room` for, which is less then; and whether that is all of it.
fn beginning<'a>(text: &'a str, room: &mut usize) -> (&'a str, bool) {
    let mut end = text.len().min(*room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    *room -= end;
    (&text[..end], end == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, Part};

    fn field(name: &'static [u8], value: &str) -> Part {
        Part::Field(Field {
            field: name.into(),
            value: value.to_owned().into(),
            media_type: None,
            rest: Default::default(),
        })
    }

    #[test]
    fn a_page_shows_the_beginning_of_long_texts() {
        let short = Texts::of(&Manifest::sample(vec![
            field(b"f%22", "a"),
            field(b"f", ""),
        ]));
        assert_eq!(
            short.others,
            [
                json!({ "name": "f\"", "value": "a" }),
                json!({ "name": "f", "value": "" })
            ]
        );
        assert!(!short.cut);
        let long = "\u{4e2d}".repeat(MAX_TEXTS);
        let parts = (0..3).map(|_| field(b"f", &long)).collect();
        let texts = Texts::of(&Manifest::sample(parts));
        assert_eq!((texts.others.len(), texts.cut), (1, true));
        let shown = texts.others[0]["value"].as_str().unwrap();
        assert!(shown.len() <= MAX_TEXTS && shown.len() > MAX_TEXTS - 9);
    }

    #[test]
    fn a_message_is_told_apart_from_other_fields() {
        let texts = Texts::of(&Manifest::sample(vec![
            field(b"from", "Ana"),
            field(b"note", " "),
            field(b"note", "hello"),
            field(b"note", "again"),
        ]));
        assert_eq!(texts.from.as_deref(), Some("Ana"));
        assert_eq!(texts.note.as_deref(), Some("hello"));
        assert_eq!(texts.others, [json!({ "name": "note", "value": "again" })]);
        assert!(!texts.is_empty());
        assert!(Texts::of(&Manifest::sample(vec![field(b"note", "")])).is_empty());
    }
}
