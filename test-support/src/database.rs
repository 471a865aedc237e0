//! A fresh, migrated database for each test, and statements that the program itself does not have.
// sqlx here: it makes and drops databases, and looks behind the store.

use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

use keydesk_core::store::{DatabaseUrl, Db};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use crate::{TestDesk, hex};

/// A migrated database without any row of its own.
#[derive(Clone)]
pub struct TestDatabase {
    pub db: Db,
    /// To open the same database in another process.
    pub url: DatabaseUrl,
}

/// What a test of `on_both!` is given.
pub trait Fixture: Sized + Send + 'static {
    fn over(database: TestDatabase) -> impl Future<Output = Self> + Send;
}

impl TestDatabase {
    /// SQLite, in a file of this folder.
    pub async fn in_folder(folder: &std::path::Path) -> Self {
        let url = DatabaseUrl::Sqlite(folder.join("desk.db"));
        let db = Db::open(&url).await.unwrap();
        db.migrate().await.unwrap();
        Self { db, url }
    }

    /// Runs the body as a task of its own, so that a failed assertion still lets the database be removed.
    async fn run<X, F, R>(self, body: F) -> Result<(), tokio::task::JoinError>
    where
        X: Fixture,
        F: FnOnce(X) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let db = self.db.clone();
        let outcome = tokio::spawn(body(X::over(self).await)).await;
        db.close().await;
        outcome
    }
}

fn resume(outcome: Result<(), tokio::task::JoinError>) {
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl TestDesk {
    /// Runs a statement that the program itself does not have.
    pub async fn execute(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let done = match &self.db {
            Db::Sqlite { writer, .. } => query.execute(writer).await.map(|done| done.rows_affected()),
            Db::Postgres(pool, _) => query.execute(pool).await.map(|done| done.rows_affected()),
        };
        self.look().await;
        done
    }

    pub async fn numbers(&self, sql: &str) -> Vec<i64> {
        let query = AssertSqlSafe(sql.to_owned());
        match &self.db {
            Db::Sqlite { readers, .. } => sqlx::query_scalar(query).fetch_all(readers).await.unwrap(),
            Db::Postgres(pool, _) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
        }
    }

    pub async fn number(&self, sql: &str) -> i64 {
        self.numbers(sql).await[0]
    }

    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let query = AssertSqlSafe(sql.to_owned());
        match &self.db {
            Db::Sqlite { readers, .. } => sqlx::query_scalar(query).fetch_all(readers).await.unwrap(),
            Db::Postgres(pool, _) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
        }
    }

    pub async fn bytes_of(&self, sql: &str) -> Vec<Vec<u8>> {
        let query = AssertSqlSafe(sql.to_owned());
        match &self.db {
            Db::Sqlite { readers, .. } => sqlx::query_scalar(query).fetch_all(readers).await.unwrap(),
            Db::Postgres(pool, _) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
        }
    }

    /// Everything that is stored, one row a line behind its table's name; bytes that are no text in hex.
    pub async fn dump(&self) -> String {
        let mut dump = String::new();
        match &self.db {
            Db::Sqlite { readers, .. } => {
                let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'key_search_index' ORDER BY name";
                for table in self.texts(tables).await {
                    let rows = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}")));
                    for row in rows.fetch_all(readers).await.unwrap() {
                        dump.push_str(&table);
                        for at in 0..row.len() {
                            dump.push('\t');
                            if let Ok(Some(bytes)) = row.try_get_unchecked::<Option<Vec<u8>>, _>(at) {
                                match std::str::from_utf8(&bytes) {
                                    Ok(text) => dump.push_str(text),
                                    Err(_) => dump.push_str(&hex(&bytes)),
                                }
                            }
                        }
                        dump.push('\n');
                    }
                }
            }
            Db::Postgres(..) => {
                let tables = "SELECT table_name::text FROM information_schema.tables
                    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1";
                for table in self.texts(tables).await {
                    for row in self.texts(&format!("SELECT t::text FROM {table} t")).await {
                        dump.push_str(&format!("{table}\t{row}\n"));
                    }
                }
            }
        }
        dump
    }
}

pub async fn on_sqlite<X, F, R>(body: F)
where
    X: Fixture,
    F: FnOnce(X) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::in_folder(folder.path()).await;
    resume(database.run(body).await);
}

pub async fn on_postgres<X, F, R>(body: F)
where
    X: Fixture,
    F: FnOnce(X) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let server = postgres_server();
    let mut admin = server.connect().await.expect("the server of KEYDESK_TEST_POSTGRES answers");
    let template = template(&server, &mut admin).await;
    let name = unique_name();
    let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
    let url = DatabaseUrl::Postgres(url_of(&server, &name));
    let db = Db::open(&url).await.unwrap();
    let outcome = TestDatabase { db, url }.run(body).await;
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    let _ = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await;
    let _ = admin.close().await;
    resume(outcome);
}

fn unique_name() -> String {
    format!("kd_{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}

fn postgres_server() -> PgConnectOptions {
    let url = std::env::var("KEYDESK_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "These tests need a Postgres server: run them with `make test` or `scripts/with-postgres.sh cargo test`, \
             or set KEYDESK_TEST_POSTGRES to the postgres:// address of a server where databases may be created."
        )
    });
    PgConnectOptions::from_str(&url).expect("KEYDESK_TEST_POSTGRES is a postgres:// address")
}

fn url_of(server: &PgConnectOptions, database: &str) -> String {
    server.clone().database(database).to_url_lossy().to_string()
}

/// A migrated database to copy, which is faster than migrating each. It is named after the migrations, so it is made
/// once per server.
async fn template(server: &PgConnectOptions, admin: &mut PgConnection) -> String {
    const ONE_AT_A_TIME: i64 = 7_305_114_000;
    let mut hash = Sha256::new();
    for migration in sqlx::migrate!("../migrations/postgres").iter() {
        hash.update(&*migration.checksum);
    }
    let name = format!("kd_template_{}", &hex(&hash.finalize())[..16]);
    sqlx::query("SELECT pg_advisory_lock($1)").bind(ONE_AT_A_TIME).execute(&mut *admin).await.unwrap();
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut *admin)
        .await
        .unwrap();
    if !there {
        let building = unique_name();
        let create = format!("CREATE DATABASE {building} TEMPLATE template0 ENCODING 'UTF8'");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *admin).await.unwrap();
        let db = Db::open(&DatabaseUrl::Postgres(url_of(server, &building))).await.unwrap();
        db.migrate().await.unwrap();
        db.close().await;
        let rename = format!("ALTER DATABASE {building} RENAME TO {name}");
        sqlx::raw_sql(AssertSqlSafe(rename)).execute(&mut *admin).await.unwrap();
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(ONE_AT_A_TIME).execute(&mut *admin).await.unwrap();
    name
}
