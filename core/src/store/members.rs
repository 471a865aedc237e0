//! The members of an organisation. A removed member keeps their row, so that keys and events can still name them. Each
//! statement that takes an active owner away requires that another one stays; `lock_org` serialises such changes of one
//! organisation, so that each sees those before it.

use sqlx::AssertSqlSafe;

use super::dialect::{Dialect, like_contains};
use super::keys::is_live;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{OrgId, PersonId, TeamId};
use crate::domain::list_filter::MemberFilter;
use crate::domain::member::{Member, MemberSummary, TeamMembership, UndecidedKeys};
use crate::domain::moment::{Day, Moment};
use crate::domain::money::Money;
use crate::domain::page::{Cursor, PAGE_ROWS, Page};
use crate::domain::person::{Email, PersonName, fold};
use crate::domain::policy::{Action, OrgRole, Permit, Scope};
use crate::domain::team::{Team, TeamRole};

statements! {
    LOCK_ORG = "SELECT id FROM orgs WHERE slug = $1";
    FIND = "SELECT m.person_id, p.name, p.email, m.role, m.created_at, m.disabled_at, m.removed_at, p.totp_since,
            (SELECT MAX(s.seen_at) FROM sessions s WHERE s.person_id = p.id) AS seen_at
        FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.org_id = $1 AND m.person_id = $2";
    FIND_BY_EMAIL = "SELECT m.person_id, p.name, p.email, m.role, m.created_at, m.disabled_at, m.removed_at, p.totp_since,
            CAST(NULL AS BIGINT) AS seen_at
        FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.org_id = $1 AND p.email = $2";
    /// A person who left rejoins on their old row; an active member is not changed.
    JOIN = "INSERT INTO memberships (org_id, person_id, role, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (org_id, person_id) DO UPDATE SET role = $3, created_at = $4, disabled_at = NULL, removed_at = NULL
        WHERE memberships.disabled_at IS NOT NULL";
    SET_ROLE = "UPDATE memberships SET role = $4 WHERE org_id = $1 AND person_id = $2 AND role = $3 AND removed_at IS NULL
            AND (role <> 'owner' OR disabled_at IS NOT NULL OR EXISTS (SELECT 1 FROM memberships o
                JOIN people p ON p.id = o.person_id AND p.disabled_at IS NULL
                WHERE o.org_id = $1 AND o.role = 'owner' AND o.disabled_at IS NULL AND o.person_id <> $2))";
    DISABLE = "UPDATE memberships SET disabled_at = $3 WHERE org_id = $1 AND person_id = $2 AND disabled_at IS NULL
            AND (role <> 'owner' OR EXISTS (SELECT 1 FROM memberships o
                JOIN people p ON p.id = o.person_id AND p.disabled_at IS NULL
                WHERE o.org_id = $1 AND o.role = 'owner' AND o.disabled_at IS NULL AND o.person_id <> $2))";
    REMOVE = "UPDATE memberships SET disabled_at = COALESCE(disabled_at, $3), removed_at = $3
        WHERE org_id = $1 AND person_id = $2 AND removed_at IS NULL
            AND (role <> 'owner' OR disabled_at IS NOT NULL OR EXISTS (SELECT 1 FROM memberships o
                JOIN people p ON p.id = o.person_id AND p.disabled_at IS NULL
                WHERE o.org_id = $1 AND o.role = 'owner' AND o.disabled_at IS NULL AND o.person_id <> $2))";
    ENABLE = "UPDATE memberships SET disabled_at = NULL
        WHERE org_id = $1 AND person_id = $2 AND disabled_at IS NOT NULL AND removed_at IS NULL";
    /// A member who returns owns their keys again; if they leave once more, each key is decided about again.
    UNDECIDE = "UPDATE keys SET offboarded_at = NULL WHERE org_id = $1 AND owner_id = $2 AND offboarded_at IS NOT NULL";
    /// People who left and have live keys without a decision.
    UNDECIDED = concat!("SELECT p.id, p.name, COUNT(*) AS keys FROM memberships m JOIN people p ON p.id = m.person_id
        JOIN keys k ON k.owner_id = m.person_id AND k.org_id = m.org_id
        WHERE m.org_id = $1 AND m.disabled_at IS NOT NULL AND k.offboarded_at IS NULL AND ", is_live!(),
        " GROUP BY p.id, p.name ORDER BY p.name, p.id LIMIT 100");
    MONTH_SPENT = "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM spend_daily
        WHERE org_id = $1 AND owner_id = $2 AND day >= $3";
    LEAVE_TEAMS = "DELETE FROM team_members WHERE org_id = $1 AND person_id = $2";
}

#[derive(sqlx::FromRow)]
pub(super) struct MemberRow {
    person_id: String,
    name: String,
    email: String,
    role: String,
    created_at: i64,
    disabled_at: Option<i64>,
    removed_at: Option<i64>,
    totp_since: Option<i64>,
    seen_at: Option<i64>,
}

impl TryFrom<MemberRow> for Member {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self, StoreError> {
        let unreadable = |column| StoreError::Unreadable { column };
        Ok(Member {
            id: PersonId::parse(&row.person_id).ok_or(unreadable("memberships.person_id"))?,
            name: row.name,
            email: row.email,
            role: OrgRole::parse(&row.role).ok_or(unreadable("memberships.role"))?,
            since: Moment::from_ms(row.created_at),
            disabled_at: row.disabled_at.map(Moment::from_ms),
            removed_at: row.removed_at.map(Moment::from_ms),
            second_factor: row.totp_since.is_some(),
            seen_at: row.seen_at.map(Moment::from_ms),
        })
    }
}

/// Locks the organisation's row until the transaction ends, which serialises changes of its members. Call it before
/// `open_org`, so that the caller's own role is read under the lock.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn lock_org(tx: &mut Tx, slug: &str) -> Result<(), StoreError> {
    // Postgres takes no zero character in text, and no slug holds one.
    if slug.contains('\0') {
        return Ok(());
    }
    let text = format!("{LOCK_ORG}{}", Dialect::of(tx).for_change());
    run!(tx, fetch_optional, sqlx::query_scalar::<_, String>(AssertSqlSafe(text.clone())).bind(slug))?;
    Ok(())
}

/// Also who was removed or left.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn find(via: &mut impl Via, org: &OrgId, id: &PersonId) -> Result<Option<Member>, StoreError> {
    let row: Option<MemberRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, MemberRow>(FIND).bind(org.as_str()).bind(id.as_str()))?;
    row.map(Member::try_from).transpose()
}

/// Also who was removed or left. Without when they were last seen.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn find_by_email(
    via: &mut impl Via,
    org: &OrgId,
    email: &Email,
) -> Result<Option<Member>, StoreError> {
    let row: Option<MemberRow> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, MemberRow>(FIND_BY_EMAIL).bind(org.as_str()).bind(email.as_str())
    )?;
    row.map(Member::try_from).transpose()
}

/// Adds a member, new or returning, with this role and no teams. `false` when they are one already.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn join(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    role: OrgRole,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::Join], person.as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(
        &mut *tx,
        sqlx::query(JOIN).bind(org).bind(person.as_str()).bind(role.as_str()).bind(now.ms())
    )?;
    if rows == 1 {
        changed!(&mut *tx, sqlx::query(LEAVE_TEAMS).bind(org).bind(person.as_str()))?;
        changed!(tx, sqlx::query(UNDECIDE).bind(org).bind(person.as_str()))?;
    }
    Ok(rows == 1)
}

/// `false` when the role is no longer `from`, the member was removed, or no active owner would be left.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn set_role(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    from: OrgRole,
    to: OrgRole,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ChangeRole], person.as_str())?;
    let rows = changed!(
        tx,
        sqlx::query(SET_ROLE)
            .bind(permit.org().as_str())
            .bind(person.as_str())
            .bind(from.as_str())
            .bind(to.as_str())
    )?;
    Ok(rows == 1)
}

/// `false` when they are not active, or no active owner would be left.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn disable(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::DisableMember], person.as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(tx, sqlx::query(DISABLE).bind(org).bind(person.as_str()).bind(now.ms()))?;
    Ok(rows == 1)
}

/// `false` when they are not disabled or were removed.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn enable(tx: &mut Tx, permit: &Permit, person: &PersonId) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EnableMember], person.as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(&mut *tx, sqlx::query(ENABLE).bind(org).bind(person.as_str()))?;
    if rows == 1 {
        changed!(tx, sqlx::query(UNDECIDE).bind(org).bind(person.as_str()))?;
    }
    Ok(rows == 1)
}

/// Removes them, also from every team. `false` when they are out already, or no active owner would be left.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn remove(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RemoveMember, Action::Leave], person.as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(&mut *tx, sqlx::query(REMOVE).bind(org).bind(person.as_str()).bind(now.ms()))?;
    if rows == 1 {
        changed!(tx, sqlx::query(LEAVE_TEAMS).bind(org).bind(person.as_str()))?;
    }
    Ok(rows == 1)
}

/// `$2` is empty, or the person whose teams' people are listed; `$3` is a pattern. From `$4` and `$5` on, when there is an
/// id in `$5`.
fn list_text(backwards: bool, left: bool) -> String {
    let removed = if left { "IS NOT NULL" } else { "IS NULL" };
    let (beyond, way) = if backwards { ("<", "DESC") } else { (">", "ASC") };
    format!(
        "SELECT m.person_id, p.name, p.email, m.role, m.created_at, m.disabled_at, m.removed_at, p.totp_since,
            (SELECT MAX(s.seen_at) FROM sessions s WHERE s.person_id = p.id) AS seen_at
        FROM memberships m JOIN people p ON p.id = m.person_id
        WHERE m.org_id = $1 AND m.removed_at {removed}
            AND (CAST($2 AS TEXT) = '' OR m.person_id = $2 OR EXISTS (SELECT 1 FROM team_members mine
                JOIN teams t ON t.id = mine.team_id AND t.archived_at IS NULL
                JOIN team_members x ON x.team_id = mine.team_id AND x.person_id = m.person_id
                WHERE mine.org_id = $1 AND mine.person_id = $2 AND mine.role = 'admin'))
            AND (p.name_folded LIKE $3 ESCAPE '\\' OR p.email LIKE $3 ESCAPE '\\')
            AND (CAST($5 AS TEXT) = '' OR (p.name_folded, p.id) {beyond} ($4, $5))
        ORDER BY p.name_folded {way}, p.id {way} LIMIT $6"
    )
}

/// People who are in, active or disabled, or those who left, by name; those whom the permit's scope shows.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn list(
    via: &mut impl Via,
    permit: &Permit,
    filter: &MemberFilter,
) -> Result<Page<Member>, StoreError> {
    let at = filter.page.as_ref();
    let text = list_text(at.is_some_and(Cursor::backwards), filter.left);
    let rows: Vec<MemberRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, MemberRow>(AssertSqlSafe(text.clone()))
            .bind(permit.org().as_str())
            .bind(of_person(permit))
            .bind(like_contains(&fold(&filter.search)))
            .bind(at.map_or("", Cursor::value))
            .bind(at.map_or("", Cursor::id))
            .bind(PAGE_ROWS as i64 + 1)
    )?;
    Page::read(rows, at, |row| (fold(&row.name), row.person_id.clone())).try_map(Member::try_from)
}

/// The person whose teams a narrowed scope is about; empty for the whole organisation.
fn of_person(permit: &Permit) -> &str {
    match permit.scope() {
        Scope::Org => "",
        Scope::OfPerson(person) => person.as_str(),
    }
}

/// People who left and have live keys without a decision, by name.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn undecided(via: &mut impl Via, org: &OrgId) -> Result<Vec<UndecidedKeys>, StoreError> {
    let rows: Vec<(String, String, i64)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, String, i64)>(UNDECIDED).bind(org.as_str()))?;
    rows.into_iter()
        .map(|(id, name, keys)| {
            let id = PersonId::parse(&id).ok_or(StoreError::Unreadable { column: "people.id" })?;
            Ok(UndecidedKeys { person: PersonName { id, name }, keys })
        })
        .collect()
}

/// Teams, live keys and spend of these people, in their order, within the permit's scope: spend since the day `month`, and
/// since the day `before` until then.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn member_summary(
    via: &mut impl Via,
    permit: &Permit,
    people: &[PersonId],
    (month, before): (Day, Day),
) -> Result<Vec<MemberSummary>, StoreError> {
    let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
    let list = serde_json::to_string(&ids).unwrap_or_default();
    let texts = member_summary_texts(Dialect::of(via));
    let (org, mine) = (permit.org().as_str(), of_person(permit));
    let mut member_summary = vec![MemberSummary::default(); people.len()];
    let at = |id: &str| ids.iter().position(|known| *known == id);

    let teams: Vec<(String, String, String, String)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String, String, String)>(AssertSqlSafe(texts[0].clone()))
            .bind(org)
            .bind(&list)
            .bind(mine)
    )?;
    for (person, id, name, role) in teams {
        let id = TeamId::parse(&id).ok_or(StoreError::Unreadable { column: "teams.id" })?;
        let role = TeamRole::parse(&role).ok_or(StoreError::Unreadable { column: "team_members.role" })?;
        if let Some(at) = at(&person) {
            member_summary[at].teams.push(TeamMembership { team: Team { id, name }, role });
        }
    }
    let keys: Vec<(String, i64)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(texts[1].clone())).bind(org).bind(&list).bind(mine)
    )?;
    for (person, count) in keys {
        if let Some(at) = at(&person) {
            member_summary[at].live_keys = count;
        }
    }
    let spent: Vec<(String, i64, i64)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, i64, i64)>(AssertSqlSafe(texts[2].clone()))
            .bind(org)
            .bind(&list)
            .bind(mine)
            .bind(month.to_string())
            .bind(before.to_string())
    )?;
    for (person, nanos, earlier) in spent {
        if let Some(at) = at(&person) {
            member_summary[at].month_spent = Money::from_nanos(nanos);
            member_summary[at].last_month_spent = Money::from_nanos(earlier);
        }
    }
    Ok(member_summary)
}

/// What the person's keys spent since a day while they owned them.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn month_spent(
    via: &mut impl Via,
    org: &OrgId,
    person: &PersonId,
    month: Day,
) -> Result<Money, StoreError> {
    let nanos: i64 = run!(
        via,
        fetch_one,
        sqlx::query_scalar::<_, i64>(MONTH_SPENT)
            .bind(org.as_str())
            .bind(person.as_str())
            .bind(month.to_string())
    )?;
    Ok(Money::from_nanos(nanos))
}

/// The texts that are put together, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    let lists = [(false, false), (true, true)].map(|(backwards, left)| list_text(backwards, left));
    lists.into_iter().chain(member_summary_texts(dialect)).collect()
}

/// The statements about teams, live keys and spend since a day (`$4`) and since an earlier one (`$5`) until it, of a list of people (`$2`); `$3` narrows them to
/// the teams that one person is admin of. Spend belongs to the owner of the key at the time.
fn member_summary_texts(dialect: Dialect) -> [String; 3] {
    let people = dialect.json_list("$2");
    let narrowed = |team: &str| {
        format!(
            "(CAST($3 AS TEXT) = '' OR {team} IN (SELECT mine.team_id FROM team_members mine
                JOIN teams u ON u.id = mine.team_id AND u.archived_at IS NULL
                WHERE mine.org_id = $1 AND mine.person_id = $3 AND mine.role = 'admin'))"
        )
    };
    [
        format!(
            "SELECT m.person_id, t.id, t.name, m.role FROM team_members m JOIN teams t ON t.id = m.team_id
            WHERE m.org_id = $1 AND t.archived_at IS NULL AND m.person_id IN {people} AND {}
            ORDER BY t.name, t.id",
            narrowed("m.team_id")
        ),
        format!(
            "SELECT k.owner_id, COUNT(*) FROM keys k WHERE k.org_id = $1 AND k.owner_id IN {people}
                AND {} AND {} GROUP BY k.owner_id",
            is_live!(),
            narrowed("k.team_id")
        ),
        format!(
            "SELECT s.owner_id, CAST(SUM(CASE WHEN s.day >= $4 THEN s.cost ELSE 0 END) AS BIGINT),
                CAST(SUM(CASE WHEN s.day < $4 THEN s.cost ELSE 0 END) AS BIGINT) FROM spend_daily s
            WHERE s.org_id = $1 AND s.owner_id IN {people} AND s.day >= $5 AND {} GROUP BY s.owner_id",
            narrowed("s.team_id")
        ),
    ]
}
