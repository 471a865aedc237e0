//! How many keys need a look over all organisations and in some of them, for operators: the meaning of each state is that of
//! the list of keys. Counting stops at `MAX_OFFERED`, so what is read does not grow with the number of keys.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::grants::{granted, read_granted};
use super::installation::{zone_list, zone_times};
use super::key_list::MAX_OFFERED;
use super::keys::{is_live, read_budget};
use super::ledger::OrgLeft;
use super::search_sql::{is_idle, no_limit, valid_mark};
use super::{StoreError, Via, run};
use crate::domain::ids::OrgId;
use crate::domain::key_filter::StateFilter;
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::overview::ZoneTime;

/// As `ledger::left`, of every organisation: budgets of which 80 % or more is spent, without what is granted beyond them, and
/// balances that are enforced. `$1` is the time in each zone, `$2` now.
fn left_text(dialect: Dialect) -> String {
    let times = zone_times(dialect);
    format!(
        "SELECT o.id, b.period, b.amount, c.spent, {}, {}
        FROM budgets b JOIN orgs o ON o.id = b.holder_id JOIN {times} z ON z.zone = o.zone
        JOIN counters c ON c.holder_kind = 'org' AND c.holder_id = b.holder_id AND c.org_id = o.id AND c.period = b.period
            AND c.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN z.month WHEN 'week' THEN z.week ELSE z.day END
        WHERE b.holder_kind = 'org' AND c.spent >= b.amount - b.amount / 5
        UNION ALL
        SELECT o.id, 'balance', CAST(COALESCE((SELECT SUM(amount) FROM ledger WHERE org_id = o.id), 0) AS BIGINT),
            COALESCE((SELECT spent FROM counters WHERE holder_kind = 'org' AND holder_id = o.id AND period = 'total'
                AND window_start = 0), 0), 0, NULL
        FROM orgs o WHERE o.balance_enforced_at IS NOT NULL",
        granted!("CAST($2 AS BIGINT)"),
        granted!("CAST($2 AS BIGINT)", until)
    )
}

const ACTIVE: &str = concat!(is_live!(), " AND k.status = 'active'");

/// Keys `k` of the organisation `o` in this state, at most one more than are counted: lists that have no key in common, each
/// from its index. `$4` is now and `$5` a week from now, without a cast, which SQLite's indexes of expressions do not bear.
fn keys_in(dialect: Dialect, state: StateFilter) -> String {
    let of_org = |index: &str, condition: &str| {
        format!("keys k{} WHERE k.org_id = o.id AND {condition}", dialect.through(index))
    };
    let lists = match state {
        StateFilter::Stopped => marked(dialect, "o.stopped", "reached"),
        StateFilter::NearLimit => marked(dialect, "o.near", "near"),
        StateFilter::Expiring => vec![of_org(
            "keys_live_by_expiry",
            &format!(
                "{ACTIVE} AND COALESCE(k.expires_at, 9007199254740991) > $4 AND COALESCE(k.expires_at, 9007199254740991) < $5"
            ),
        )],
        StateFilter::RotationDue => vec![
            of_org(
                "keys_live_by_due",
                concat!(
                    is_live!(),
                    " AND k.rotate_days IS NOT NULL AND (k.secret_created_at + k.rotate_days * 86400000) <= $4"
                ),
            ),
            of_org(
                "keys_live_by_secret",
                concat!(
                    is_live!(),
                    " AND k.rotate_days IS NULL AND k.secret_created_at <= $4 - o.rotate_days * 86400000"
                ),
            ),
        ],
        StateFilter::Idle => {
            vec![of_org("keys_live_by_idle", concat!(is_live!(), " AND ", is_idle!("$4")))]
        }
        StateFilter::Unlimited => {
            vec![of_org("keys_live_unlimited", concat!(is_live!(), " AND ", no_limit!()))]
        }
        StateFilter::Live | StateFilter::Only(_) => vec![of_org("keys_live_by_created", is_live!())],
    };
    let lists: Vec<String> = lists.iter().map(|list| format!("SELECT k.seq FROM {list}")).collect();
    format!("{} LIMIT {}", lists.join(" UNION ALL "), MAX_OFFERED + 1)
}

/// Keys with a mark of this level on a budget of their own or of their team; all active keys where `every` says that the mark
/// is the organisation's.
fn marked(dialect: Dialect, every: &str, level: &str) -> Vec<String> {
    let valid = valid_mark("o.month", "o.week", "o.day");
    // NULL where the other one counts: SQLite then reads nothing, where it would ask a condition apart of every key.
    let (all, some) =
        (format!("CASE WHEN {every} = 1 THEN o.id END"), format!("CASE WHEN {every} = 0 THEN o.id END"));
    // A key with several marks is counted at the first of them.
    let no_other = |kind: &str, id: &str, before: &str| {
        let valid = valid.replace("b.", "e.");
        format!(
            "NOT EXISTS (SELECT 1 FROM budget_marks e WHERE e.holder_kind = '{kind}' AND e.holder_id = {id}
                AND e.level = '{level}' AND {valid}{before})"
        )
    };
    let by_mark = |kind: &str, index: &str, key: &str| {
        format!(
            "budget_marks b CROSS JOIN keys k{} WHERE b.org_id = {some} AND b.holder_kind = '{kind}'
                AND b.level = '{level}' AND {valid} AND k.org_id = o.id AND {key} = b.holder_id AND {ACTIVE}
                AND {}",
            dialect.through(index),
            no_other(kind, "b.holder_id", " AND e.period < b.period")
        )
    };
    vec![
        format!("keys k{} WHERE k.org_id = {all} AND {ACTIVE}", dialect.through("keys_by_status")),
        by_mark("key", "keys_id_unique", "k.id"),
        format!("{} AND {}", by_mark("team", "keys_by_team", "k.team_id"), no_other("key", "k.id", "")),
    ]
}

/// The organisations `o` with their windows; `$1` is the time in each zone, `$2` and `$3` list those whose keys are all
/// stopped, or all near a limit.
fn with_orgs(dialect: Dialect, only: &str) -> String {
    let times = zone_times(dialect);
    let is_in = |list: &str| format!("CASE WHEN o.id IN {} THEN 1 ELSE 0 END", dialect.json_list(list));
    format!(
        "WITH now_in AS MATERIALIZED (
            SELECT o.id, o.rotate_days, z.month, z.week, z.day, {} AS stopped, {} AS near
            FROM {times} z JOIN orgs o ON o.zone = z.zone{only})",
        is_in("$2"),
        is_in("$3")
    )
}

/// The six counts, over all organisations: of one after the other, until there are enough.
fn of_all_text(dialect: Dialect) -> String {
    let count = |state| {
        let of_each = dialect.keys_of_each("now_in o", &keys_in(dialect, state));
        format!("(SELECT COUNT(*) FROM (SELECT 1 FROM {of_each} LIMIT {}) counted)", MAX_OFFERED + 1)
    };
    format!("{} SELECT {}", with_orgs(dialect, ""), StateFilter::LOOKS.map(count).join(", "))
}

/// The six counts of each organisation that `$6` lists.
fn of_each_text(dialect: Dialect) -> String {
    let count = |state| format!("(SELECT COUNT(*) FROM ({}) counted)", keys_in(dialect, state));
    let only = format!(" WHERE o.id IN {}", dialect.json_list("$6"));
    let counts = StateFilter::LOOKS.map(count).join(", ");
    format!("{} SELECT o.id, {counts} FROM now_in o", with_orgs(dialect, &only))
}

/// The texts that are put together, for the tests that prepare and explain them: what is left, all, and each.
pub fn every_text(dialect: Dialect) -> [String; 3] {
    [left_text(dialect), of_all_text(dialect), of_each_text(dialect)]
}

/// How many keys need a look, by reason; counting stops one above `MAX_OFFERED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks([i64; StateFilter::LOOKS.len()]);

impl Looks {
    /// How many are in this state; none for a state that asks for no look.
    pub fn of(&self, state: StateFilter) -> i64 {
        let mut counted = StateFilter::LOOKS.iter().zip(self.0);
        counted.find(|(one, _)| **one == state).map_or(0, |(_, count)| count)
    }

    /// Whether any key needs one.
    pub fn any(&self) -> bool {
        self.0.iter().any(|count| *count > 0)
    }
}

/// How many keys need a look in all organisations together, and in each of `orgs`.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn looks(
    via: &mut impl Via,
    times: &[ZoneTime],
    orgs: &[&OrgId],
    now: Moment,
) -> Result<(Looks, HashMap<OrgId, Looks>), StoreError> {
    type All = (i64, i64, i64, i64, i64, i64);
    type Each = (String, i64, i64, i64, i64, i64, i64);
    let [left, all, each] = every_text(Dialect::of(via));
    let times = zone_list(times);
    let (stopped, near) = stopped_and_near(via, &left, &times, now).await?;
    let week = now.plus_days(7);
    macro_rules! bound {
        ($query:expr) => {
            $query.bind(&times).bind(&stopped).bind(&near).bind(now.ms()).bind(week.ms())
        };
    }
    let (a, b, c, d, e, f) =
        run!(via, fetch_one, bound!(sqlx::query_as::<_, All>(AssertSqlSafe(all.clone()))))?;
    let orgs: Vec<&str> = orgs.iter().map(|org| org.as_str()).collect();
    let orgs = serde_json::to_string(&orgs).unwrap_or_default();
    let rows: Vec<Each> =
        run!(via, fetch_all, bound!(sqlx::query_as::<_, Each>(AssertSqlSafe(each.clone()))).bind(&orgs))?;
    let read = |(id, a, b, c, d, e, f): Each| {
        let id = OrgId::parse(&id).ok_or(StoreError::Unreadable { column: "orgs.id" })?;
        Ok((id, Looks([a, b, c, d, e, f])))
    };
    Ok((Looks([a, b, c, d, e, f]), rows.into_iter().map(read).collect::<Result<_, StoreError>>()?))
}

/// Lists of the organisations whose keys are all stopped, and of those whose keys are all near a limit.
async fn stopped_and_near(
    via: &mut impl Via,
    text: &str,
    times: &str,
    now: Moment,
) -> Result<(String, String), StoreError> {
    type Row = (String, String, i64, i64, i64, Option<i64>);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.to_owned())).bind(times).bind(now.ms())
    )?;
    let mut left: HashMap<String, OrgLeft> = HashMap::new();
    for (org, period, amount, spent, granted, until) in rows {
        let left = left.entry(org).or_default();
        match period.as_str() {
            "balance" => {
                left.balance = Some(Money::from_nanos(amount).saturating_sub(Money::from_nanos(spent)));
            }
            period => left.budgets.push(read_budget(period, (amount, spent), read_granted(granted, until))?),
        }
    }
    let list = |is: fn(&OrgLeft) -> bool| {
        let ids: Vec<&String> = left.iter().filter(|(_, left)| is(left)).map(|(id, _)| id).collect();
        serde_json::to_string(&ids).unwrap_or_default()
    };
    Ok((list(OrgLeft::is_stopped), list(OrgLeft::is_near)))
}
