//! The parameters of a query. A route whose answer they choose knows the names of all of them, and
//! refuses the others: a list that is longer than it was meant is not seen to be wrong.

use super::problem::Problem;
use crate::model::closest;

/// The most bytes of a name or value that are repeated in an error.
const SHOWN: usize = 100;

/// The pairs of `query`, or of a form without files, decoded, in their order (WHATWG URL, section
/// 5).
pub fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// The parameters of a request.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of a query of which only these are known, beside what [others add](is_foreign).
    ///
    /// # Errors
    /// 400, for the first of another name.
    pub fn strict(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs = pairs(query.unwrap_or_default());
        pairs.retain(|(name, _)| known.contains(&name.as_str()) || !is_foreign(name));
        match pairs
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            None => Ok(Parameters(pairs)),
            Some((name, _)) => Err(unknown(name, known)),
        }
    }

    /// Those of a query of which some may not be for this server: an address of a file goes through
    /// many hands, and some add to it.
    pub fn lenient(query: Option<&str>) -> Self {
        Parameters(pairs(query.unwrap_or_default()))
    }

    /// The value of a parameter that is given at most once.
    ///
    /// # Errors
    /// 400: it is given twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let (first, more) = (values.next(), values.next());
        match more {
            None => Ok(first),
            Some(_) => {
                let detail = format!("{name} is given twice in the query");
                Err(Problem::invalid_parameter(name, detail))
            }
        }
    }

    /// Whether a parameter is given that says yes, by `1`, `true` or without a value.
    ///
    /// # Errors
    /// 400: it is given twice, or says neither yes nor no.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(other) => {
                let detail = format!("{name}: {:?} is neither 1 nor 0", shown(other));
                Err(Problem::invalid_parameter(name, detail).allowed(&["1", "0"]))
            }
        }
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The beginnings of parameters that mails, sites, scripts and upload widgets (resumable.js,
/// flow.js) add to every address.
const FOREIGN: [&str; 4] = ["_", "utm_", "resumable", "flow"];

/// Whether a parameter of the query is none of wharf's by its name: the language of a page, or what
/// others add.
pub fn is_foreign(name: &str) -> bool {
    name == "lang" || name == "fbclid" || FOREIGN.iter().any(|start| name.starts_with(start))
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let name = shown(name);
    let end = match closest(name, known.iter().copied()) {
        Some(meant) => format!(", did you mean {meant}?"),
        None => ".".to_owned(),
    };
    let known_here = known.join(", ");
    let detail = format!("there is no parameter {name:?} here{end} There are: {known_here}");
    Problem::invalid_parameter(name, detail).allowed(known)
}

/// The beginning of a text, for an error.
pub fn shown(text: &str) -> &str {
    let longer = text.char_indices().find(|(at, _)| *at >= SHOWN);
    &text[..longer.map_or(text.len(), |(at, _)| at)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["name", "limit", "full"];

    fn refused(query: &str) -> String {
        let read = Parameters::strict(Some(query), &KNOWN);
        read.err().expect("it is refused").detail("").to_owned()
    }

    #[test]
    fn a_parameter_that_is_not_known_is_named_and_what_others_add_is_not() {
        let read = Parameters::strict(
            Some("name=a%26b&utm_source=x&_=1&name=%C3%A9+&lang=de"),
            &KNOWN,
        );
        let read = read.ok().unwrap();
        assert!(read.all("name").eq(["a&b", "\u{e9} "]));
        assert_eq!(read.iter().count(), 2);
        assert!(Parameters::strict(None, &KNOWN).is_ok());
        assert_eq!(
            refused("limit=3&nmae=a"),
            "there is no parameter \"nmae\" here, did you mean name? There are: name, limit, full"
        );
        assert_eq!(
            refused("sort=a"),
            "there is no parameter \"sort\" here. There are: name, limit, full"
        );
        assert!(refused("Name=a").contains("did you mean name?"));
        assert!(refused(&"\u{e9}".repeat(9000)).len() < 300);
        assert!(Parameters::lenient(Some("v=3")).iter().eq([("v", "3")]));
    }

    #[test]
    fn a_parameter_is_given_once_and_a_flag_says_yes_or_no() {
        let read = |query: &str| Parameters::lenient(Some(query));
        assert_eq!(read("limit=3").one("limit").ok(), Some(Some("3")));
        assert_eq!(read("limit=3").one("name").ok(), Some(None));
        assert!(read("limit=3&limit=3").one("limit").is_err());
        for (query, says) in [
            ("", Some(false)),
            ("full", Some(true)),
            ("full=", Some(true)),
            ("full=1", Some(true)),
            ("full=true", Some(true)),
            ("full=0", Some(false)),
            ("full=false", Some(false)),
            ("full=yes", None),
            ("full=1&full=1", None),
        ] {
            assert_eq!(read(query).flag("full").ok(), says, "{query}");
        }
    }
}
