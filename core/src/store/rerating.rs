//! Requests charged again at another price. A correction changes the request's row, and in the same transaction its day,
//! its counters and the list of corrections, so that counters stay the sum of the rows and nothing is rewritten without
//! a trace.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, patient, patient_within};
use super::permit::compare;
use super::requests::read_metered;
use super::{Reader, StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{KeyId, OrgId, PersonId, PriceId, RequestId, TeamId};
use crate::domain::limits::BudgetUse;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::Money;
use crate::domain::policy::{Action, Permit};
use crate::domain::rerating::{ChargedRequest, Correction, Rerating};
use crate::domain::window::{Period, WindowStarts};

/// The columns of `ChargedRow`.
macro_rules! charged {
    () => {
        "SELECT request_id, key_id, team_id, owner_id, started_at, input_tokens, output_tokens, cached_tokens, meters, cost,
            price_id, is_priced FROM usage"
    };
}
pub(super) use charged;

statements! {
    CHANGE = "UPDATE usage SET cost = $2, price_id = $3, is_priced = $4 WHERE request_id = $1 AND org_id = $5";
    KEEP = "INSERT INTO usage_corrections (request_id, number, org_id, at, actor_id, actor_name, cost_before, cost_after,
            price_before, price_after, priced_before, priced_after)
        VALUES ($1, (SELECT COALESCE(MAX(number), 0) + 1 FROM usage_corrections WHERE request_id = $1),
            $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    DAYS = "SELECT day FROM spend_daily WHERE key_id = $1 AND day >= $2 AND day <= $3 AND model_id = $4 AND team_id = $5
            AND owner_id = $6 AND org_id = $7";
    ADD_TO_DAY = "UPDATE spend_daily SET cost = cost + $6
        WHERE key_id = $1 AND day = $2 AND model_id = $3 AND team_id = $4 AND owner_id = $5 AND org_id = $7";
    WINDOWS = "SELECT period, window_start FROM counters
        WHERE holder_kind = $1 AND holder_id = $2 AND window_start >= $3 AND window_start <= $4 AND org_id = $5";
    /// Windows of an organisation that changed its time zone overlap, and a request may be in the other one: none goes below
    /// zero. The counter of all time is exact.
    ADD_TO_COUNTER = "UPDATE counters SET spent = CASE WHEN period <> 'total' AND spent + $5 < 0 THEN 0 ELSE spent + $5 END
        WHERE holder_kind = $1 AND holder_id = $2 AND period = $3 AND window_start = $4 AND org_id = $6";
}

/// Those of a model in a period, in the order in which they are locked.
fn rows_text(dialect: Dialect, locked: bool) -> String {
    let lock = if locked { dialect.for_update() } else { "" };
    format!(
        concat!(
            charged!(),
            " WHERE org_id = $1 AND started_at >= $2 AND (started_at > $2 OR request_id > $3) AND started_at < $4
                AND model_id = $5
            ORDER BY started_at, request_id LIMIT $6{}"
        ),
        lock
    )
}

fn budgets_text(dialect: Dialect) -> String {
    format!(
        "SELECT b.holder_id, CASE b.holder_kind WHEN 'key' THEN (SELECT 'key ' || k.name FROM keys k WHERE k.id = b.holder_id)
                WHEN 'team' THEN (SELECT 'team ' || t.name FROM teams t WHERE t.id = b.holder_id)
                ELSE (SELECT o.name FROM orgs o WHERE o.id = b.holder_id) END,
            b.period, b.amount, COALESCE(c.spent, 0)
        FROM budgets b
        LEFT JOIN counters c ON c.holder_kind = b.holder_kind AND c.holder_id = b.holder_id AND c.period = b.period
            AND c.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN $3 WHEN 'week' THEN $4 ELSE $5 END
        WHERE b.org_id = $1 AND b.holder_id IN {}
        ORDER BY b.holder_kind, b.holder_id, b.period",
        dialect.json_list("$2")
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![rows_text(dialect, false), rows_text(dialect, true), budgets_text(dialect)]
}

#[derive(sqlx::FromRow)]
pub(super) struct ChargedRow {
    request_id: String,
    key_id: String,
    team_id: Option<String>,
    owner_id: String,
    started_at: i64,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) cached_tokens: i64,
    pub(super) meters: String,
    cost: i64,
    price_id: Option<String>,
    is_priced: i64,
}

impl ChargedRow {
    pub(super) fn read(self) -> Result<ChargedRequest, StoreError> {
        let unreadable = || StoreError::Unreadable { column: "usage" };
        Ok(ChargedRequest {
            id: RequestId::parse(&self.request_id).ok_or_else(unreadable)?,
            key: KeyId::parse(&self.key_id).ok_or_else(unreadable)?,
            team: self.team_id.map(|id| TeamId::parse(&id).ok_or_else(unreadable)).transpose()?,
            owner: PersonId::parse(&self.owner_id).ok_or_else(unreadable)?,
            started_at: Moment::from_ms(self.started_at),
            metered: read_metered(&self.meters, [self.input_tokens, self.cached_tokens, self.output_tokens]),
            has_meters: !self.meters.is_empty(),
            cost: Money::from_nanos(self.cost),
            price: self.price_id.map(|id| PriceId::parse(&id).ok_or_else(unreadable)).transpose()?,
            is_priced: self.is_priced == 1,
        })
    }
}

/// The next `max` requests that a re-rating looks at, oldest first, after `after`; `locked` until the transaction ends.
async fn rows(
    via: &mut impl Via,
    org: &OrgId,
    of: &Rerating,
    after: Option<&ChargedRequest>,
    max: i64,
    locked: bool,
) -> Result<Vec<ChargedRequest>, StoreError> {
    let text = rows_text(Dialect::of(via), locked);
    let (from, id) = after.map_or((of.from, ""), |last| (last.started_at, last.id.as_str()));
    let rows: Vec<ChargedRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, ChargedRow>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(from.ms())
            .bind(id)
            .bind(of.to.ms())
            .bind(&of.model)
            .bind(max)
    )?;
    rows.into_iter().map(ChargedRow::read).collect()
}

/// The next `max` requests that a re-rating looks at, oldest first, after `after`. Takes as long as it needs, as other
/// commands that read everything.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn next(
    read: &mut Reader,
    org: &OrgId,
    of: &Rerating,
    after: Option<&ChargedRequest>,
    max: i64,
) -> Result<Vec<ChargedRequest>, StoreError> {
    patient(read).await?;
    rows(read, org, of, after, max, false).await
}

/// Like `next`, and no other re-rating changes them until the transaction ends.
///
/// # Errors
/// `WrongPermit` when the permit is for another action; otherwise when the database cannot be read.
pub async fn lock_next(
    tx: &mut Tx,
    permit: &Permit,
    of: &Rerating,
    after: Option<&ChargedRequest>,
    max: i64,
) -> Result<Vec<ChargedRequest>, StoreError> {
    compare(permit, &[Action::RerateSpend], Some(permit.org().as_str()))?;
    patient_within(tx).await?;
    rows(tx, permit.org(), of, after, max, true).await
}

/// Writes corrections of requests that `lock_next` read. Days and counters come last and in the order in which a settlement
/// writes them, so that the two cannot deadlock.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; `Unreadable` when a request has no day or no
/// counter; otherwise when the database cannot be written.
pub async fn correct(
    tx: &mut Tx,
    permit: &Permit,
    of: &Rerating,
    corrections: &[Correction],
    zone: &Zone,
    now: Moment,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::RerateSpend], permit.org().as_str())?;
    let org = permit.org();
    let mut days: BTreeMap<DayKey<'_>, i64> = BTreeMap::new();
    let mut counters: BTreeMap<CounterKey<'_>, i64> = BTreeMap::new();
    let windows = windows_of(tx, org, corrections).await?;
    for correction in corrections {
        change(tx, permit, of, correction, now).await?;
        let request = &correction.request;
        let more = correction.cost.nanos() - request.cost.nanos();
        let day = day_of(tx, org, of, request, zone).await?;
        *days.entry((&request.key, day, request.team.as_ref(), &request.owner)).or_default() += more;
        for holder in holders(org, request) {
            for window in in_windows(&windows, holder, request.started_at)? {
                *counters.entry((holder, window)).or_default() += more;
            }
        }
    }
    for ((key, day, team, owner), more) in days {
        changed!(
            &mut *tx,
            sqlx::query(ADD_TO_DAY)
                .bind(key.as_str())
                .bind(&day)
                .bind(&of.model)
                .bind(team.map_or("", TeamId::as_str))
                .bind(owner.as_str())
                .bind(more)
                .bind(org.as_str())
        )?;
    }
    for (((_, kind, id), (rank, start)), more) in counters {
        let period = Period::LONGEST_FIRST.get(usize::from(rank)).map_or("", |period| period.as_str());
        changed!(
            &mut *tx,
            sqlx::query(ADD_TO_COUNTER)
                .bind(kind)
                .bind(id)
                .bind(period)
                .bind(start)
                .bind(more)
                .bind(org.as_str())
        )?;
    }
    Ok(())
}

async fn change(
    tx: &mut Tx,
    permit: &Permit,
    of: &Rerating,
    correction: &Correction,
    now: Moment,
) -> Result<(), StoreError> {
    let request = &correction.request;
    let (id, org, price) = (request.id.as_str(), permit.org().as_str(), of.price.id.as_str());
    changed!(
        &mut *tx,
        sqlx::query(CHANGE)
            .bind(id)
            .bind(correction.cost.nanos())
            .bind(price)
            .bind(i64::from(correction.is_priced))
            .bind(org)
    )?;
    changed!(
        &mut *tx,
        sqlx::query(KEEP)
            .bind(id)
            .bind(org)
            .bind(now.ms())
            .bind(permit.actor().id())
            .bind(permit.actor().name())
            .bind(request.cost.nanos())
            .bind(correction.cost.nanos())
            .bind(request.price.as_ref().map(PriceId::as_str))
            .bind(price)
            .bind(i64::from(request.is_priced))
            .bind(i64::from(correction.is_priced))
    )?;
    Ok(())
}

/// Key, day, team and owner; the model is the re-rating's.
type DayKey<'a> = (&'a KeyId, String, Option<&'a TeamId>, &'a PersonId);
/// In the order of a settlement: the key before the team before the organisation.
type Holder<'a> = (u8, &'static str, &'a str);
/// The period's rank, and the window's start in milliseconds.
type Window = (u8, i64);
type CounterKey<'a> = (Holder<'a>, Window);

fn holders<'a>(org: &'a OrgId, request: &'a ChargedRequest) -> impl Iterator<Item = Holder<'a>> {
    let team = request.team.as_ref().map(|team| (1, "team", team.as_str()));
    [Some((0, "key", request.key.as_str())), team, Some((2, "org", org.as_str()))].into_iter().flatten()
}

/// The day that a request was counted in: that of the organisation's time zone, or where that was another one then, a day
/// beside it.
async fn day_of(
    tx: &mut Tx,
    org: &OrgId,
    of: &Rerating,
    request: &ChargedRequest,
    zone: &Zone,
) -> Result<String, StoreError> {
    let day = Day::of(request.started_at, zone);
    let (first, today, last) = (day.back(1).to_string(), day.to_string(), day.next().to_string());
    let days: Vec<String> = run!(
        &mut *tx,
        fetch_all,
        sqlx::query_scalar::<_, String>(DAYS)
            .bind(request.key.as_str())
            .bind(&first)
            .bind(&last)
            .bind(&of.model)
            .bind(request.team.as_ref().map_or("", TeamId::as_str))
            .bind(request.owner.as_str())
            .bind(org.as_str())
    )?;
    if days.contains(&today) {
        return Ok(today);
    }
    days.into_iter().next().ok_or(StoreError::Unreadable { column: "spend_daily.day" })
}

/// The windows of each holder's counters around these requests. They are looked up and not calculated, because an
/// organisation's time zone may be another one now.
async fn windows_of<'a>(
    tx: &mut Tx,
    org: &'a OrgId,
    corrections: &'a [Correction],
) -> Result<BTreeMap<Holder<'a>, BTreeSet<Window>>, StoreError> {
    // Longer than a month with a change of clocks.
    const LONGEST_MS: i64 = 32 * 86_400_000;
    let times = || corrections.iter().map(|correction| correction.request.started_at.ms());
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(BTreeMap::new()) };
    let mut windows = BTreeMap::new();
    for holder in corrections.iter().flat_map(|correction| holders(org, &correction.request)) {
        if windows.contains_key(&holder) {
            continue;
        }
        let found: Vec<(String, i64)> = run!(
            &mut *tx,
            fetch_all,
            sqlx::query_as::<_, (String, i64)>(WINDOWS)
                .bind(holder.1)
                .bind(holder.2)
                .bind(first.saturating_sub(LONGEST_MS))
                .bind(last)
                .bind(org.as_str())
        )?;
        let read = |(period, start): (String, i64)| match Period::parse(&period) {
            Some(period) => Ok((period.rank(), start)),
            None => Err(StoreError::Unreadable { column: "counters.period" }),
        };
        windows.insert(holder, found.into_iter().map(read).collect::<Result<BTreeSet<_>, _>>()?);
    }
    Ok(windows)
}

/// Of each period the window that a request is in: the last one that begins before it.
fn in_windows<'a>(
    windows: &BTreeMap<Holder<'a>, BTreeSet<Window>>,
    holder: Holder<'a>,
    at: Moment,
) -> Result<Vec<Window>, StoreError> {
    let missing = || StoreError::Unreadable { column: "counters" };
    let windows = windows.get(&holder).ok_or_else(missing)?;
    let window = |period: Period| match period {
        Period::Total => Ok((period.rank(), 0)),
        _ => windows
            .range((period.rank(), i64::MIN)..=(period.rank(), at.ms()))
            .next_back()
            .copied()
            .ok_or_else(missing),
    };
    Period::LONGEST_FIRST.into_iter().map(window).collect()
}

/// A holder's id, its name in words, and one of its budgets.
pub type HolderBudget = (String, String, BudgetUse);

/// The budgets of these holders in the windows that begin at `starts`. `ids` are those of keys, teams and the organisation.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn budgets(
    via: &mut impl Via,
    org: &OrgId,
    ids: &[&str],
    starts: WindowStarts,
) -> Result<Vec<HolderBudget>, StoreError> {
    type Row = (String, Option<String>, String, i64, i64);
    let text = budgets_text(Dialect::of(via));
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(&ids)
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
    )?;
    let read = |(id, name, period, amount, spent): Row| {
        Ok((id, name.unwrap_or_default(), super::keys::read_budget(&period, amount, spent)?))
    };
    rows.into_iter().map(read).collect()
}
