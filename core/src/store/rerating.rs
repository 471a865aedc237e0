//! Requests charged again at another price. A correction changes the request's row, and in the same transaction all that
//! is added up from rows (day, tags, roll-ups, counters, marks of budgets) and the list of corrections, so that sums stay
//! those of the rows and nothing is rewritten without a trace.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, patient, patient_within};
use super::grants::{granted, read_granted};
use super::permit::compare;
use super::requests::read_metered;
use super::{Reader, StoreError, Tx, Via, budget_marks, changed, rollups, run, statements, sums};
use crate::domain::ids::{KeyId, OrgId, PersonId, PriceId, RequestId, TeamId};
use crate::domain::limit_use::HolderKind;
use crate::domain::limits::BudgetUse;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::Money;
use crate::domain::policy::{Action, Permit};
use crate::domain::rerating::{ChargedRequest, Correction, Rerating};
use crate::domain::tags::OTHER_TAGS;
use crate::domain::window::{Period, WindowStarts};

/// The columns of `ChargedRow`.
macro_rules! charged {
    () => {
        "SELECT request_id, key_id, team_id, owner_id, started_at, input_tokens, output_tokens, cached_tokens, meters, cost,
            price_id, is_priced, COALESCE(booked, '') AS booked, provider, tags FROM usage"
    };
}
pub(super) use charged;

statements! {
    CHANGE = "UPDATE usage SET cost = $2, price_id = $3, is_priced = $4 WHERE request_id = $1 AND org_id = $5";
    KEEP = "INSERT INTO usage_corrections (request_id, number, org_id, at, actor_id, actor_name, cost_before, cost_after,
            price_before, price_after, priced_before, priced_after)
        VALUES ($1, (SELECT COALESCE(MAX(number), 0) + 1 FROM usage_corrections WHERE request_id = $1),
            $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    ADD_TO_DAY = "UPDATE spend_daily SET cost = cost + $7
        WHERE key_id = $1 AND day = $2 AND model_id = $3 AND provider = $4 AND team_id = $5 AND owner_id = $6 AND org_id = $8";
    TAGS = "SELECT tag FROM key_tags WHERE key_id = $1 AND org_id = $2";
    ADD_TO_TAG = "UPDATE tag_daily SET cost = cost + $7
        WHERE key_id = $1 AND day = $2 AND tag = $3 AND model_id = $4 AND team_id = $5 AND owner_id = $6 AND org_id = $8";
    WINDOWS = "SELECT period, window_start FROM counters
        WHERE holder_kind = $1 AND holder_id = $2 AND window_start >= $3 AND window_start <= $4 AND org_id = $5";
    /// No window goes below zero, should a request have been counted in another one after all. The counter of all time is exact.
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
            b.period, b.amount, COALESCE(c.spent, 0), {}, {}
        FROM budgets b
        LEFT JOIN counters c ON c.holder_kind = b.holder_kind AND c.holder_id = b.holder_id AND c.period = b.period
            AND c.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN $3 WHEN 'week' THEN $4 ELSE $5 END
        WHERE b.org_id = $1 AND b.holder_id IN {}
        ORDER BY b.holder_kind, b.holder_id, b.period",
        granted!("$6"),
        granted!("$6", until),
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
    booked: String,
    provider: String,
    tags: String,
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
            booked: self.booked,
            provider: self.provider,
            tags: self.tags.lines().map(str::to_owned).collect(),
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

/// Like `next`, and no other re-rating changes them until the transaction ends. A repair of spend waits for it, or begins again.
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
    sums::moving(tx, permit.org()).await?;
    rows(tx, permit.org(), of, after, max, true).await
}

/// Writes corrections of requests that `lock_next` read. What is added up comes last and in the order in which a settlement
/// writes it, so that the two cannot deadlock. `now` is also the moment whose budgets are marked.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; `Unreadable` when a request has no hour or no
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
    let mut sums = Sums::default();
    let windows = windows_of(tx, org, corrections).await?;
    let names = names_of(tx, org, corrections).await?;
    for correction in corrections {
        change(tx, permit, of, correction, now).await?;
        let request = &correction.request;
        let more = correction.cost.nanos() - request.cost.nanos();
        sums.add(org, request, names.get(&request.key), more)?;
        for holder in holders(org, request) {
            for window in in_windows(&windows, holder, request)? {
                *sums.counters.entry((holder, window)).or_default() += more;
            }
        }
    }
    let starts = WindowStarts::at(now, zone);
    let kinds = [HolderKind::Key, HolderKind::Team, HolderKind::Org].map(|kind| {
        let of_kind = windows.keys().filter(|holder| holder.1 == kind.as_str());
        (kind, of_kind.map(|holder| holder.2).collect::<Vec<&str>>())
    });
    sums.write_rollups(tx, org, &of.model).await?;
    for (kind, ids) in &kinds {
        let ids = serde_json::to_string(ids).unwrap_or_default();
        budget_marks::lock(tx, org, *kind, (&ids, false), starts).await?;
    }
    sums.write_counters(tx, org).await?;
    for (kind, ids) in &kinds {
        budget_marks::renew(tx, org, *kind, ids, starts).await?;
    }
    Ok(())
}

/// By how much what is added up changes, in the order in which it is written.
#[derive(Default)]
struct Sums<'a> {
    days: BTreeMap<(&'a KeyId, &'a str, &'a str, &'a str, &'a PersonId), i64>,
    tags: BTreeMap<(&'a KeyId, &'a str, &'a str, &'a str, &'a PersonId), i64>,
    rollups: BTreeMap<(Holder<'a>, Bucket<'a>), i64>,
    counters: BTreeMap<CounterKey<'a>, i64>,
}

/// The grain's rank and name, the bucket and the provider.
type Bucket<'a> = (u8, &'static str, &'a str, &'a str);

impl<'a> Sums<'a> {
    /// Adds a request to its day, tags and roll-ups. `names` are the tags of its key that have names of their own.
    fn add(
        &mut self,
        org: &'a OrgId,
        request: &'a ChargedRequest,
        names: Option<&BTreeSet<String>>,
        more: i64,
    ) -> Result<(), StoreError> {
        let bucket =
            |length| request.booked.get(..length).ok_or(StoreError::Unreadable { column: "usage.booked" });
        let (month, day, hour) = (bucket(7)?, bucket(10)?, bucket(13)?);
        let (key, owner, provider) = (&request.key, &request.owner, request.provider.as_str());
        let team = request.team.as_ref().map_or("", TeamId::as_str);
        *self.days.entry((key, day, provider, team, owner)).or_default() += more;
        let named = |tag: &&'a String| names.is_some_and(|names| names.contains(*tag));
        let tags: BTreeSet<&str> =
            request.tags.iter().map(|tag| if named(&tag) { tag.as_str() } else { OTHER_TAGS }).collect();
        for tag in tags {
            *self.tags.entry((key, day, tag, team, owner)).or_default() += more;
        }
        let buckets = [(0, "month", month), (1, "day", day), (2, "hour", hour)];
        let team = (!team.is_empty()).then_some((2, "team", team));
        let holders = [
            Some((0, "key", key.as_str())),
            Some((1, "owner", owner.as_str())),
            team,
            Some((3, "org", org.as_str())),
        ];
        for holder in holders.into_iter().flatten() {
            for (rank, grain, bucket) in buckets {
                *self.rollups.entry((holder, (rank, grain, bucket, provider))).or_default() += more;
            }
        }
        Ok(())
    }

    async fn write_rollups(&self, tx: &mut Tx, org: &OrgId, model: &str) -> Result<(), StoreError> {
        for ((key, day, provider, team, owner), more) in &self.days {
            let of = [key.as_str(), day, model, provider, team, owner.as_str()];
            add_to(tx, ADD_TO_DAY, of, *more, org).await?;
        }
        for ((key, day, tag, team, owner), more) in &self.tags {
            add_to(tx, ADD_TO_TAG, [key.as_str(), day, tag, model, team, owner.as_str()], *more, org).await?;
        }
        for (((_, kind, id), (_, grain, bucket, provider)), more) in &self.rollups {
            add_to(tx, rollups::CORRECT, [kind, id, grain, bucket, model, provider], *more, org).await?;
        }
        Ok(())
    }

    async fn write_counters(&self, tx: &mut Tx, org: &OrgId) -> Result<(), StoreError> {
        for (((_, kind, id), (rank, start)), more) in &self.counters {
            let period = Period::LONGEST_FIRST.get(usize::from(*rank)).map_or("", |period| period.as_str());
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
}

/// Adds to the cost of one row; the first six parameters say of which.
async fn add_to(
    tx: &mut Tx,
    text: &'static str,
    of: [&str; 6],
    more: i64,
    org: &OrgId,
) -> Result<(), StoreError> {
    let [a, b, c, d, e, f] = of;
    changed!(
        tx,
        sqlx::query(text).bind(a).bind(b).bind(c).bind(d).bind(e).bind(f).bind(more).bind(org.as_str())
    )?;
    Ok(())
}

/// The tags that have names of their own, of the keys whose requests have tags.
async fn names_of(
    tx: &mut Tx,
    org: &OrgId,
    corrections: &[Correction],
) -> Result<BTreeMap<KeyId, BTreeSet<String>>, StoreError> {
    let mut names = BTreeMap::new();
    for request in corrections.iter().map(|correction| &correction.request) {
        if request.tags.is_empty() || names.contains_key(&request.key) {
            continue;
        }
        let tags: Vec<String> = run!(
            &mut *tx,
            fetch_all,
            sqlx::query_scalar::<_, String>(TAGS).bind(request.key.as_str()).bind(org.as_str())
        )?;
        names.insert(request.key.clone(), tags.into_iter().collect());
    }
    Ok(names)
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

/// In the order of a settlement: the key before the team before the organisation.
type Holder<'a> = (u8, &'static str, &'a str);
/// The period's rank, and the window's start in milliseconds.
type Window = (u8, i64);
type CounterKey<'a> = (Holder<'a>, Window);

fn holders<'a>(org: &'a OrgId, request: &'a ChargedRequest) -> impl Iterator<Item = Holder<'a>> {
    let team = request.team.as_ref().map(|team| (1, "team", team.as_str()));
    [Some((0, "key", request.key.as_str())), team, Some((2, "org", org.as_str()))].into_iter().flatten()
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

/// Of each period the window that a request was counted in. Where the time zone changed, several are around it: it is the one
/// that began as long before it as the hour says in which it is booked.
fn in_windows<'a>(
    windows: &BTreeMap<Holder<'a>, BTreeSet<Window>>,
    holder: Holder<'a>,
    request: &ChargedRequest,
) -> Result<Vec<Window>, StoreError> {
    // In the middle of that hour; a millisecond less, so that zones an hour apart are told apart in all of it.
    const HALF_HOUR_MS: i64 = 1_800_000 - 1;
    let missing = || StoreError::Unreadable { column: "counters" };
    let windows = windows.get(&holder).ok_or_else(missing)?;
    let (utc, at) = (Zone::utc(), request.started_at.ms());
    let here = booked_in(request, &utc)?;
    let window = |period: Period| {
        if period == Period::Total {
            return Ok((period.rank(), 0));
        }
        let since = here.ms() - period.window(here, &utc).start.ms();
        let began = at - since - HALF_HOUR_MS;
        windows
            .range((period.rank(), i64::MIN)..=(period.rank(), at))
            .min_by_key(|(_, start)| start.abs_diff(began))
            .copied()
            .ok_or_else(missing)
    };
    Period::LONGEST_FIRST.into_iter().map(window).collect()
}

/// The hour in which a request is booked, as if it were one of this zone.
fn booked_in(request: &ChargedRequest, zone: &Zone) -> Result<Moment, StoreError> {
    let day = request.booked.get(..10).and_then(Day::parse);
    let hour = request.booked.get(11..13).and_then(|hour| hour.parse::<i64>().ok());
    let begins = day.zip(hour).map(|(day, hour)| day.start(zone).plus_ms(hour * 3_600_000));
    begins.ok_or(StoreError::Unreadable { column: "usage.booked" })
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
    type Row = (String, Option<String>, String, i64, i64, i64, Option<i64>);
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
            .bind(starts.at.ms())
    )?;
    let read = |(id, name, period, amount, spent, granted, until): Row| {
        let used = super::keys::read_budget(&period, (amount, spent), read_granted(granted, until))?;
        Ok((id, name.unwrap_or_default(), used))
    };
    rows.into_iter().map(read).collect()
}
