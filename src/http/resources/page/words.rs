//! The words of the pages. Each file of `static/words` is a language, and its name is the tag of
//! the language (RFC 5646); `docs/translating.md` says how one is made.

#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderMap, header};
use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};
use serde::Deserialize;
use serde_json::Value;

use crate::http::rules::cookies;
use crate::model::Timestamp;

/// The tag of each language and the text of its file, as `build.rs` found them.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/languages.rs"));
/// The language of readers who prefer none of these, and of the documents.
const FALLBACK: &str = "en";
/// The meanings of errors, for programmers: no script says them, and they are as long as many other
/// words.
const MEANS: &str = "problem_means";

/// Characters that keep a value in its own direction of writing (UAX 9: FSI and PDI).
const ISOLATE: [char; 2] = ['\u{2068}', '\u{2069}'];

/// A language the pages are written in: its place in the list of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(usize);

/// The description of a language by itself.
#[derive(Debug, Deserialize)]
pub struct About {
    /// Its name in itself.
    pub name: String,
    /// The direction it is written in, `ltr` or `rtl`.
    pub direction: String,
}

/// A file of words that was read. A file is read when a request asks for its language.
struct Words {
    /// All but what errors mean.
    pages: Value,
    means: Value,
}

static WORDS: [OnceLock<Words>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];
static ABOUT: [OnceLock<About>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];

impl Language {
    /// Every language, in the order of the tags.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..FILES.len()).map(Language)
    }

    /// The language of a reader: that of the `query`, else that chosen before, else that which the
    /// browser prefers (`Accept-Language`, RFC 9110 section 12.5.4); else English.
    pub fn of(query: Option<&str>, headers: &HeaderMap) -> Self {
        query
            .and_then(Self::chosen)
            .or_else(|| cookies::language(headers).and_then(Self::lookup))
            .or_else(|| Self::accepted(headers))
            .unwrap_or_else(Self::fallback)
    }

    /// The language of readers who prefer none of the others.
    pub fn fallback() -> Self {
        Self::of_tag(FALLBACK).expect("it is one of the files, as their test says")
    }

    /// The language that a query chooses: `?lang=de`.
    pub fn chosen(query: &str) -> Option<Self> {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let chosen = pairs.find(|(key, _)| *key == "lang");
        chosen.and_then(|(_, range)| Self::lookup(range))
    }

    /// The language whose tag this is.
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::all().find(|language| language.tag().eq_ignore_ascii_case(tag))
    }

    /// The language that fits a range best (RFC 4647 section 3.4): `de-AT` is served with `de`. A
    /// language that is more exact than the range fits it as well: `zh` is served with `zh-Hans`.
    fn lookup(range: &str) -> Option<Self> {
        let mut range = range;
        loop {
            let more_exact = |language: &Self| {
                let (start, rest) = language.tag().split_at_checked(range.len())?;
                let fits = start.eq_ignore_ascii_case(range) && rest.starts_with('-');
                fits.then_some(())
            };
            let found = Self::of_tag(range);
            let found = found.or_else(|| Self::all().find(|it| more_exact(it).is_some()));
            if found.is_some() {
                return found;
            }
            range = range.rsplit_once('-')?.0;
        }
    }

    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        let fields = headers.get_all(header::ACCEPT_LANGUAGE).iter();
        let ranges = fields.filter_map(|value| value.to_str().ok());
        for range in ranges.flat_map(|value| value.split(',')) {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            let Some(language) = Self::lookup(range.trim()) else {
                continue;
            };
            let weight = parameters.trim().strip_prefix("q=");
            let weight = weight.map_or(1.0, |text| text.trim().parse().unwrap_or(0.0));
            // The first of equals, as browsers list them.
            if weight > best.map_or(0.0, |(_, weight)| weight) {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }

    /// Its tag, which is the name of its file.
    pub fn tag(self) -> &'static str {
        FILES[self.0].0
    }

    /// The text of its file.
    pub fn source(self) -> &'static str {
        FILES[self.0].1
    }

    /// Its description of itself, read without the rest of its file.
    pub fn about(self) -> &'static About {
        let read = || serde_json::from_str(self.source());
        ABOUT[self.0].get_or_init(|| read().expect("it is JSON, as its test says"))
    }

    fn read(self) -> &'static Words {
        WORDS[self.0].get_or_init(|| {
            let file = serde_json::from_str(self.source());
            let mut pages: Value = file.expect("it is JSON, as its test says");
            let means = pages[MEANS].take();
            if let Some(words) = pages.as_object_mut() {
                words.shift_remove(MEANS);
            }
            Words { pages, means }
        })
    }

    /// All words of the pages.
    pub fn words(self) -> &'static Value {
        &self.read().pages
    }

    /// The meaning of the error with this code, for programmers.
    pub fn means(self, code: &str) -> &'static Value {
        &self.read().means[code]
    }

    /// The text of `key` with its places filled in.
    pub fn say(self, key: &str, values: &[(&str, &str)]) -> String {
        self.fill(self.words()[key].as_str().unwrap_or(key), values)
    }

    /// So many of what `key` names, in the form that the language has for the number.
    pub fn count(self, key: &str, n: u64) -> String {
        let forms = &self.words()[key];
        let form = forms[self.plural(n)].as_str();
        let form = form.or_else(|| forms["other"].as_str()).unwrap_or(key);
        self.fill(form, &[("n", &n.to_string())])
    }

    /// The form of a number (CLDR, Language Plural Rules).
    fn plural(self, n: u64) -> &'static str {
        let rules = self.plurals();
        rules.map_or("other", |rules| name_of(rules.category_for(n)))
    }

    fn plurals(self) -> Option<PluralRules> {
        let locale: Locale = self.tag().parse().ok()?;
        PluralRules::try_new_cardinal((&locale).into()).ok()
    }

    /// A span of time in the largest unit that divides it.
    pub fn span(self, span: Duration) -> String {
        let seconds = span.as_secs();
        let units = [("days", 86_400), ("hours", 3600), ("minutes", 60)];
        for (key, length) in units {
            if seconds >= length && seconds.is_multiple_of(length) {
                return self.count(key, seconds / length);
            }
        }
        self.count("seconds", seconds)
    }

    /// A size for people: three digits, in powers of 1024.
    pub fn size(self, bytes: u64) -> String {
        let word = |key: &str| self.words()[key].as_str().unwrap_or_default();
        let mut units = word("units").split(' ');
        let (mut value, mut unit) = (bytes as f64, units.next().unwrap_or_default());
        let mut digits = 0;
        for larger in units {
            // Rounded, 1023.95 would be 1024.
            if value < 999.5 {
                break;
            }
            value /= 1024.0;
            unit = larger;
            digits = usize::from(value < 99.95);
        }
        let number = format!("{value:.digits$}");
        let number = number.trim_end_matches(".0").replace('.', word("decimal"));
        format!("{number} {unit}")
    }

    fn fill(self, text: &str, values: &[(&str, &str)]) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        // One pass: the text of a value is never taken for a place to fill in.
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (key, after) = after.split_once('}').unwrap_or((after, ""));
            let value = values.iter().find(|(known, _)| *known == key);
            self.add(&mut filled, value.map_or("", |(_, value)| value));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// Adds a value, such as the name of a file, which may be written in the other direction than
    /// the text around it.
    fn add(self, text: &mut String, value: &str) {
        let other = match self.about().direction.as_str() {
            "rtl" => value.contains(|c: char| c.is_ascii_alphabetic()),
            _ => value.contains(is_right_to_left),
        };
        if other {
            text.push(ISOLATE[0]);
        }
        text.push_str(value);
        if other {
            text.push(ISOLATE[1]);
        }
    }
}

/// Whether a character is in a block of Hebrew, Arabic or another script from right to left.
fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// A form of numbers, as CLDR and `Intl.PluralRules` call it.
fn name_of(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

/// A time to the minute, in UTC: the scripts write it in the reader's own zone.
pub fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(date), Some(clock)) => format!("{date} {clock} UTC"),
        _ => text,
    }
}
