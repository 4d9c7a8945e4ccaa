//! Redis and the bucket.

use std::time::Duration;

use super::report::Report;
use crate::coordination::{self, Address, RedisSurvey, SurveyedServer};
use crate::model::units::format_size;
use crate::store::object::{self, Answer, BucketOptions, BucketSurvey, LifecycleRule};

/// Each request of a small upload waits for some answers.
const SLOW: Duration = Duration::from_millis(20);
/// How far the clocks may differ: with more, a server does not store.
const SKEW: Duration = Duration::from_secs(1);
/// The retries within end before.
const BUCKET_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn redis(address: &Address, report: &mut Report) {
    let found = match coordination::survey(address).await {
        Ok(found) => found,
        Err(error) => {
            report.error(
                "redis",
                format!("Redis at {address} cannot be used: {error}"),
                "start it, or correct the setting redis: address, password, scheme (rediss:// for TLS)",
            );
            return;
        }
    };
    let count = found.servers.len();
    if count == 0 {
        let text = format!("Redis at {address} does not say what it is (INFO)");
        report.error("redis", text, "let this user run INFO");
        return;
    }
    for server in &found.servers {
        server_of(address, server, report);
    }
    answers(address, &found, report);
    if found.key_events.is_none() {
        report.warning(
            "redis",
            "CONFIG is forbidden: wharf cannot ask for messages on keys that expire",
            "set notify-keyspace-events Ex in redis.conf, or do without PEXPIRE on markers",
        );
    }
    if found.min_replicas.is_some_and(|replicas| replicas > 0) {
        report.warning(
            "redis",
            "min-replicas-to-write is above 0: a replica that is lost stops uploads",
            "set it to 0: what Redis forgets is found again in the store",
        );
    }
}

fn server_of(address: &Address, server: &SurveyedServer, report: &mut Report) {
    let (major, minor) = server.version;
    let name = format!("Redis {major}.{minor} at {address}");
    if let Some(why) = &server.unfit {
        report.error(
            "redis",
            format!("{name}: {why}"),
            "a server does not start with it",
        );
    } else if server.replica {
        let advice = "name the master, or all of a cluster with redis-cluster://";
        report.error(
            "redis",
            format!("{name} is a replica, and takes no writes"),
            advice,
        );
    } else if let Some(most) = server.most.filter(|most| server.used > most / 10 * 9) {
        let (used, most) = (format_size(server.used), format_size(most));
        report.error(
            "redis",
            format!("{name} uses {used} of {most} (maxmemory): full, it refuses every upload"),
            "raise maxmemory: an upload takes some 800 bytes",
        );
    } else {
        let kept = match server.log {
            true => "",
            false => {
                "; it keeps no log (appendonly), which is not needed: after its restart the store is read again"
            }
        };
        let policy = "maxmemory-policy noeviction";
        report.ok("redis", format!("{name}, {policy}{kept}"));
    }
}

fn answers(address: &Address, found: &RedisSurvey, report: &mut Report) {
    if found.cluster_ok == Some(false) {
        let advice = "see redis-cli cluster info: slots without a master refuse what is in them";
        report.error(
            "redis",
            format!("the cluster at {address} does not serve all slots"),
            advice,
        );
    }
    let took = found.answer.as_secs_f64() * 1000.0;
    let text = format!("Redis answers in {took:.1} ms");
    match found.answer > SLOW {
        true => report.warning(
            "redis",
            text,
            "put it nearer: each upload waits for some answers",
        ),
        false => report.ok("redis", text),
    }
    if found.skew > SKEW {
        let skew = found.skew.as_millis();
        report.error(
            "clock",
            format!(
                "the clock of Redis and this machine's differ by {skew} ms: uploads are refused"
            ),
            "keep both by NTP",
        );
    }
}

pub async fn bucket(options: &BucketOptions, report: &mut Report) {
    let looked = tokio::time::timeout(BUCKET_TIMEOUT, object::survey(options)).await;
    let found = match looked {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let advice =
                "correct store, s3_endpoint, region or key; the README lists what the key needs";
            report.error("bucket", error.to_string(), advice);
            return;
        }
        Err(_) => {
            let text = format!("{options} does not answer within {BUCKET_TIMEOUT:?}");
            report.error(
                "bucket",
                text,
                "see whether the address is reached from here",
            );
            return;
        }
    };
    report.ok(
        "bucket",
        format!("{options} keeps to If-None-Match and If-Match, and gives user metadata back"),
    );
    lifecycle(&found, report);
}

fn lifecycle(found: &BucketSurvey, report: &mut Report) {
    let rules = match &found.rules {
        Answer::Known(rules) => rules.as_slice(),
        Answer::Refused(why) => {
            report.warning(
                "lifecycle",
                format!("the bucket's rules cannot be read ({why})"),
                "allow s3:GetLifecycleConfiguration to have them looked at, or see yourself that none removes current objects",
            );
            return;
        }
    };
    for rule in rules.iter().filter(|rule| rule.touches && rule.expires) {
        report.error(
            "lifecycle",
            format!(
                "the rule {:?} removes current objects, of which the records would not know",
                rule.name
            ),
            "take it away: wharf removes what has expired",
        );
    }
    let some = |is: fn(&LifecycleRule) -> bool| rules.iter().any(|rule| rule.covers && is(rule));
    match some(|rule| rule.aborts_after.is_some()) {
        true => report.ok(
            "lifecycle",
            "a rule aborts multipart uploads that were not completed",
        ),
        false => report.warning(
            "lifecycle",
            "no rule aborts multipart uploads that were not completed",
            "add one (AbortIncompleteMultipartUpload) of some days, longer than any upload takes",
        ),
    }
    if found.versions == Answer::Known(true) && !some(|rule| rule.removes_versions) {
        report.warning(
            "lifecycle",
            "the bucket keeps versions, and no rule removes them: what was deleted stays, and is paid for",
            "add a rule that expires noncurrent versions and expired delete markers",
        );
    }
}
