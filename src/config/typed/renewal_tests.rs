//! Which settings count with a reload, and which need a restart: what the table says of each, and
//! what becomes of it.

use bytes::Bytes;

use super::*;
use crate::config::SETTINGS;
use crate::config::load::GivenSettings;
use crate::http::rules::brand::Logo;

/// Each setting with a value at the start and another one.
const CHANGES: &[(&str, &str, &str)] = &[
    ("port", "1", "2"),
    ("bind", "127.0.0.1", "127.0.0.2"),
    ("listen", "a:1", "a:2"),
    ("admin_listen", "a:3", "a:4"),
    ("public_url", "https://a.example", "https://b.example"),
    ("base_path", "/a", "/b"),
    ("trusted_proxies", "10.0.0.1", "10.0.0.2"),
    ("hosts", "a", "b"),
    ("cors_origin", "https://a", "https://b"),
    ("embed", "false", "true"),
    ("tls_cert", "a.pem", "b.pem"),
    ("tls_key", "a.key", "b.key"),
    ("tls_redirect", "false", "true"),
    ("hsts", "1h", "1d"),
    ("store", "s3://a/x", "s3://b/x"),
    ("dir", "a", "b"),
    ("s3_endpoint", "https://a", "https://b"),
    ("s3_memory", "64MiB", "128MiB"),
    ("s3_redirect", "false", "true"),
    ("durability", "strict", "relaxed"),
    ("journal", "on", "off"),
    ("journal_size", "32MiB", "64MiB"),
    ("digest", "sha-256", "none"),
    ("min_free", "1MiB", "2MiB"),
    ("sendfile", "on", "off"),
    ("max_total_size", "1GiB", "2GiB"),
    ("redis", "redis://a", "redis://b"),
    ("redis_prefix", "a", "b"),
    ("lease_key", "a", "b"),
    ("lease_ttl", "4s", "5s"),
    ("names", "auto", "private"),
    ("default_expires_in", "1h", "2h"),
    ("max_expires_in", "1d", "2d"),
    ("stale_after", "1h", "2h"),
    ("max_file_size", "1MiB", "2MiB"),
    ("max_request_size", "1MiB", "2MiB"),
    ("max_files", "1", "2"),
    ("max_fields", "1", "2"),
    ("max_field_size", "1KiB", "2KiB"),
    ("max_fields_size", "1KiB", "2KiB"),
    ("max_connections", "1", "2"),
    ("max_uploads", "1", "2"),
    ("max_uploads_per_client", "1", "2"),
    ("min_rate", "1KiB", "2KiB"),
    ("open", "false", "true"),
    ("access", "upload:a", "upload:b"),
    ("access_file", "a", "b"),
    ("brand_name", "a", "b"),
    ("brand_logo", "a.png", "b.png"),
    ("brand_color", "#0b6285", "#222222"),
    ("imprint_url", "https://a.example/", "https://b.example/"),
    ("instance", "a", "b"),
    ("idle_timeout", "1s", "2s"),
    ("shutdown_grace", "1s", "2s"),
    ("log_format", "text", "json"),
    ("log", "info", "debug"),
];

/// All settings at their first values, but for `changed`. `listen` and `port` exclude each other.
fn config(changed: Option<&str>, without: &str) -> Config {
    let given = CHANGES.iter().filter(|(key, ..)| *key != without);
    let given = given.map(|(key, first, other)| {
        let value = if changed == Some(*key) { other } else { first };
        ((*key).to_owned(), vec![(*value).to_owned()])
    });
    let aws = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
    let loaded = Loaded::from(GivenSettings {
        flags: given.collect(),
        environment: aws.map(|name| (name.into(), "a".into())).to_vec(),
        ..GivenSettings::default()
    })
    .unwrap();
    // The texts of these files follow their names.
    let lines = match changed {
        Some("access_file") => "upload:file-b",
        _ => "upload:file-a",
    };
    let mut config = Config::new(&loaded, lines, &Profiles::default(), "me".to_owned()).unwrap();
    config.app.http.brand.logo = Some(Logo {
        bytes: Bytes::from(if changed == Some("brand_logo") {
            "b"
        } else {
            "a"
        }),
        media_type: "image/png",
        extension: "png",
        ratio: 1.0,
    });
    config
}

/// Everything in it, in words.
fn all_of(config: &Config) -> String {
    let bucket = config.app.bucket.as_ref();
    let bucket = bucket.map(|bucket| (bucket.memory, bucket.redirect));
    format!("{config:?} {bucket:?}")
}

#[test]
fn a_reload_changes_what_the_table_says() {
    let known: Vec<&str> = CHANGES.iter().map(|(key, ..)| *key).collect();
    let all: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(known, all, "each setting of the table has its line here");
    for setting in SETTINGS {
        let key = setting.key;
        let without = if matches!(key, "port" | "bind") {
            "listen"
        } else {
            "port"
        };
        // A port alone needs an address, and one in `listen` none.
        let started = config(None, without);
        let new = config(Some(key), without);
        let [before, changed] = [&started, &new].map(all_of);
        assert_ne!(before, changed, "{key} has another value");
        let renewed = all_of(&started.renewed(&new));
        match setting.needs_restart {
            true => assert_eq!(renewed, before, "{key} needs a restart"),
            false => assert_eq!(renewed, changed, "{key} counts from the reload on"),
        }
    }
}

/// The documentation names those that need a restart.
#[test]
fn the_papers_say_the_same() {
    let text = include_str!("../../../docs/settings.md");
    let (_, named) = text.split_once("These need a restart").unwrap();
    let (named, _) = named.split_once("; and").unwrap();
    let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
    let fixed = SETTINGS.iter().filter(|setting| setting.needs_restart);
    assert_eq!(named, fixed.map(|setting| setting.key).collect::<Vec<_>>());
}

#[test]
fn tls_begins_and_ends_with_a_restart() {
    let with = config(None, "port");
    let mut without = with.clone();
    without.certificates.clear();
    assert_eq!(with.renewed(&without).certificates, with.certificates);
    assert_eq!(without.renewed(&with).certificates, []);
}
