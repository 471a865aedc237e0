//! Many finished requests at once, for the demonstration: one statement for all of them in place of eight for each. It leaves the
//! database as settlements leave it. The bench has its own requests added up here. Nothing that people do uses it.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::spend::Usage;
use super::sums::{MEASURES, Part, basis};
use super::{StoreError, Tx, budget_marks, changed, rollups};
use crate::domain::ids::{OrgId, PriceId, TeamId};
use crate::domain::moment::{Moment, Zone};
use crate::domain::window::WindowStarts;

/// A request as the statement reads it, by the place of each value.
fn row(usage: &Usage, zone: &Zone) -> Vec<Value> {
    let bill = &usage.bill;
    let counts = &bill.metered.counts;
    vec![
        usage.request.as_str().into(),
        usage.key.as_str().into(),
        usage.secret.as_str().into(),
        usage.team.as_ref().map(TeamId::as_str).into(),
        usage.model.as_str().into(),
        usage.route.as_str().into(),
        usage.status.into(),
        counts.input().into(),
        counts.output().into(),
        counts.cached().into(),
        bill.cost.nanos().into(),
        usage.started_at.ms().into(),
        usage.latency_ms.into(),
        usage.first_byte_ms.into(),
        usage.address.as_str().into(),
        usage.user_agent.as_str().into(),
        i64::from(bill.is_estimated).into(),
        usage.error.as_str().into(),
        bill.metered.json().into(),
        bill.price.as_ref().map(PriceId::as_str).into(),
        i64::from(bill.is_priced).into(),
        usage.started_at.booked_hour(zone).into(),
    ]
}

/// The counters of these requests by month, week and day, as the statement reads them. Those of all time are added up from
/// the days.
fn counters(org: &OrgId, requests: &[Usage], zone: &Zone) -> Vec<Vec<Value>> {
    let mut counters: BTreeMap<(&str, &str, &str, i64), [i64; 3]> = BTreeMap::new();
    for usage in requests {
        let (counts, starts) = (&usage.bill.metered.counts, WindowStarts::at(usage.started_at, zone));
        let team = usage.team.as_ref().map(|team| ("team", team.as_str()));
        let holders = [("key", usage.key.as_str()), ("org", org.as_str())];
        let windows = [("month", starts.month), ("week", starts.week), ("day", starts.day)];
        for (kind, id) in holders.into_iter().chain(team) {
            for (period, start) in windows {
                let [spent, requests, tokens] = counters.entry((kind, id, period, start.ms())).or_default();
                *spent += usage.bill.cost.nanos();
                *requests += 1;
                *tokens += counts.input() + counts.output();
            }
        }
    }
    let row = |((kind, id, period, start), sums): ((&str, &str, &str, i64), [i64; 3])| {
        let key = [kind.into(), id.into(), period.into(), start.into()];
        key.into_iter().chain(sums.map(Value::from)).collect()
    };
    counters.into_iter().map(row).collect()
}

/// A number of the row.
fn number(place: usize) -> String {
    format!("CAST(j.value ->> {place} AS BIGINT)")
}

fn usage_text(dialect: Dialect) -> String {
    let text = |place: usize| format!("j.value ->> {place}");
    let texts = |places: std::ops::Range<usize>| places.map(text).collect::<Vec<_>>().join(", ");
    let numbers = |places: std::ops::Range<usize>| places.map(number).collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO usage (request_id, org_id, key_id, secret_id, team_id, owner_id, model_id, route, status, input_tokens,
            output_tokens, cached_tokens, cost, started_at, latency_ms, first_byte_ms, address, user_agent, estimated, error,
            meters, price_id, is_priced, tags, booked, provider)
        SELECT j.value ->> 0, CAST($1 AS TEXT), {}, k.owner_id, {}, {}, {}, {}, {}, {}, '', {}, COALESCE(m.provider, '')
        FROM {} JOIN keys k ON k.id = j.value ->> 1 LEFT JOIN models m ON m.id = j.value ->> 4",
        texts(1..4),
        texts(4..6),
        numbers(6..14),
        texts(14..16),
        number(16),
        texts(17..20),
        number(20),
        text(21),
        dialect.json_rows_in("$2"),
    )
}

fn counters_text(dialect: Dialect) -> String {
    format!(
        "INSERT INTO counters (holder_kind, holder_id, period, window_start, org_id, spent, requests, tokens)
        SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, {}, CAST($1 AS TEXT), {}, {}, {} FROM {}",
        number(3),
        number(4),
        number(5),
        number(6),
        dialect.json_rows_in("$2"),
    )
}

/// Writes all of a part, of the organisation `$1`; `$2` is `Basis::range`.
fn add_up_text(part: Part, dialect: Dialect) -> String {
    let columns = |each: &dyn Fn(&str, usize) -> String| {
        let measures = part.measures().iter();
        measures.map(|(name, place)| each(name, *place)).collect::<Vec<_>>().join(", ")
    };
    let keys = part.keys().join(", ");
    format!(
        "INSERT INTO {} ({keys}, org_id, {}) SELECT {keys}, CAST($1 AS TEXT), {} FROM ({}) s WHERE {}
        ON CONFLICT ({}) DO UPDATE SET {}",
        part.table(),
        columns(&|name, _| name.to_owned()),
        columns(&|_, place| format!("s.{}", MEASURES[place])),
        part.summed(dialect),
        rollups::ANY_RANGE,
        part.unique(),
        columns(&|name, _| format!("{name} = excluded.{name}"))
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let added_up = Part::ALL.map(|part| add_up_text(part, dialect));
    added_up.into_iter().chain([usage_text(dialect), counters_text(dialect)]).collect()
}

/// Writes all requests that an organisation ever had, without tags, and everything that is added up from them.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(
    tx: &mut Tx,
    org: &OrgId,
    zone: &Zone,
    requests: &[Usage],
    now: Moment,
) -> Result<(), StoreError> {
    let dialect = Dialect::of(tx);
    let usage: Vec<Vec<Value>> = requests.iter().map(|usage| row(usage, zone)).collect();
    for (text, rows) in
        [(usage_text(dialect), usage), (counters_text(dialect), counters(org, requests, zone))]
    {
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        changed!(&mut *tx, sqlx::query(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(&rows))?;
    }
    add_up(tx, org, now).await
}

/// Adds up all requests of an organisation in which no one else writes: everything of all time, and the windows that are open
/// now.
///
/// # Errors
/// When the database cannot be written.
pub(super) async fn add_up(tx: &mut Tx, org: &OrgId, now: Moment) -> Result<(), StoreError> {
    let (basis, _) = basis(tx, org).await?;
    for part in Part::ALL {
        let text = add_up_text(part, Dialect::of(tx));
        let range = basis.range(part, now);
        changed!(&mut *tx, sqlx::query(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(&range))?;
    }
    budget_marks::renew_all(tx, org, WindowStarts::at(now, &basis.zone)).await
}
