//! SQLite has one process that admits requests. What it asks for is read, and nothing is written about it: what other programs
//! reserve goes through the same process, which gives back what it has before (`admission/quotas.rs`).

use std::collections::HashMap;
use std::sync::Arc;

use super::{AtDatabase, Call, KeyLimits, NodeBatch};
use crate::domain::ids::{KeyId, OrgId, TeamId};
use crate::domain::limit_use::{HolderKind, Limited};
use crate::domain::moment::Moment;
use crate::domain::quota::{
    GiveBack, GrantedTo, Holder, HolderLimits, Limit, LimitNumbers, Loaded, Reserved, StartRow, StoppedBy,
    Take, Taken,
};
use crate::domain::window::{Period, WindowStarts};
use crate::store::grants::{budget_amount, granted};
use crate::store::meter::{self, NewReservation};
use crate::store::{Db, StoreError, Via, changed, run, settlement};

const ROW_OF_NODE: &str = "SELECT settled FROM gateway_nodes WHERE node_id = $1 AND token = $2";
const COUNT_CALL: &str = "UPDATE gateway_nodes SET call = $3 WHERE node_id = $1 AND token = $2 AND call < $3";
const COUNT_SETTLEMENT: &str =
    "UPDATE gateway_nodes SET settled = CASE WHEN settled < $2 THEN $2 ELSE settled END WHERE node_id = $1";
/// Also one that counts no more, while it is there: the program that made it can renew or settle it.
const IS_OF_OTHERS: &str = "SELECT EXISTS (SELECT 1 FROM reservations r WHERE r.node_id IS NULL
        AND CASE $1 WHEN 'key' THEN r.key_id WHEN 'team' THEN r.team_id ELSE r.org_id END = $2)";
const SPENT: &str = "SELECT c.period, c.spent FROM counters c WHERE c.holder_kind = $1 AND c.holder_id = $2
        AND (c.period = 'total' AND c.window_start = 0 OR c.period = 'month' AND c.window_start = $3
            OR c.period = 'week' AND c.window_start = $4 OR c.period = 'day' AND c.window_start = $5)";
const LAST_MINUTE: &str = "SELECT c.second, c.requests, c.tokens FROM rate_counts c
        WHERE c.holder_kind = $1 AND c.holder_id = $2 AND c.second BETWEEN $3 - 60 AND $3 + 5";
const OVERSHOOT: &str = "SELECT overshoot FROM orgs WHERE id = $1";
const LIMITS_OF: &str = concat!(
    "WITH holders (kind, id) AS (SELECT 'key', $2 UNION ALL SELECT 'team', $3 UNION ALL SELECT 'org', $1),
        whats (what) AS (SELECT 'requests' UNION ALL SELECT 'tokens' UNION ALL SELECT 'concurrent'),
        rates (kind, rpm, tpm, concurrent) AS (
            SELECT 'key', k.rpm, k.tpm, k.concurrent FROM keys k WHERE k.id = $2
            UNION ALL SELECT 'team', t.rpm, t.tpm, t.concurrent FROM teams t WHERE t.id = $3
        ), each_rate (kind, what, max) AS (
            SELECT r.kind, w.what, CASE w.what WHEN 'requests' THEN r.rpm WHEN 'tokens' THEN r.tpm ELSE r.concurrent END
            FROM rates r CROSS JOIN whats w
        )
        SELECT h.kind, b.period, ",
    budget_amount!("$4"),
    ", ",
    granted!("$4", until),
    ", 1 FROM holders h JOIN budgets b ON b.holder_kind = h.kind AND b.holder_id = h.id
        UNION ALL SELECT 'org', 'balance', (SELECT COALESCE(SUM(l.amount), 0) FROM ledger l WHERE l.org_id = o.id), NULL, 1
            FROM orgs o WHERE o.id = $1 AND o.balance_enforced_at IS NOT NULL
        UNION ALL SELECT r.kind, r.what, r.max, NULL, 1 FROM each_rate r WHERE r.max IS NOT NULL
        UNION ALL SELECT h.kind, s.what, s.amount, NULL, 0 FROM holders h
            JOIN shadow_limits s ON s.holder_kind = h.kind AND s.holder_id = h.id"
);
const RESERVE_UNDER_WAY: &str =
    "INSERT INTO reservations (request_id, org_id, key_id, team_id, secret_id, model_id, amount, worst, tokens,
            reserved_at, expires_at, node_id, counted)
        SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6,
            j.value ->> 7, j.value ->> 8, j.value ->> 9, $2, $3, ''
        FROM json_each($1) j WHERE NOT EXISTS (SELECT 1 FROM usage u WHERE u.request_id = (j.value ->> 0))
        ON CONFLICT (request_id) DO NOTHING";
const ADD_STARTS: &str = "INSERT INTO rate_counts (holder_kind, holder_id, second, requests, tokens)
        SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4 FROM json_each($1) j WHERE TRUE
        ON CONFLICT (holder_kind, holder_id, second) DO UPDATE SET
            requests = rate_counts.requests + excluded.requests, tokens = rate_counts.tokens + excluded.tokens";

/// For the test that prepares them.
pub(super) fn texts() -> Vec<String> {
    let all = [
        ROW_OF_NODE,
        COUNT_CALL,
        COUNT_SETTLEMENT,
        IS_OF_OTHERS,
        SPENT,
        LAST_MINUTE,
        OVERSHOOT,
        LIMITS_OF,
        RESERVE_UNDER_WAY,
        ADD_STARTS,
    ];
    all.map(str::to_owned).to_vec()
}

pub(super) async fn take(
    db: &Db,
    call: &Call<'_>,
    asked: &Take,
    starts: &WindowStarts,
) -> Result<Option<Taken>, StoreError> {
    // What the counters say and which settlement they contain are of one moment.
    let mut read = db.read_one_moment().await?;
    let settled = run!(
        &mut read,
        fetch_optional,
        sqlx::query_scalar::<_, i64>(ROW_OF_NODE).bind(call.node).bind(call.token)
    )?;
    let Some(settled) = settled else { return Ok(None) };
    let mut scarce = Vec::new();
    for of in &asked.holders {
        if is_of_others(&mut read, &of.holder).await? {
            scarce.push(of.holder.clone());
        }
    }
    if !scarce.is_empty() {
        return Ok(Some(Taken::Scarce(scarce)));
    }
    let mut to = Vec::with_capacity(asked.holders.len());
    for of in &asked.holders {
        to.push(GrantedTo::Whole(load(&mut read, &of.holder, starts, settled as u64).await?));
    }
    Ok(Some(Taken::Granted(to)))
}

/// Whether other programs have reservations of the holder.
async fn is_of_others(via: &mut impl Via, holder: &Holder) -> Result<bool, StoreError> {
    run!(
        via,
        fetch_one,
        sqlx::query_scalar::<_, bool>(IS_OF_OTHERS).bind(holder.kind.as_str()).bind(&*holder.id)
    )
}

async fn load(
    via: &mut impl Via,
    holder: &Holder,
    starts: &WindowStarts,
    settled: u64,
) -> Result<Loaded, StoreError> {
    let (kind, id) = (holder.kind.as_str(), &*holder.id);
    let counters: Vec<(String, i64)> = run!(
        &mut *via,
        fetch_all,
        sqlx::query_as::<_, (String, i64)>(SPENT)
            .bind(kind)
            .bind(id)
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
    )?;
    let mut spent = [0; 4];
    for (period, one) in counters {
        let period = Period::parse(&period).ok_or(StoreError::Unreadable { column: "counters.period" })?;
        spent[usize::from(period.rank())] = one;
    }
    let seconds = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (i64, i64, i64)>(LAST_MINUTE)
            .bind(kind)
            .bind(id)
            .bind(starts.at.ms().div_euclid(1_000))
    )?;
    Ok(Loaded { spent, starts: *starts, seconds, settled })
}

pub(super) async fn give_back(
    db: &Db,
    call: &Call<'_>,
    message: &GiveBack,
    of: &[Arc<meter::Reservation>],
    expires_at: Moment,
) -> Result<bool, StoreError> {
    let Db::Sqlite { together, .. } = db else { return Ok(false) };
    let by_request: HashMap<&str, &meter::Reservation> =
        of.iter().map(|one| (one.request.as_str(), &**one)).collect();
    let reservations: Vec<_> = message
        .reservations
        .iter()
        .filter_map(|row| {
            let of = by_request.get(&*row.request)?;
            let team = of.team.as_ref().map(TeamId::as_str);
            let ids = (&*row.request, of.org.as_str(), of.key.as_str(), team, of.secret.as_str());
            let (request, org, key, team, secret) = ids;
            let at = row.starts.at.ms();
            Some((request, org, key, team, secret, &of.model, row.likely, row.worst, row.tokens, at))
        })
        .collect();
    let reservations = serde_json::to_string(&reservations).unwrap_or_default();
    let starts = starts_text(&message.starts);
    let released = message.released.clone();
    let (node, token, number) = (call.node.to_owned(), call.token.to_owned(), call.number);
    let step = together.run(db, move |tx| {
        Box::pin(async move {
            let counted = changed!(&mut *tx, sqlx::query(COUNT_CALL).bind(&node).bind(&token).bind(number))?;
            if counted != 1 {
                return Ok(false);
            }
            for request in &released {
                settlement::release_in(tx, request).await?;
            }
            changed!(
                &mut *tx,
                sqlx::query(RESERVE_UNDER_WAY).bind(&reservations).bind(expires_at.ms()).bind(&node)
            )?;
            changed!(&mut *tx, sqlx::query(ADD_STARTS).bind(&starts))?;
            Ok(true)
        })
    });
    step.await
}

fn starts_text(starts: &[StartRow]) -> String {
    let rows = starts
        .iter()
        .map(|row| (row.holder.kind.as_str(), &*row.holder.id, row.second, row.requests, row.tokens));
    serde_json::to_string(&rows.collect::<Vec<_>>()).unwrap_or_default()
}

pub(super) async fn reserve(
    db: &Db,
    node: &str,
    judged: &[Holder],
    new: NewReservation,
    starts: WindowStarts,
) -> Result<AtDatabase, StoreError> {
    let Db::Sqlite { together, .. } = db else { return Err(StoreError::Lost) };
    let (node, judged) = (node.to_owned(), judged.iter().map(|holder| holder.kind).collect::<Vec<_>>());
    let step = together.run(db, move |tx| {
        Box::pin(async move {
            let rows = meter::reserve_in(tx, &new, starts, Some((&node, &judged))).await?;
            let holders = holders(&new.reservation.org, &new.reservation.key, new.reservation.team.as_ref());
            let holder = |kind| holders.iter().find(|holder| holder.kind == kind).cloned();
            if rows.iter().all(|row| row.fits) {
                let mut alone = true;
                for holder in holders.iter().filter(|holder| !judged.contains(&holder.kind)) {
                    alone &= !is_of_others(tx, holder).await?;
                }
                // There are no shares here: a holder is all the node's again when it is alone.
                let room = rows.iter().filter_map(|row| Some((holder(row.holder)?, row.what, 0))).collect();
                return Ok(AtDatabase { rows, answer: Reserved::Fits { room, alone } });
            }
            let by = rows.iter().filter(|row| !row.fits).filter_map(|row| {
                let start = match row.what {
                    Limited::Budget(Period::Month) => starts.month,
                    Limited::Budget(Period::Week) => starts.week,
                    Limited::Budget(Period::Day) => starts.day,
                    _ => Moment::from_ms(0),
                };
                let numbers = LimitNumbers::from(row);
                // Each request asks again, so that the numbers of a rejection are those of its moment.
                Some(StoppedBy { holder: holder(row.holder)?, numbers, start, closed_until: None })
            });
            let by = by.collect();
            Ok(AtDatabase { rows, answer: Reserved::Stopped { by, recalled: false } })
        })
    });
    step.await
}

/// Key, team and organisation, in this order.
fn holders(org: &OrgId, key: &KeyId, team: Option<&TeamId>) -> Vec<Holder> {
    let team = team.map(|team| (HolderKind::Team, team.as_str()));
    let all = [Some((HolderKind::Key, key.as_str())), team, Some((HolderKind::Org, org.as_str()))];
    all.into_iter().flatten().map(|(kind, id)| Holder { kind, id: Arc::from(id) }).collect()
}

pub(super) async fn limits_of(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
    team: Option<&TeamId>,
    at: Moment,
) -> Result<KeyLimits, StoreError> {
    type Row = (String, String, i64, Option<i64>, i64);
    let rows: Vec<Row> = run!(
        &mut *via,
        fetch_all,
        sqlx::query_as::<_, Row>(LIMITS_OF)
            .bind(org.as_str())
            .bind(key.as_str())
            .bind(team.map(TeamId::as_str))
            .bind(at.ms())
    )?;
    let overshoot = run!(via, fetch_optional, sqlx::query_scalar::<_, String>(OVERSHOOT).bind(org.as_str()))?;
    let mut limits: Vec<HolderLimits> = holders(org, key, team)
        .into_iter()
        .map(|holder| HolderLimits { holder, limits: Vec::new() })
        .collect();
    let mut until = None;
    for (kind, what, max, ends, enforced) in rows {
        let kind = HolderKind::parse(&kind).ok_or(StoreError::Unreadable { column: "holder_kind" })?;
        let what = Limited::parse(&what).ok_or(StoreError::Unreadable { column: "what" })?;
        let limit = Limit { what, max, enforced: enforced == 1 };
        limits.iter_mut().filter(|of| of.holder.kind == kind).for_each(|of| of.limits.push(limit));
        until = until.into_iter().chain(ends).min();
    }
    let one_may_pass = overshoot.as_deref() != Some("none");
    Ok(KeyLimits { holders: limits, one_may_pass, until: until.map(Moment::from_ms) })
}

/// The last step of a settlement: what the node adds, for the requests that it wrote.
pub(in crate::store) async fn settle(
    via: &mut impl Via,
    batch: &NodeBatch,
    written: &[String],
) -> Result<(), StoreError> {
    let is_written = |request: &Arc<str>| written.iter().any(|one| **one == **request);
    let corrections = batch.corrections.iter().filter(|(request, _)| is_written(request));
    let starts: Vec<StartRow> = corrections.flat_map(|(_, rows)| rows.clone()).collect();
    if !starts.is_empty() {
        changed!(&mut *via, sqlx::query(ADD_STARTS).bind(starts_text(&starts)))?;
    }
    changed!(via, sqlx::query(COUNT_SETTLEMENT).bind(&batch.node).bind(batch.number as i64))?;
    Ok(())
}
