//! What is granted of budgets beyond their amounts, for a time. Rows are only added; the database refuses to change one.
//! Whatever reads a budget reads `budget_amount!`, or `granted!` beside its amount, so that a grant that ended counts nowhere
//! from that moment on.

use super::people::read_zone;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ask::BudgetHolder;
use crate::domain::ids::{AskId, GrantId, KeyId, OrgId, PersonId, TeamId};
use crate::domain::limit_use::HolderKind;
use crate::domain::limits::Granted;
use crate::domain::moment::{Moment, Zone};
use crate::domain::money::Money;
use crate::domain::next_stop::GrantEnd;
use crate::domain::policy::{Action, Permit};
use crate::domain::window::Period;

/// What is granted of the budget `b` at a moment, and when the first of those grants ends (`NULL` without any).
macro_rules! granted {
    ($at:literal) => {
        concat!(
            "(SELECT CAST(COALESCE(SUM(g.amount), 0) AS BIGINT) FROM grants g
                WHERE g.holder_kind = b.holder_kind AND g.holder_id = b.holder_id AND g.period = b.period AND g.ends_at > ",
            $at,
            ")"
        )
    };
    ($at:literal, until) => {
        concat!(
            "(SELECT MIN(g.ends_at) FROM grants g
                WHERE g.holder_kind = b.holder_kind AND g.holder_id = b.holder_id AND g.period = b.period AND g.ends_at > ",
            $at,
            ")"
        )
    };
}
pub(super) use granted;

/// What may be spent of the budget `b` at a moment: its amount and what is granted beyond it.
macro_rules! budget_amount {
    ($at:literal) => {
        concat!("(b.amount + ", granted!($at), ")")
    };
}
pub(super) use budget_amount;

statements! {
    INSERT = "INSERT INTO grants (id, org_id, holder_kind, holder_id, period, amount, starts_at, ends_at, granted_by, ask_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    RUNNING = "SELECT period, CAST(SUM(amount) AS BIGINT), MIN(ends_at) FROM grants
        WHERE org_id = $1 AND holder_kind = $2 AND holder_id = $3 AND ends_at > $4 GROUP BY period";
    ENDS = "SELECT g.holder_kind, g.period, CAST(SUM(g.amount) AS BIGINT), g.ends_at
        FROM (SELECT 'key' AS kind, CAST($2 AS TEXT) AS id UNION ALL SELECT 'team', CAST($3 AS TEXT)
            UNION ALL SELECT 'org', CAST($1 AS TEXT)) h
        JOIN grants g ON g.holder_kind = h.kind AND g.holder_id = h.id AND g.ends_at > $4
        WHERE g.org_id = $1 GROUP BY g.holder_kind, g.period, g.ends_at ORDER BY g.ends_at";
    ENDED = "SELECT DISTINCT g.org_id, o.zone, g.holder_kind, g.holder_id FROM grants g JOIN orgs o ON o.id = g.org_id
        WHERE g.ends_at > $1 AND g.ends_at <= $2 ORDER BY g.org_id, g.holder_kind, g.holder_id";
}

/// What is granted to a holder now, by period, also of a budget that it has no more.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn running(
    via: &mut impl Via,
    org: &OrgId,
    (kind, holder): (HolderKind, &str),
    now: Moment,
) -> Result<Vec<(Period, Granted)>, StoreError> {
    type Row = (String, i64, i64);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(RUNNING).bind(org.as_str()).bind(kind.as_str()).bind(holder).bind(now.ms())
    )?;
    rows.into_iter()
        .map(|(period, amount, until)| {
            let period = Period::parse(&period).ok_or(StoreError::Unreadable { column: "grants.period" })?;
            Ok((period, Granted { amount: Money::from_nanos(amount), until: Moment::from_ms(until) }))
        })
        .collect()
}

/// When what is granted now to the organisation, this key and this team ends, the first one first.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn ends(
    via: &mut impl Via,
    org: &OrgId,
    key: Option<&KeyId>,
    team: Option<&TeamId>,
    now: Moment,
) -> Result<Vec<GrantEnd>, StoreError> {
    type Row = (String, String, i64, i64);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(ENDS)
            .bind(org.as_str())
            .bind(key.map(KeyId::as_str))
            .bind(team.map(TeamId::as_str))
            .bind(now.ms())
    )?;
    rows.into_iter()
        .map(|(holder, period, amount, at)| {
            let unreadable = |column| StoreError::Unreadable { column };
            Ok(GrantEnd {
                holder: HolderKind::parse(&holder).ok_or(unreadable("grants.holder_kind"))?,
                period: Period::parse(&period).ok_or(unreadable("grants.period"))?,
                amount,
                at: Moment::from_ms(at),
            })
        })
        .collect()
}

/// A holder whose grant has ended.
pub struct Ended {
    /// The organisation.
    pub org: OrgId,
    /// Its time zone.
    pub zone: Zone,
    /// The kind of holder.
    pub kind: HolderKind,
    /// The holder's id.
    pub holder: String,
}

/// Holders whose grants ended after `since`, up to and with `now`.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn ended(via: &mut impl Via, since: Moment, now: Moment) -> Result<Vec<Ended>, StoreError> {
    type Row = (String, String, String, String);
    let rows: Vec<Row> =
        run!(via, fetch_all, sqlx::query_as::<_, Row>(ENDED).bind(since.ms()).bind(now.ms()))?;
    let unreadable = |column| StoreError::Unreadable { column };
    rows.into_iter()
        .map(|(org, zone, kind, holder)| {
            Ok(Ended {
                org: OrgId::parse(&org).ok_or(unreadable("grants.org_id"))?,
                zone: read_zone(&zone)?,
                kind: HolderKind::parse(&kind).ok_or(unreadable("grants.holder_kind"))?,
                holder,
            })
        })
        .collect()
}

/// A grant that is yet to be written.
pub struct NewGrant<'a> {
    /// The grant's id.
    pub id: &'a GrantId,
    /// Whose budget it adds to.
    pub holder: &'a BudgetHolder,
    /// Which of its budgets.
    pub period: Period,
    /// How much it adds.
    pub amount: Money,
    /// From now until when.
    pub until: Moment,
    /// The person who grants it.
    pub by: &'a PersonId,
    /// The ask that it answers.
    pub ask: &'a AskId,
}

/// Adds a grant that runs from `now` on.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or holder; otherwise when the database cannot be written.
pub async fn insert(tx: &mut Tx, permit: &Permit, new: &NewGrant<'_>, now: Moment) -> Result<(), StoreError> {
    let holder = holder_id(new.holder, permit);
    tx.charge(permit, &[Action::AnswerAsk], holder)?;
    changed!(
        tx,
        sqlx::query(INSERT)
            .bind(new.id.as_str())
            .bind(permit.org().as_str())
            .bind(new.holder.kind().as_str())
            .bind(holder)
            .bind(new.period.as_str())
            .bind(new.amount.nanos())
            .bind(now.ms())
            .bind(new.until.ms())
            .bind(new.by.as_str())
            .bind(new.ask.as_str())
    )?;
    Ok(())
}

/// The id by which budgets and counters know the holder.
pub(super) fn holder_id<'a>(holder: &'a BudgetHolder, permit: &'a Permit) -> &'a str {
    match holder {
        BudgetHolder::Key(key) => key.as_str(),
        BudgetHolder::Team(team) => team.as_str(),
        BudgetHolder::Org => permit.org().as_str(),
    }
}

/// The two columns of `granted!`, read.
pub(super) fn read_granted(amount: i64, until: Option<i64>) -> Option<Granted> {
    until.map(|until| Granted { amount: Money::from_nanos(amount), until: Moment::from_ms(until) })
}
