//! A database of its own for each test, and the program on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keydesk_core::domain::ids::SessionId;
use keydesk_core::domain::moment::{Moment, Zone};
use keydesk_core::domain::org::Org;
use keydesk_core::domain::policy::{OrgRole, PlatformRole};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::seed::{self, SeedPerson};
use keydesk_core::store::{DatabaseUrl, Db};
use keydesk_core::{Clock, Desk, Random};
// sqlx here: it makes and drops databases, and looks behind the program.
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// One command's outcome.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A data folder, and a Postgres database where there is one.
pub struct Place {
    folder: tempfile::TempDir,
    pub postgres: Option<PgConnectOptions>,
}

impl Place {
    /// SQLite in a data folder that is not made yet.
    pub fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), postgres: None }
    }

    async fn postgres() -> Self {
        let name = format!("kd_{:016x}", RandomState::new().hash_one(0));
        let mut server = server().connect().await.expect("the server of KEYDESK_TEST_POSTGRES answers");
        server
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")))
            .await
            .unwrap();
        server.close().await.unwrap();
        Self { folder: tempfile::tempdir().unwrap(), postgres: Some(server_with(&name)) }
    }

    pub fn name(&self) -> &'static str {
        if self.postgres.is_some() { "Postgres" } else { "SQLite" }
    }

    /// The folder for files of the test itself.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn url(&self) -> DatabaseUrl {
        match &self.postgres {
            Some(options) => DatabaseUrl::Postgres(options.to_url_lossy().to_string()),
            None => DatabaseUrl::Sqlite(self.data().join("keydesk.sqlite")),
        }
    }

    /// The program with these arguments, on this database, with no other setting.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.env("KEYDESK_DATA", self.data());
        if let DatabaseUrl::Postgres(url) = self.url() {
            command.env("KEYDESK_DATABASE_URL", url);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command that has to succeed, and answers what it prints.
    pub fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?} on {}: {ran:?}", self.name());
        ran.out
    }

    /// Runs commands, and writes down what each answered.
    pub fn transcript(&self, commands: &[&[&str]]) -> String {
        let mut text = String::new();
        for arguments in commands {
            let ran = self.run(arguments);
            writeln!(text, "$ keydesk {}\n{}", arguments.join(" "), ran.out.trim_end()).unwrap();
            match ran.code {
                Some(0) => writeln!(text, "{}", ran.err.trim_end()).unwrap(),
                code => writeln!(text, "{}\nexit {code:?}\n", ran.err.trim_end()).unwrap(),
            }
        }
        text.replace(self.folder().to_str().unwrap(), "FOLDER")
    }

    /// Every file of the data folder with its bytes; empty when there is no folder.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.data()) else { return BTreeMap::new() };
        entries
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap_or_default())
            })
            .collect()
    }

    /// Runs one statement that the program itself never would.
    pub async fn tamper(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.postgres {
            Some(options) => drop(options.connect().await.unwrap().execute(sql).await.unwrap()),
            None => {
                let path = self.data().join("keydesk.sqlite");
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// One number that a statement answers.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.postgres {
            Some(options) => {
                let mut connection = options.connect().await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            None => {
                let path = self.data().join("keydesk.sqlite");
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.unwrap();
                let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                number
            }
        }
    }

    /// The database, migrated, for a test that fills it; its clock stands at `now`.
    pub async fn desk(&self, now: Moment) -> Desk {
        std::fs::create_dir_all(self.data()).unwrap();
        let db = Db::open(&self.url()).await.unwrap();
        db.migrate().await.unwrap();
        Desk::new(db, Arc::new(At(now)), Arc::new(Counted(AtomicU64::new(1))))
    }
}

/// The organisation Acme, and its owner, who is an operator too.
pub async fn seed_org(desk: &Desk) -> (Org, Caller) {
    let owner = SeedPerson {
        name: "Ana Ruiz",
        email: "ana@acme.example",
        role: Some(OrgRole::Owner),
        platform: PlatformRole::Operator,
        password_hash: "",
    };
    let (org, mut people) = seed::create_org(desk, "Acme", Zone::utc(), &[owner]).await.unwrap();
    let now = desk.now();
    let session = SessionId::new(now, desk.id_entropy());
    (org, Caller::just_authenticated(people.remove(0), session, now, "192.0.2.1", ""))
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(name) = self.postgres.as_ref().and_then(|options| options.get_database()) else { return };
        let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        // A runtime of its own: the test's may be on its way out.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { server().connect().await?.execute(drop).await })
        });
        let _ = done.join();
    }
}

/// The program with these arguments and an empty environment.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keydesk"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// One place on each database.
pub async fn both() -> [Place; 2] {
    [Place::sqlite(), Place::postgres().await]
}

fn server() -> PgConnectOptions {
    let url = std::env::var("KEYDESK_TEST_POSTGRES").expect(
        "KEYDESK_TEST_POSTGRES names a Postgres server: run these tests with scripts/with-postgres.sh cargo test",
    );
    PgConnectOptions::from_str(&url).expect("KEYDESK_TEST_POSTGRES is a postgres:// address")
}

fn server_with(database: &str) -> PgConnectOptions {
    server().database(database)
}

struct At(Moment);

impl Clock for At {
    fn now(&self) -> Moment {
        self.0
    }

    fn steady(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Different bytes each time, the same in each run.
struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        fastrand::Rng::with_seed(self.0.fetch_add(1, Ordering::Relaxed)).fill(bytes);
    }
}
