//! The version of the configuration, which is everything that admission reads. Triggers raise it in the transaction that
//! changes something. Here is what has changed since a version, and how who changes something waits until every process that
//! serves has dropped what the change concerns (docs/decisions/0072-nodes.md).

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::time::{Instant, sleep, timeout};

use super::dialect::Dialect;
use super::{ConfigWatch, Db, StoreError, run, statements};

/// How long a change waits for a process that does not answer. By then what that process keeps has ended, also where the
/// database's clock was set: a look that was sent after the commit sees the change.
const LONGEST_WAIT: Duration = Duration::from_millis(2_100);
/// The same, also where the database does not answer: no answer to a change comes later than this after its commit.
const BOUND: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(5);
/// From when on a wait is logged.
const LONG_MS: u128 = 100;

statements! {
    CHANGES = "SELECT org_id FROM config_changes WHERE version > $1";
}

fn behind_text(dialect: Dialect) -> String {
    let now = dialect.clock_ms();
    format!(
        "SELECT v.version, (SELECT COUNT(*) FROM gateway_nodes n WHERE n.node_id <> $1 AND n.lease_until > {now}
            AND n.seen_version < v.version AND n.seen_version < CAST($2 AS BIGINT)) FROM config_version v"
    )
}

/// The statement that differs between the databases, for the test that prepares it.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![behind_text(dialect)]
}

/// Drops what the changes up to this version concern.
///
/// # Errors
/// When the database cannot be read.
pub async fn catch_up(db: &Db, version: i64) -> Result<(), StoreError> {
    let known = db.config().version();
    if version > known {
        // Without an upper bound: an organisation's row has its last change only.
        let orgs: Vec<String> =
            run!(&mut db.read().await?, fetch_all, sqlx::query_scalar::<_, String>(CHANGES).bind(known))?;
        db.config().saw(version, &orgs);
    }
    Ok(())
}

/// Waits until the changes that are committed apply at every process that serves: until each of them has seen their version,
/// or what it keeps has ended. This process drops what they concern itself, so where it is the only one no time passes.
pub(super) async fn wait_until_seen(db: &Db) {
    let committed = Instant::now();
    let waited = timeout(BOUND, wait(db, db.config(), committed)).await;
    if waited != Ok(true) {
        // It is not known what has changed.
        db.config().drop_everything();
    }
    let ms = committed.elapsed().as_millis();
    if ms >= LONGEST_WAIT.as_millis() {
        tracing::warn!(ms, "a node has not said that it saw a change: what it kept in memory has ended");
    } else if ms >= LONG_MS {
        tracing::info!(ms, "every node has seen a change");
    }
}

/// Whether it is known that this process has dropped what was changed.
async fn wait(db: &Db, config: &ConfigWatch, committed: Instant) -> bool {
    let own = config.node();
    // Changes of others that follow are not waited for.
    let mut committed_version = None;
    loop {
        let behind = behind(db, own.as_deref().unwrap_or_default(), committed_version).await;
        if let (Ok((version, _)), None) = (&behind, committed_version)
            && (own.is_none() || catch_up(db, *version).await.is_ok())
        {
            committed_version = Some(*version);
        }
        if let (Ok((_, 0)), Some(_)) = (behind, committed_version) {
            return true;
        }
        if committed.elapsed() >= LONGEST_WAIT {
            return committed_version.is_some();
        }
        sleep(POLL).await;
    }
}

/// The version, and how many other processes have a lease and have not seen `version`; or the newest, without one.
async fn behind(db: &Db, own: &str, version: Option<i64>) -> Result<(i64, i64), StoreError> {
    let mut read = db.read().await?;
    let text = behind_text(Dialect::of(&mut read));
    run!(
        &mut read,
        fetch_one,
        sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(text)).bind(own).bind(version.unwrap_or(i64::MAX))
    )
}
