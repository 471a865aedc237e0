//! How many statements the database runs for a request that is let in, besides those that settle it. The gateways log each
//! statement, and the lines are counted. What a gateway asks in the background counts too; marks around statements, such
//! as SAVEPOINT, do not.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use keydesk_core::Desk;
use keydesk_core::store::{DatabaseUrl, bench_baseline};

use super::checks::check;
use super::http::{Target, load};
use super::processes::Gateway;

const CONNECTIONS: usize = 8;
const WARM_UP: Duration = Duration::from_secs(2);
const COUNTED: Duration = Duration::from_secs(3);
/// The log is written by a thread that no request waits for.
const LOG_LAGS: Duration = Duration::from_millis(300);
const LOG: &str = "error,sqlx::query=debug";
const MARKS: [&str; 5] = ["BEGIN", "COMMIT", "RELEASE", "ROLLBACK", "SAVEPOINT"];

#[derive(Default)]
struct Counter {
    of_settlement: HashSet<String>,
    all: AtomicU64,
    settling: AtomicU64,
    lost: AtomicBool,
}

impl Counter {
    fn read(&self, line: &str) {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { return };
        let fields = &event["fields"];
        if event["target"] != "sqlx::query" {
            let is_loss = fields["messages"].as_u64().is_some();
            self.lost.fetch_or(is_loss, Ordering::Relaxed);
            return;
        }
        let text = |name: &str| fields[name].as_str().unwrap_or_default().trim();
        // A text of few words is its own summary.
        let statement = if text("db.statement").is_empty() { text("summary") } else { text("db.statement") };
        if MARKS.iter().any(|mark| statement.starts_with(mark)) {
            return;
        }
        self.all.fetch_add(1, Ordering::Relaxed);
        let is_of_settlement = self.of_settlement.contains(statement);
        self.settling.fetch_add(is_of_settlement.into(), Ordering::Relaxed);
    }

    async fn so_far(&self) -> (u64, u64) {
        tokio::time::sleep(LOG_LAGS).await;
        (self.all.load(Ordering::Relaxed), self.settling.load(Ordering::Relaxed))
    }
}

pub async fn measure(desk: &Desk, place: &DatabaseUrl, secret: &str) -> Result<String, String> {
    let mut text = format!(
        "\n{:<42}{:>10}{:>12}{:>12}{:>10}\n",
        "statements of a request let in", "requests", "settlement", "besides", "goal"
    );
    let processes: &[usize] = match place {
        DatabaseUrl::Sqlite(_) => &[1],
        DatabaseUrl::Postgres(_) => &[1, 3, 5],
    };
    for &count in processes {
        let texts = bench_baseline::settlement_texts(&desk.db);
        let counter = Arc::new(Counter {
            of_settlement: texts.iter().map(|text| text.trim().to_owned()).collect(),
            ..Counter::default()
        });
        let mut gateways = Vec::new();
        for _ in 0..count {
            let counter = counter.clone();
            let reader = Arc::new(move |line: &str| counter.read(line));
            gateways.push(Gateway::start_logging(place, LOG, reader).await?);
        }
        let targets: Vec<Target> = gateways.iter().map(|gateway| check(gateway.address, secret)).collect();
        let connections = CONNECTIONS.max(count);
        load(&targets, connections, WARM_UP).await?;
        let before = counter.so_far().await;
        // Each connection passes one request before its time begins.
        let requests = load(&targets, connections, COUNTED).await?.times.len() + connections;
        let after = counter.so_far().await;
        let name = if count == 1 { "1 process".to_owned() } else { format!("{count} processes") };
        if counter.lost.load(Ordering::Relaxed) {
            let _ = writeln!(
                text,
                "{name:<42}{requests:>10}  not counted: the log was slower than the statements"
            );
            continue;
        }
        let (all, settling) = (after.0 - before.0, after.1 - before.1);
        let a_request = |statements: u64| statements as f64 / requests as f64;
        let _ = writeln!(
            text,
            "{name:<42}{requests:>10}{:>12.3}{:>12.3}{:>10}",
            a_request(settling),
            a_request(all - settling),
            "< 0.05"
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_apart_from_those_that_settle() {
        let of_settlement = HashSet::from(["INSERT INTO usage VALUES ($1)".to_owned()]);
        let counter = Counter { of_settlement, ..Counter::default() };
        let log = |target: &str, summary: &str, statement: &str| {
            let fields = serde_json::json!({ "summary": summary, "db.statement": statement });
            counter.read(&serde_json::json!({ "target": target, "fields": fields }).to_string());
        };
        log("sqlx::query", "INSERT INTO usage VALUES …", "\n\nINSERT INTO usage VALUES ($1)\n");
        log("sqlx::query", "SELECT 1", "");
        log("sqlx::query", "SAVEPOINT step", "");
        log("keydesk", "SELECT 1", "");
        assert_eq!(counter.all.load(Ordering::Relaxed), 2);
        assert_eq!(counter.settling.load(Ordering::Relaxed), 1);
        assert!(!counter.lost.load(Ordering::Relaxed));
        counter.read(r#"{"target":"keydesk::log","fields":{"message":"not logged","messages":3}}"#);
        assert!(counter.lost.load(Ordering::Relaxed));
    }
}
