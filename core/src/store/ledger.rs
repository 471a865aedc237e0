//! What an organisation has left: its ledger with the balance that comes of it, and its own budgets. Rows of the ledger
//! are only ever added, each under the number that its form was drawn with, so that nothing is entered twice; the
//! database itself refuses anything else.

use super::grants::{granted, read_granted};
use super::keys::read_budget;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::OrgId;
use crate::domain::ledger::{Balance, Entry, EntryKind, NewEntry};
use crate::domain::limits::{Budget, BudgetUse};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::policy::{Action, Permit};
use crate::domain::window::WindowStarts;

statements! {
    /// The number stands in the condition and in the primary key: of two entries with one number, one is no row.
    APPEND = "INSERT INTO ledger (org_id, seq, at, kind, amount, note, actor_id, actor_name, spent_before)
        SELECT $1, CAST($2 AS BIGINT), CAST($3 AS BIGINT), $4, CAST($5 AS BIGINT), $6, $7, $8,
            COALESCE((SELECT spent FROM counters WHERE holder_kind = 'org' AND holder_id = $1 AND period = 'total'
                AND window_start = 0), 0)
        WHERE (SELECT COALESCE(MAX(seq), 0) + 1 FROM ledger WHERE org_id = $1) = $2
        ON CONFLICT (org_id, seq) DO NOTHING";
    /// As much as was spent until now, once.
    OPEN = "INSERT INTO ledger (org_id, seq, at, kind, amount, note, actor_id, actor_name, spent_before)
        SELECT $1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM ledger WHERE org_id = $1), CAST($2 AS BIGINT), 'opening',
            COALESCE((SELECT spent FROM counters WHERE holder_kind = 'org' AND holder_id = $1 AND period = 'total'
                AND window_start = 0), 0), '', $3, $4,
            COALESCE((SELECT spent FROM counters WHERE holder_kind = 'org' AND holder_id = $1 AND period = 'total'
                AND window_start = 0), 0)
        WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE org_id = $1 AND kind = 'opening')
        ON CONFLICT (org_id, seq) DO NOTHING";
    ENFORCE = "UPDATE orgs SET balance_enforced_at = $2 WHERE id = $1 AND balance_enforced_at IS NULL";
    STOP_ENFORCING = "UPDATE orgs SET balance_enforced_at = NULL WHERE id = $1 AND balance_enforced_at IS NOT NULL";
    BALANCE = "SELECT CAST(COALESCE(SUM(CASE WHEN l.kind = 'credit' THEN l.amount END), 0) AS BIGINT) AS paid_in,
            CAST(COALESCE(-SUM(CASE WHEN l.kind = 'debit' THEN l.amount END), 0) AS BIGINT) AS taken_out,
            CAST(SUM(CASE WHEN l.kind = 'opening' THEN l.amount END) AS BIGINT) AS opening,
            MAX(CASE WHEN l.kind = 'opening' THEN l.at END) AS opened_at,
            COALESCE((SELECT spent FROM counters WHERE holder_kind = 'org' AND holder_id = $1 AND period = 'total'
                AND window_start = 0), 0) AS spent,
            COALESCE(MAX(l.seq), 0) AS last_seq,
            (SELECT balance_enforced_at FROM orgs WHERE id = $1) AS enforced_at
        FROM ledger l WHERE l.org_id = $1";
    LIST = "SELECT seq, at, kind, amount, note, actor_id, actor_name FROM ledger
        WHERE org_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
    LIST_BACKWARDS = "SELECT seq, at, kind, amount, note, actor_id, actor_name FROM ledger
        WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    /// The organisation's budgets with what was spent of each, and, where it is enforced, the balance: what the ledger
    /// comes to, and all that was ever spent.
    LEFT = concat!("SELECT b.period, b.amount, COALESCE(c.spent, 0), ", granted!("$5"), ", ", granted!("$5", until), " FROM budgets b
        LEFT JOIN counters c ON c.holder_kind = 'org' AND c.holder_id = b.holder_id AND c.period = b.period
            AND c.window_start = CASE b.period WHEN 'total' THEN 0 WHEN 'month' THEN $2 WHEN 'week' THEN $3 ELSE $4 END
        WHERE b.org_id = $1 AND b.holder_kind = 'org' AND b.holder_id = $1
        UNION ALL
        SELECT 'balance', CAST(COALESCE((SELECT SUM(amount) FROM ledger WHERE org_id = o.id), 0) AS BIGINT),
            COALESCE((SELECT spent FROM counters WHERE holder_kind = 'org' AND holder_id = o.id AND period = 'total'
                AND window_start = 0), 0), 0, NULL
        FROM orgs o WHERE o.id = $1 AND o.balance_enforced_at IS NOT NULL");
    CLEAR_BUDGETS = "DELETE FROM budgets WHERE org_id = $1 AND holder_kind = 'org' AND holder_id = $1";
    ADD_BUDGET = "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount) VALUES ('org', $1, $2, $1, $3)";
}

/// Enters one line as number `seq`; says whether that number was still the next one.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn append(
    tx: &mut Tx,
    permit: &Permit,
    seq: i64,
    new: &NewEntry,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ChangeBalance], permit.org().as_str())?;
    let rows = changed!(
        tx,
        sqlx::query(APPEND)
            .bind(permit.org().as_str())
            .bind(seq)
            .bind(now.ms())
            .bind(new.kind.as_str())
            .bind(new.signed().nanos())
            .bind(&new.note)
            .bind(permit.actor().id())
            .bind(permit.actor().name())
    )?;
    Ok(rows == 1)
}

/// From now on requests are refused at a balance of nothing; says whether they were not until now. The first time, what
/// was spent before is entered as the opening.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn enforce(tx: &mut Tx, permit: &Permit, now: Moment) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ChangeBalance], permit.org().as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(&mut *tx, sqlx::query(ENFORCE).bind(org).bind(now.ms()))?;
    if rows != 1 {
        return Ok(false);
    }
    changed!(
        &mut *tx,
        sqlx::query(OPEN).bind(org).bind(now.ms()).bind(permit.actor().id()).bind(permit.actor().name())
    )?;
    Ok(true)
}

/// The balance refuses nothing any more; says whether it did until now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or organisation; otherwise when the database cannot be written.
pub async fn stop_enforcing(tx: &mut Tx, permit: &Permit) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ChangeBalance], permit.org().as_str())?;
    let rows = changed!(tx, sqlx::query(STOP_ENFORCING).bind(permit.org().as_str()))?;
    Ok(rows == 1)
}

#[derive(sqlx::FromRow)]
struct BalanceRow {
    paid_in: i64,
    taken_out: i64,
    opening: Option<i64>,
    opened_at: Option<i64>,
    spent: i64,
    last_seq: i64,
    enforced_at: Option<i64>,
}

/// What the organisation has left, and what it is made of.
///
/// # Errors
/// When the database cannot be read.
pub async fn balance(via: &mut impl Via, org: &OrgId) -> Result<Balance, StoreError> {
    let row: BalanceRow = run!(via, fetch_one, sqlx::query_as::<_, BalanceRow>(BALANCE).bind(org.as_str()))?;
    Ok(Balance {
        paid_in: Money::from_nanos(row.paid_in),
        taken_out: Money::from_nanos(row.taken_out),
        opening: row.opening.map(Money::from_nanos),
        opened_at: row.opened_at.map(Moment::from_ms),
        spent: Money::from_nanos(row.spent),
        last_seq: row.last_seq,
        enforced_at: row.enforced_at.map(Moment::from_ms),
    })
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    seq: i64,
    at: i64,
    kind: String,
    amount: i64,
    note: String,
    actor_id: String,
    actor_name: String,
}

impl TryFrom<EntryRow> for Entry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        Ok(Entry {
            seq: row.seq,
            at: Moment::from_ms(row.at),
            kind: EntryKind::parse(&row.kind).ok_or(StoreError::Unreadable { column: "ledger.kind" })?,
            amount: Money::from_nanos(row.amount),
            note: row.note,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
        })
    }
}

/// A page of the organisation's ledger, the newest entries first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(via: &mut impl Via, org: &OrgId, at: Option<&Cursor>) -> Result<Page<Entry>, StoreError> {
    let text = if at.is_some_and(Cursor::backwards) { LIST_BACKWARDS } else { LIST };
    let rows: Vec<EntryRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, EntryRow>(text)
            .bind(org.as_str())
            .bind(at.map_or(i64::MAX, Cursor::seq))
            .bind(PAGE_ROWS as i64 + 1)
    )?;
    Page::read(rows, at, |row| (String::new(), row.seq.to_string())).try_map(Entry::try_from)
}

/// What all keys of an organisation have left together.
#[derive(Clone, Debug, Default)]
pub struct OrgLeft {
    /// Its budgets and what was spent of them, the longest period first.
    pub budgets: Vec<BudgetUse>,
    /// `None` while the balance is not enforced.
    pub balance: Option<Money>,
}

impl OrgLeft {
    /// Nothing is left of a budget or of the balance: requests with every key are rejected.
    pub fn is_stopped(&self) -> bool {
        self.budgets.iter().any(BudgetUse::is_over) || self.balance.is_some_and(|left| left <= Money::ZERO)
    }

    /// 80 % or more of a budget is spent, and there is something left: every key is near a limit.
    pub fn is_near(&self) -> bool {
        !self.is_stopped() && self.budgets.iter().any(|used| used.spent.percent_of(used.limit()) >= 80)
    }
}

/// The organisation's budgets and its balance, in one statement.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn left(via: &mut impl Via, org: &OrgId, starts: WindowStarts) -> Result<OrgLeft, StoreError> {
    type Row = (String, i64, i64, i64, Option<i64>);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(LEFT)
            .bind(org.as_str())
            .bind(starts.month.ms())
            .bind(starts.week.ms())
            .bind(starts.day.ms())
            .bind(starts.at.ms())
    )?;
    let mut left = OrgLeft::default();
    for (period, amount, spent, granted, until) in rows {
        match period.as_str() {
            "balance" => {
                left.balance = Some(Money::from_nanos(amount).saturating_sub(Money::from_nanos(spent)));
            }
            period => left.budgets.push(read_budget(period, (amount, spent), read_granted(granted, until))?),
        }
    }
    left.budgets.sort_by_key(|used| used.budget.period.rank());
    Ok(left)
}

/// Replaces the organisation's own budgets.
pub(super) async fn set_budgets(tx: &mut Tx, org: &OrgId, budgets: &[Budget]) -> Result<(), StoreError> {
    changed!(&mut *tx, sqlx::query(CLEAR_BUDGETS).bind(org.as_str()))?;
    for budget in budgets {
        changed!(
            &mut *tx,
            sqlx::query(ADD_BUDGET)
                .bind(org.as_str())
                .bind(budget.period.as_str())
                .bind(budget.amount.nanos())
        )?;
    }
    Ok(())
}
