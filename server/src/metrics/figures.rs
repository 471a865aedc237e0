//! What is looked up when the metrics are read: the state of the database, of requests under way and of what is in memory.

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec};

use super::registry::Registry;

/// Connections to the database.
pub struct Pool {
    pub name: &'static str,
    pub in_use: usize,
    pub idle: usize,
    pub max: usize,
}

/// A file of the SQLite database.
pub struct SqliteFile {
    pub name: &'static str,
    pub bytes: u64,
}

/// As found when the metrics are read.
pub struct Figures {
    /// `sqlite` or `postgres`.
    pub database: String,
    pub answers: bool,
    pub pools: Vec<Pool>,
    /// Empty on Postgres.
    pub files: Vec<SqliteFile>,
    /// Requests of this process that are not settled yet.
    pub reserved: usize,
    /// Those of them that have ended.
    pub unsettled: usize,
    /// How long the first of these has been waiting.
    pub lag: Duration,
    /// Those that could not be written, and are tried again.
    pub queued: usize,
    pub kept_keys: usize,
}

/// The same as metrics.
pub struct Gauges {
    build: IntGaugeVec,
    answers: IntGauge,
    connections: IntGaugeVec,
    max_connections: IntGaugeVec,
    file_bytes: GaugeVec,
    reserved: IntGauge,
    unsettled: IntGauge,
    queued: IntGauge,
    lag: Gauge,
    kept_keys: IntGauge,
}

impl Gauges {
    pub fn new(registry: &Registry) -> Self {
        Self {
            build: registry.numbers(
                "keydesk_build_info",
                "Always 1; which version this is, and on which database",
                &["version", "database"],
            ),
            answers: registry.number("keydesk_database_up", "1 when the database answered within 2 seconds"),
            connections: registry.numbers(
                "keydesk_database_connections",
                "Open connections to the database by pool, in_use or idle",
                &["state", "pool"],
            ),
            max_connections: registry.numbers(
                "keydesk_database_connections_max",
                "As many connections as a pool opens",
                &["pool"],
            ),
            file_bytes: registry.gauges(
                "keydesk_sqlite_bytes",
                "Size of the SQLite database and of its write-ahead log",
                &["file"],
            ),
            reserved: registry.number(
                "keydesk_reservations",
                "Requests of this process that are reserved and not settled yet",
            ),
            unsettled: registry.number(
                "keydesk_settlements_waiting",
                "Requests that have ended and whose use is not written yet",
            ),
            queued: registry.number(
                "keydesk_settlements_queued",
                "Those of them that could not be written and are tried again every second",
            ),
            lag: registry.gauge(
                "keydesk_settlement_lag_seconds",
                "How long the first request that waits to be settled has been over",
            ),
            kept_keys: registry.number("keydesk_key_cache_entries", "Keys in memory"),
        }
    }

    pub fn set(&self, found: &Figures) {
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION"), found.database.as_str()]).set(1);
        self.answers.set(found.answers.into());
        for pool in &found.pools {
            self.connections.with_label_values(&["in_use", pool.name]).set(number(pool.in_use));
            self.connections.with_label_values(&["idle", pool.name]).set(number(pool.idle));
            self.max_connections.with_label_values(&[pool.name]).set(number(pool.max));
        }
        for file in &found.files {
            self.file_bytes.with_label_values(&[file.name]).set(file.bytes as f64);
        }
        self.reserved.set(number(found.reserved));
        self.unsettled.set(number(found.unsettled));
        self.queued.set(number(found.queued));
        self.lag.set(found.lag.as_secs_f64());
        self.kept_keys.set(number(found.kept_keys));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
