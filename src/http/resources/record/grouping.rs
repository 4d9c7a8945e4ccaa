//! The text fields of a form by name, without a copy of them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::piece::Spelling;
use crate::model::{Manifest, Part};

/// A text field in the order in which they are shown: those of one name together, the names in the
/// order of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouped {
    /// The place of its part.
    pub part: usize,
    /// Whether it is the first of its name.
    pub first: bool,
}

/// The text fields of a form by name.
pub fn grouped(manifest: &Manifest) -> Box<[Grouped]> {
    let mut names: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut fields = Vec::new();
    for (part, field) in manifest.parts.iter().enumerate() {
        if let Part::Field(field) = field {
            let known = names.len();
            let name = Spelling::Name.show(field.field.as_bytes());
            let group = *names.entry(name).or_insert(known);
            fields.push((
                group,
                Grouped {
                    part,
                    first: group == known,
                },
            ));
        }
    }
    // The values of one name stay in their order.
    fields.sort_by_key(|(group, _)| *group);
    fields.into_iter().map(|(_, grouped)| grouped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, StoredFile};

    #[test]
    fn values_of_a_name_stand_together_in_their_order() {
        let field = |name: &[u8]| {
            Part::Field(Field {
                field: name.to_vec().into(),
                value: b"v"[..].into(),
                media_type: None,
                rest: Default::default(),
            })
        };
        let file = Part::sample(StoredFile::sample("a", 1));
        let quoted = [field(b"q%22"), field(b"a"), field(b"q\"")];
        let again = [field(b"b"), field(b"a"), field(b"\xff"), field(b"\xfe")];
        let parts = quoted.into_iter().chain([file]).chain(again);
        let fields = grouped(&Manifest::sample(parts.collect()));
        let shown: Vec<_> = fields
            .iter()
            .map(|field| (field.part, field.first))
            .collect();
        // Names that people read as the same are the same member.
        let expected = [
            (0, true),
            (2, false),
            (1, true),
            (5, false),
            (4, true),
            (6, true),
            (7, false),
        ];
        assert_eq!(shown, expected);
        assert!(grouped(&Manifest::sample(Vec::new())).is_empty());
    }
}
