//! Conditional requests (RFC 9110 section 13).

use http::{HeaderMap, HeaderName, Method, header};

use crate::delivery::Representation;
use crate::manage::MeantVersions;
use crate::model::Timestamp;

/// The result of the preconditions of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// 304: the client has this representation.
    NotModified,
    /// 412: the client named another representation.
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110 section 13.2.2, but for `If-Range`.
pub fn evaluate(method: &Method, headers: &HeaderMap, this: &Representation) -> Verdict {
    verdict(method, headers, &this.etag, modified(this))
}

/// The same for a record, which has an entity tag and no date.
pub fn evaluate_record(method: &Method, headers: &HeaderMap, revision: u64) -> Verdict {
    verdict(method, headers, &record_tag(revision), None)
}

/// The entity tag of a record: the [revision](crate::model::Manifest::revision) of its manifest.
pub fn record_tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// The versions of a record that a request to change it is meant for.
pub fn meant_versions(headers: &HeaderMap) -> MeantVersions {
    let revisions = |tags: Vec<(bool, String)>, weak: bool| {
        let tags = tags.into_iter().filter(|(is_weak, _)| weak || !is_weak);
        let revision = |(_, tag): (bool, String)| {
            let revision = tag.trim_matches('"').parse().ok()?;
            (record_tag(revision) == tag).then_some(revision)
        };
        tags.filter_map(revision).collect()
    };
    let mut meant = MeantVersions::default();
    if let Some(EntityTags::Tags(tags)) = list(headers, &header::IF_MATCH) {
        meant.only = Some(revisions(tags, false));
    }
    match list(headers, &header::IF_NONE_MATCH) {
        Some(EntityTags::Any) => meant.none = true,
        Some(EntityTags::Tags(tags)) => meant.except = revisions(tags, true),
        None => {}
    }
    meant
}

fn verdict(method: &Method, headers: &HeaderMap, etag: &str, modified: Option<i64>) -> Verdict {
    if let Some(listed) = list(headers, &header::IF_MATCH) {
        if !listed.matches(etag, false) {
            return Verdict::Failed;
        }
    } else if let Some(date) = date(headers, &header::IF_UNMODIFIED_SINCE)
        && modified.is_some_and(|modified| modified > date)
    {
        return Verdict::Failed;
    }
    let safe = *method == Method::GET || *method == Method::HEAD;
    if let Some(listed) = list(headers, &header::IF_NONE_MATCH) {
        if listed.matches(etag, true) {
            return if safe {
                Verdict::NotModified
            } else {
                Verdict::Failed
            };
        }
    } else if safe
        && let Some(date) = date(headers, &header::IF_MODIFIED_SINCE)
        && modified.is_some_and(|modified| modified <= date)
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether a request has a precondition on entity tags.
pub fn names_tags(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH)
}

/// Whether the preconditions of a request that stores hold for what is there: something with this
/// tag, or nothing.
pub fn may_replace(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let matches = |listed: EntityTags, weak| etag.is_some_and(|etag| listed.matches(etag, weak));
    list(headers, &header::IF_MATCH).is_none_or(|listed| matches(listed, false))
        && !list(headers, &header::IF_NONE_MATCH).is_some_and(|listed| matches(listed, true))
}

/// Whether `Range` is to be honoured, as far as `If-Range` goes (RFC 9110 section 13.1.5).
pub fn if_range(headers: &HeaderMap, this: &Representation) -> bool {
    let mut values = headers.get_all(header::IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value.to_str().is_ok_and(|value| {
            let value = value.trim();
            // A date must be the exact one of the representation: only then is it a strong
            // validator, and only when there is no doubt about the second.
            value == this.etag
                || httpdate::parse_http_date(value)
                    .is_ok_and(|date| modified(this) == Some(seconds(date.into())))
        }),
        _ => false,
    }
}

/// `Last-Modified` in whole seconds. A representation found by name has none: it could run
/// backwards.
pub fn modified(this: &Representation) -> Option<i64> {
    (!this.by_name).then(|| seconds(this.last_modified))
}

fn seconds(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1000)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let mut values = headers.get_all(name).iter();
    // A field that is not one valid date is ignored (RFC 9110 section 13.1.3).
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    Some(seconds(date.into()))
}

/// The entity tags of `If-Match` or `If-None-Match`.
enum EntityTags {
    Any,
    Tags(Vec<(bool, String)>),
}

impl EntityTags {
    fn matches(&self, etag: &str, weak: bool) -> bool {
        match self {
            EntityTags::Any => true,
            EntityTags::Tags(tags) => tags
                .iter()
                .any(|(is_weak, tag)| (weak || !is_weak) && tag == etag),
        }
    }
}

/// Reads a list of entity tags; an element that is no entity tag matches nothing.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<EntityTags> {
    let mut present = false;
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        present = true;
        let Ok(mut rest) = value.to_str() else {
            continue;
        };
        if rest.trim() == "*" {
            return Some(EntityTags::Any);
        }
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let weak = rest.starts_with("W/");
            let tag = if weak { &rest[2..] } else { rest };
            let Some(end) = tag.strip_prefix('"').and_then(|tag| tag.find('"')) else {
                break;
            };
            let (tag, after) = tag.split_at(end + 2);
            tags.push((weak, tag.to_owned()));
            rest = after;
        }
    }
    present.then_some(EntityTags::Tags(tags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{FormBuilder, RepresentationKind};
    use crate::form::Boundary;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn this() -> Representation {
        let mut this = FormBuilder::default().finish();
        this.kind = RepresentationKind::Form(Boundary::new("B").unwrap());
        this.etag = "\"a\"".to_owned();
        this.last_modified = Timestamp::from_millis(784_111_777_123);
        this
    }

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[test]
    fn preconditions_in_their_order() {
        use Verdict::{Failed, NotModified, Proceed};
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        for (fields, verdict) in [
            (&[][..], Proceed),
            (&[(IF_MATCH, "\"a\"")], Proceed),
            (&[(IF_MATCH, "\"b\", \"a\"")], Proceed),
            (&[(IF_MATCH, "*")], Proceed),
            (&[(IF_MATCH, "W/\"a\"")], Failed),
            (&[(IF_MATCH, "\"b\"")], Failed),
            (&[(IF_MATCH, "a")], Failed),
            (&[(IF_NONE_MATCH, "\"a\"")], NotModified),
            (&[(IF_NONE_MATCH, "W/\"a\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"b\",W/\"c\" , \"a\"")], NotModified),
            (&[(IF_NONE_MATCH, "*")], NotModified),
            (&[(IF_NONE_MATCH, "\"b\"")], Proceed),
            (
                &[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")],
                NotModified,
            ),
            (
                &[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, THEN)],
                Proceed,
            ),
            (
                &[(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, EARLIER)],
                Proceed,
            ),
            (&[(IF_MODIFIED_SINCE, THEN)], NotModified),
            (&[(IF_MODIFIED_SINCE, EARLIER)], Proceed),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Proceed),
            (&[(IF_UNMODIFIED_SINCE, THEN)], Proceed),
            (&[(IF_UNMODIFIED_SINCE, EARLIER)], Failed),
            (
                &[(IF_MATCH, "\"a\""), (IF_NONE_MATCH, "\"a\"")],
                NotModified,
            ),
        ] {
            assert_eq!(
                evaluate(&Method::GET, &headers(fields), &this()),
                verdict,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn the_versions_that_a_change_is_meant_for() {
        use header::{IF_MATCH, IF_NONE_MATCH};
        for (fields, meant) in [
            (&[][..], [true, true]),
            (&[(IF_MATCH, "*")], [true, true]),
            (&[(IF_MATCH, "\"7\"")], [true, false]),
            (&[(IF_MATCH, "\"1\", \"8\"")], [false, true]),
            (&[(IF_MATCH, "W/\"7\"")], [false, false]),
            (&[(IF_MATCH, "\"07\"")], [false, false]),
            (&[(IF_MATCH, "7")], [false, false]),
            (&[(IF_NONE_MATCH, "*")], [false, false]),
            (&[(IF_NONE_MATCH, "W/\"7\"")], [false, true]),
            (
                &[(IF_MATCH, "\"7\""), (IF_NONE_MATCH, "\"7\"")],
                [false, false],
            ),
        ] {
            let versions = meant_versions(&headers(fields));
            assert_eq!([7, 8].map(|it| versions.has(it)), meant, "{fields:?}");
        }
        let tag = headers(&[(IF_NONE_MATCH, "\"7\"")]);
        assert_eq!(evaluate_record(&Method::GET, &tag, 7), Verdict::NotModified);
    }

    #[test]
    fn if_range_wants_the_very_same() {
        for (value, honoured) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            (THEN, true),
            (EARLIER, false),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
            ("nonsense", false),
        ] {
            let fields = headers(&[(header::IF_RANGE, value)]);
            assert_eq!(if_range(&fields, &this()), honoured, "{value}");
        }
        assert!(if_range(&HeaderMap::new(), &this()));
    }
}
