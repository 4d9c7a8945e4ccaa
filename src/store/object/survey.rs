//! A look at a bucket before it is served: whether it keeps to the conditions, and what its rules
//! do to uploads. It removes the keys that it puts there.

use object_store::path::Path;
use serde::Deserialize;

use super::inner::BucketInner;
use super::listing::QueryError;
use super::options::{BucketError, BucketOptions};
use super::probe::probe;

/// The findings.
#[derive(Debug)]
pub struct BucketSurvey {
    /// The rules of the bucket's lifecycle.
    pub rules: Answer<Vec<LifecycleRule>>,
    /// Whether it keeps what was replaced or removed as versions.
    pub versions: Answer<bool>,
}

/// The answer to a question that not every store and key may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It was answered.
    Known(T),
    /// It was refused, in these words.
    Refused(String),
}

/// A rule of a lifecycle that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Its name; may be empty.
    pub name: String,
    /// Whether it concerns everything below the prefix of the store.
    pub covers: bool,
    /// Whether it concerns something of the store.
    pub touches: bool,
    /// Whether it removes current objects.
    pub expires: bool,
    /// Whether it removes earlier versions.
    pub removes_versions: bool,
    /// After how many days it aborts multipart uploads, if it does.
    pub aborts_after: Option<u64>,
}

/// The answer to GetBucketLifecycleConfiguration (S3).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lifecycle {
    #[serde(default)]
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    #[serde(rename = "ID", default)]
    id: String,
    status: String,
    /// Where the rule has no filter, as rules had it before.
    prefix: Option<String>,
    filter: Option<Filter>,
    expiration: Option<Expiration>,
    noncurrent_version_expiration: Option<Nothing>,
    abort_incomplete_multipart_upload: Option<Abort>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    prefix: Option<String>,
    and: Option<And>,
    tag: Option<Nothing>,
    object_size_greater_than: Option<u64>,
    object_size_less_than: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct And {
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Expiration {
    days: Option<u64>,
    date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Abort {
    days_after_initiation: u64,
}

#[derive(Deserialize)]
struct Nothing {}

/// The answer to GetBucketVersioning (S3).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Versioning {
    status: Option<String>,
}

impl Rule {
    fn read(self, store: &str) -> Option<LifecycleRule> {
        if self.status != "Enabled" {
            return None;
        }
        let filter = self.filter.unwrap_or_default();
        // Objects of the store have no tags, and any size.
        let some = filter.and.is_some()
            || filter.object_size_greater_than.is_some()
            || filter.object_size_less_than.is_some();
        let prefix = self
            .prefix
            .or(filter.prefix)
            .or(filter.and.and_then(|and| and.prefix))
            .unwrap_or_default();
        let below = match store {
            "" => String::new(),
            store => format!("{store}/"),
        };
        let tagged = filter.tag.is_some();
        let within = below.starts_with(&prefix);
        Some(LifecycleRule {
            name: self.id,
            covers: within && !some && !tagged,
            touches: !tagged && (within || prefix.starts_with(&below)),
            expires: self
                .expiration
                .is_some_and(|expiration| expiration.days.is_some() || expiration.date.is_some()),
            removes_versions: self.noncurrent_version_expiration.is_some(),
            aborts_after: self
                .abort_incomplete_multipart_upload
                .map(|abort| abort.days_after_initiation),
        })
    }
}

/// Looks at the bucket of `options`.
///
/// # Errors
/// It cannot be reached, refuses, or does not keep to the conditions.
pub async fn survey(options: &BucketOptions) -> Result<BucketSurvey, BucketError> {
    let bucket = BucketInner::new(options)?;
    let client = &bucket.client;
    let probed = probe(client, &bucket.layout).await;
    probed.map_err(|error| error.at(options))?;
    let rules = match client.get_xml(&Path::ROOT, &[("lifecycle", "")]).await {
        Ok(Lifecycle { rule }) => {
            let rules = rule.into_iter();
            Answer::Known(
                rules
                    .filter_map(|rule| rule.read(&options.prefix))
                    .collect(),
            )
        }
        Err(QueryError::Refused(404, _)) => Answer::Known(Vec::new()),
        Err(error) => Answer::Refused(words(error)),
    };
    let versions = match client.get_xml(&Path::ROOT, &[("versioning", "")]).await {
        Ok(Versioning { status }) => Answer::Known(status.as_deref() == Some("Enabled")),
        Err(error) => Answer::Refused(words(error)),
    };
    Ok(BucketSurvey { rules, versions })
}

fn words(error: QueryError) -> String {
    match error {
        QueryError::Refused(status, code) => format!("{status} {code}").trim().to_owned(),
        QueryError::Failed(why) => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(xml: &str, store: &str) -> Vec<LifecycleRule> {
        let lifecycle: Lifecycle = quick_xml::de::from_str(xml).unwrap();
        let rules = lifecycle.rule.into_iter();
        rules.filter_map(|rule| rule.read(store)).collect()
    }

    #[test]
    fn rules_are_read_as_far_as_they_concern_the_store() {
        let xml = r#"<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Rule><ID>abort</ID><Filter></Filter><Status>Enabled</Status>
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
  <Rule><ID>old</ID><Filter><Prefix>up/</Prefix></Filter><Status>Enabled</Status>
    <Expiration><Days>30</Days></Expiration>
    <NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>
  <Rule><ID>markers</ID><Prefix>up/0c</Prefix><Status>Enabled</Status>
    <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>
  <Rule><ID>off</ID><Filter><Prefix></Prefix></Filter><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>
  <Rule><ID>tagged</ID><Filter><And><Prefix>up</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>
    <Status>Enabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>
</LifecycleConfiguration>"#;
        let found = rules(xml, "up");
        let names: Vec<&str> = found.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["abort", "old", "markers", "tagged"]);
        let [abort, old, markers, tagged] = &found[..] else {
            unreachable!()
        };
        assert!(abort.covers && abort.aborts_after == Some(7) && !abort.expires);
        assert!(old.covers && old.expires && old.removes_versions);
        assert!(!markers.covers && markers.touches && !markers.expires);
        assert!(!tagged.covers && tagged.expires);
        let elsewhere = rules(xml, "other");
        assert!(elsewhere[0].covers && !elsewhere[1].touches);
        assert!(rules(xml, "")[1].touches && !rules(xml, "")[1].covers);
    }
}
