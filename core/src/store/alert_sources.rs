//! Where alerts come from: what is near a line now. These statements are the program's own and go over all organisations;
//! each row names its own. A line that has its alert is left out here, by the crossing's text, or its highest threshold
//! stands beside it.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::grants::{budget_amount, granted};
use super::{StoreError, Via, run, statements};
use crate::domain::alert::{
    DAYS_BEFORE, Facts, REJECTIONS, REJECTIONS_AGAIN_MS, REJECTIONS_WITHIN_MS, SPIKE_ABOVE, SPIKE_TIMES,
    Subject, SubjectKind,
};
use crate::domain::ids::OrgId;
use crate::domain::limit_use::HolderKind;
use crate::domain::moment::{Day, Moment, Zone};
use crate::domain::money::Money;
use crate::domain::window::{Period, WindowStarts};

/// Rows of one look; what is beyond comes with the next.
const MAX_ROWS: i64 = 2_000;
const HOUR_MS: i64 = 3_600_000;

/// The smallest number of days before `$end` that has come, as `domain::alert::days_before` has it, without its conditions.
macro_rules! days_left {
    ($end:literal) => {
        concat!(
            "CASE WHEN ",
            $end,
            " <= $1 + 86400000 THEN 1 WHEN ",
            $end,
            " <= $1 + 604800000 THEN 7 ELSE 30 END"
        )
    };
}
/// Keys in use with an end in thirty days that has no alert at the present number of days.
macro_rules! ends {
    ($kind:literal, $end:literal, $since:literal, $from:literal) => {
        concat!(
            "SELECT k.org_id, k.id, k.name, ", $end, " AS ends_at, ", $since, " AS since FROM ", $from,
            // The first two are those of the indexes.
            " AND k.status IN ('active', 'disabled') AND k.status NOT IN ('expired', 'revoked') AND k.status = 'active'
            AND o.suspended_at IS NULL AND ", $end, " > $1 AND ", $end, " <= $1 + 2592000000
            AND ", $since, " < ", $end, " - CAST(86400000 AS BIGINT) * (", days_left!($end), ")
            AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.crossing = '", $kind, "/' || k.id || '/' || (", $end, ")
                AND a.threshold <= ", days_left!($end), ")"
        )
    };
}

statements! {
    ZONES = "SELECT DISTINCT zone FROM orgs WHERE suspended_at IS NULL";
    /// Of the balance that the last entry left, what was spent since. An entry from before it was kept counts all entries and
    /// all that was spent.
    BALANCES = "SELECT found.id, found.name, found.amount, found.spent, found.crossing,
            COALESCE((SELECT MAX(a.threshold) FROM alerts a WHERE a.crossing = found.crossing), 0)
        FROM (SELECT o.id, o.name, CASE WHEN e.spent_before IS NULL THEN l.total - l.opening ELSE l.total - e.spent_before END AS amount,
                COALESCE(c.spent, 0) - COALESCE(e.spent_before, l.opening) AS spent, 'balance/' || o.id || '/' || l.seq AS crossing
            FROM orgs o
            JOIN (SELECT org_id, CAST(SUM(amount) AS BIGINT) AS total, MAX(seq) AS seq,
                    CAST(SUM(CASE WHEN kind = 'opening' THEN amount ELSE 0 END) AS BIGINT) AS opening
                FROM ledger GROUP BY org_id) l ON l.org_id = o.id
            JOIN ledger e ON e.org_id = o.id AND e.seq = l.seq
            LEFT JOIN counters c ON c.holder_kind = 'org' AND c.holder_id = o.id AND c.period = 'total' AND c.window_start = 0
            WHERE o.balance_enforced_at IS NOT NULL AND o.suspended_at IS NULL) found
        WHERE found.amount > 0 AND found.spent >= found.amount / 100 * $1";
    EXPIRIES = concat!(ends!("expiry", "k.expires_at", "k.created_at", "keys k JOIN orgs o ON o.id = k.org_id WHERE k.expires_at IS NOT NULL"),
        " ORDER BY k.expires_at LIMIT $2");
    ROTATIONS = concat!(
        ends!("rotation", "(k.secret_created_at + k.rotate_days * 86400000)", "k.secret_created_at",
            "orgs o JOIN keys k ON k.org_id = o.id WHERE k.rotate_days IS NOT NULL"),
        " UNION ALL ",
        ends!("rotation", "k.secret_created_at + o.rotate_days * 86400000", "k.secret_created_at",
            "orgs o JOIN keys k ON k.org_id = o.id WHERE k.rotate_days IS NULL AND o.rotate_days IS NOT NULL
            AND k.secret_created_at > $1 - o.rotate_days * 86400000
            AND k.secret_created_at <= $1 + 2592000000 - o.rotate_days * 86400000"),
        " LIMIT $2");
    /// Since `$1`; not again until an hour after the last one, which `$2` begins.
    REJECTED = "SELECT r.org_id, k.id, k.name, r.gate, CAST(SUM(r.times) AS BIGINT) FROM rejections r
        JOIN keys k ON k.id = r.key_id JOIN orgs o ON o.id = r.org_id AND o.suspended_at IS NULL
        WHERE r.last_at >= $1 AND r.gate <> '' AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.created_at > $2
            AND a.crossing IN ('rejections/' || k.id || '/' || r.gate || '/' || CAST($3 AS TEXT),
                'rejections/' || k.id || '/' || r.gate || '/' || CAST($4 AS TEXT)))
        GROUP BY r.org_id, k.id, k.name, r.gate HAVING SUM(r.times) >= $5 LIMIT $6";
    LISTS = "SELECT org_id, thresholds FROM alert_choices WHERE thresholds <> ''";
}

/// A page of the budgets of one kind of holder in organisations of one zone of which a part is spent, in the order of their key.
/// With `recent`, only those of whom spent something in the present hour or the one before.
fn budgets_text(recent: bool) -> String {
    let among = if recent {
        "orgs o JOIN (SELECT DISTINCT r.org_id, r.holder_kind, r.holder_id FROM orgs z JOIN rollups r ON r.org_id = z.id
            AND r.holder_kind = CAST($9 AS TEXT) AND r.grain = 'hour' AND r.bucket IN ($6, $7) WHERE z.zone = $1) active
        ON active.org_id = o.id JOIN budgets b ON b.holder_kind = active.holder_kind AND b.holder_id = active.holder_id"
    } else {
        // SQLite keeps this order of the tables, so that a page is read from the budgets' key and no further than its end.
        "budgets b CROSS JOIN orgs o"
    };
    let amount = budget_amount!("$8");
    format!(
        "SELECT found.*, COALESCE((SELECT MAX(a.threshold) FROM alerts a WHERE a.crossing = found.crossing), 0) AS alerted FROM (
        SELECT b.org_id, b.holder_kind, b.holder_id, COALESCE(k.name, t.name, o.name) AS name, b.period, {amount} AS amount, c.spent,
            'budget/' || b.holder_kind || '/' || b.holder_id || '/' || b.period || '/' || c.window_start || '/' || ({amount}) AS crossing
        FROM {among}
        JOIN counters c ON c.holder_kind = b.holder_kind AND c.holder_id = b.holder_id AND c.period = b.period
            AND c.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN $2 WHEN 'week' THEN $3 ELSE $4 END
        LEFT JOIN keys k ON b.holder_kind = 'key' AND k.id = b.holder_id
        LEFT JOIN teams t ON b.holder_kind = 'team' AND t.id = b.holder_id
        WHERE o.zone = $1 AND o.id = b.org_id AND CAST($6 AS TEXT) IS NOT NULL AND CAST($7 AS TEXT) IS NOT NULL
            AND o.suspended_at IS NULL AND c.spent >= ({amount}) / 100 * $5 AND CAST($8 AS BIGINT) IS NOT NULL
            AND (b.holder_kind <> 'key' OR k.status = 'active') AND (b.holder_kind <> 'team' OR t.archived_at IS NULL)
            AND b.holder_kind = CAST($9 AS TEXT) AND (b.holder_id, b.period) > (CAST($10 AS TEXT), CAST($11 AS TEXT))
        ORDER BY b.holder_id, b.period LIMIT $12) found ORDER BY found.holder_id, found.period"
    )
}

/// Keys and organisations in one zone whose spend of today (`$2`) is above `$3` and the alert of today is not there yet. The
/// usual is what was spent up to the same hour (`$4`) on the same weekday of the four weeks before (`$5` to `$8`), of those
/// with any.
fn spikes_text() -> String {
    let day = |parameter: &str| {
        format!(
            "SELECT SUM(h.cost) AS cost FROM rollups h WHERE h.holder_kind = d.holder_kind AND h.holder_id = d.holder_id
            AND h.grain = 'hour' AND h.bucket >= CAST({parameter} AS TEXT) || 'T00'
            AND h.bucket <= CAST({parameter} AS TEXT) || 'T' || CAST($4 AS TEXT)"
        )
    };
    let days = ["$5", "$6", "$7", "$8"].map(day).join(" UNION ALL ");
    format!(
        "SELECT found.org_id, found.holder_kind, found.holder_id, COALESCE(k.name, o.name), found.today, found.usual FROM (
            SELECT d.org_id, d.holder_kind, d.holder_id, d.today,
                (SELECT CAST(SUM(w.cost) / COUNT(*) AS BIGINT) FROM ({days}) w WHERE w.cost > 0) AS usual
            FROM (SELECT r.org_id, r.holder_kind, r.holder_id, CAST(SUM(r.cost) AS BIGINT) AS today
                FROM orgs z JOIN rollups r ON r.org_id = z.id AND r.holder_kind IN ('key', 'org') AND r.grain = 'day' AND r.bucket = $2
                WHERE z.zone = $1 GROUP BY r.org_id, r.holder_kind, r.holder_id HAVING SUM(r.cost) > $3) d
            WHERE NOT EXISTS (SELECT 1 FROM alerts a
                WHERE a.crossing = 'spike/' || d.holder_kind || '/' || d.holder_id || '/' || CAST($2 AS TEXT))
        ) found JOIN orgs o ON o.id = found.org_id AND o.suspended_at IS NULL
        LEFT JOIN keys k ON found.holder_kind = 'key' AND k.id = found.holder_id
        WHERE found.usual IS NOT NULL AND found.today / $9 > found.usual LIMIT $10"
    )
}

/// The texts that are put together, for the test that prepares them.
pub fn every_text(_: Dialect) -> Vec<String> {
    vec![budgets_text(true), budgets_text(false), spikes_text()]
}

/// A line with what is spent of it, and the highest threshold that has its alert.
#[derive(Clone, Debug)]
pub struct Spent {
    /// The organisation's id.
    pub org: OrgId,
    /// Whose line it is.
    pub subject: Subject,
    /// The crossing's text, without the threshold.
    pub crossing: String,
    /// 0 when there is none.
    pub alerted: i64,
    /// The numbers.
    pub facts: Facts,
}

/// A line that is crossed, whose alert is not written yet.
#[derive(Clone, Debug)]
pub struct Line {
    /// The organisation's id.
    pub org: OrgId,
    /// Whose line it is.
    pub subject: Subject,
    /// The crossing's text.
    pub crossing: String,
    /// Since when the thing is there, where the line is an end.
    pub since: Moment,
    /// The numbers.
    pub facts: Facts,
}

fn org_of(text: &str) -> Result<OrgId, StoreError> {
    OrgId::parse(text).ok_or(StoreError::Unreadable { column: "org_id" })
}

fn key(id: &str, name: String) -> Subject {
    Subject { kind: SubjectKind::Key, id: id.to_owned(), name }
}

/// The zones of all organisations in use.
///
/// # Errors
/// When the database cannot be read.
pub async fn zones(via: &mut impl Via) -> Result<Vec<Zone>, StoreError> {
    let names: Vec<String> = run!(via, fetch_all, sqlx::query_scalar::<_, String>(ZONES))?;
    Ok(names.iter().filter_map(|name| Zone::parse(name)).collect())
}

/// Every list of thresholds that an organisation or one of its people has set, with the organisation's id.
///
/// # Errors
/// When the database cannot be read.
pub async fn threshold_lists(via: &mut impl Via) -> Result<Vec<(String, String)>, StoreError> {
    run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(LISTS))
}

/// Where a page of budgets begins: those of a kind of holder, after this holder and period.
#[derive(Clone, Debug)]
pub struct AfterBudget {
    kind: HolderKind,
    holder: String,
    period: String,
}

impl AfterBudget {
    /// The kinds in the order of the pages.
    const KINDS: [HolderKind; 3] = [HolderKind::Key, HolderKind::Team, HolderKind::Org];

    /// The first page.
    pub fn first() -> Self {
        Self::of(HolderKind::Key)
    }

    fn of(kind: HolderKind) -> Self {
        Self { kind, holder: String::new(), period: String::new() }
    }

    /// The first page of the next kind.
    fn next_kind(&self) -> Option<Self> {
        Self::KINDS.into_iter().skip_while(|kind| *kind != self.kind).nth(1).map(Self::of)
    }
}

/// Which budgets [`budgets`] reads.
#[derive(Clone, Copy, Debug)]
pub struct BudgetsWanted {
    /// Of which at least so many per cent are spent.
    pub percent: i64,
    /// Of those who spent lately alone.
    pub recent: bool,
    /// So many at most.
    pub max: i64,
}

/// A page of the budgets in this zone of which a part is spent, and where the next one begins; `None` at the end.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn budgets(
    via: &mut impl Via,
    zone: &Zone,
    now: Moment,
    wanted: BudgetsWanted,
    after: &AfterBudget,
) -> Result<(Vec<Spent>, Option<AfterBudget>), StoreError> {
    type Row = (String, String, String, String, String, i64, i64, String, i64);
    let starts = WindowStarts::at(now, zone);
    let BudgetsWanted { percent, recent, max } = wanted;
    let text = budgets_text(recent);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
            .bind(zone.name())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(percent)
            .bind(now.booked_hour(zone))
            .bind(now.plus_ms(-HOUR_MS).booked_hour(zone))
            .bind(now.ms())
            .bind(after.kind.as_str())
            .bind(&after.holder)
            .bind(&after.period)
            .bind(max)
    )?;
    let whole = i64::try_from(rows.len()).is_ok_and(|count| count >= max);
    let next = match rows.last().filter(|_| whole) {
        Some((_, _, holder, _, period, ..)) => {
            Some(AfterBudget { kind: after.kind, holder: holder.clone(), period: period.clone() })
        }
        None => after.next_kind(),
    };
    let read = |(org, kind, id, name, period, amount, spent, crossing, alerted): Row| {
        let kind =
            HolderKind::parse(&kind).ok_or(StoreError::Unreadable { column: "budgets.holder_kind" })?;
        let resets_at = Period::parse(&period).and_then(|period| period.window(now, zone).end);
        let (amount, spent) = (Money::from_nanos(amount), Money::from_nanos(spent));
        Ok(Spent {
            org: org_of(&org)?,
            subject: Subject { kind: kind.into(), id, name },
            crossing,
            alerted,
            facts: Facts::Budget { period, amount, spent, resets_at },
        })
    };
    let found: Result<Vec<Spent>, StoreError> = rows.into_iter().map(read).collect();
    Ok((found?, next))
}

/// Enforced balances of which at least `percent` is spent.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn balances(via: &mut impl Via, percent: i64) -> Result<Vec<Spent>, StoreError> {
    type Row = (String, String, i64, i64, String, i64);
    let rows: Vec<Row> = run!(via, fetch_all, sqlx::query_as::<_, Row>(BALANCES).bind(percent))?;
    let read = |(org, name, amount, spent, crossing, alerted): Row| {
        let (amount, spent) = (Money::from_nanos(amount), Money::from_nanos(spent));
        Ok(Spent {
            subject: Subject { kind: SubjectKind::Org, id: org.clone(), name },
            org: org_of(&org)?,
            crossing,
            alerted,
            facts: Facts::Balance { amount, spent },
        })
    };
    rows.into_iter().map(read).collect()
}

/// Keys whose expiry or rotation comes near.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn ends(via: &mut impl Via, now: Moment) -> Result<Vec<Line>, StoreError> {
    type Row = (String, String, String, i64, i64);
    let mut lines = Vec::new();
    for (kind, text) in [("expiry", EXPIRIES), ("rotation", ROTATIONS)] {
        let rows: Vec<Row> =
            run!(via, fetch_all, sqlx::query_as::<_, Row>(text).bind(now.ms()).bind(MAX_ROWS))?;
        for (org, id, name, at, since) in rows {
            let crossing = format!("{kind}/{id}/{at}");
            let at = Moment::from_ms(at);
            let facts = if kind == "expiry" { Facts::Expiry { at } } else { Facts::Rotation { at } };
            let since = Moment::from_ms(since);
            lines.push(Line { org: org_of(&org)?, subject: key(&id, name), crossing, since, facts });
        }
    }
    debug_assert_eq!(DAYS_BEFORE, [30, 7, 1], "the statements have the same numbers");
    Ok(lines)
}

/// Keys with many rejections at one gate lately.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn rejected(via: &mut impl Via, now: Moment) -> Result<Vec<Line>, StoreError> {
    type Row = (String, String, String, String, i64);
    let hour = now.ms().div_euclid(HOUR_MS);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(REJECTED)
            .bind(now.plus_ms(-REJECTIONS_WITHIN_MS).ms())
            .bind(now.plus_ms(-REJECTIONS_AGAIN_MS).ms())
            .bind(hour.to_string())
            .bind((hour - 1).to_string())
            .bind(REJECTIONS)
            .bind(MAX_ROWS)
    )?;
    let read = |(org, id, name, gate, times): Row| {
        let crossing = format!("rejections/{id}/{gate}/{hour}");
        let facts = Facts::Rejections { gate, times };
        Ok(Line { org: org_of(&org)?, subject: key(&id, name), crossing, since: now, facts })
    };
    rows.into_iter().map(read).collect()
}

/// Keys and organisations in this zone that spend far above their usual today.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn spikes(via: &mut impl Via, zone: &Zone, now: Moment) -> Result<Vec<Line>, StoreError> {
    type Row = (String, String, String, String, i64, i64);
    let today = Day::of(now, zone);
    let before = |weeks: u32| today.back(7 * weeks).to_string();
    let present = now.booked_hour(zone);
    let text = spikes_text();
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone()))
            .bind(zone.name())
            .bind(today.to_string())
            .bind(SPIKE_ABOVE.nanos())
            .bind(present.get(11..).unwrap_or("23"))
            .bind(before(1))
            .bind(before(2))
            .bind(before(3))
            .bind(before(4))
            .bind(SPIKE_TIMES)
            .bind(MAX_ROWS)
    )?;
    let read = |(org, kind, id, name, spent, usual): Row| {
        let crossing = format!("spike/{kind}/{id}/{today}");
        let kind =
            HolderKind::parse(&kind).ok_or(StoreError::Unreadable { column: "rollups.holder_kind" })?;
        let facts = Facts::Spike { today: Money::from_nanos(spent), usual: Money::from_nanos(usual) };
        Ok(Line {
            org: org_of(&org)?,
            subject: Subject { kind: kind.into(), id, name },
            crossing,
            since: now,
            facts,
        })
    };
    rows.into_iter().map(read).collect()
}
