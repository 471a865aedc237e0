//! The people of an organisation: found, listed, switched, taken out. Who was removed keeps their row, so that keys and
//! events go on naming them. Each statement that takes an active owner away asks that another one stays; `hold_org`
//! makes such changes of one organisation queue, so that of many at once each sees those before it.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{OrgId, PersonId};
use crate::domain::moment::Moment;
use crate::domain::person::Email;
use crate::domain::policy::{Action, OrgRole, Permit};

statements! {
    HOLD_ORG = "SELECT id FROM orgs WHERE slug = $1";
    FIND = "SELECT m.person_id, p.name, p.email, m.role, m.created_at, m.disabled_at, m.removed_at, p.totp_since,
            (SELECT MAX(s.seen_at) FROM sessions s WHERE s.person_id = p.id) AS seen_at
        FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.org_id = $1 AND m.person_id = $2";
    FIND_BY_EMAIL = "SELECT m.person_id, p.name, p.email, m.role, m.created_at, m.disabled_at, m.removed_at, p.totp_since,
            CAST(NULL AS BIGINT) AS seen_at
        FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.org_id = $1 AND p.email = $2";
    /// Somebody who left comes back on the row they left; whoever is in already is not touched.
    JOIN = "INSERT INTO memberships (org_id, person_id, role, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (org_id, person_id) DO UPDATE SET role = $3, created_at = $4, disabled_at = NULL, removed_at = NULL
        WHERE memberships.disabled_at IS NOT NULL";
    LEAVE_TEAMS = "DELETE FROM team_members WHERE org_id = $1 AND person_id = $2";
}

/// Somebody's place in the organisation.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: PersonId,
    pub name: String,
    pub email: String,
    pub role: OrgRole,
    pub since: Moment,
    /// Also set when they were removed or left.
    pub disabled_at: Option<Moment>,
    pub removed_at: Option<Moment>,
    pub second_factor: bool,
    /// When a session of theirs was last seen.
    pub seen_at: Option<Moment>,
}

impl Member {
    pub fn active(&self) -> bool {
        self.disabled_at.is_none()
    }
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

/// Makes changes of who is what in one organisation queue until the transaction ends. Call it before `enter`, so that
/// the caller's own standing is read after whoever came first.
pub async fn hold_org(tx: &mut Tx, slug: &str) -> Result<(), StoreError> {
    let text = format!("{HOLD_ORG}{}", Dialect::of(tx).for_change());
    run!(tx, fetch_optional, sqlx::query_scalar::<_, String>(AssertSqlSafe(text.clone())).bind(slug))?;
    Ok(())
}

/// Also who was removed or left.
pub async fn find(via: &mut impl Via, org: &OrgId, id: &PersonId) -> Result<Option<Member>, StoreError> {
    let row: Option<MemberRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, MemberRow>(FIND).bind(org.as_str()).bind(id.as_str()))?;
    row.map(Member::try_from).transpose()
}

/// Also who was removed or left. Without when they were last seen.
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

/// Takes somebody in, or back in, with this role and no teams; says whether they were not in already.
pub async fn join(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    role: OrgRole,
    now: Moment,
) -> Result<bool, StoreError> {
    permit.must_be(&[Action::Join]);
    let org = permit.org().as_str();
    let rows = changed!(
        &mut *tx,
        sqlx::query(JOIN).bind(org).bind(person.as_str()).bind(role.as_str()).bind(now.ms())
    )?;
    if rows == 1 {
        changed!(tx, sqlx::query(LEAVE_TEAMS).bind(org).bind(person.as_str()))?;
    }
    Ok(rows == 1)
}
