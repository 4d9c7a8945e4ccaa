//! How options are written in each place, and what is said of a name that is no option.

use std::fmt;

/// The beginning of the names of options among the text fields of a form. All other fields are the
/// user's own.
pub const FIELD_PREFIX: &str = "wharf_";
/// The beginning of their names among the headers of a request.
const HEADER_PREFIX: &str = "Wharf-";
/// The option that this version does not have, and whose name it keeps free.
const RESERVED: &str = "password";
/// The most bytes of a name that are repeated in an error.
const SHOWN: usize = 100;
/// The longest name that is compared with others, in bytes.
const COMPARED: usize = 40;

/// Other words for the options, as people and other programs write them: without case and
/// punctuation.
#[rustfmt::skip]
const SYNONYMS: [(&str, UploadOption); 31] = {
    use UploadOption::{ExpiresAt, ExpiresIn, MaxDownloads, Title};
    [
        ("expires", ExpiresIn), ("expire", ExpiresIn), ("expireafter", ExpiresIn), ("expiresafter", ExpiresIn),
        ("expiry", ExpiresIn), ("expiration", ExpiresIn), ("defaultexpiresin", ExpiresIn), ("ttl", ExpiresIn),
        ("lifetime", ExpiresIn), ("maxage", ExpiresIn), ("maxdays", ExpiresIn), ("keep", ExpiresIn),
        ("keepfor", ExpiresIn), ("duration", ExpiresIn),
        ("expireson", ExpiresAt), ("expirydate", ExpiresAt), ("expirationdate", ExpiresAt), ("until", ExpiresAt),
        ("keepuntil", ExpiresAt), ("deadline", ExpiresAt),
        ("downloads", MaxDownloads), ("downloadlimit", MaxDownloads), ("limit", MaxDownloads), ("maxuses", MaxDownloads),
        ("uses", MaxDownloads), ("once", MaxDownloads), ("onetime", MaxDownloads),
        ("subject", Title), ("label", Title), ("caption", Title), ("displayname", Title),
    ]
};

/// Something that a client may ask of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadOption {
    /// How long it lives, from its commit on.
    ExpiresIn,
    /// When it ends.
    ExpiresAt,
    /// How many downloads it allows.
    MaxDownloads,
    /// Its name.
    Title,
}

impl UploadOption {
    /// All of them.
    pub const ALL: [UploadOption; 4] = [
        UploadOption::ExpiresIn,
        UploadOption::ExpiresAt,
        UploadOption::MaxDownloads,
        UploadOption::Title,
    ];

    /// Its word, which each [place](OptionPlace::spell) writes in its own way.
    pub fn name(self) -> &'static str {
        match self {
            UploadOption::ExpiresIn => "expires_in",
            UploadOption::ExpiresAt => "expires_at",
            UploadOption::MaxDownloads => "max_downloads",
            UploadOption::Title => "title",
        }
    }
}

/// Where an option is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionPlace {
    /// The query of the request: `expires_in`.
    Query,
    /// A header of the request: `Wharf-Expires-In`.
    Header,
    /// A text field of a form: `wharf_expires_in`.
    Field {
        /// Which part of the body, from 1; 0 in a form that has no parts.
        part: usize,
    },
    /// A member of a JSON object: `expires_in`.
    Member,
}

impl OptionPlace {
    /// An option as it is written here.
    pub fn spell(self, option: &str) -> String {
        match self {
            OptionPlace::Query | OptionPlace::Member => option.to_owned(),
            OptionPlace::Field { .. } => format!("{FIELD_PREFIX}{option}"),
            OptionPlace::Header => {
                let words = option.split('_').map(|word| {
                    let (first, rest) = word.split_at(1);
                    format!("{}{rest}", first.to_ascii_uppercase())
                });
                format!("{HEADER_PREFIX}{}", words.collect::<Vec<_>>().join("-"))
            }
        }
    }

    /// The option of that name here. The case of a header does not matter.
    pub fn find(self, name: &str) -> Option<UploadOption> {
        UploadOption::ALL.into_iter().find(|option| {
            let spelled = self.spell(option.name());
            match self {
                OptionPlace::Header => spelled.eq_ignore_ascii_case(name),
                _ => spelled == name,
            }
        })
    }

    /// Which part of the body it is in; 0 outside of parts.
    pub fn part(self) -> usize {
        match self {
            OptionPlace::Field { part } => part,
            _ => 0,
        }
    }
}

/// The beginning of a message about an option here.
impl fmt::Display for OptionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part() {
            0 => Ok(()),
            part => write!(f, "part {part}: "),
        }
    }
}

/// A name in the place of options that is none of them: what it asks for would not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownOption {
    /// Where it stands.
    pub place: OptionPlace,
    /// The name as it came, cut to 100 bytes.
    pub option: String,
    /// The values it takes, as they are written there.
    pub allowed: Vec<String>,
    /// Which of those is meant, as far as a program can tell.
    pub suggestion: Option<String>,
}

impl UnknownOption {
    /// `name` stands where only `options` may, and parameters of these names.
    pub fn new(
        place: OptionPlace,
        name: &str,
        options: &[UploadOption],
        parameters: &[&str],
    ) -> Self {
        let spelled = options.iter().map(|option| place.spell(option.name()));
        let parameters = parameters.iter().map(ToString::to_string);
        let meant = meant(name).filter(|option| options.contains(option));
        UnknownOption {
            place,
            option: shown(name),
            allowed: spelled.chain(parameters).collect(),
            suggestion: meant.map(|option| place.spell(option.name())),
        }
    }
}

impl std::error::Error for UnknownOption {}

impl fmt::Display for UnknownOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnknownOption { place, option, .. } = self;
        if folded(option) == RESERVED {
            return write!(
                f,
                "{place}{option}: this version has no passwords, and without one everybody could read the upload"
            );
        }
        write!(f, "{place}there is no option {option:?} here")?;
        if self.allowed.is_empty() {
            return f.write_str("; what this request takes stands in its body");
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, ", did you mean {suggestion}")?;
        }
        let end = if self.suggestion.is_some() { "?" } else { "." };
        write!(f, "{end} Allowed: {}", self.allowed.join(", "))
    }
}

/// The beginning of a name that is as long as an error may repeat it.
fn shown(name: &str) -> String {
    if name.len() <= SHOWN {
        return name.to_owned();
    }
    let ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|&end| end <= SHOWN).last().unwrap_or(0);
    format!("{}…", &name[..end])
}

/// The option that a wrong name means: one that is written otherwise elsewhere, another word for
/// it, or a word that differs in a few letters.
fn meant(name: &str) -> Option<UploadOption> {
    if name.len() > COMPARED {
        return None;
    }
    let name = folded(name);
    let own = UploadOption::ALL.map(|option| (folded(option.name()), option));
    let others = SYNONYMS.map(|(word, option)| (word.to_owned(), option));
    let near = own.into_iter().chain(others).filter_map(|(word, option)| {
        let distance = strsim::damerau_levenshtein(&name, &word);
        let most = (name.len().min(word.len()) + 1) / 3;
        // One letter more or less makes another word of a very short one.
        let fits = distance == 0 || (word.len() > 4 && distance <= most);
        fits.then_some((distance, option))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, option)| option)
}

/// A name without case, punctuation, and the prefixes of its place.
fn folded(name: &str) -> String {
    let plain = name.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = plain.map(|c| c.to_ascii_lowercase()).collect();
    let plain = plain
        .strip_prefix('x')
        .filter(|rest| rest.starts_with("wharf"))
        .unwrap_or(&plain);
    plain.strip_prefix("wharf").unwrap_or(plain).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: OptionPlace = OptionPlace::Field { part: 3 };

    fn unknown(place: OptionPlace, name: &str) -> UnknownOption {
        UnknownOption::new(place, name, &UploadOption::ALL, &[])
    }

    #[test]
    fn each_place_has_its_spelling() {
        for (place, spelled) in [
            (OptionPlace::Query, "max_downloads"),
            (OptionPlace::Member, "max_downloads"),
            (OptionPlace::Header, "Wharf-Max-Downloads"),
            (FIELD, "wharf_max_downloads"),
        ] {
            assert_eq!(place.spell("max_downloads"), spelled);
            assert_eq!(place.find(spelled), Some(UploadOption::MaxDownloads));
            assert_eq!(place.find(""), None);
        }
        assert_eq!(
            OptionPlace::Header.find("wharf-title"),
            Some(UploadOption::Title)
        );
        assert_eq!(OptionPlace::Header.find("wharf_title"), None);
        assert_eq!(OptionPlace::Query.find("Title"), None);
        assert_eq!(FIELD.find("title"), None);
        assert_eq!(FIELD.find("WHARF_title"), None);
    }

    #[test]
    fn what_is_meant_is_suggested() {
        for (place, name, suggestion) in [
            (OptionPlace::Query, "expire_after", Some("expires_in")),
            (OptionPlace::Query, "expire_in", Some("expires_in")),
            (OptionPlace::Query, "Expires-In", Some("expires_in")),
            (OptionPlace::Query, "wharf_expires_in", Some("expires_in")),
            (OptionPlace::Query, "ttl", Some("expires_in")),
            (OptionPlace::Query, "expires_on", Some("expires_at")),
            (OptionPlace::Query, "max_download", Some("max_downloads")),
            (OptionPlace::Query, "titel", Some("title")),
            (OptionPlace::Query, "file", None),
            (OptionPlace::Query, "url", None),
            (OptionPlace::Query, "", None),
            (OptionPlace::Query, "q", None),
            (OptionPlace::Query, "path", None),
            (
                OptionPlace::Header,
                "x-wharf-expires-in",
                Some("Wharf-Expires-In"),
            ),
            (
                OptionPlace::Header,
                "wharf-downloads",
                Some("Wharf-Max-Downloads"),
            ),
            (FIELD, "wharf_expiresin", Some("wharf_expires_in")),
            (FIELD, "wharf_", None),
        ] {
            let found = unknown(place, name).suggestion;
            assert_eq!(found.as_deref(), suggestion, "{name}");
        }
        assert_eq!(
            unknown(OptionPlace::Query, &"t".repeat(60_000)).suggestion,
            None
        );
    }

    #[test]
    fn the_message_names_part_option_and_what_is_allowed() {
        assert_eq!(
            unknown(FIELD, "wharf_expire_after").to_string(),
            "part 3: there is no option \"wharf_expire_after\" here, did you mean wharf_expires_in? \
             Allowed: wharf_expires_in, wharf_expires_at, wharf_max_downloads, wharf_title"
        );
        assert!(
            unknown(FIELD, "wharf_password")
                .to_string()
                .contains("no passwords")
        );
        let none = UnknownOption::new(OptionPlace::Query, "expires_in", &[], &[]);
        assert!(none.to_string().ends_with("in its body"), "{none}");
        let parameter = UnknownOption::new(OptionPlace::Query, "n", &[], &["name"]);
        assert!(
            parameter.to_string().ends_with("here. Allowed: name"),
            "{parameter}"
        );
        let long = unknown(OptionPlace::Query, &"\u{e9}".repeat(99));
        assert_eq!(long.option, format!("{}…", "\u{e9}".repeat(50)));
    }
}
