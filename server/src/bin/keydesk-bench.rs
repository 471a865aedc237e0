//! How long the program's everyday questions take among very many keys, and how that compares with what the database
//! alone needs for the same rows. Ratios can be compared between machines and between busy and idle ones; the
//! milliseconds cannot. It prints and judges nothing, but with `--check`.
//!
//!     keydesk-bench --keys 100000 --database sqlite
//!     keydesk-bench --keys 100000 --database postgres --database-url postgres://…
//!     keydesk-bench --keys 1000 --rotation
//!     keydesk-bench --keys 1000 --usage 10000000
//!     keydesk-bench --keys 2000 --check docs/bench.json
//!     keydesk-bench --keys 2000 --record docs/bench.json

#[path = "../bench/bare.rs"]
mod bare;
#[path = "../bench/chat.rs"]
mod chat;
#[path = "../bench/checks.rs"]
mod checks;
#[path = "../bench/http.rs"]
mod http;
#[path = "../bench/limited.rs"]
mod limited;
#[path = "../bench/load.rs"]
mod load;
#[path = "../bench/measure.rs"]
mod measure;
#[path = "../bench/memory.rs"]
mod memory;
#[path = "../bench/processes.rs"]
mod processes;
#[path = "../bench/recorded.rs"]
mod recorded;
#[path = "../bench/requests.rs"]
mod requests;
#[path = "../bench/revocation.rs"]
mod revocation;
#[path = "../bench/rotation.rs"]
mod rotation;
#[path = "../bench/seed.rs"]
mod seed;
#[path = "../bench/statements.rs"]
mod statements;
#[path = "../bench/usage.rs"]
mod usage;

#[path = "../clock.rs"]
#[allow(dead_code, reason = "the bench's clock stands still")]
mod clock;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use keydesk_core::domain::moment::Moment;
use keydesk_core::store::{DatabaseUrl, Db, bulk};
use keydesk_core::{Clock, Desk};

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

/// Seeds a temporary database and measures lists, searches, a key's page and admission in it.
#[derive(Parser)]
struct Options {
    /// How many keys there are.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,

    #[arg(long, value_enum, default_value = "sqlite")]
    database: Database,

    /// A Postgres server on which a database can be made; it is dropped at the end.
    #[arg(long, env = "KEYDESK_TEST_POSTGRES", hide_env_values = true)]
    database_url: Option<String>,

    /// Rounds that count, after 20 that do not.
    #[arg(long, default_value_t = 200)]
    rounds: usize,

    /// Only send requests to the gateway while a key is rotated, and say how many were rejected.
    #[arg(long)]
    rotation: bool,

    /// Only measure pages of spend and requests among so many requests.
    #[arg(long)]
    usage: Option<usize>,

    /// Only measure requests, in half a minute, and fail where a ratio is below half of what this file has.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    check: Option<PathBuf>,

    /// The same, and write the ratios to this file.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Serve the routes that requests are compared with; the bench starts itself so.
    #[arg(long, hide = true)]
    bare: bool,

    /// Leave the database where it is and say where.
    #[arg(long)]
    keep: bool,
}

/// It stands still, so that two runs ask the same questions.
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Moment {
        // 18 November 2026, 10:00 UTC.
        Moment::from_ms(1_795_082_400_000)
    }

    fn steady(&self) -> Duration {
        clock::SystemClock.steady()
    }
}

/// The temporary database, and what is needed to take it away again.
enum Temporary {
    File(PathBuf),
    OnServer { server: Db, name: String, url: String },
}

impl Temporary {
    async fn make(options: &Options) -> Result<Self, String> {
        let name = format!("keydesk_bench_{}", std::process::id());
        if options.database == Database::Sqlite {
            let folder = std::env::temp_dir().join(&name);
            std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            return Ok(Temporary::File(folder));
        }
        let url = options.database_url.as_deref().ok_or(
            "Name a Postgres server with --database-url or KEYDESK_TEST_POSTGRES, such as postgres://localhost/postgres.",
        )?;
        let server = Db::open(&DatabaseUrl::Postgres(url.to_owned())).await.map_err(say)?;
        bulk::create_database(&server, &name).await.map_err(say)?;
        let (before, query) = url.split_once('?').map_or((url, String::new()), |(a, b)| (a, format!("?{b}")));
        let host_ends = before.find("://").map_or(0, |at| at + 3);
        let base = match before[host_ends..].find('/') {
            Some(at) => &before[..host_ends + at],
            None => before,
        };
        let url = format!("{base}/{name}{query}");
        Ok(Temporary::OnServer { server, name, url })
    }

    fn place(&self) -> DatabaseUrl {
        match self {
            Temporary::File(folder) => DatabaseUrl::Sqlite(folder.join("keydesk.sqlite")),
            Temporary::OnServer { url, .. } => DatabaseUrl::Postgres(url.clone()),
        }
    }

    async fn remove(self, keep: bool) -> Result<(), String> {
        match self {
            Temporary::File(folder) if keep => println!("Kept: {}", folder.display()),
            Temporary::OnServer { name, .. } if keep => println!("Kept: the database {name}"),
            Temporary::File(folder) => std::fs::remove_dir_all(folder).map_err(say)?,
            Temporary::OnServer { server, name, .. } => {
                bulk::drop_database(&server, &name).await.map_err(say)?
            }
        }
        Ok(())
    }
}

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let options = Options::parse();
    let ran = async {
        if options.bare {
            return bare::serve().await;
        }
        let temporary = Temporary::make(&options).await?;
        // Whatever happens in between, the temporary database goes.
        let ran = run(&options, &temporary.place()).await;
        temporary.remove(options.keep).await?;
        ran
    };
    match ran.await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, place: &DatabaseUrl) -> Result<(), String> {
    let db = Db::open(place).await.map_err(say)?;
    db.migrate().await.map_err(say)?;
    let desk = Desk::new(db, Arc::new(Fixed), Arc::new(clock::SystemRandom));
    let started = Instant::now();
    let bench = seed::seed(&desk, options.keys).await.map_err(say)?;
    let seeded = started.elapsed();
    bulk::settle(&desk.db).await.map_err(say)?;
    println!(
        "{} keys on {}: seeded in {:.1} s, analysed in {:.1} s, {} rounds",
        options.keys,
        desk.db.name(),
        seeded.as_secs_f64(),
        (started.elapsed() - seeded).as_secs_f64(),
        options.rounds,
    );
    if options.rotation {
        print!("{}", rotation::measure(&desk, place, &bench).await?);
        desk.db.close().await;
        return Ok(());
    }
    if let Some(count) = options.usage {
        print!("{}", usage::seed(&desk, &bench, count).await.map_err(say)?);
        bulk::settle(&desk.db).await.map_err(say)?;
        print!("{}", usage::measure(&desk, &bench, options.rounds).await.map_err(say)?);
        desk.db.close().await;
        return Ok(());
    }
    let measured = match (&options.check, &options.record) {
        (Some(file), _) => requests::check(&desk, &bench, place, file).await,
        (_, Some(file)) => requests::record(&desk, &bench, place, file).await,
        _ => {
            print!("{}", measure::measure(&desk, &bench, options.rounds).await.map_err(say)?);
            requests::measure(&desk, &bench, place).await
        }
    };
    desk.db.close().await;
    measured
}
