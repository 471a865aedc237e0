//! A database that is full, locked or read by others.
// sqlx here: it stands for another program that uses the file.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keydesk_core::ops::OpError;
use keydesk_core::store::{Conn, DatabaseUrl, Db, StoreError, Via, readiness};
use sqlx::{Connection, Executor, SqliteConnection};

use crate::support::*;

#[tokio::test]
async fn a_transaction_that_the_database_ended_by_itself_does_not_stop_the_next_ones() {
    let folder = tempfile::tempdir().unwrap();
    let db = TestDatabase::in_folder(folder.path()).await.db;
    let mut tx = db.write().await.unwrap();
    // As SQLite does it when the disk is full: the driver's own roll-back fails afterwards.
    let Conn::Sqlite(conn) = tx.conn() else { unreachable!() };
    conn.execute("ROLLBACK").await.unwrap();
    drop(tx);
    for _ in 0..3 {
        readiness::probe(&db, START).await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for_once_and_not_by_everyone_after() {
    let folder = tempfile::tempdir().unwrap();
    let TestDatabase { db, url } = TestDatabase::in_folder(folder.path()).await;
    let DatabaseUrl::Sqlite(path) = url else { unreachable!() };
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    for _ in 0..4 {
        let error = readiness::probe(&db, START).await.unwrap_err();
        assert!(error.is_outage(), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    other.execute("ROLLBACK").await.unwrap();
    // What the connection still waits for ends now.
    let healed = async {
        while readiness::probe(&db, START).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), healed).await.unwrap();
}

/// SQLite's own lock would go to the other program by chance alone, as it is free only for moments.
#[tokio::test]
async fn a_program_that_writes_without_a_pause_lets_another_one_write() {
    const HELD: Duration = Duration::from_millis(20);
    let folder = tempfile::tempdir().unwrap();
    let TestDatabase { db: busy, url } = TestDatabase::in_folder(folder.path()).await;
    let other = Db::open(&url).await.unwrap();
    let written = Arc::new(AtomicU32::new(0));
    let count = written.clone();
    let writing = tokio::spawn(async move {
        loop {
            let tx = busy.write().await.unwrap();
            tokio::time::sleep(HELD).await;
            drop(tx);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    for _ in 0..5 {
        // Somewhere in the middle of one of its transactions.
        let before = written.load(Ordering::Relaxed);
        while written.load(Ordering::Relaxed) < before + 2 {
            tokio::time::sleep(HELD / 4).await;
        }
        let asked = written.load(Ordering::Relaxed);
        drop(other.write().await.unwrap());
        let meanwhile = written.load(Ordering::Relaxed) - asked;
        // The one that was under way, and one that had its turn before.
        assert!(meanwhile <= 3, "{meanwhile} transactions came before");
    }
    writing.abort();
}

#[tokio::test]
async fn a_new_database_is_its_owners_alone_in_a_folder_that_is_everyones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let db = TestDatabase::in_folder(folder.path()).await.db;
    readiness::probe(&db, START).await.unwrap();
    for name in ["desk.db", "desk.db-wal", "desk.db-shm", "desk.db.turn"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

on_both!(
    fn the_probe_writes_and_commits(desk: TestDesk) {
        readiness::probe(&desk.db, desk.now()).await.unwrap();
        assert_eq!(desk.number("SELECT written_at FROM readiness").await, desk.now().ms());
        let read_only = Db::open_readonly(&desk.url).await.unwrap();
        let error = readiness::probe(&read_only, desk.now()).await.unwrap_err();
        assert!(error.is_outage(), "{error}");
        assert!(matches!(OpError::from(error), OpError::Store(StoreError::Database(_))));
        read_only.close().await;
    }
);
