//! Which known word may be meant by one that is not known.

/// How alike two words have to be, from 0 to 1: a typing error or two, not another word.
const ALIKE: f64 = 0.7;

/// The one of `known` that is most like `given`, if one is like it. Case and `-` for `_` make no
/// difference.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let given = plain(given);
    known
        .into_iter()
        .map(|word| {
            (
                strsim::normalized_damerau_levenshtein(&given, &plain(word)),
                word,
            )
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_seen_and_another_word_is_not() {
        let known = ["max_files", "max_fields", "max_file_size", "listen", "dir"];
        let closest = |given| closest(given, known);
        assert_eq!(closest("max_fils"), Some("max_files"));
        assert_eq!(closest("max-file-size"), Some("max_file_size"));
        assert_eq!(closest("Listen"), Some("listen"));
        assert_eq!(closest("lsiten"), Some("listen"));
        assert_eq!(closest("utm_source"), None);
        assert_eq!(closest("listen_address"), None);
        assert_eq!(closest(""), None);
    }
}
