//! What people ask for, and the answers. Who sees an ask is in the statements, by the person: their own, and those that
//! they may answer. Answering is one guarded statement, so that an ask is answered once.

use super::grants::read_granted;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ask::{Ask, AskState, BudgetHolder, Wanted};
use crate::domain::ids::{AskId, KeyId, OrgId, PersonId, TeamId};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::person::{Contact, PersonName};
use crate::domain::policy::{Action, Permit, Scope};
use crate::domain::team::Team;
use crate::domain::window::Period;

/// Whether the person in a parameter administers the team whose admins answer the ask `a`: the key's, or the one that a
/// new key is to be in.
macro_rules! team_admin_answers {
    ($person:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM team_members tm WHERE tm.person_id = ",
            $person,
            " AND tm.role = 'admin' AND tm.team_id = CASE WHEN a.kind = 'key' AND a.holder_kind = 'team' THEN a.holder_id
                WHEN a.kind = 'budget' AND a.holder_kind = 'key' THEN (SELECT ak.team_id FROM keys ak WHERE ak.id = a.key_id) END)"
        )
    };
}
pub(super) use team_admin_answers;

macro_rules! select_ask {
    ($rest:expr) => {
        concat!(
            "SELECT a.id, a.person_id, p.name AS person_name, a.kind, a.key_id, k.name AS key_name, a.holder_kind, a.holder_id,
                CASE a.holder_kind WHEN 'key' THEN k.name WHEN 'team' THEN (SELECT t.name FROM teams t WHERE t.id = a.holder_id)
                    ELSE o.name END AS holder_name,
                a.name, a.period, a.amount, a.until, a.reason, a.state, a.asked_at, a.answered_at, b.name AS answered_by, a.note,
                g.amount AS granted, g.ends_at AS granted_until
            FROM asks a JOIN orgs o ON o.id = a.org_id JOIN people p ON p.id = a.person_id
            LEFT JOIN keys k ON k.id = a.key_id LEFT JOIN people b ON b.id = a.answered_by
            LEFT JOIN grants g ON g.ask_id = a.id
            WHERE a.org_id = $1 AND ",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO asks (id, org_id, person_id, kind, key_id, holder_kind, holder_id, name, period, amount, until, reason,
            state, asked_at, note)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', $13, '')";
    /// The state stands in the condition: of two answers at once, one changes a row.
    ANSWER = "UPDATE asks SET state = $3, answered_at = $4, answered_by = $5, note = $6
        WHERE org_id = $1 AND id = $2 AND state = 'open'";
    FIND = select_ask!("a.id = $2");
    OPEN_ABOUT = select_ask!("a.state = 'open' AND a.person_id = $2 AND COALESCE(a.key_id, '') = $3");
    LIST = select_ask!(concat!("(a.state = 'open') = (CAST($2 AS TEXT) = 'open')
            AND (CAST($3 AS TEXT) IS NULL OR a.person_id = $3 OR ", team_admin_answers!("$3"), ")
            AND a.id < $4 ORDER BY a.id DESC LIMIT $5"));
    LIST_BACKWARDS = select_ask!(concat!("(a.state = 'open') = (CAST($2 AS TEXT) = 'open')
            AND (CAST($3 AS TEXT) IS NULL OR a.person_id = $3 OR ", team_admin_answers!("$3"), ")
            AND a.id > $4 ORDER BY a.id LIMIT $5"));
    SINCE = "SELECT COUNT(*) FROM asks WHERE org_id = $1 AND person_id = $2 AND asked_at > $3";
    /// Team admins before the organisation's own, each by name.
    ANSWERERS = "SELECT 'team admin' AS role, p.name, p.email FROM team_members t
            JOIN memberships m ON m.org_id = $1 AND m.person_id = t.person_id AND m.disabled_at IS NULL
            JOIN people p ON p.id = t.person_id AND p.disabled_at IS NULL
            WHERE t.org_id = $1 AND t.team_id = $2 AND t.role = 'admin'
        UNION ALL SELECT 'admin', p.name, p.email FROM memberships m
            JOIN people p ON p.id = m.person_id AND p.disabled_at IS NULL
            WHERE m.org_id = $1 AND m.role IN ('owner', 'admin') AND m.disabled_at IS NULL
        ORDER BY 1 DESC, 2 LIMIT 50";
    CONTACT = "SELECT p.name, p.email FROM people p
        JOIN memberships m ON m.org_id = $1 AND m.person_id = p.id AND m.disabled_at IS NULL
        WHERE p.id = $2 AND p.disabled_at IS NULL";
}

#[derive(sqlx::FromRow)]
struct AskRow {
    id: String,
    person_id: String,
    person_name: String,
    kind: String,
    key_id: Option<String>,
    key_name: Option<String>,
    holder_kind: String,
    holder_id: String,
    holder_name: Option<String>,
    name: String,
    period: String,
    amount: Option<i64>,
    until: Option<i64>,
    reason: String,
    state: String,
    asked_at: i64,
    answered_at: Option<i64>,
    answered_by: Option<String>,
    note: String,
    granted: Option<i64>,
    granted_until: Option<i64>,
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { column }
}

impl AskRow {
    fn wanted(&self) -> Result<Wanted, StoreError> {
        let holder_name = self.holder_name.clone().unwrap_or_default();
        let team = || TeamId::parse(&self.holder_id).ok_or(unreadable("asks.holder_id"));
        if self.kind == "key" {
            let team = match self.holder_kind.as_str() {
                "team" => Some(Team { id: team()?, name: holder_name }),
                _ => None,
            };
            return Ok(Wanted::Key {
                name: self.name.clone(),
                team,
                month: self.amount.map(Money::from_nanos),
            });
        }
        let key = self.key_id.as_deref().and_then(KeyId::parse).ok_or(unreadable("asks.key_id"))?;
        let holder = match self.holder_kind.as_str() {
            "key" => BudgetHolder::Key(key.clone()),
            "team" => BudgetHolder::Team(team()?),
            _ => BudgetHolder::Org,
        };
        Ok(Wanted::Budget {
            key: (key, self.key_name.clone().unwrap_or_default()),
            holder,
            holder_name,
            period: Period::parse(&self.period).ok_or(unreadable("asks.period"))?,
            amount: self.amount.map(Money::from_nanos).ok_or(unreadable("asks.amount"))?,
            until: self.until.map(Moment::from_ms).ok_or(unreadable("asks.until"))?,
        })
    }
}

impl TryFrom<AskRow> for Ask {
    type Error = StoreError;

    fn try_from(row: AskRow) -> Result<Self, StoreError> {
        Ok(Ask {
            wanted: row.wanted()?,
            id: AskId::parse(&row.id).ok_or(unreadable("asks.id"))?,
            person: PersonName {
                id: PersonId::parse(&row.person_id).ok_or(unreadable("asks.person_id"))?,
                name: row.person_name,
            },
            reason: row.reason,
            state: AskState::parse(&row.state).ok_or(unreadable("asks.state"))?,
            asked_at: Moment::from_ms(row.asked_at),
            answered_at: row.answered_at.map(Moment::from_ms),
            answered_by: row.answered_by,
            note: row.note,
            grant: read_granted(row.granted.unwrap_or_default(), row.granted_until),
        })
    }
}

/// An ask that is yet to be written.
pub struct NewAsk<'a> {
    /// The ask's id.
    pub id: &'a AskId,
    /// The person who asks.
    pub person: &'a PersonId,
    /// What is asked for.
    pub wanted: &'a Wanted,
    /// Why.
    pub reason: &'a str,
}

/// Writes an open ask. Its event is about the key that needs more, or about the ask for a new one.
///
/// # Errors
/// `ConstraintViolation(Ask)` when the person has an open one about the key, or for a new key; `WrongPermit` when the
/// permit is for another action or object.
pub async fn insert(tx: &mut Tx, permit: &Permit, new: &NewAsk<'_>, now: Moment) -> Result<(), StoreError> {
    charge(tx, permit, &[Action::AskForMore], new.id, new.wanted)?;
    let org = permit.org().as_str();
    let (kind, key, holder, name, period, amount, until) = match new.wanted {
        Wanted::Budget { key, holder, period, amount, until, .. } => {
            let id = super::grants::holder_id(holder, permit);
            let holder = (holder.kind().as_str(), id);
            ("budget", Some(key.0.as_str()), holder, "", *period, Some(*amount), Some(*until))
        }
        Wanted::Key { name, team, month } => {
            let holder = team.as_ref().map_or(("org", org), |team| ("team", team.id.as_str()));
            ("key", None, holder, name.as_str(), Period::Month, *month, None)
        }
    };
    changed!(
        tx,
        sqlx::query(INSERT)
            .bind(new.id.as_str())
            .bind(org)
            .bind(new.person.as_str())
            .bind(kind)
            .bind(key)
            .bind(holder.0)
            .bind(holder.1)
            .bind(name)
            .bind(period.as_str())
            .bind(amount.map(Money::nanos))
            .bind(until.map(Moment::ms))
            .bind(new.reason)
            .bind(now.ms())
    )?;
    Ok(())
}

/// What the permit of an ask is for: the key that needs more, or the organisation that is to have a new one.
fn charge(
    tx: &mut Tx,
    permit: &Permit,
    actions: &[Action],
    id: &AskId,
    wanted: &Wanted,
) -> Result<(), StoreError> {
    match wanted {
        Wanted::Budget { key: (key, _), .. } => tx.charge(permit, actions, key.as_str()),
        Wanted::Key { .. } => {
            let org = permit.org().to_string();
            tx.charge_about(permit, actions, &org, id.as_str())
        }
    }
}

/// Takes an open ask back; says whether it was still open.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or object; otherwise when the database cannot be written.
pub async fn withdraw(
    tx: &mut Tx,
    permit: &Permit,
    ask: &Ask,
    by: &PersonId,
    now: Moment,
) -> Result<bool, StoreError> {
    charge(tx, permit, &[Action::AskForMore], &ask.id, &ask.wanted)?;
    write_answer(tx, permit, ask, (AskState::Withdrawn, by, ""), now).await
}

/// Answers an open ask with `state` and `note`; says whether it was still open. Its event is about whose budget it is, or
/// about the ask for a new key.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or holder; otherwise when the database cannot be written.
pub async fn answer(
    tx: &mut Tx,
    permit: &Permit,
    ask: &Ask,
    answer: (AskState, &PersonId, &str),
    now: Moment,
) -> Result<bool, StoreError> {
    match &ask.wanted {
        Wanted::Budget { holder, .. } => {
            tx.charge(permit, &[Action::AnswerAsk], super::grants::holder_id(holder, permit))?;
        }
        wanted @ Wanted::Key { .. } => charge(tx, permit, &[Action::AnswerAsk], &ask.id, wanted)?,
    }
    write_answer(tx, permit, ask, answer, now).await
}

async fn write_answer(
    tx: &mut Tx,
    permit: &Permit,
    ask: &Ask,
    (state, by, note): (AskState, &PersonId, &str),
    now: Moment,
) -> Result<bool, StoreError> {
    let rows = changed!(
        tx,
        sqlx::query(ANSWER)
            .bind(permit.org().as_str())
            .bind(ask.id.as_str())
            .bind(state.as_str())
            .bind(now.ms())
            .bind(by.as_str())
            .bind(note)
    )?;
    Ok(rows == 1)
}

/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find(via: &mut impl Via, org: &OrgId, id: &AskId) -> Result<Option<Ask>, StoreError> {
    let row: Option<AskRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, AskRow>(FIND).bind(org.as_str()).bind(id.as_str()))?;
    row.map(Ask::try_from).transpose()
}

/// The person's open ask about a key; without a key, for a new one.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn open_about(
    via: &mut impl Via,
    org: &OrgId,
    person: &PersonId,
    key: Option<&KeyId>,
) -> Result<Option<Ask>, StoreError> {
    let row: Option<AskRow> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, AskRow>(OPEN_ABOUT)
            .bind(org.as_str())
            .bind(person.as_str())
            .bind(key.map_or("", KeyId::as_str))
    )?;
    row.map(Ask::try_from).transpose()
}

/// A page of open asks, or of those that are answered or withdrawn, the newest first. `scope` says whose: of one person,
/// their own and those that they answer as a team admin.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(
    via: &mut impl Via,
    org: &OrgId,
    scope: &Scope,
    open: bool,
    at: Option<&Cursor>,
) -> Result<Page<Ask>, StoreError> {
    let text = if at.is_some_and(Cursor::backwards) { LIST_BACKWARDS } else { LIST };
    let person = match scope {
        Scope::Org => None,
        Scope::OfPerson(person) => Some(person.as_str()),
    };
    let rows: Vec<AskRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, AskRow>(text)
            .bind(org.as_str())
            .bind(if open { "open" } else { "answered" })
            .bind(person)
            // After every id.
            .bind(at.map_or("b", Cursor::id))
            .bind(PAGE_ROWS as i64 + 1)
    )?;
    Page::read(rows, at, |row| (String::new(), row.id.clone())).try_map(Ask::try_from)
}

/// How many asks the person made after a moment.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_since(
    via: &mut impl Via,
    org: &OrgId,
    person: &PersonId,
    since: Moment,
) -> Result<i64, StoreError> {
    run!(
        via,
        fetch_one,
        sqlx::query_scalar::<_, i64>(SINCE).bind(org.as_str()).bind(person.as_str()).bind(since.ms())
    )
}

/// Who can answer: the admins of `team`, or, when it has none or there is no team, the organisation's owners and admins;
/// not the person with the address `but`.
///
/// # Errors
/// When the database cannot be read.
pub async fn answerers(
    via: &mut impl Via,
    org: &OrgId,
    team: Option<&TeamId>,
    but: &str,
) -> Result<Vec<Contact>, StoreError> {
    let rows: Vec<(String, String, String)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String, String)>(ANSWERERS)
            .bind(org.as_str())
            .bind(team.map_or("", TeamId::as_str))
    )?;
    let rows: Vec<_> = rows.into_iter().filter(|(_, _, email)| email != but).collect();
    let nearest = rows.first().map(|(role, ..)| role.clone());
    let rows = rows.into_iter().filter(|(role, ..)| Some(role) == nearest.as_ref());
    Ok(rows.map(|(_, name, email)| Contact { name, email }).collect())
}

/// The person's name and address; `None` when they are no active member any more.
///
/// # Errors
/// When the database cannot be read.
pub async fn contact(
    via: &mut impl Via,
    org: &OrgId,
    person: &PersonId,
) -> Result<Option<Contact>, StoreError> {
    let row: Option<(String, String)> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, (String, String)>(CONTACT).bind(org.as_str()).bind(person.as_str())
    )?;
    Ok(row.map(|(name, email)| Contact { name, email }))
}
