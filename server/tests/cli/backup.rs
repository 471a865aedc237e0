//! Backups of databases in use, and what becomes of them in an empty folder.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keydesk_core::store::DatabaseUrl;

use super::provider_keys::with_input;
use super::rotation::{client, status, with_key};
use super::serving::Serving;
use super::support::{Place, Ran, both};

const PASSPHRASE: &str = "marble otter lantern seven";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file with the passphrase.
fn passphrase(place: &Place, words: &str) -> PathBuf {
    let path = place.folder().join("passphrase");
    std::fs::write(&path, format!("{words}\n")).unwrap();
    path
}

/// Restores a file into a new place, and answers what was printed.
fn restored(file: &Path, options: &[&str]) -> (Place, Ran) {
    let place = Place::sqlite();
    let ran = place.run(&[&["restore", text(file)], options].concat());
    (place, ran)
}

fn verified(place: &Place) {
    for check in ["audit", "spend"] {
        place.done(&[check, "verify"]);
    }
}

/// Acme with a stored API key, so that both key files are there.
async fn with_acme() -> Place {
    let place = Place::sqlite();
    place.done(&["orgs", "create", "Acme", "--owner", "ana@acme.example"]);
    let add = ["providers", "add", "Far", "--url", "http://127.0.0.1:9/v4", "--api-key-stdin"];
    assert_eq!(with_input(&place, &add, "sk-proj-canary0123456789wxyz").code, Some(0));
    place
}

async fn chat(client: &reqwest::Client, address: &str, secret: &str) -> u16 {
    let body = r#"{"model": "demo/echo", "max_tokens": 16, "messages": [{"role": "user", "content": "Say it back"}]}"#;
    let url = format!("http://{address}/v1/chat/completions");
    let request = client.post(url).bearer_auth(secret).header("content-type", "application/json").body(body);
    request.send().await.unwrap().status().as_u16()
}

/// What was answered before a backup began is in it, and each backup adds up by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_while_requests_are_admitted_and_settled() {
    let place = Place::sqlite();
    let secret = with_key(&place, false).await;
    let serving = Serving::start(&place);
    let (client, over) = (client(), Arc::new(AtomicBool::new(false)));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (client, over, answered) = (client.clone(), over.clone(), answered.clone());
            let (address, secret) = (serving.address.clone(), secret.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    assert_eq!(chat(&client, &address, &secret).await, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let mut backups = Vec::new();
    for n in 0..3 {
        while answered.load(Ordering::SeqCst) < 40 * (n + 1) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let file = place.folder().join(format!("backup {n}.sqlite"));
        // A request is answered before its settlement is written, for a moment.
        let before = place.number("SELECT COUNT(*) FROM usage").await;
        place.done(&["backup", text(&file)]);
        let after = place.number("SELECT COUNT(*) FROM usage").await;
        backups.push((file, before, after));
    }
    over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(status(&client, &serving, &secret).await, 200);
    serving.terminate();
    assert_eq!(serving.ended().code, Some(0));
    for (file, before, after) in backups {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let (other, ran) = restored(&file, &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        verified(&other);
        let requests = other.number("SELECT COUNT(*) FROM usage").await;
        assert!((before..=after).contains(&requests) && requests > 0, "{before} {requests} {after}");
        // The key goes on working there.
        let again = Serving::start(&other);
        assert_eq!(status(&client, &again, &secret).await, 200);
        assert_eq!(chat(&client, &again.address, &secret).await, 200);
    }
    // Nothing but the backups is left beside them.
    let left: Vec<_> =
        std::fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[tokio::test]
async fn an_encrypted_backup_has_all_that_a_restore_needs() {
    let place = with_acme().await;
    std::fs::write(place.data().join("cookie.key"), [5; 64]).unwrap();
    let (file, words) = (place.folder().join("backup"), passphrase(&place, PASSPHRASE));
    let out = place.done(&["backup", text(&file), "--passphrase-file", text(&words)]);
    assert!(out.contains("1 organisation") && out.contains("The key files are in it, too."), "{out}");
    let bytes = std::fs::read(&file).unwrap();
    for clear in ["acme", "SQLite format", "ana@acme.example"] {
        assert!(!bytes.windows(clear.len()).any(|part| part == clear.as_bytes()), "{clear}");
    }
    assert!(!place.files().keys().any(|name| name.contains("partial")), "no clear copy is left");

    let (other, ran) = restored(&file, &["--passphrase-file", text(&words)]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!ran.out.contains("cannot be opened"), "{ran:?}");
    let (before, after) = (place.files(), other.files());
    for key in ["cookie.key", "provider.key"] {
        assert_eq!(before[key], after[key], "{key}");
        assert_eq!(std::fs::metadata(other.data().join(key)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    verified(&other);
    let doctor = other.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");

    // Without the passphrase, with another one, and with a short one.
    let (other, ran) = restored(&file, &[]);
    assert!(ran.err.contains("is encrypted. Name the file with its passphrase"), "{ran:?}");
    for (wrong, said) in
        [("marble otter lantern eight", "passphrase is another one"), ("short", "at least 12")]
    {
        let words = passphrase(&place, wrong);
        let ran = other.run(&["restore", text(&file), "--passphrase-file", text(&words)]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
        assert!(!other.files().keys().any(|name| name.ends_with("sqlite") || name.contains("partial")));
    }
    // Another key is not overwritten.
    std::fs::create_dir_all(other.data()).unwrap();
    std::fs::write(other.data().join("cookie.key"), [6; 64]).unwrap();
    let words = passphrase(&place, PASSPHRASE);
    let ran = other.run(&["restore", text(&file), "--passphrase-file", text(&words)]);
    assert!(ran.err.contains("is another key than the backup's"), "{ran:?}");
    assert!(!other.data().join("keydesk.sqlite").exists());
}

#[tokio::test]
async fn a_plain_backup_names_the_keys_that_it_lacks() {
    let place = with_acme().await;
    let file = place.folder().join("backup");
    let out = place.done(&["backup", text(&file)]);
    let key = place.data().join("provider.key");
    assert!(out.contains("The key files are not in it.") && out.contains(text(&key)), "{out}");
    let (other, ran) = restored(&file, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("The API keys of Far cannot be opened"), "{ran:?}");
    // Put there before, it fits.
    let with_key = Place::sqlite();
    std::fs::create_dir(with_key.data()).unwrap();
    std::fs::copy(&key, with_key.data().join("provider.key")).unwrap();
    let out = with_key.done(&["restore", text(&file)]);
    assert!(!out.contains("cannot be opened"), "{out}");
    drop(other);
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let place = with_acme().await;
    let file = place.folder().join("backup");
    std::fs::write(&file, "mine").unwrap();
    let ran = place.run(&["backup", text(&file)]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("no file is overwritten"), "{ran:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    let nowhere = place.folder().join("nowhere/backup");
    assert!(place.run(&["backup", text(&nowhere)]).err.contains("cannot be made"));

    let file = place.folder().join("other");
    place.done(&["backup", text(&file)]);
    let before = place.files();
    let ran = place.run(&["restore", text(&file)]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("a restore overwrites nothing"), "{ran:?}");
    // Nor while it is served.
    let serving = Serving::start(&place);
    let ran = place.run(&["restore", text(&file)]);
    assert!(ran.err.contains("Another process serves the database"), "{ran:?}");
    serving.terminate();
    assert_eq!(serving.ended().code, Some(0));
    assert_eq!(before["provider.key"], place.files()["provider.key"]);
    assert_eq!(place.run(&["backup"]).code, Some(2));
}

#[tokio::test]
async fn what_does_not_verify_is_not_restored() {
    let place = with_acme().await;
    place.tamper("DROP TRIGGER audit_events_no_update").await;
    place.tamper("UPDATE audit_events SET subject_name = 'Other' WHERE kind = 'org.created' AND org_id IS NOT NULL").await;
    let file = place.folder().join("backup");
    // The only copy there is is written all the same.
    let ran = place.run(&["backup", text(&file)]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.out.contains("The audit of acme is broken: ") && ran.err.contains("is a whole copy"),
        "{ran:?}"
    );
    let (other, ran) = restored(&file, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("The audit of acme is broken") && ran.err.contains("--despite-findings"),
        "{ran:?}"
    );
    assert!(!other.data().join("keydesk.sqlite").exists());
    assert_eq!(restored(&file, &["--despite-findings"]).1.code, Some(0));

    // Pages that are lost are another matter.
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 8 * 4096].fill(0);
    std::fs::write(&file, &bytes).unwrap();
    let (other, ran) = restored(&file, &["--despite-findings"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("damaged") || ran.err.contains("malformed"), "{ran:?}");
    assert!(!other.files().keys().any(|name| name.ends_with("sqlite") || name.contains("partial")));
    std::fs::write(&file, "no database").unwrap();
    assert!(restored(&file, &[]).1.err.contains("is no backup of Keydesk"));
}

/// Before an upgrade, a backup is made with the old or the new program; afterwards only the new one restores it.
#[tokio::test]
async fn a_backup_of_another_release_is_migrated_or_refused() {
    let place = with_acme().await;
    place.tamper("DROP TABLE last_backup").await;
    place
        .tamper("DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .await;
    let migrations = "SELECT COUNT(*) FROM _sqlx_migrations";
    let before = place.number(migrations).await;
    let older = place.folder().join("older");
    let out = place.done(&["backup", text(&older)]);
    assert!(out.contains("audit events") && out.contains("verified"), "{out}");
    assert_eq!(place.number(migrations).await, before, "a backup migrates nothing");
    assert!(!place.files().keys().any(|name| name.contains("partial")));
    let (other, ran) = restored(&older, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(other.number(migrations).await, before + 1);
    verified(&other);

    let newer = place.folder().join("newer");
    other.done(&["backup", text(&newer)]);
    let options = sqlite_options(&newer);
    tamper(
        &options,
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
        VALUES (9999, 'later', '2026-11-20 00:00:00', true, X'00', 0)",
    )
    .await;
    let (third, ran) = restored(&newer, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("newer than this program: it has migration 9999"), "{ran:?}");
    assert!(!third.data().join("keydesk.sqlite").exists());
}

#[tokio::test]
async fn everyone_is_signed_out_when_that_is_asked_for() {
    for place in both().await {
        place.done(&["orgs", "create", "Acme", "--owner", "ana@acme.example"]);
        let open = "SELECT COUNT(*) FROM invitations WHERE expires_at > created_at + 3600000";
        assert_eq!(place.number(open).await, 1);
        let file = place.folder().join("backup");
        if place.postgres.is_some() {
            let out = place.done(&["sign-everyone-out"]);
            assert_eq!(out, "Sessions ended: 0. Open links ended: 1.\n");
            assert_eq!(place.number(open).await, 0);
            verified(&place);
            continue;
        }
        place.done(&["backup", text(&file)]);
        let (other, ran) = restored(&file, &["--sign-everyone-out"]);
        assert!(ran.out.contains("Open links ended: 1"), "{ran:?}");
        assert_eq!((other.number(open).await, place.number(open).await), (0, 1));
        verified(&other);
        let kept = restored(&file, &[]).0;
        assert_eq!(kept.number(open).await, 1);
    }
}

/// Copies `from` file by file, as `cp -r` does.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_folder_of_a_running_server_is_recognised() {
    let place = Place::sqlite();
    let secret = with_key(&place, false).await;
    let serving = Serving::start(&place);
    let client = client();
    assert_eq!(chat(&client, &serving.address, &secret).await, 200);
    let (copy, without_log) = (Place::sqlite(), Place::sqlite());
    for place_of in [&copy, &without_log] {
        copy_folder(&place.data(), &place_of.data());
    }
    let ran = copy.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let database = place.data().join("keydesk.sqlite");
    assert!(
        ran.err.contains(&format!("is a copy of {}", database.canonicalize().unwrap().display())),
        "{ran:?}"
    );
    let doctor = copy.run(&["doctor"]);
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    assert!(doctor.out.contains("FAIL copy: "), "{doctor:?}");
    // It can be used all the same.
    std::fs::remove_file(copy.data().join("keydesk.sqlite.serving")).unwrap();
    let again = Serving::start(&copy);
    again.terminate();
    assert_eq!(again.ended().code, Some(0));

    // Neither the file in use nor the copy without its log is a backup.
    let (_, ran) = restored(&database, &[]);
    assert!(ran.err.contains("is a database in use, or was copied from one"), "{ran:?}");
    std::fs::remove_file(without_log.data().join("keydesk.sqlite-wal")).unwrap();
    let (other, ran) = restored(&without_log.data().join("keydesk.sqlite"), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(!other.data().join("keydesk.sqlite").exists());

    // A killed server starts again on its own files, and a copy of a stopped one is whole.
    drop(serving);
    let serving = Serving::start(&place);
    serving.terminate();
    assert_eq!(serving.ended().code, Some(0));
    let whole = Place::sqlite();
    copy_folder(&place.data(), &whole.data());
    let serving = Serving::start(&whole);
    assert_eq!(status(&client, &serving, &secret).await, 200);
    drop(serving);
    let (other, ran) = restored(&database, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    verified(&other);
}

/// The commands of docs/operate.md, as they stand there.
#[tokio::test]
async fn on_postgres_the_documented_commands_back_up_and_restore() {
    let [_, place] = both().await;
    let [_, other] = both().await;
    place.done(&["orgs", "create", "Acme", "--owner", "ana@acme.example"]);
    let ran = place.run(&["backup", text(&place.folder().join("backup"))]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("pg_dump") && ran.err.contains("docs/operate.md") && ran.err.lines().count() == 1,
        "{ran:?}"
    );
    let ran = other.run(&["restore", text(&place.folder().join("backup"))]);
    assert!(ran.err.contains("pg_restore") && ran.err.lines().count() == 1, "{ran:?}");

    let guide = include_str!("../../../docs/operate.md");
    let block = |first: &str| {
        let found = guide.split("```sh\n").skip(1).map(|part| part.split("```").next().unwrap());
        found.into_iter().find(|block| block.starts_with(first)).unwrap_or_else(|| panic!("no block {first}"))
    };
    shell(&place, place.folder(), block("pg_dump"));
    assert!(place.run(&["doctor", "--json"]).out.contains("the last one was made at"));
    shell(&other, place.folder(), block("pg_restore"));
    assert!(other.done(&["orgs", "list"]).starts_with("acme\tactive"));
    verified(&other);
}

/// Runs commands of the guide with the program of this test, and the newest tools of Postgres.
fn shell(place: &Place, folder: &Path, commands: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_keydesk"));
    let mut tools: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.map(|entry| entry.unwrap().path().join("bin")).collect())
        .unwrap_or_default();
    tools.sort();
    tools.reverse();
    let path =
        [vec![program.parent().unwrap().to_owned()], tools, vec!["/usr/bin".into(), "/bin".into()]].concat();
    let mut command = Command::new("sh");
    command.args(["-euc", commands]).current_dir(folder).env_clear();
    command.env("PATH", std::env::join_paths(path).unwrap());
    command.env("KEYDESK_DATA", place.data());
    // Without the parameters that only the driver of this program knows.
    let DatabaseUrl::Postgres(url) = place.url() else { panic!("no Postgres") };
    command.env("KEYDESK_DATABASE_URL", url.split('?').next().unwrap());
    let ran: Ran = command.output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{commands}: {ran:?}");
}

// sqlx here: it changes a backup behind the program.
fn sqlite_options(path: &Path) -> sqlx::sqlite::SqliteConnectOptions {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path)
}

async fn tamper(options: &sqlx::sqlite::SqliteConnectOptions, sql: &'static str) {
    use sqlx::{ConnectOptions, Connection, Executor};
    let mut connection = options.connect().await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}
