//! The options of a request outside its body: in the query, and in headers.

use http::HeaderMap;

use super::problem::Problem;
use super::query::{is_foreign, pairs};
use crate::ingest::{GivenOptions, IngestError, OptionPlace, UnknownOption, UploadOption};

/// Headers that begin as those of options do, and are none.
const NO_OPTIONS: [&str; 2] = ["wharf-token", "wharf-delete-token"];

/// The options of a request that stores an upload. The query wins over headers.
///
/// # Errors
/// 400: one is unknown, or is given twice in one place.
pub fn of_upload(query: Option<&str>, headers: &HeaderMap) -> Result<GivenOptions, Problem> {
    let (given, []) = of_upload_with(query, headers, [])?;
    Ok(given)
}

/// The same for a request whose query has `parameters` of its own, which are answered too.
///
/// # Errors
/// As [`of_upload`].
pub fn of_upload_with<const N: usize>(
    query: Option<&str>,
    headers: &HeaderMap,
    parameters: [&str; N],
) -> Result<(GivenOptions, [Option<String>; N]), Problem> {
    let mut own = parameters.map(|_| None);
    let mut in_query = GivenOptions::default();
    for (name, value) in pairs(query.unwrap_or_default()) {
        if let Some(at) = parameters.iter().position(|parameter| *parameter == name) {
            if own[at].replace(value).is_some() {
                let detail = format!("{name} is given twice in the query");
                return Err(Problem::invalid_parameter(&name, detail));
            }
        } else if !is_foreign(&name) {
            let option = known(OptionPlace::Query, &name, &UploadOption::ALL, &parameters)?;
            set(&mut in_query, OptionPlace::Query, option, value.as_bytes())?;
        }
    }
    let mut in_headers = GivenOptions::default();
    for name in option_headers(headers) {
        let option = known(OptionPlace::Header, name, &UploadOption::ALL, &[])?;
        for value in headers.get_all(name) {
            set(
                &mut in_headers,
                OptionPlace::Header,
                option,
                value.as_bytes(),
            )?;
        }
    }
    Ok((in_query.or(in_headers), own))
}

/// Refuses options of a request that takes what it takes in its body.
///
/// # Errors
/// 400, for the first.
pub fn refuse(query: Option<&str>, headers: &HeaderMap) -> Result<(), Problem> {
    for (name, _) in pairs(query.unwrap_or_default()) {
        if !is_foreign(&name) {
            known(OptionPlace::Query, &name, &[], &[])?;
        }
    }
    for name in option_headers(headers) {
        known(OptionPlace::Header, name, &[], &[])?;
    }
    Ok(())
}

/// The headers that can set an option, in lower case.
pub fn names() -> impl Iterator<Item = String> {
    let names = UploadOption::ALL.map(|option| OptionPlace::Header.spell(option.name()));
    names.into_iter().map(|name| name.to_ascii_lowercase())
}

fn known(
    place: OptionPlace,
    name: &str,
    options: &[UploadOption],
    parameters: &[&str],
) -> Result<UploadOption, Problem> {
    let option = place.find(name).filter(|option| options.contains(option));
    let unknown = || IngestError::from(UnknownOption::new(place, name, options, parameters));
    option.ok_or_else(|| unknown().into())
}

fn set(
    given: &mut GivenOptions,
    place: OptionPlace,
    option: UploadOption,
    value: &[u8],
) -> Result<(), Problem> {
    let set = given.set(place, option, value);
    set.map_err(|invalid| IngestError::from(invalid).into())
}

/// The names of headers that look like options: also those of options with an `X-`, which would
/// set nothing.
fn option_headers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let names = headers.keys().map(http::HeaderName::as_str);
    names.filter(|name| match name.strip_prefix("x-") {
        Some(rest) => OptionPlace::Header.find(rest).is_some(),
        None => name.starts_with("wharf-") && !NO_OPTIONS.contains(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            let name: http::HeaderName = name.parse().unwrap();
            (name, value.parse().unwrap())
        });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }

    /// How many downloads are asked for, or the code of the refusal.
    fn count(query: &str, fields: &[(&str, &str)]) -> Result<Option<String>, &'static str> {
        let given = of_upload(Some(query), &headers(fields)).map_err(|it| it.codes().1.name())?;
        let count = given.get(UploadOption::MaxDownloads);
        Ok(count.map(str::to_owned))
    }

    #[test]
    fn the_query_wins_over_headers() {
        let two = ("wharf-max-downloads", "2");
        for (query, fields, expected) in [
            ("", &[][..], Ok(None)),
            ("max_downloads=1", &[], Ok(Some("1"))),
            ("", &[two], Ok(Some("2"))),
            ("max_downloads=1", &[two], Ok(Some("1"))),
            ("max_downloads=", &[two], Ok(Some("2"))),
            ("", &[two, two], Err("invalid-option")),
            (
                "max_downloads=1&max_downloads=1",
                &[],
                Err("invalid-option"),
            ),
            ("max_downloads=&max_downloads=1", &[], Ok(Some("1"))),
            ("", &[("wharf-max-download", "2")], Err("unknown-option")),
            ("", &[("x-wharf-max-downloads", "2")], Err("unknown-option")),
            ("", &[("x-wharf-user", "2"), ("wharf-token", "x")], Ok(None)),
            ("max-downloads=1", &[], Err("unknown-option")),
            ("MAX_DOWNLOADS=1", &[], Err("unknown-option")),
            ("wharf_max_downloads=1", &[], Err("unknown-option")),
            ("x", &[], Err("unknown-option")),
            ("=", &[], Err("unknown-option")),
            ("&_=17&utm_source=x&fbclid=y&_x&lang=zh", &[], Ok(None)),
            ("resumableChunkNumber=1&flowChunkSize=9", &[], Ok(None)),
            ("password=x", &[], Err("unknown-option")),
            ("", &[("wharf-password", "x")], Err("unknown-option")),
        ] {
            let expected = expected.map(|count| count.map(str::to_owned));
            assert_eq!(count(query, fields), expected, "{query} {fields:?}");
        }
    }

    #[test]
    fn requests_with_their_options_in_the_body_take_none_beside_it() {
        let none = headers(&[]);
        assert!(refuse(None, &none).is_ok() && refuse(Some("lang=zh&_=1"), &none).is_ok());
        assert!(refuse(None, &headers(&[("wharf-token", "x")])).is_ok());
        assert!(refuse(Some("expires_in=1h"), &none).is_err());
        assert!(refuse(None, &headers(&[("wharf-expires-in", "1h")])).is_err());
        let (given, [name, path]) =
            of_upload_with(Some("name=a&expires_in="), &none, ["name", "path"]).unwrap();
        assert_eq!(given.get(UploadOption::ExpiresIn), None);
        assert_eq!((name.as_deref(), path), (Some("a"), None));
        assert!(of_upload_with(Some("name=a&name=b"), &none, ["name"]).is_err());
    }
}
