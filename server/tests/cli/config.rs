//! Options and environment variables: what is wrong stops the program with a sentence that says what to do.

use super::support::{Place, Ran, program};

/// Exit code 2 is for what cannot be read as an option, 1 for what makes no sense.
#[test]
fn a_bad_value_is_named_and_stops_the_start() {
    let place = Place::sqlite();
    let short_key = place.folder().join("short.key");
    std::fs::write(&short_key, "short").unwrap();
    let short_key = short_key.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 20] = [
        (&["--listen", "nonsense"], 2, "invalid value 'nonsense' for '--listen <LISTEN>'"),
        (&["--session-idle-minutes", "0"], 2, "0 is not in 1..=1440"),
        (&["--session-hours", "721"], 2, "721 is not in 1..=720"),
        (&["--trusted-proxy", "ten"], 2, "invalid value 'ten' for '--trusted-proxy"),
        (&["--allow-origin", "*"], 2, "is not an origin"),
        (&["--gateway-token", "a", "--gateway-token-file", "b"], 2, "cannot be used with"),
        (&["--database-url", "mysql://h/d"], 1, "KEYDESK_DATABASE_URL must start with postgres://"),
        (
            &["--base-url", "ftp://x"],
            1,
            "must be http:// or https:// and a host, without a path. Set KEYDESK_BASE_URL.",
        ),
        (&["--base-url", "https://x/desk"], 1, "without a path. Set KEYDESK_BASE_URL."),
        (&["--gateway-url", "x"], 1, "Set KEYDESK_GATEWAY_URL."),
        (&["--gateway-token", "short"], 1, "at least 32 characters"),
        (&["--gateway-token-file", "/nowhere"], 1, "cannot be read"),
        (&["--metrics-listen", "9464"], 2, "invalid value '9464' for '--metrics-listen"),
        (&["--metrics-token", "a", "--metrics-token-file", "b"], 2, "cannot be used with"),
        (&["--metrics-token", "short"], 1, "The metrics token has to be at least 32 characters"),
        (&["--metrics-token-file", "/nowhere"], 1, "The metrics token /nowhere cannot be read"),
        (
            &["--gateway-listen", "127.0.0.1:9464", "--metrics-listen", "127.0.0.1:9464"],
            1,
            "The metrics cannot be served at 127.0.0.1:9464 too. Choose another port with --metrics-listen",
        ),
        (&["--smtp-url", "mail.example.com"], 1, "Set KEYDESK_SMTP_URL."),
        (&["--smtp-url", "smtps://mail.example.com"], 1, "Set KEYDESK_MAIL_FROM."),
        (&["--cookie-key-file", short_key], 1, "at least 64 random"),
    ];
    for (options, code, sentence) in cases {
        let mut command = place.command(&[&["serve"], options].concat());
        let ran: Ran = command.env("KEYDESK_LISTEN", "127.0.0.1:0").output().unwrap().into();
        assert_eq!(ran.code, Some(code), "{options:?}: {ran:?}");
        assert!(ran.err.contains(sentence), "{options:?}: {ran:?}");
        assert_eq!(ran.out, "", "{options:?}");
    }
}

#[test]
fn environment_variables_are_read_and_checked_like_options() {
    for (name, value, code, sentence) in [
        ("KEYDESK_LISTEN", "nonsense", 2, "invalid value 'nonsense' for '--listen <LISTEN>'"),
        ("KEYDESK_TRUSTED_PROXIES", "10.0.0.0/8,ten", 2, "invalid value 'ten' for '--trusted-proxy"),
        ("KEYDESK_SESSION_HOURS", "-1", 2, "-1 is not in 1..=720"),
        ("KEYDESK_DATABASE_URL", "sqlite://x", 1, "KEYDESK_DATABASE_URL must start with postgres://"),
        ("KEYDESK_BASE_URL", "keys.example.com", 1, "Set KEYDESK_BASE_URL."),
        ("KEYDESK_MAIL_FROM", "not an address", 1, "KEYDESK_MAIL_FROM must look like"),
    ] {
        let place = Place::sqlite();
        let mut command = place.command(&["serve"]);
        command.env("KEYDESK_SMTP_URL", "smtps://mail.example.com").env("KEYDESK_MAIL_FROM", "a@example.com");
        let output = command.env(name, value).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {err}");
        assert!(err.contains(sentence), "{name}: {err}");
    }
}

#[test]
fn a_secret_of_the_configuration_is_never_printed() {
    let place = Place::sqlite();
    for (name, value) in [
        ("KEYDESK_SMTP_URL", "smtp://user:hunter2@mail.example.com"),
        ("KEYDESK_GATEWAY_TOKEN", "hunter2"),
        ("KEYDESK_METRICS_TOKEN", "hunter2"),
        ("KEYDESK_DATABASE_URL", "mysql://user:hunter2@db.example.com/keydesk"),
        ("KEYDESK_DATABASE_URL", "postgres://user:hunter2@127.0.0.1:1/keydesk"),
    ] {
        for arguments in [&["serve"][..], &["doctor"], &["serve", "--help"]] {
            let output = place.command(arguments).env(name, value).output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!said.contains("hunter2"), "{name}, {arguments:?}: {said}");
        }
    }
}

#[test]
fn a_database_server_that_is_away_is_named() {
    let place = Place::sqlite();
    for arguments in [&["orgs", "list"][..], &["migrate"]] {
        let mut command = place.command(arguments);
        let output = command.env("KEYDESK_DATABASE_URL", "postgres://127.0.0.1:1/keydesk").output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.starts_with("keydesk: The database cannot be opened: "), "{err}");
        assert!(err.contains("Check --data or KEYDESK_DATABASE_URL."), "{err}");
    }
}

#[test]
fn help_lists_every_command() {
    let output = program(&["--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!("help", String::from_utf8(output.stdout).unwrap());
    assert_eq!(program(&[]).output().unwrap().status.code(), Some(2));
}
