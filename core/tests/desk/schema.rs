//! The two schemas say the same, and the audit cannot be rewritten.

// sqlx here: it reads the catalogues of both databases.
use std::collections::{BTreeMap, BTreeSet};

use keydesk_core::domain::audit::{Event, EventKind};
use keydesk_core::domain::policy::{Action, test_permit};
use keydesk_core::store::{Db, SchemaState};
use sqlx::Row;

use crate::support::{At, TestDesk, hex, on_both, on_postgres, on_sqlite};

/// A schema in words that both databases share.
#[derive(Debug, Default, PartialEq)]
struct Schema {
    /// Table, column, type, whether it may be null.
    columns: BTreeSet<(String, String, String, bool)>,
    primary: BTreeMap<String, Vec<String>>,
    /// Name, table, whether unique, and its columns; an expression has no name.
    indexes: BTreeSet<(String, String, bool, Vec<String>)>,
    /// Table, column, table, column.
    references: BTreeSet<(String, String, String, String)>,
}

async fn schema_of(desk: &TestDesk) -> Schema {
    match &desk.db {
        Db::Sqlite { .. } => sqlite_schema(desk).await,
        Db::Postgres(..) => postgres_schema(desk).await,
    }
}

fn ours(table: &str) -> bool {
    !table.starts_with("key_search_") && !table.starts_with("_sqlx") && !table.starts_with("sqlite_")
}

async fn sqlite_schema(desk: &TestDesk) -> Schema {
    let Db::Sqlite { readers, .. } = &desk.db else { unreachable!() };
    let mut schema = Schema::default();
    let tables: Vec<String> = desk.texts("SELECT name FROM sqlite_schema WHERE type = 'table'").await;
    for table in tables.into_iter().filter(|table| ours(table)) {
        let rows = sqlx::query("SELECT name, type, \"notnull\", pk FROM pragma_table_info($1) ORDER BY pk")
            .bind(&table)
            .fetch_all(readers)
            .await
            .unwrap();
        for row in rows {
            let (name, kind): (String, String) = (row.get(0), row.get(1));
            let kind = match kind.as_str() {
                "INTEGER" => "bigint",
                "TEXT" => "text",
                "BLOB" => "bytea",
                other => panic!("{table}.{name} is {other}"),
            };
            schema.columns.insert((table.clone(), name.clone(), kind.into(), row.get::<i64, _>(2) == 0));
            if row.get::<i64, _>(3) > 0 {
                schema.primary.entry(table.clone()).or_default().push(name);
            }
        }
        let rows = sqlx::query("SELECT name, \"unique\" FROM pragma_index_list($1) WHERE origin = 'c'")
            .bind(&table)
            .fetch_all(readers)
            .await
            .unwrap();
        for row in rows {
            let (name, unique): (String, i64) = (row.get(0), row.get(1));
            let columns: Vec<Option<String>> =
                sqlx::query_scalar("SELECT name FROM pragma_index_info($1) ORDER BY seqno")
                    .bind(&name)
                    .fetch_all(readers)
                    .await
                    .unwrap();
            let columns = columns.into_iter().map(Option::unwrap_or_default).collect();
            schema.indexes.insert((name, table.clone(), unique == 1, columns));
        }
        let rows = sqlx::query("SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list($1)")
            .bind(&table)
            .fetch_all(readers)
            .await
            .unwrap();
        for row in rows {
            schema.references.insert((table.clone(), row.get(0), row.get(1), row.get(2)));
        }
    }
    schema
}

async fn postgres_schema(desk: &TestDesk) -> Schema {
    let Db::Postgres(pool, _) = &desk.db else { unreachable!() };
    let mut schema = Schema::default();
    let rows = sqlx::query(
        "SELECT c.table_name::text, c.column_name::text, c.data_type::text, c.is_nullable = 'YES'
        FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
        WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for row in rows {
        let table: String = row.get(0);
        if ours(&table) {
            schema.columns.insert((table, row.get(1), row.get(2), row.get(3)));
        }
    }
    let rows = sqlx::query(
        "SELECT i.relname::text, t.relname::text, x.indisunique, x.indisprimary,
            ARRAY(SELECT COALESCE(a.attname::text, '') FROM unnest(x.indkey) WITH ORDINALITY AS k (at, place)
                LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.at AND k.at > 0 ORDER BY k.place)
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
        JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = 'public'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for row in rows {
        let (name, table): (String, String) = (row.get(0), row.get(1));
        if !ours(&table) || name == "key_search_text" {
            continue;
        }
        let columns: Vec<String> = row.get(4);
        if row.get::<bool, _>(3) {
            schema.primary.insert(table, columns);
        } else {
            schema.indexes.insert((name, table, row.get(2), columns));
        }
    }
    let rows = sqlx::query(
        "SELECT t.relname::text, a.attname::text, f.relname::text, b.attname::text FROM pg_constraint c
        JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1]
        JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = c.confkey[1] WHERE c.contype = 'f'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for row in rows {
        schema.references.insert((row.get(0), row.get(1), row.get(2), row.get(3)));
    }
    schema
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_have_the_same_schema() {
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let give = |send: tokio::sync::mpsc::UnboundedSender<Schema>| {
        move |desk: TestDesk| async move { send.send(schema_of(&desk).await).unwrap() }
    };
    on_sqlite(give(send.clone())).await;
    on_postgres(give(send)).await;
    let (sqlite, postgres) = (receive.recv().await.unwrap(), receive.recv().await.unwrap());
    assert!(sqlite.columns.len() > 100 && sqlite.indexes.len() > 20 && sqlite.references.len() > 20);
    assert_eq!(sqlite.columns, postgres.columns);
    assert_eq!(sqlite.primary, postgres.primary);
    assert_eq!(sqlite.indexes, postgres.indexes);
    assert_eq!(sqlite.references, postgres.references);
}

#[test]
fn migrations_are_paired_by_name() {
    let names = |migrator: &sqlx::migrate::Migrator| -> Vec<(i64, String)> {
        migrator.iter().map(|one| (one.version, one.description.to_string())).collect()
    };
    let sqlite = names(&sqlx::migrate!("../migrations/sqlite"));
    assert_eq!(sqlite, names(&sqlx::migrate!("../migrations/postgres")));
    assert!(!sqlite.is_empty());
}

on_both!(
    fn migrating_again_changes_nothing(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "ci-prod").await;
        let before = (schema_of(&desk).await, desk.dump().await);
        desk.db.migrate().await.unwrap();
        assert_eq!(desk.db.schema().await.unwrap(), SchemaState::Current);
        assert_eq!(before, (schema_of(&desk).await, desk.dump().await));
    }
);

on_both!(
    fn providers_that_had_the_old_default_wait_as_long_as_new_ones(desk: TestDesk) {
        for (n, idle, whole) in [(1, 60_000, 600_000), (2, 60_000, 120_000), (3, 30_000, 600_000)] {
            desk.execute(&format!(
                "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms, created_at, version)
                VALUES ('prov_0000000000000000000000000000000{n}', '{n}', 'openai', 'http://127.0.0.1:1', '', 500, {idle}, {whole}, 0, 1)"
            ))
            .await
            .unwrap();
        }
        let migration = include_str!("../../../migrations/sqlite/0015_disconnect.sql");
        let update = migration.lines().find(|line| line.starts_with("UPDATE providers")).unwrap();
        desk.execute(update).await.unwrap();
        // Not longer than the total timeout.
        let idle = desk.numbers("SELECT idle_ms FROM providers ORDER BY id").await;
        assert_eq!(idle, [300_000, 60_000, 30_000]);
    }
);

async fn check_chain(desk: &TestDesk, at: &At, events: i64) {
    let of_org = format!("FROM audit_events WHERE org_id = '{}' ORDER BY seq", at.org.id);
    let numbers = desk.numbers(&format!("SELECT seq {of_org}")).await;
    assert_eq!(numbers, (1..=events).collect::<Vec<_>>());
    let hashes = desk.bytes_of(&format!("SELECT hash {of_org}")).await;
    let previous = desk.bytes_of(&format!("SELECT previous_hash {of_org}")).await;
    assert_eq!(previous[0], vec![0; 32]);
    for at in 1..hashes.len() {
        assert_eq!(hex(&previous[at]), hex(&hashes[at - 1]), "event {}", at + 1);
    }
    let distinct: BTreeSet<&Vec<u8>> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len());
    let head = format!("SELECT hash FROM audit_heads WHERE chain_id = '{}'", at.org.id);
    assert_eq!(Some(&desk.bytes_of(&head).await[0]), hashes.last());
}

on_both!(
    fn audit_events_have_no_holes_under_twenty_writers(desk: TestDesk) {
        let at = desk.owner().await;
        let other = desk.other_org("Other", "UTC").await;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..20 {
            let (desk, at, other) = (desk.clone(), at.clone(), other.clone());
            writers.spawn(async move {
                for round in 0..3 {
                    desk.create_key(&at, &format!("key {writer}-{round}")).await;
                }
                desk.create_key(&other, &format!("key {writer}")).await;
                // What fails in its transaction leaves no number behind.
                assert!(desk.create(&at, crate::support::form(&format!("key {writer}-0"))).await.is_err());
                let tx = desk.db.write().await.unwrap();
                drop(tx);
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
        // The first event of the organisation that was set up tells of its making.
        check_chain(&desk, &at, 61).await;
        check_chain(&desk, &other, 20).await;
    }
);

on_both!(
    fn the_database_refuses_to_rewrite_the_audit(desk: TestDesk) {
        let at = desk.owner().await;
        desk.create_key(&at, "ci-prod").await;
        let before = desk.dump().await;
        for sql in [
            "UPDATE audit_events SET actor_name = 'Nobody'",
            "UPDATE audit_events SET seq = 99 WHERE seq = 1",
            "DELETE FROM audit_events",
            "DELETE FROM audit_events WHERE seq = 2",
        ] {
            let error = desk.execute(sql).await.expect_err(sql).to_string();
            assert!(error.contains("append-only"), "{error}");
        }
        if matches!(desk.db, Db::Postgres(..)) {
            assert!(desk.execute("TRUNCATE audit_events").await.is_err());
        }
        assert_eq!(before, desk.dump().await);
    }
);

on_both!(
    fn replacing_an_audit_event_is_refused(desk: TestDesk) {
        let at = desk.owner().await;
        let replace = match &desk.db {
            Db::Sqlite { .. } => {
                "INSERT OR REPLACE INTO audit_events SELECT chain_id, seq, org_id, 0, actor_id, 'Nobody', kind,
                subject_id, subject_name, changes, address, request_id, previous_hash, hash FROM audit_events"
            }
            Db::Postgres(..) => {
                "INSERT INTO audit_events SELECT * FROM audit_events
                ON CONFLICT (chain_id, seq) DO UPDATE SET actor_name = 'Nobody'"
            }
        };
        assert!(desk.execute(replace).await.is_err(), "an event was replaced");
        check_chain(&desk, &at, 1).await;
        assert_eq!(
            desk.texts("SELECT actor_name FROM audit_events WHERE org_id IS NOT NULL").await,
            ["set-up link"]
        );
    }
);

on_both!(
    fn a_change_without_its_event_is_not_saved(desk: TestDesk) {
        let at = desk.owner().await;
        let before = desk.dump().await;
        // An event of an organisation that is not there cannot be written, and takes its change down with it.
        let nowhere = keydesk_core::domain::ids::OrgId::new(desk.now(), [9; 10]);
        let mut tx = desk.db.write().await.unwrap();
        keydesk_core::store::people::set_theme(&mut tx, &at.caller.person.id, "dark").await.unwrap();
        let permit = test_permit(&nowhere, Action::EditKey, "x");
        let saved = tx.save(&permit, Event::new(EventKind::KeyEdited, "x", "x"), desk.now()).await;
        assert!(saved.is_err());
        assert_eq!(before, desk.dump().await);
    }
);
