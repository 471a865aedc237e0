//! The configuration file, and where each setting comes from.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::support::{Place, Ran};

/// A configuration file with this text.
fn file(place: &Place, text: &str) -> PathBuf {
    let path = place.folder().join("keydesk.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn with_file(place: &Place, text: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let path = file(place, text);
    let mut command = place.command(arguments);
    command.env("KEYDESK_CONFIG", path).envs(variables.iter().copied());
    command.output().unwrap().into()
}

/// The line of a setting: its value and where it comes from.
fn setting<'a>(ran: &'a Ran, name: &str) -> (&'a str, &'a str) {
    let line = ran.out.lines().find(|line| line.split('\t').next() == Some(name));
    let mut parts = line.unwrap_or_else(|| panic!("no {name}: {ran:?}")).split('\t').skip(1);
    (parts.next().unwrap(), parts.next().unwrap())
}

#[test]
fn options_come_before_variables_and_these_before_the_file() {
    let place = Place::sqlite();
    let text = r#"
        # Everything that the options know.
        listen = "127.0.0.1:4000"
        base-url = "https://file.example.com"
        session-hours = 5
        idle-seconds = 60
        log-json = true
        trusted-proxy = ["10.0.0.1/32", "10.0.0.2/32"]
    "#;
    let variables = [("KEYDESK_BASE_URL", "https://variable.example.com"), ("KEYDESK_SESSION_HOURS", "6")];
    let ran = with_file(&place, text, &["config", "check", "--session-hours", "7"], &variables);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let path = format!("file {}", place.folder().join("keydesk.toml").display());
    for (name, value, from) in [
        ("session-hours", "7", "option --session-hours"),
        ("base-url", "https://variable.example.com", "variable KEYDESK_BASE_URL"),
        ("listen", "127.0.0.1:4000", path.as_str()),
        ("idle-seconds", "60", &path),
        ("log-json", "true", &path),
        ("trusted-proxy", "10.0.0.1/32, 10.0.0.2/32", &path),
        ("session-idle-minutes", "30", "default"),
        ("public-doctor", "false", "default"),
        ("gateway-url", "-", "default"),
        ("log", "info,sqlx=warn", "default"),
    ] {
        assert_eq!(setting(&ran, name), (value, from), "{name}");
    }
}

#[test]
fn every_command_reads_the_file() {
    let place = Place::sqlite();
    let data = place.folder().join("elsewhere");
    let text = format!("data = {:?}\n", data.to_str().unwrap());
    let path = file(&place, &text);
    let run = |arguments: &[&str]| -> Ran {
        let mut command = place.command(arguments);
        command.env_remove("KEYDESK_DATA").output().unwrap().into()
    };
    for option in
        [["--config", path.to_str().unwrap(), "migrate"], ["migrate", "--config", path.to_str().unwrap()]]
    {
        assert_eq!(run(&option).code, Some(0), "{option:?}");
    }
    assert!(data.join("keydesk.sqlite").exists());
    let ran = run(&["doctor", "--config", path.to_str().unwrap()]);
    assert!(ran.out.contains(&format!("file {}", path.display())), "{ran:?}");
}

#[test]
fn a_name_that_is_no_setting_and_a_wrong_value_stop_the_program() {
    let place = Place::sqlite();
    for (text, words) in [
        ("lisen = \"127.0.0.1:1\"", "there is no setting \"lisen\""),
        ("[server]\nlisten = \"127.0.0.1:1\"", "there is no setting \"server\""),
        ("trusted_proxies = []", "there is no setting \"trusted_proxies\""),
        ("listen = 1.5", "listen has to be a text, a number"),
        ("listen = \"nonsense\"", "invalid value 'nonsense' for '--listen <LISTEN>'"),
        ("session-hours = 721", "721 is not in 1..=720"),
        ("public-doctor = \"perhaps\"", "public-doctor has to be true or false"),
        ("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]", "listen has to be one value"),
        ("listen = ", "is no TOML"),
        ("gateway-token = \"a\"\ngateway-token-file = \"b\"", "cannot both be set"),
    ] {
        for arguments in [&["serve"][..], &["config", "check"]] {
            let ran = with_file(&place, text, arguments, &[]);
            assert_eq!(ran.code, Some(2), "{text}, {arguments:?}: {ran:?}");
            assert!(
                ran.err.contains(words) && ran.err.contains("keydesk.toml"),
                "{text}, {arguments:?}: {ran:?}"
            );
            assert!(!place.data().exists());
        }
    }
    // A command that takes fewer settings knows the names of all.
    assert!(with_file(&place, "lisen = 1", &["orgs", "list"], &[]).err.contains("there is no setting"));
    assert!(
        with_file(&place, "session-hours = 3", &["orgs", "list"], &[]).err.contains("There is no database")
    );
    let mut command = place.command(&["serve", "--config", "/nowhere.toml"]);
    let ran: Ran = command.output().unwrap().into();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("/nowhere.toml cannot be read"), "{ran:?}");
}

#[test]
fn a_file_that_everyone_can_change_is_not_read() {
    let place = Place::sqlite();
    let path = file(&place, "log-json = true");
    std::fs::set_permissions(place.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let ran = place.run(&["config", "check", "--config", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("can change") && ran.err.contains("chmod 600"), "{ran:?}");
}

#[test]
fn a_nearer_token_takes_the_place_of_the_files() {
    let place = Place::sqlite();
    let token = place.folder().join("token");
    std::fs::write(&token, "b".repeat(40)).unwrap();
    let text = format!("gateway-token = \"{}\"", "a".repeat(40));
    let variables = [("KEYDESK_GATEWAY_TOKEN_FILE", token.to_str().unwrap())];
    let ran = with_file(&place, &text, &["config", "check"], &variables);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(setting(&ran, "gateway-token"), ("-", "default"));
    assert_eq!(setting(&ran, "gateway-token-file").1, "variable KEYDESK_GATEWAY_TOKEN_FILE");
}

#[test]
fn no_secret_is_shown_and_a_mistyped_variable_is() {
    let place = Place::sqlite();
    let text = format!(
        "smtp-url = \"smtps://me:hunter2@mail.example.com\"\nmail-from = \"a@example.com\"\ngateway-token = \"{}\"\n",
        "hunter2".repeat(6)
    );
    let variables = [
        ("KEYDESK_DATABASE_URL", "postgres://desk:hunter2@db.example.com/keydesk"),
        ("KEYDESK_LISTN", "127.0.0.1:1"),
        ("KEYDESK_FAR_API_KEY", "hunter2"),
    ];
    let ran = with_file(&place, &text, &["config", "check"], &variables);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    assert_eq!(setting(&ran, "smtp-url").0, "smtps://me:***@mail.example.com");
    assert_eq!(setting(&ran, "database-url").0, "postgres://desk:***@db.example.com/keydesk");
    assert_eq!(setting(&ran, "gateway-token").0, "***");
    assert_eq!(ran.err, "keydesk: The variable KEYDESK_LISTN is no setting.\n");
}

#[test]
fn what_makes_no_sense_together_fails_the_check() {
    let place = Place::sqlite();
    let ran = with_file(&place, "base-url = \"ftp://x\"", &["config", "check"], &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("Set KEYDESK_BASE_URL."), "{ran:?}");
}
