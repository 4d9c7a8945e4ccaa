//! The words of the pages, in each language. The words lie in `static/words/`, as modules that the
//! scripts of the pages import and whose one value is JSON.

use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderMap, header};
use serde_json::Value;

use crate::http::rules::cookies;
use crate::model::Timestamp;

/// A language the pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

static ENGLISH: LazyLock<Value> = LazyLock::new(|| read(static_file!("words/en.js")));
static CHINESE: LazyLock<Value> = LazyLock::new(|| read(static_file!("words/zh.js")));

/// The one value of a module of words.
fn read(module: &str) -> Value {
    let json = module.strip_prefix("export default ").unwrap_or_default();
    serde_json::from_str(json).expect("the words are JSON, as their test says")
}

impl Language {
    /// The language of a reader: that of the `query`, else that chosen before, else that which the
    /// browser prefers (`Accept-Language`, RFC 9110 section 12.5.4); else English.
    pub fn of(query: Option<&str>, headers: &HeaderMap) -> Self {
        query
            .and_then(Self::chosen)
            .or_else(|| cookies::language(headers).and_then(Self::of_code))
            .or_else(|| Self::accepted(headers))
            .unwrap_or(Language::English)
    }

    /// The language that a query chooses: `?lang=zh`.
    pub fn chosen(query: &str) -> Option<Self> {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let chosen = pairs.find(|(key, _)| *key == "lang");
        chosen.and_then(|(_, code)| Self::of_code(code))
    }

    /// The language of a code: a primary tag alone.
    pub fn of_code(code: &str) -> Option<Self> {
        match code {
            "en" => Some(Language::English),
            "zh" => Some(Language::Chinese),
            _ => None,
        }
    }

    /// Its code, which is the name of its file of words.
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }

    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        let fields = headers.get_all(header::ACCEPT_LANGUAGE).iter();
        let ranges = fields.filter_map(|value| value.to_str().ok());
        for range in ranges.flat_map(|value| value.split(',')) {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let Some(language) = Self::of_code(&primary.to_ascii_lowercase()) else {
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

    /// All words.
    pub fn words(self) -> &'static Value {
        match self {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }

    /// The text of `key` with its places filled in.
    pub fn say(self, key: &str, values: &[(&str, &str)]) -> String {
        let text = self.words()[key].as_str().unwrap_or(key);
        fill(text, values)
    }

    /// So many of what `key` names.
    pub fn count(self, key: &str, n: u64) -> String {
        let forms = &self.words()[key];
        let form = forms[usize::from(n != 1)].as_str().unwrap_or(key);
        fill(form, &[("n", &n.to_string())])
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
}

fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    // One pass: what a value holds is never taken for a place to fill in.
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (key, after) = after.split_once('}').unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == key);
        filled.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// A size for people: three digits, in powers of 1024.
pub fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        // Rounded, 1023.95 would be 1024.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let digits = usize::from(unit != "B" && value < 99.95);
    let number = format!("{value:.digits$}");
    format!("{} {unit}", number.trim_end_matches(".0"))
}

/// A time to the minute, in UTC: the scripts write it in the reader's own zone.
pub fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(date), Some(clock)) => format!("{date} {clock} UTC"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    keys(value, &format!("{path}.{key}"), found);
                }
            }
            Value::Array(forms) => found.push(format!("{path} {}", forms.len())),
            Value::String(text) => {
                let mut places: Vec<&str> = text
                    .split('{')
                    .skip(1)
                    .filter_map(|rest| rest.split('}').next())
                    .collect();
                places.sort_unstable();
                found.push(format!("{path} {places:?}"));
            }
            other => panic!("{path}: {other}"),
        }
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let (mut english, mut chinese) = (Vec::new(), Vec::new());
        keys(Language::English.words(), "", &mut english);
        keys(Language::Chinese.words(), "", &mut chinese);
        assert!(english.len() > 100);
        assert_eq!(english, chinese);
    }

    #[test]
    fn the_reader_is_understood() {
        for (query, cookie, accept, language) in [
            ("", "", "zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("", "", "en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("", "", "fr, zh;q=0.5", Language::Chinese),
            ("", "", "zh;q=0, en;q=0.1", Language::English),
            ("", "", "fr", Language::English),
            ("", "wharf-language=zh", "en", Language::Chinese),
            ("a=b&lang=en", "wharf-language=zh", "zh", Language::English),
            ("lang=xx", "", "zh", Language::Chinese),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
            let found = Language::of(Some(query), &headers);
            assert_eq!(found, language, "{query} {cookie} {accept}");
        }
    }

    #[test]
    fn sizes_and_spans_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1 MiB"),
            (123_456_789, "118 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        let span = |seconds| Language::English.span(Duration::from_secs(seconds));
        assert_eq!(
            [span(1), span(90), span(3600), span(7 * 86_400)],
            ["1 second", "90 seconds", "1 hour", "7 days"]
        );
        assert_eq!(Language::Chinese.span(Duration::from_secs(60)), "1 分钟");
    }
}
