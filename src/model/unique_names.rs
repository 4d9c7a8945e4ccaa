//! Names of their own for the files of one form.

use std::collections::{HashMap, HashSet};

use super::FileName;

/// Gives each file of one form a name of its own: the second `a.txt` becomes `a (2).txt`. Names
/// that differ in case alone count as the same.
#[derive(Debug, Default)]
pub struct UniqueNames {
    taken: HashSet<String>,
    /// The number to try next, by what all numbered forms of a name have in common: a thousand
    /// twins cost a thousand looks and not half a million, and so do names that differ only
    /// where they are cut.
    next: HashMap<String, usize>,
}

impl UniqueNames {
    /// `name`, or what it is called beside the names given out before.
    pub fn assign(&mut self, name: FileName) -> FileName {
        self.assign_in("", name)
    }

    /// The same for a name in a folder, which this text tells from all others; it ends with a `/`.
    pub(super) fn assign_in(&mut self, folder: &str, name: FileName) -> FileName {
        let place = |name: &FileName| format!("{folder}{}", name.folded());
        if self.taken.insert(place(&name)) {
            return name;
        }
        let series = place(&name.numbered(1));
        let next = self.next.entry(series).or_insert(2);
        loop {
            let candidate = name.numbered(*next);
            *next += 1;
            if self.taken.insert(place(&candidate)) {
                return candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::super::file_name::tests::stays;
    use super::super::file_name::{LIMIT, MARK};
    use super::*;

    #[test]
    fn twins_that_differ_where_they_are_cut_are_numbered_on() {
        let mut names = UniqueNames::default();
        let long = |i: usize| format!("{}{i:03}.txt", "x".repeat(193));
        for name in (0..500).chain(0..500).map(long) {
            names.assign(FileName::from_upload(name.as_bytes()));
        }
        assert_eq!(names.taken.len(), 1000);
        // One series for all, which has gone on without trying a number twice.
        let next: Vec<usize> = names.next.values().copied().collect();
        assert_eq!(next, [502]);
    }

    #[test]
    fn twins_are_numbered() {
        let mut names = UniqueNames::default();
        let mut name = |text: &str| {
            names
                .assign(FileName::from_upload(text.as_bytes()))
                .to_string()
        };
        assert_eq!(name("a.txt"), "a.txt");
        assert_eq!(name("A.TXT"), "A (2).TXT");
        assert_eq!(name("a (2).txt"), "a (2) (2).txt");
        assert_eq!(name("a.txt"), "a (3).txt");
        assert_eq!(name("noext"), "noext");
        assert_eq!(name("noext"), "noext (2)");
        let long = "x".repeat(300) + ".bin";
        assert_eq!(name(&long).len(), LIMIT);
        assert_eq!(name(&long).len(), LIMIT - MARK + " (2)".len());
    }

    proptest! {
        #[test]
        fn names_of_one_form_are_distinct_to_every_file_system(
            texts in prop::collection::vec(
                "(a|A|\u{e9}|e\u{301}|ß|SS|Σ|ς|x{190}|x{190}[a-c]{3,20})( \\([1-3]\\))?(\\.txt|\\.TXT)?",
                1..40,
            )
        ) {
            let mut names = UniqueNames::default();
            let mut seen = HashSet::new();
            for text in &texts {
                let name = names.assign(FileName::from_upload(text.as_bytes()));
                prop_assert!(stays(&name), "{name}");
                // NFC, and case folded both ways.
                let lower: String = name.as_str().to_lowercase().nfc().collect();
                let upper: String = name.as_str().to_uppercase().nfc().collect();
                prop_assert!(seen.insert(("lower", lower)), "{name} in {texts:?}");
                prop_assert!(seen.insert(("upper", upper)), "{name} in {texts:?}");
            }
        }
    }
}
