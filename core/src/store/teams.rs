//! Teams and who is in them. A team's scope, budgets and counters lie in the tables that keys use, under the holder kind
//! `team`. An archived team keeps its rows; its name is free again.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::keys::{is_live, read_scope, scope_kind};
use super::people::{person_id, read_name};
use super::permit::compare;
use super::spend::{self, Holder};
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::bounds::Bounds;
use crate::domain::ids::{OrgId, PersonId, TeamId};
use crate::domain::limits::Limits;
use crate::domain::member::{TeamMembership, TeamPerson};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::person::{PersonName, fold};
use crate::domain::policy::{self, Action, OrgRole, Permit};
use crate::domain::scope::ModelScope;
use crate::domain::team::{KEYS_COUNTED, Team, TeamRole, TeamSpec, WholeTeam};
use crate::domain::window::WindowStarts;

statements! {
    INSERT = "INSERT INTO teams (id, org_id, name, name_folded, model_scope, rpm, tpm, concurrent, created_at)
        VALUES ($1, $2, $3, $9, $4, $5, $6, $7, $8)";
    /// State and version stand in the condition: of two edits from one version, one changes no row.
    UPDATE = "UPDATE teams SET name = $4, name_folded = $9, model_scope = $5, rpm = $6, tpm = $7, concurrent = $8, version = version + 1
        WHERE org_id = $1 AND id = $2 AND version = $3 AND archived_at IS NULL";
    ARCHIVE = "UPDATE teams SET archived_at = $3, version = version + 1
        WHERE org_id = $1 AND id = $2 AND archived_at IS NULL";
    RESTORE = "UPDATE teams SET archived_at = NULL, version = version + 1
        WHERE org_id = $1 AND id = $2 AND archived_at IS NOT NULL";
    CLEAR_SCOPE = "DELETE FROM scopes WHERE org_id = $1 AND holder_kind = 'team' AND holder_id = $2";
    ADD_SCOPE = "INSERT INTO scopes (holder_kind, holder_id, pattern, org_id) VALUES ('team', $1, $2, $3)";
    CLEAR_BUDGETS = "DELETE FROM budgets WHERE org_id = $1 AND holder_kind = 'team' AND holder_id = $2";
    ADD_BUDGET = "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount) VALUES ('team', $1, $2, $3, $4)";
    /// Says nothing of a person who is there already.
    ADD_PERSON = "INSERT INTO team_members (team_id, person_id, org_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (team_id, person_id) DO NOTHING";
    SET_ROLE = "UPDATE team_members SET role = $4 WHERE org_id = $1 AND team_id = $2 AND person_id = $3 AND role <> $4";
    REMOVE_PERSON = "DELETE FROM team_members WHERE org_id = $1 AND team_id = $2 AND person_id = $3";
    IN_USE = "SELECT id, name FROM teams WHERE org_id = $1 AND archived_at IS NULL ORDER BY name_folded, id";
    ARCHIVED = "SELECT id, name FROM teams WHERE org_id = $1 AND archived_at IS NOT NULL ORDER BY name_folded, id";
    MEMBERSHIPS = "SELECT t.id, t.name, m.role FROM teams t JOIN team_members m ON m.team_id = t.id
        WHERE t.org_id = $1 AND m.person_id = $2 AND t.archived_at IS NULL ORDER BY t.name_folded, t.id";
    /// A disabled person is still in the team; a removed one is not.
    PEOPLE = concat!("SELECT p.id, p.name, p.email, m.role, o.role AS org_role, o.disabled_at,
            (SELECT COUNT(*) FROM keys k WHERE k.owner_id = p.id AND k.org_id = $1 AND k.team_id = $2
                AND ", is_live!(), ") AS live_keys
        FROM team_members m
        JOIN people p ON p.id = m.person_id
        JOIN memberships o ON o.org_id = m.org_id AND o.person_id = m.person_id AND o.removed_at IS NULL
        WHERE m.org_id = $1 AND m.team_id = $2 ORDER BY p.name, p.id LIMIT $3");
    PERSON = concat!("SELECT p.id, p.name, p.email, m.role, o.role AS org_role, o.disabled_at,
            (SELECT COUNT(*) FROM keys k WHERE k.owner_id = p.id AND k.org_id = $1 AND k.team_id = $2
                AND ", is_live!(), ") AS live_keys
        FROM team_members m
        JOIN people p ON p.id = m.person_id
        JOIN memberships o ON o.org_id = m.org_id AND o.person_id = m.person_id AND o.removed_at IS NULL
        WHERE m.org_id = $1 AND m.team_id = $2 AND m.person_id = $3");
    /// Who may own a key of the team.
    ACTIVE = "SELECT p.id, p.name FROM team_members m
        JOIN people p ON p.id = m.person_id
        JOIN memberships o ON o.org_id = m.org_id AND o.person_id = m.person_id
        WHERE m.org_id = $1 AND m.team_id = $2 AND o.disabled_at IS NULL AND p.disabled_at IS NULL ORDER BY p.name, p.id LIMIT $3";
}

/// What a new team needs beside what people decide about it.
pub struct NewTeam<'a> {
    /// The team's id.
    pub id: &'a TeamId,
    /// What people decide about it.
    pub spec: &'a TeamSpec,
    /// When it is made.
    pub now: Moment,
}

/// # Errors
/// `ConstraintViolation(TeamName)` when a team in use has the name.
pub async fn insert(tx: &mut Tx, permit: &Permit, new: &NewTeam<'_>) -> Result<(), StoreError> {
    tx.charge_about(permit, &[Action::CreateTeam], permit.org().as_str(), new.id.as_str())?;
    let bounds = &new.spec.bounds;
    changed!(
        &mut *tx,
        sqlx::query(INSERT)
            .bind(new.id.as_str())
            .bind(permit.org().as_str())
            .bind(&new.spec.name)
            .bind(scope_kind(&bounds.models))
            .bind(bounds.limits.rpm)
            .bind(bounds.limits.tpm)
            .bind(bounds.limits.concurrent)
            .bind(new.now.ms())
            .bind(fold(&new.spec.name))
    )?;
    add_parts(tx, permit.org(), new.id, bounds).await
}

/// Writes what the edited spec says, if the team is still at `version` and in use; says whether it was.
///
/// # Errors
/// `ConstraintViolation(TeamName)` when another team in use has the name.
pub async fn update(
    tx: &mut Tx,
    permit: &Permit,
    id: &TeamId,
    version: i64,
    spec: &TeamSpec,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditTeam], id.as_str())?;
    let (org, bounds) = (permit.org().as_str(), &spec.bounds);
    let rows = changed!(
        &mut *tx,
        sqlx::query(UPDATE)
            .bind(org)
            .bind(id.as_str())
            .bind(version)
            .bind(&spec.name)
            .bind(scope_kind(&bounds.models))
            .bind(bounds.limits.rpm)
            .bind(bounds.limits.tpm)
            .bind(bounds.limits.concurrent)
            .bind(fold(&spec.name))
    )?;
    if rows != 1 {
        return Ok(false);
    }
    changed!(&mut *tx, sqlx::query(CLEAR_SCOPE).bind(org).bind(id.as_str()))?;
    changed!(&mut *tx, sqlx::query(CLEAR_BUDGETS).bind(org).bind(id.as_str()))?;
    add_parts(tx, permit.org(), id, bounds).await?;
    Ok(true)
}

async fn add_parts(tx: &mut Tx, org: &OrgId, id: &TeamId, bounds: &Bounds) -> Result<(), StoreError> {
    if let ModelScope::Listed(patterns) = &bounds.models {
        for pattern in patterns {
            changed!(
                &mut *tx,
                sqlx::query(ADD_SCOPE).bind(id.as_str()).bind(pattern.as_str()).bind(org.as_str())
            )?;
        }
    }
    for budget in &bounds.budgets {
        changed!(
            &mut *tx,
            sqlx::query(ADD_BUDGET)
                .bind(id.as_str())
                .bind(budget.period.as_str())
                .bind(org.as_str())
                .bind(budget.amount.nanos())
        )?;
    }
    Ok(())
}

/// Takes the team out of use; says whether it was in use.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or team; otherwise when the database cannot be written.
pub async fn archive(tx: &mut Tx, permit: &Permit, id: &TeamId, now: Moment) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ArchiveTeam], id.as_str())?;
    let rows =
        changed!(tx, sqlx::query(ARCHIVE).bind(permit.org().as_str()).bind(id.as_str()).bind(now.ms()))?;
    Ok(rows == 1)
}

/// Takes the team back into use; says whether it was archived.
///
/// # Errors
/// `ConstraintViolation(TeamName)` when another team has its name by now.
pub async fn restore(tx: &mut Tx, permit: &Permit, id: &TeamId) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::ArchiveTeam], id.as_str())?;
    let rows = changed!(tx, sqlx::query(RESTORE).bind(permit.org().as_str()).bind(id.as_str()))?;
    Ok(rows == 1)
}

/// A person's place in a team, to be.
pub struct NewTeamMember<'a> {
    /// The team's id.
    pub team: &'a TeamId,
    /// The person's id.
    pub person: &'a PersonId,
    /// The role in the team.
    pub role: TeamRole,
    /// When the person joins it.
    pub now: Moment,
}

/// Says whether the person was not in the team yet.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or team member; otherwise when the database cannot be written.
pub async fn add_person(tx: &mut Tx, permit: &Permit, place: &NewTeamMember<'_>) -> Result<bool, StoreError> {
    match permit.action() {
        // The event of joining the organisation names the team.
        Action::Join => compare(permit, &[Action::Join], Some(place.person.as_str()))?,
        _ => charge_team(tx, permit, place.team, place.person)?,
    }
    let rows = changed!(
        tx,
        sqlx::query(ADD_PERSON)
            .bind(place.team.as_str())
            .bind(place.person.as_str())
            .bind(permit.org().as_str())
            .bind(place.role.as_str())
            .bind(place.now.ms())
    )?;
    Ok(rows == 1)
}

/// Says whether the person is in the team and was something else until now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or team member; otherwise when the database cannot be written.
pub async fn set_role(
    tx: &mut Tx,
    permit: &Permit,
    team: &TeamId,
    person: &PersonId,
    role: TeamRole,
) -> Result<bool, StoreError> {
    charge_team(tx, permit, team, person)?;
    let rows = changed!(
        tx,
        sqlx::query(SET_ROLE)
            .bind(permit.org().as_str())
            .bind(team.as_str())
            .bind(person.as_str())
            .bind(role.as_str())
    )?;
    Ok(rows == 1)
}

/// Says whether the person was in the team. Their keys stay where they are.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or team member; otherwise when the database cannot be written.
pub async fn remove_person(
    tx: &mut Tx,
    permit: &Permit,
    team: &TeamId,
    person: &PersonId,
) -> Result<bool, StoreError> {
    charge_team(tx, permit, team, person)?;
    let rows = changed!(
        tx,
        sqlx::query(REMOVE_PERSON).bind(permit.org().as_str()).bind(team.as_str()).bind(person.as_str())
    )?;
    Ok(rows == 1)
}

/// The permit is for this person in this team, and the event is about the team.
fn charge_team(tx: &mut Tx, permit: &Permit, team: &TeamId, person: &PersonId) -> Result<(), StoreError> {
    let object = policy::team_member(team, person);
    tx.charge_about(permit, &[Action::ManageTeamPeople], &object, team.as_str())
}

fn team_id(text: &str) -> Result<TeamId, StoreError> {
    TeamId::parse(text).ok_or(StoreError::Unreadable { column: "teams.id" })
}

fn read_team((id, name): (String, String)) -> Result<Team, StoreError> {
    Ok(Team { id: team_id(&id)?, name })
}

fn read_role(text: &str) -> Result<TeamRole, StoreError> {
    TeamRole::parse(text).ok_or(StoreError::Unreadable { column: "team_members.role" })
}

/// The organisation's teams in use, by name.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn in_use(via: &mut impl Via, org: &OrgId) -> Result<Vec<Team>, StoreError> {
    let rows: Vec<(String, String)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(IN_USE).bind(org.as_str()))?;
    rows.into_iter().map(read_team).collect()
}

/// The organisation's archived teams, by name.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn archived(via: &mut impl Via, org: &OrgId) -> Result<Vec<Team>, StoreError> {
    let rows: Vec<(String, String)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(ARCHIVED).bind(org.as_str()))?;
    rows.into_iter().map(read_team).collect()
}

/// The teams in use that the person is in, by name.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn memberships(
    via: &mut impl Via,
    org: &OrgId,
    person: &PersonId,
) -> Result<Vec<TeamMembership>, StoreError> {
    type Row = (String, String, String);
    let rows: Vec<Row> =
        run!(via, fetch_all, sqlx::query_as::<_, Row>(MEMBERSHIPS).bind(org.as_str()).bind(person.as_str()))?;
    rows.into_iter()
        .map(|(id, name, role)| {
            Ok(TeamMembership { team: Team { id: team_id(&id)?, name }, role: read_role(&role)? })
        })
        .collect()
}

/// Like `memberships`, without the roles.
///
/// # Errors
/// As `memberships`.
pub async fn of_person(via: &mut impl Via, org: &OrgId, person: &PersonId) -> Result<Vec<Team>, StoreError> {
    Ok(memberships(via, org, person).await?.into_iter().map(|place| place.team).collect())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    model_scope: String,
    patterns: Option<String>,
    rpm: Option<i64>,
    tpm: Option<i64>,
    concurrent: Option<i64>,
    created_at: i64,
    archived_at: Option<i64>,
    version: i64,
    people: i64,
    live_keys: i64,
}

/// `COALESCE` stands here as in the index of live keys by team and name, so that counting reads the index alone.
fn whole_text(dialect: Dialect) -> String {
    format!(
        "SELECT t.id, t.name, t.model_scope, {patterns} AS patterns, t.rpm, t.tpm, t.concurrent, t.created_at,
            t.archived_at, t.version,
            (SELECT COUNT(*) FROM team_members m JOIN memberships o ON o.org_id = m.org_id AND o.person_id = m.person_id
                WHERE m.org_id = $1 AND m.team_id = t.id AND o.removed_at IS NULL) AS people,
            (SELECT COUNT(*) FROM (SELECT 1 FROM keys k WHERE k.org_id = $1 AND COALESCE(k.team_id, '') = t.id
                AND {is_live} LIMIT {max}) counted) AS live_keys
        FROM teams t WHERE t.org_id = $1 AND t.id IN {ids}",
        patterns = dialect.patterns_of("team", "t.id"),
        ids = dialect.json_list("$2"),
        is_live = is_live!(),
        max = KEYS_COUNTED + 1,
    )
}

fn admins_text(dialect: Dialect) -> String {
    format!(
        "SELECT m.team_id, p.id, p.name FROM team_members m
        JOIN people p ON p.id = m.person_id
        JOIN memberships o ON o.org_id = m.org_id AND o.person_id = m.person_id AND o.removed_at IS NULL
        WHERE m.org_id = $1 AND m.role = 'admin' AND m.team_id IN {} ORDER BY p.name, p.id",
        dialect.json_list("$2")
    )
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![whole_text(dialect), admins_text(dialect)]
}

/// These teams of the organisation, in this order, in any state: four statements, however many.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn whole(
    via: &mut impl Via,
    org: &OrgId,
    ids: &[TeamId],
    starts: WindowStarts,
) -> Result<Vec<WholeTeam>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let dialect = Dialect::of(via);
    let list: Vec<&str> = ids.iter().map(TeamId::as_str).collect();
    let list = serde_json::to_string(&list).unwrap_or_default();
    let text = whole_text(dialect);
    let rows: Vec<Row> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, Row>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(&list)
    )?;
    let mut teams = rows.into_iter().map(WholeTeam::try_from).collect::<Result<Vec<_>, _>>()?;
    let text = admins_text(dialect);
    let admins: Vec<(String, String, String)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String, String)>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(&list)
    )?;
    for (team, id, name) in admins {
        if let Some(team) = teams.iter_mut().find(|found| found.id.as_str() == team) {
            team.admins.push(read_name((id, name))?);
        }
    }
    for (id, used) in spend::budgets(via, org, Holder::Team, &list, starts).await? {
        if let Some(team) = teams.iter_mut().find(|team| team.id.as_str() == id) {
            team.spec.bounds.budgets.push(used.budget);
            team.budgets.push(used);
        }
    }
    for (id, spent) in spend::months(via, org, Holder::Team, &list, starts).await? {
        if let Some(team) = teams.iter_mut().find(|team| team.id.as_str() == id) {
            team.month_spent = spent;
        }
    }
    teams.sort_by_key(|team| ids.iter().position(|id| *id == team.id));
    Ok(teams)
}

impl TryFrom<Row> for WholeTeam {
    type Error = StoreError;

    /// Without budgets, spend and admins.
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let bounds = Bounds {
            models: read_scope(&row.model_scope, row.patterns)?,
            budgets: Vec::new(),
            limits: Limits { rpm: row.rpm, tpm: row.tpm, concurrent: row.concurrent },
        };
        Ok(WholeTeam {
            id: team_id(&row.id)?,
            spec: TeamSpec { name: row.name, bounds },
            created_at: Moment::from_ms(row.created_at),
            archived_at: row.archived_at.map(Moment::from_ms),
            version: row.version,
            budgets: Vec::new(),
            month_spent: Money::ZERO,
            admins: Vec::new(),
            people: row.people,
            live_keys: row.live_keys,
        })
    }
}

/// One team of the organisation, in any state.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn find(
    via: &mut impl Via,
    org: &OrgId,
    id: &TeamId,
    starts: WindowStarts,
) -> Result<Option<WholeTeam>, StoreError> {
    Ok(whole(via, org, std::slice::from_ref(id), starts).await?.pop())
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    id: String,
    name: String,
    email: String,
    role: String,
    org_role: String,
    disabled_at: Option<i64>,
    live_keys: i64,
}

impl TryFrom<PersonRow> for TeamPerson {
    type Error = StoreError;

    fn try_from(row: PersonRow) -> Result<Self, StoreError> {
        let org_role = OrgRole::parse(&row.org_role);
        Ok(TeamPerson {
            id: person_id(&row.id)?,
            name: row.name,
            email: row.email,
            role: read_role(&row.role)?,
            org_role: org_role.ok_or(StoreError::Unreadable { column: "memberships.role" })?,
            disabled: row.disabled_at.is_some(),
            live_keys: row.live_keys,
        })
    }
}

/// Who is in the team, by name, at most so many.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn people(
    via: &mut impl Via,
    org: &OrgId,
    team: &TeamId,
    max: i64,
) -> Result<Vec<TeamPerson>, StoreError> {
    let rows: Vec<PersonRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, PersonRow>(PEOPLE).bind(org.as_str()).bind(team.as_str()).bind(max)
    )?;
    rows.into_iter().map(TeamPerson::try_from).collect()
}

/// One person of the team.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn person(
    via: &mut impl Via,
    org: &OrgId,
    team: &TeamId,
    person: &PersonId,
) -> Result<Option<TeamPerson>, StoreError> {
    let row: Option<PersonRow> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, PersonRow>(PERSON).bind(org.as_str()).bind(team.as_str()).bind(person.as_str())
    )?;
    row.map(TeamPerson::try_from).transpose()
}

/// Who is active in the team and so may own a key of it, by name, at most so many.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn active_people(
    via: &mut impl Via,
    org: &OrgId,
    team: &TeamId,
    max: i64,
) -> Result<Vec<PersonName>, StoreError> {
    let rows: Vec<(String, String)> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, (String, String)>(ACTIVE).bind(org.as_str()).bind(team.as_str()).bind(max)
    )?;
    rows.into_iter().map(read_name).collect()
}
