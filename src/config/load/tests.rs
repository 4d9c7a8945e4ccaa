use super::*;

fn given(flags: &[(&str, &str)], environment: &[(&str, &str)], file: &str) -> GivenSettings {
    GivenSettings {
        flags: flags
            .iter()
            .map(|(k, v)| ((*k).into(), vec![(*v).into()]))
            .collect(),
        environment: environment
            .iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        file: Some(("wharf.toml".into(), file.to_owned())),
        read: ReadFile(|path| Ok(format!("secret-of-{}\n", path.display()))),
    }
}

fn said(given: GivenSettings) -> String {
    Loaded::from(given).unwrap_err().to_string()
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let value = |flags: &[_], environment: &[_], file| {
        Loaded::from(given(flags, environment, file))
            .unwrap()
            .get("max_files")
            .clone()
    };
    let (flag, variable, line) = (
        [("max_files", "4")],
        [("WHARF_MAX_FILES", "3")],
        "max_files = 2",
    );
    assert_eq!(value(&flag, &variable, line).texts, ["4"]);
    assert_eq!(value(&[], &variable, line).texts, ["3"]);
    let origin = value(&[], &[], line).origin.to_string();
    assert_eq!(origin, "file wharf.toml, line 1");
    assert_eq!(value(&[], &[("WHARF_MAX_FILES", "")], "").texts, ["1000"]);
}

#[test]
fn lists_in_each_place() {
    let listen = |given| Loaded::from(given).unwrap().get("listen").texts.clone();
    let two = ["a:1", "b:2"];
    assert_eq!(listen(given(&[], &[("WHARF_LISTEN", "a:1, b:2")], "")), two);
    assert_eq!(listen(given(&[], &[], "listen = ['a:1', 'b:2']")), two);
    assert_eq!(listen(given(&[], &[], "listen = 'a:1'")), ["a:1"]);
}

#[test]
fn toml_has_numbers_and_truth_values_of_its_own() {
    let text = "max_files = 0x10\nmin_rate = 1_000\ns3_redirect = true\nidle_timeout = 1.5";
    let loaded = Loaded::from(given(&[], &[], text)).unwrap();
    let texts = |key| loaded.get(key).texts.concat();
    assert_eq!(
        (texts("max_files"), texts("min_rate")),
        ("16".into(), "1000".into())
    );
    assert_eq!(
        (texts("s3_redirect"), texts("idle_timeout")),
        ("true".into(), "1.5".into())
    );
}

#[test]
fn tables_are_rules() {
    let access = |text: &str| {
        let loaded = Loaded::from(given(&[], &[], text));
        loaded.map(|loaded| loaded.get("access").clone())
    };
    let rules = access(
        "dir = 'x'\n[[access]]\nid = 'ci'\nscopes = ['upload', 'list']\nsecret = 's3'\n\
         [[access]]\nscopes = 'admin'\nsecret_file = '/run/a'\n",
    )
    .unwrap();
    assert_eq!(rules.texts, ["upload+list:ci:s3", "admin:secret-of-/run/a"]);
    let mixed = access("access = ['upload:a', { scopes = 'admin', secret = 'b' }]").unwrap();
    assert_eq!(mixed.texts, ["upload:a", "admin:b"]);
    for (table, reason) in [
        ("secret = 's3cret'", "without scopes"),
        ("scopes = 'upload'", "without secret"),
        (
            "scopes = 'upload'\nsecret = 's3cret:x'",
            "line 3: secret of an access rule has a colon",
        ),
        (
            "scopes = 'upload'\nid = 'a:b'\nsecret = 's3cret'",
            "line 3: id of an access rule",
        ),
        (
            "scopes = 'upload'\nsecret = 's3cret'\nsecret_file = 'x'",
            "line 4: secret_file",
        ),
        (
            "scope = 'upload'\nsecret = 's3cret'",
            "line 2: an access rule has no \"scope\"; did you mean \"scopes\"?",
        ),
        (
            "scopes = 'upload'\nsecret = 7.5\nname = 's3cret'",
            "has no \"name\"; its keys are id,",
        ),
        (
            "scopes = [1]\nsecret = ['s3cret']",
            "line 3: secret of an access rule is not a string",
        ),
    ] {
        let error = access(&format!("[[access]]\n{table}"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("access (file wharf.toml, line 1): "),
            "{error}"
        );
        assert!(
            error.contains(reason) && !error.contains("s3cret"),
            "{table}: {error}"
        );
    }
}

#[test]
fn old_names_are_read_with_a_warning_each() {
    let flags = [("max_expire_after", "9d")];
    let variables = [("WHARF_EXPIRE_AFTER", "2d")];
    let text = "\nexpire_after = '1d'\nmax_expires_in = '8d'";
    let loaded = Loaded::from(given(&flags, &variables, text)).unwrap();
    assert_eq!(loaded.get("default_expires_in").texts, ["2d"]);
    assert_eq!(loaded.get("max_expires_in").texts, ["9d"]);
    let now = "expire_after is called default_expires_in now; the old name is read for one release";
    assert_eq!(
        loaded.warnings[0],
        format!("file wharf.toml, line 2: {now}")
    );
    assert_eq!(
        loaded.warnings[1],
        format!("environment WHARF_EXPIRE_AFTER: {now}")
    );
    assert!(loaded.warnings[2].starts_with("flag --max-expire-after: max_expire_after is"));
    assert_eq!(loaded.warnings.len(), 3);
    assert!(unknown_variables(["WHARF_EXPIRE_AFTER".into()].into_iter()).is_empty());
    let both = said(given(
        &[],
        &[],
        "expire_after = '1d'\ndefault_expires_in = '1d'",
    ));
    assert!(
        both.contains("line 1): it is given under its old name"),
        "{both}"
    );
}

#[test]
fn the_address_of_a_service_is_no_port() {
    let variables = [("WHARF_PORT", "tcp://10.0.0.7:80")];
    let loaded = Loaded::from(given(&[], &variables, "")).unwrap();
    assert!(!loaded.is_given("port"));
    assert!(
        loaded.warnings[0].contains("no port"),
        "{:?}",
        loaded.warnings
    );
}

#[test]
fn what_is_unknown_is_named() {
    assert_eq!(
        said(given(&[], &[], "dir = 'x'\n\nmax_fils = 1\nzzz = 2")),
        "file wharf.toml, line 3: there is no setting \"max_fils\"; did you mean \"max_files\"?"
    );
    assert_eq!(
        said(given(&[], &[], "[limits]\nmax_files = 1")),
        "file wharf.toml, line 1: there is no setting \"limits\""
    );
    let text = "digest = 'none'\naccess = ['admin:s3cret' x]";
    let error = said(given(&[], &[], text));
    assert!(
        error.starts_with("wharf.toml: line 2, column ") && !error.contains("s3cret"),
        "{error}"
    );
    assert!(said(given(&[], &[], "max_files = [1]")).contains("one value is needed"));
    assert!(said(given(&[], &[("WHARF_ACCESS", "")], "")).contains("would leave the server open"));
    let names = [
        "WHARF_PORT_80_TCP",
        "WHARF_URL",
        "WHARF_LISTEN",
        "HOME",
        "WHARF_MAX_FILS",
    ];
    assert_eq!(
        unknown_variables(names.into_iter().map(OsString::from)),
        [
            "the environment variable WHARF_PORT_80_TCP is no setting",
            "the environment variable WHARF_MAX_FILS is no setting; did you mean WHARF_MAX_FILES?"
        ]
    );
}
