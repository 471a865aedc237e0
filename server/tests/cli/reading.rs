//! Commands that read change nothing, and say what is wrong with the database.

use super::support::{Place, both};

/// What only reads, once the organisation acme exists.
const READING: [&[&str]; 8] = [
    &["orgs", "list"],
    &["orgs", "balance", "acme"],
    &["models", "list"],
    &["providers", "list"],
    &["spend", "verify"],
    &["spend", "rerate", "--model", "gpt-5", "--from", "2026-11-01", "--to", "2026-11-20", "--at", "current"],
    &["audit", "verify"],
    &["doctor"],
];

async fn with_acme() -> [Place; 2] {
    let places = both().await;
    for place in &places {
        place.done(&["orgs", "create", "Acme", "--owner", "ana@acme.example"]);
    }
    places
}

/// Each reading command fails with the sentence, on stderr or as a check of the doctor's.
fn all_say(place: &Place, sentence: &str) {
    for arguments in READING {
        let ran = place.run(arguments);
        let (code, said) = if arguments == ["doctor"] { (2, &ran.out) } else { (1, &ran.err) };
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        assert!(said.contains(sentence), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_missing_database_is_named_and_not_made() {
    for place in both().await {
        let sentence = match &place.postgres {
            None => "There is no database at",
            Some(_) => "The database has no tables of Keydesk. Run: keydesk migrate",
        };
        all_say(&place, sentence);
        let gateway = place.run(&["gateway", "--listen", "127.0.0.1:0"]);
        assert_eq!(gateway.code, Some(1), "{gateway:?}");
        assert!(gateway.err.contains(sentence), "{gateway:?}");
        assert!(!place.data().exists());
        if place.postgres.is_some() {
            let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'";
            assert_eq!(place.number(tables).await, 0);
        }
    }
}

#[tokio::test]
async fn reading_leaves_every_file_as_it_was() {
    for place in with_acme().await {
        let before = place.files();
        for arguments in READING {
            place.done(arguments);
        }
        let after = place.files();
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        assert!(before == after, "a file of the data folder was changed");
    }
}

#[tokio::test]
async fn an_older_schema_is_not_migrated_by_reading() {
    for place in with_acme().await {
        place
            .tamper(
                "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)",
            )
            .await;
        let count = "SELECT COUNT(*) FROM _sqlx_migrations";
        let migrations = place.number(count).await;
        all_say(
            &place,
            "The database is older than this program: 1 migration is missing. Run: keydesk migrate",
        );
        assert_eq!(place.number(count).await, migrations);
    }
}

#[tokio::test]
async fn a_newer_schema_is_neither_read_nor_changed() {
    for place in with_acme().await {
        let (now, bytes) = match place.postgres {
            None => ("'2026-11-20 00:00:00'", "X'00'"),
            Some(_) => ("now()", "'\\x00'"),
        };
        place
            .tamper(&format!(
                "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
                 VALUES (9999, 'later', {now}, true, {bytes}, 0)"
            ))
            .await;
        let sentence = "The database is newer than this program: it has migration 9999.";
        all_say(&place, sentence);
        for arguments in [
            &["migrate"][..],
            &["orgs", "suspend", "acme", "--reason", "Unpaid"],
            &["serve", "--listen", "127.0.0.1:0"],
        ] {
            let ran = place.run(arguments);
            assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
            assert!(ran.err.contains(sentence), "{arguments:?}: {ran:?}");
        }
        assert_eq!(place.number("SELECT COUNT(*) FROM orgs WHERE suspended_at IS NOT NULL").await, 0);
    }
}

#[tokio::test]
async fn a_migration_with_another_text_is_named() {
    for place in with_acme().await {
        let bytes = if place.postgres.is_some() { "'\\x00'" } else { "X'00'" };
        place.tamper(&format!("UPDATE _sqlx_migrations SET checksum = {bytes} WHERE version = 1")).await;
        all_say(&place, "Migration 1 of the database is not this program's, or did not finish.");
    }
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let place = Place::sqlite();
    std::fs::create_dir(place.data()).unwrap();
    std::fs::write(place.data().join("keydesk.sqlite"), "not a database at all, but long enough to be one")
        .unwrap();
    let before = place.files();
    let ran = place.run(&["orgs", "list"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("file is not a database"), "{ran:?}");
    assert!(place.files() == before);
}
