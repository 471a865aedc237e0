//! Postgres directly, or behind a pooler that hands out a server's connection for one transaction at a time, as PgBouncer
//! does in transaction mode. There a setting or a prepared statement may be met by another program's next statement: so
//! every use is a transaction, which begins with the settings, and no statement is kept.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool, Row};

use super::StoreError;

/// What every connection is set to.
const SETTINGS: [(&str, &str); 6] = [
    // Search and filters differ so much in what they match that one plan for all is a bad one.
    ("plan_cache_mode", "force_custom_plan"),
    // What is read often is in memory, so that a row by its index costs little more than the next one.
    ("random_page_cost", "1.1"),
    // Statements are short, so that starting workers or compiling takes longer than it saves.
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("statement_timeout", "15000"),
    // What another program holds is waited for, but no person waits for longer.
    ("lock_timeout", "5000"),
];

/// `SETTINGS` at the beginning of a transaction.
macro_rules! begin {
    ($begin:literal) => {
        concat!(
            $begin,
            "; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL random_page_cost = 1.1",
            "; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off",
            "; SET LOCAL statement_timeout = 15000; SET LOCAL lock_timeout = 5000",
        )
    };
}

const NAME: &str = "keydesk";
/// The name of connections on which every write fails.
const READING: &str = "keydesk reading";

/// Opens a pool whose connections have the settings, or one for a pooler, which refuses or ignores them.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn connect(url: &str, read_only: bool) -> Result<PgPool, StoreError> {
    let plain = PgConnectOptions::from_str(url)?.application_name(if read_only { READING } else { NAME });
    let read_only = ("default_transaction_read_only", if read_only { "on" } else { "off" });
    let direct = plain.clone().options(SETTINGS.into_iter().chain([read_only]));
    match pool(direct).await {
        Ok(pool) => {
            if keeps_settings(&pool).await? {
                return Ok(pool);
            }
            pool.close().await;
        }
        Err(error) if is_refused_parameter(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(pool(plain.extra_float_digits(None).statement_cache_capacity(0)).await?)
}

/// How each transaction begins where connections are only good for one; `None` directly at Postgres.
pub(super) fn begin(pool: &PgPool) -> Option<&'static str> {
    let options = pool.connect_options();
    let begin = match options.get_application_name() {
        Some(READING) => begin!("BEGIN READ ONLY"),
        _ => begin!("BEGIN"),
    };
    options.get_options().is_none().then_some(begin)
}

async fn pool(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(5));
    pool.connect_with(options).await
}

/// Asked as one plain text: a prepared statement would already need a connection that stays the same.
async fn keeps_settings(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let row = pool.fetch_one("SHOW plan_cache_mode").await?;
    Ok(row.try_get::<String, _>(0)? == "force_custom_plan")
}

/// PgBouncer's answer to a parameter that it does not know.
fn is_refused_parameter(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.code().as_deref() == Some("08P01") || error.message().contains("startup parameter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_with_the_same_settings() {
        let set = |(name, value)| format!("; SET LOCAL {name} = {value}");
        assert_eq!(begin!("BEGIN"), format!("BEGIN{}", SETTINGS.map(set).concat()));
    }
}
