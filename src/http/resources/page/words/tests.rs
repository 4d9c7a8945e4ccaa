//! The rules for the files of words, so that a translator needs to know nothing of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::http::rules::problem::Code;

/// A text with the name under which errors of a test know it: `files.other`.
type Texts = BTreeMap<String, String>;

fn file(language: Language) -> Value {
    let read = serde_json::from_str(language.source());
    read.unwrap_or_else(|error| panic!("{}.json: {error}", language.tag()))
}

/// The texts of a file; those that depend on a number once for each form.
fn texts(value: &Value) -> Texts {
    fn add(value: &Value, path: String, found: &mut Texts) {
        match value {
            Value::String(text) => drop(found.insert(path, text.clone())),
            Value::Object(members) => {
                for (key, value) in members {
                    let inner = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    add(value, inner, found);
                }
            }
            other => panic!("{path}: {other} is no text"),
        }
    }
    let mut found = Texts::new();
    add(value, String::new(), &mut found);
    found
}

/// Whether a value is a text in several forms, one for each kind of number.
fn is_counted(value: &Value) -> bool {
    value.get("other").is_some_and(Value::is_string)
}

/// The keys of texts; those in several forms once.
fn keys(value: &Value) -> BTreeSet<String> {
    let members = value.as_object().unwrap();
    let texts = members.iter().flat_map(|(key, value)| match value {
        Value::Object(_) if !is_counted(value) => {
            let inner = keys(value).into_iter();
            inner.map(|it| format!("{key}.{it}")).collect()
        }
        _ => vec![key.clone()],
    });
    texts.collect()
}

/// The places of a text that are filled in.
fn places(text: &str) -> BTreeSet<&str> {
    let places = text.split('{').skip(1);
    places.filter_map(|rest| rest.split('}').next()).collect()
}

fn other_languages() -> impl Iterator<Item = Language> {
    Language::all().filter(|language| *language != Language::fallback())
}

#[test]
fn every_language_has_every_text_and_no_more() {
    let english = keys(&file(Language::fallback()));
    assert!(english.len() > 150, "{english:?}");
    assert!(Language::all().count() > 1);
    for language in other_languages() {
        let (tag, found) = (language.tag(), keys(&file(language)));
        let missing: Vec<_> = english.difference(&found).collect();
        assert!(missing.is_empty(), "{tag}.json lacks {missing:?}");
        let unknown: Vec<_> = found.difference(&english).collect();
        assert!(
            unknown.is_empty(),
            "{tag}.json has {unknown:?}, en.json has not"
        );
    }
}

#[test]
fn every_text_has_the_places_of_the_english_one() {
    let english = texts(&file(Language::fallback()));
    for language in other_languages() {
        for (path, text) in texts(&file(language)) {
            let (key, form) = path.rsplit_once('.').unwrap_or((&path, ""));
            let counted = english.get(&format!("{key}.other"));
            let (english, form) = match counted {
                Some(english) => (english, form),
                None => (&english[&path], ""),
            };
            let (mut expected, mut found) = (places(english), places(&text));
            // A form of one number may say it as a word.
            if !["", "other"].contains(&form) {
                for places in [&mut expected, &mut found] {
                    places.remove("n");
                }
            }
            assert_eq!(found, expected, "{}.json: {path}", language.tag());
        }
    }
}

#[test]
fn every_number_has_its_form() {
    for language in Language::all() {
        let tag = language.tag();
        let plurals = language
            .plurals()
            .unwrap_or_else(|| panic!("{tag} has no plurals"));
        let needed: BTreeSet<&str> = plurals.categories().map(name_of).collect();
        let file = file(language);
        let counted = file.as_object().unwrap().iter();
        let counted: Vec<_> = counted.filter(|(_, value)| is_counted(value)).collect();
        assert!(counted.len() > 5, "{tag}");
        for (key, forms) in counted {
            let forms = forms.as_object().unwrap();
            let found: BTreeSet<&str> = forms.keys().map(String::as_str).collect();
            assert_eq!(found, needed, "{tag}.json: {key}");
        }
    }
}

#[test]
fn texts_are_plain_text() {
    for language in Language::all() {
        let (tag, texts) = (language.tag(), texts(&file(language)));
        for (path, text) in texts {
            let place = format!("{tag}.json: {path}: {text:?}");
            assert!(!text.is_empty() && text.trim() == text, "{place}");
            assert!(
                !text.contains(['<', '>', '&', '\\', '\u{2068}', '\u{2069}']),
                "{place}"
            );
            assert!(
                !text.contains(char::is_control) && !text.contains("  "),
                "{place}"
            );
            let (open, close) = (text.matches('{').count(), text.matches('}').count());
            assert!(open == close && open >= places(&text).len(), "{place}");
            assert!(!places(&text).contains(""), "{place}");
        }
    }
}

#[test]
fn every_language_says_what_it_is() {
    let mut names = BTreeSet::new();
    for language in Language::all() {
        let tag = language.tag();
        let locale: Locale = tag.parse().unwrap();
        assert_eq!(locale.to_string(), tag, "the name of its file is its tag");
        let About { name, direction } = language.about();
        assert!(
            ["ltr", "rtl"].contains(&direction.as_str()),
            "{tag}: {direction}"
        );
        let right_to_left = name.contains(is_right_to_left);
        assert_eq!(direction == "rtl", right_to_left, "{tag}: {name}");
        assert!(names.insert(name), "{name} is there twice");
        let words = language.words();
        assert_eq!(
            words["units"].as_str().unwrap().split(' ').count(),
            5,
            "{tag}"
        );
        assert_eq!(
            words["decimal"].as_str().unwrap().chars().count(),
            1,
            "{tag}"
        );
    }
}

/// The files that say words: the scripts, the pages, and the modules beside this one.
fn sayers() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["static", "static/pages", "src/http/resources/page"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let ending = path
                .extension()
                .and_then(|it| it.to_str())
                .unwrap_or_default();
            if ["js", "html", "rs"].contains(&ending) {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// The key at the beginning of `rest`, which goes on behind it with `end`.
fn key_before(rest: &str, end: char) -> Option<&str> {
    let length = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
    let (key, rest) = rest.split_at(length);
    (!key.is_empty() && rest.starts_with(end)).then_some(key)
}

#[test]
fn words_are_used_and_what_is_used_is_there() {
    let (file, sayers) = (file(Language::fallback()), sayers());
    assert!(sayers.len() > 20);
    let known = file.as_object().unwrap();
    // Tables that are looked up by codes, which have a test of their own.
    let tables = ["problems", MEANS];
    for key in known.keys().filter(|key| !tables.contains(&key.as_str())) {
        let (quoted, field) = (format!("\"{key}\""), format!("t.{key}"));
        let member = format!("words.{key}");
        let used = sayers.iter().any(|(name, text)| {
            let follows = |(at, found): (usize, &str)| {
                let rest = &text[at + found.len()..];
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            };
            match name.ends_with(".html") {
                true => text.match_indices(&field).any(follows),
                false => text.contains(&quoted) || text.match_indices(&member).any(follows),
            }
        });
        let about = ["name", "direction"].contains(&key.as_str());
        assert!(used || about, "en.json: no page and no script says {key}");
    }
    for (name, text) in &sayers {
        let (starts, end): (&[&str], char) = match name.ends_with(".html") {
            true => (&["{{ t.", "% t.", " t.", "(t."], ' '),
            false => (&["say(\"", "count(\""], '"'),
        };
        for start in starts {
            for (at, _) in text.match_indices(start) {
                let rest = &text[at + start.len()..];
                let key = key_before(rest, end);
                assert!(
                    key.is_none_or(|key| known.contains_key(key)),
                    "{name} says {key:?}, which en.json has not"
                );
            }
        }
    }
}

#[test]
fn every_error_has_its_words() {
    let file = file(Language::fallback());
    let found = |table: &str| -> Vec<&str> {
        let table = file[table].as_object().unwrap();
        table.keys().map(String::as_str).collect()
    };
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(
        found(MEANS),
        codes,
        "en.json has what they mean, in their order"
    );
    let titled = found("problems");
    assert_eq!(
        titled[..codes.len()],
        codes,
        "en.json has title and advice of each, in their order"
    );
    // The rest are the scripts' own: no server gives them.
    let scripts = sayers();
    for code in &titled[codes.len()..] {
        let quoted = format!("\"{code}\"");
        assert!(
            scripts.iter().any(|(_, text)| text.contains(&quoted)),
            "no script gives {code}"
        );
    }
    for language in Language::all() {
        for code in &titled {
            let words = &language.words()["problems"][code];
            let members = words
                .as_object()
                .map(|it| it.keys().map(String::as_str).collect());
            assert_eq!(
                members,
                Some(vec!["title", "advice"]),
                "{}: {code}",
                language.tag()
            );
            let title = words["title"].as_str().unwrap();
            assert!(
                !title.ends_with(['.', '\u{3002}']),
                "the scripts add it: {title}"
            );
        }
    }
}

#[test]
fn the_reader_is_understood() {
    for (query, cookie, accept, language) in [
        ("", "", "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("", "", "zh-TW", "zh-Hans"),
        ("", "", "de-AT;q=0.5, en;q=0.4", "de"),
        ("", "", "pt, fr-CA;q=0.7", "fr"),
        ("", "", "ZH-hans-CN", "zh-Hans"),
        ("", "", "en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("", "", "tlh, zh;q=0.5", "zh-Hans"),
        ("", "", "zh;q=0, en;q=0.1", "en"),
        ("", "", "tlh", "en"),
        ("", "", "*", "en"),
        ("", "", "*;q=0.8, zh;q=0.4", "zh-Hans"),
        ("", "", "z, zh-", "zh-Hans"),
        ("", "", "z", "en"),
        ("", "", "-;q=x,,;", "en"),
        ("", "wharf-language=zh-Hans", "en", "zh-Hans"),
        // As earlier versions had it.
        ("", "wharf-language=zh", "en", "zh-Hans"),
        ("a=b&lang=en", "wharf-language=zh", "zh", "en"),
        ("lang=xx", "", "zh", "zh-Hans"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
        let found = Language::of(Some(query), &headers);
        assert_eq!(found.tag(), language, "{query} {cookie} {accept}");
    }
}

#[test]
fn sizes_and_spans_for_people() {
    let language = |tag| Language::of_tag(tag).unwrap();
    let english = language("en");
    for (bytes, text) in [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1 MiB"),
        (123_456_789, "118 MiB"),
        (u64::MAX, "16777216 TiB"),
    ] {
        assert_eq!(english.size(bytes), text);
    }
    let span = |seconds| english.span(Duration::from_secs(seconds));
    assert_eq!(
        [span(1), span(90), span(3600), span(7 * 86_400)],
        ["1 second", "90 seconds", "1 hour", "7 days"]
    );
    assert_eq!(language("de").size(1536), "1,5 KiB");
    assert_eq!(language("fr").size(u64::MAX), "16777216 Tio");
    let arabic = [0, 1, 2, 3, 11, 100].map(|n| language("ar").count("days", n));
    let days = [
        "0 \u{64a}\u{648}\u{645}",
        "\u{64a}\u{648}\u{645} \u{648}\u{627}\u{62d}\u{62f}",
        "\u{64a}\u{648}\u{645}\u{627}\u{646}",
        "3 \u{623}\u{64a}\u{627}\u{645}",
        "11 \u{64a}\u{648}\u{645}\u{64b}\u{627}",
        "100 \u{64a}\u{648}\u{645}",
    ];
    assert_eq!(arabic, days);
    let chinese = language("zh-Hans");
    assert_eq!(chinese.span(Duration::from_secs(60)), "1 \u{5206}\u{949f}");
}

#[test]
fn a_value_keeps_its_direction_and_its_braces() {
    let english = Language::fallback();
    let remove = |name: &str| english.say("remove", &[("name", name)]);
    assert_eq!(remove("a{name}.txt"), "Remove a{name}.txt");
    assert_eq!(remove("\u{5d0}.txt"), "Remove \u{2068}\u{5d0}.txt\u{2069}");
}
