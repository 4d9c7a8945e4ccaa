use super::*;
use crate::config::load::GivenSettings;

fn config(flags: &[(&str, &str)]) -> Result<Config, String> {
    let flags = flags
        .iter()
        .map(|(k, v)| ((*k).into(), vec![(*v).into()]))
        .collect();
    let loaded = Loaded::from(GivenSettings {
        flags,
        ..GivenSettings::default()
    })
    .unwrap();
    Config::new(&loaded, "", &Profiles::default(), "me-1".to_owned())
        .map_err(|error| error.to_string())
}

fn plain(address: ListenAddress) -> Endpoint {
    Endpoint {
        address,
        tls: false,
    }
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = config(&[]).unwrap();
    assert_eq!(
        config.listen,
        [plain(ListenAddress::Tcp("127.0.0.1:8080".to_owned()))]
    );
    assert_eq!(config.app.min_free, 64 << 20);
    assert_eq!(config.app.ingest.max_fields_size, 1 << 20);
    assert_eq!(config.app.http.instance, "me-1");
    assert_eq!(config.app.http.base_path, "");
    assert!(config.app.ingest.default_expires_in.is_none() && config.app.ingest.digest);
}

#[test]
fn values_that_do_not_parse_are_named() {
    for (key, value, said) in [
        ("listen", "localhost", "\"localhost\" is none of PORT"),
        ("listen", "none", "nothing to listen on"),
        ("port", "80x", "\"80x\" is not a port"),
        ("bind", "a:1", "\"a:1\" is not an address or a name"),
        ("max_files", "0", "\"0\" is not a whole number above 0"),
        ("max_file_size", "1.5G", "\"1.5G\" is not a size"),
        ("idle_timeout", "0s", "\"0s\" is 0"),
        ("idle_timeout", "none", "\"none\" is not a duration"),
        ("default_expires_in", "soon", "never turns it off"),
        ("durability", "lax", "\"lax\" is none of strict, relaxed"),
        ("journal", "maybe", "\"maybe\" is none of on, off"),
        (
            "journal_size",
            "1MiB",
            "1MiB is not between 32MiB and 16GiB",
        ),
        (
            "trusted_proxies",
            "10.0.0.0/33",
            "neither an address nor a CIDR",
        ),
        ("public_url", "https://a.example/x", "nothing behind it"),
        ("base_path", "/a/../b", "is not a path"),
        ("base_path", "/readyz", "is where probes ask"),
        (
            "access",
            "root:s3cret",
            "a scope that is none of upload, download, list, admin",
        ),
        ("access", "upload:", "empty secret"),
        ("redis", "a:s3cret@b", "begins with redis://"),
        ("redis_prefix", "a{b", "has a brace"),
        ("lease_ttl", "1s", "1s is shorter than 2s"),
        ("store", "/srv/files", "is neither disk nor s3://"),
        ("s3_endpoint", "minio:9000", "neither http:// nor https://"),
        ("s3_memory", "1MiB", "less than 33554432 bytes"),
        ("s3_redirect", "yes", "\"yes\" is neither true nor false"),
    ] {
        let error = config(&[(key, value)]).unwrap_err();
        let flag = key.replace('_', "-");
        assert!(
            error.starts_with(&format!("{key} (flag --{flag}): ")),
            "{error}"
        );
        assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_lives_by_default_no_longer_than_it_may() {
    let with = |default, max| config(&[("default_expires_in", default), ("max_expires_in", max)]);
    let said = with("2d", "1d12h").unwrap_err();
    assert_eq!(
        said,
        "default_expires_in (flag --default-expires-in): 2d is longer than max_expires_in, which is 1d12h"
    );
    for (default, max) in [("1d", "24h"), ("never", "1d"), ("2d", "none")] {
        assert!(with(default, max).is_ok(), "{default} {max}");
    }
}

/// A time that is cut would be another than the operator has set.
#[test]
fn uploads_live_as_long_as_is_said_or_the_start_is_refused() {
    for (key, off) in [("default_expires_in", "never"), ("max_expires_in", "none")] {
        let with = |value| config(&[(key, value)]);
        let ingest = with("1000000d").unwrap().app.ingest;
        let span = ingest.default_expires_in.or(ingest.max_expires_in).unwrap();
        assert_eq!(span.as_secs(), 1_000_000 * 86_400, "{key}");
        let flag = key.replace('_', "-");
        assert_eq!(
            with("3000000d").unwrap_err(),
            format!("{key} (flag --{flag}): \"3000000d\" ends after the year 9999: say {off}")
        );
    }
}

#[test]
fn values_in_their_other_spellings() {
    let with = |key, value| config(&[(key, value)]).unwrap();
    assert_eq!(with("base_path", "a/b/").app.http.base_path, "/a/b");
    assert_eq!(
        with("listen", "[::1]:0").listen,
        [plain(ListenAddress::Tcp("[::1]:0".to_owned()))]
    );
    assert_eq!(
        with("listen", "unix:/x").listen,
        [plain(ListenAddress::Unix("/x".into()))]
    );
    assert_eq!(with("min_free", "none").app.min_free, 0);
    let url = with("public_url", "https://Files.example:8/")
        .app
        .http
        .public_url;
    assert_eq!(url.as_deref(), Some("https://files.example:8"));
}

#[test]
fn none_turns_off_what_can_be_off_and_0_says_so() {
    for key in [
        "min_free",
        "max_total_size",
        "s3_memory",
        "max_file_size",
        "max_request_size",
        "max_field_size",
        "max_fields_size",
        "min_rate",
        "max_uploads_per_client",
        "max_expires_in",
        "default_expires_in",
    ] {
        let error = config(&[(key, "0")]).unwrap_err();
        let word = if key == "default_expires_in" {
            "never"
        } else {
            "none"
        };
        assert!(
            error.contains(&format!("\"0\" is 0: say {word}")),
            "{error}"
        );
    }
    for setting in crate::config::SETTINGS {
        let off = config(&[(setting.key, "none")]);
        let never_off = [
            "bind",
            "dir",
            "durability",
            "names",
            "port",
            "listen",
            "store",
            "lease_ttl",
            "stale_after",
            "max_files",
            "max_fields",
            "max_connections",
            "max_uploads",
            "idle_timeout",
            "shutdown_grace",
            "log_format",
            "access_file",
        ];
        let refused = off.is_err();
        let may_be_refused = never_off.contains(&setting.key);
        assert!(!refused || may_be_refused, "{}: {off:?}", setting.key);
    }
}

#[test]
fn listen_or_port_and_bind_whichever_counts_for_more() {
    let listen = |flags: &[(&str, &str)], variables: &[(&str, &str)], file: &str| {
        let flags = flags.iter();
        let variables = variables.iter();
        let loaded = Loaded::from(GivenSettings {
            flags: flags
                .map(|(k, v)| ((*k).into(), vec![(*v).into()]))
                .collect(),
            environment: variables.map(|(k, v)| (k.into(), v.into())).collect(),
            file: Some(("wharf.toml".into(), file.to_owned())),
            ..GivenSettings::default()
        })
        .unwrap();
        let config = Config::new(&loaded, "", &Profiles::default(), "me".to_owned());
        config
            .map(|config| config.listen)
            .map_err(|error| error.to_string())
    };
    let tcp = |text: &str| Ok(vec![plain(ListenAddress::Tcp(text.to_owned()))]);
    assert_eq!(listen(&[("port", "1")], &[], ""), tcp("127.0.0.1:1"));
    assert_eq!(listen(&[], &[], "port = 1\nbind = '::1'"), tcp("[::1]:1"));
    let variables = [("WHARF_BIND", "10.0.0.7")];
    assert_eq!(listen(&[], &variables, "port = 1"), tcp("10.0.0.7:1"));
    let file = "listen = ['a:2']";
    assert_eq!(listen(&[("port", "1")], &[], file), tcp("127.0.0.1:1"));
    assert_eq!(
        listen(&[("port", "8080")], &[], file),
        tcp("127.0.0.1:8080")
    );
    assert_eq!(listen(&[], &[], file), tcp("a:2"));
    let variables = [("WHARF_PORT", "1")];
    assert_eq!(listen(&[("listen", "a:2")], &variables, ""), tcp("a:2"));
    assert_eq!(listen(&[], &[], "listen = 8\nbind = 'b'"), tcp("b:8"));
    for (file, said) in [
        (
            "port = 1\nlisten = 'a:2'",
            "port (file wharf.toml, line 1): listen is given there too",
        ),
        (
            "bind = 'b'\nlisten = 'a:2'",
            "bind (file wharf.toml, line 1): listen is given there",
        ),
    ] {
        let error = listen(&[], &[], file).unwrap_err();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn certificates_and_their_keys() {
    let read = |file: &str| {
        let loaded = Loaded::from(GivenSettings {
            file: Some(("wharf.toml".into(), file.to_owned())),
            ..GivenSettings::default()
        })
        .unwrap();
        let config = Config::new(&loaded, "", &Profiles::default(), "me".to_owned());
        config.map_err(|error| error.to_string())
    };
    let two = read("tls_cert = ['a.pem', 'b.pem']\ntls_key = ['a.key', 'b.key']").unwrap();
    let files = |certificate: &str, key: &str| CertificateFiles {
        certificate: certificate.into(),
        key: key.into(),
    };
    let pairs = [files("a.pem", "a.key"), files("b.pem", "b.key")];
    assert_eq!(two.certificates, pairs);
    assert!(two.listen[0].tls);
    let both = read("tls_cert = 'both.pem'\nlisten = ['1', 'http://2', 'unix:/x']").unwrap();
    assert_eq!(both.certificates, [files("both.pem", "both.pem")]);
    let tls: Vec<bool> = both.listen.iter().map(|endpoint| endpoint.tls).collect();
    assert_eq!(tls[..2], [true, false]);
    for (file, said) in [
        (
            "tls_key = 'a.key'",
            "tls_key (file wharf.toml, line 1): tls_cert says which",
        ),
        (
            "tls_cert = ['a', 'b']\ntls_key = 'a.key'",
            "tls_key (file wharf.toml, line 2): each of the 2 files of tls_cert has one, and here are 1",
        ),
        (
            "tls_redirect = true",
            "tls_redirect (file wharf.toml, line 1): there is no https",
        ),
        (
            "listen = 'https://:1'",
            "needs a certificate, and tls_cert is not set",
        ),
        ("hsts = '0s'", "say none to turn it off"),
    ] {
        let error = read(file).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}
