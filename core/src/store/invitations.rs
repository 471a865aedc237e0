//! Invitations. Only the SHA-256 of a link's token is stored, and taking one up is one guarded statement, so that it
//! works once. A lapsed or withdrawn invitation keeps its row.

use super::permit::compare;
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::{InvitationId, OrgId, PersonId, TeamId};
use crate::domain::invitation::Invitation;
use crate::domain::member::TeamMembership;
use crate::domain::moment::Moment;
use crate::domain::person::Email;
use crate::domain::policy::{Action, OperatorPermit, OrgRole, Permit};
use crate::domain::team::{Team, TeamRole};

statements! {
    INSERT = "INSERT INTO invitations (id, org_id, email, role, team_id, team_role, hash, invited_by, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    /// One that has run out makes room for another to the same address.
    LAPSE = "UPDATE invitations SET withdrawn_at = expires_at
        WHERE org_id = $1 AND email = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at <= $3";
    /// Their links work no more; who may invite can send each again.
    END_EVERY = "UPDATE invitations SET expires_at = $1
        WHERE accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at > $1";
    /// The person who resends it is its sender from then on.
    RENEW = "UPDATE invitations SET hash = $3, expires_at = $4, mailed_at = NULL, invited_by = $5
        WHERE org_id = $1 AND id = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL";
    WITHDRAW = "UPDATE invitations SET withdrawn_at = $3
        WHERE org_id = $1 AND id = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL";
    WITHDRAW_OF = "UPDATE invitations SET withdrawn_at = $3
        WHERE org_id = $1 AND invited_by = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL";
    /// Those to the address of one person.
    WITHDRAW_FOR = "UPDATE invitations SET withdrawn_at = $3
        WHERE org_id = $1 AND email = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL";
    /// Those into a team; with a person in `$4`, only theirs.
    WITHDRAW_INTO = "UPDATE invitations SET withdrawn_at = $3
        WHERE org_id = $1 AND team_id = $2 AND (CAST($4 AS TEXT) IS NULL OR invited_by = $4)
            AND accepted_at IS NULL AND withdrawn_at IS NULL";
    MAILED = "UPDATE invitations SET mailed_at = $3 WHERE org_id = $1 AND id = $2";
    BY_HASH = "SELECT i.id, i.org_id, o.slug AS org_slug, o.name AS org_name, i.email, i.role, i.team_id, t.name AS team_name,
            i.team_role, p.name AS invited_by, i.created_at, i.expires_at, i.mailed_at
        FROM invitations i JOIN orgs o ON o.id = i.org_id
        LEFT JOIN teams t ON t.id = i.team_id AND t.archived_at IS NULL
        LEFT JOIN people p ON p.id = i.invited_by
        WHERE i.hash = $1 AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > $2
            AND o.suspended_at IS NULL";
    BY_ID = "SELECT i.id, i.org_id, o.slug AS org_slug, o.name AS org_name, i.email, i.role, i.team_id, t.name AS team_name,
            i.team_role, p.name AS invited_by, i.created_at, i.expires_at, i.mailed_at
        FROM invitations i JOIN orgs o ON o.id = i.org_id
        LEFT JOIN teams t ON t.id = i.team_id AND t.archived_at IS NULL
        LEFT JOIN people p ON p.id = i.invited_by
        WHERE i.org_id = $1 AND i.id = $2 AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL";
    OPEN = "SELECT i.id, i.org_id, o.slug AS org_slug, o.name AS org_name, i.email, i.role, i.team_id, t.name AS team_name,
            i.team_role, p.name AS invited_by, i.created_at, i.expires_at, i.mailed_at
        FROM invitations i JOIN orgs o ON o.id = i.org_id
        LEFT JOIN teams t ON t.id = i.team_id AND t.archived_at IS NULL
        LEFT JOIN people p ON p.id = i.invited_by
        WHERE i.org_id = $1 AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL
        ORDER BY i.email LIMIT $2";
    /// Once, in time, and not in a suspended organisation: of two at the same moment, one changes a row.
    TAKE = "UPDATE invitations SET accepted_at = $2
        WHERE hash = $1 AND accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at > $2
            AND EXISTS (SELECT 1 FROM orgs o WHERE o.id = invitations.org_id AND o.suspended_at IS NULL)";
}

#[derive(sqlx::FromRow)]
struct InvitationRow {
    id: String,
    org_id: String,
    org_slug: String,
    org_name: String,
    email: String,
    role: String,
    team_id: Option<String>,
    team_name: Option<String>,
    team_role: Option<String>,
    invited_by: Option<String>,
    created_at: i64,
    expires_at: i64,
    mailed_at: Option<i64>,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        let unreadable = |column| StoreError::Unreadable { column };
        let team = match (row.team_id, row.team_name) {
            (Some(id), Some(name)) => {
                let id = TeamId::parse(&id).ok_or(unreadable("invitations.team_id"))?;
                let role = row.team_role.as_deref().and_then(TeamRole::parse);
                let role = role.ok_or(unreadable("invitations.team_role"))?;
                Some(TeamMembership { team: Team { id, name }, role })
            }
            _ => None,
        };
        Ok(Invitation {
            id: InvitationId::parse(&row.id).ok_or(unreadable("invitations.id"))?,
            org: OrgId::parse(&row.org_id).ok_or(unreadable("invitations.org_id"))?,
            org_slug: row.org_slug,
            org_name: row.org_name,
            email: Email::stored(&row.email).ok_or_else(|| unreadable("invitations.email"))?,
            role: OrgRole::parse(&row.role).ok_or(unreadable("invitations.role"))?,
            team,
            invited_by: row.invited_by,
            created_at: Moment::from_ms(row.created_at),
            expires_at: Moment::from_ms(row.expires_at),
            mailed_at: row.mailed_at.map(Moment::from_ms),
        })
    }
}

/// What a new invitation is stored with.
pub struct NewRow<'a> {
    /// The invitation's id.
    pub id: &'a InvitationId,
    /// The address that is invited.
    pub email: &'a Email,
    /// The role in the organisation.
    pub role: OrgRole,
    /// The team to join and the role in it; `None` for the organisation alone.
    pub team: Option<&'a TeamMembership>,
    /// SHA-256 of the link's token.
    pub hash: &'a [u8],
    /// `None` on the command line.
    pub invited_by: Option<&'a PersonId>,
    /// When the link stops working.
    pub expires_at: Moment,
}

/// # Errors
/// `ConstraintViolation(Invitation)` when the organisation has an open one to this address.
pub async fn insert(tx: &mut Tx, permit: &Permit, new: &NewRow<'_>, now: Moment) -> Result<(), StoreError> {
    match permit.action() {
        // The event of a new organisation names its first owner.
        Action::CreateOrg => compare(permit, &[Action::CreateOrg], Some(permit.org().as_str()))?,
        _ => tx.charge_about(permit, &[Action::Invite], permit.org().as_str(), new.email.as_str())?,
    }
    let org = permit.org().as_str();
    changed!(&mut *tx, sqlx::query(LAPSE).bind(org).bind(new.email.as_str()).bind(now.ms()))?;
    changed!(
        tx,
        sqlx::query(INSERT)
            .bind(new.id.as_str())
            .bind(org)
            .bind(new.email.as_str())
            .bind(new.role.as_str())
            .bind(new.team.map(|place| place.team.id.as_str()))
            .bind(new.team.map(|place| place.role.as_str()))
            .bind(new.hash)
            .bind(new.invited_by.map(PersonId::as_str))
            .bind(now.ms())
            .bind(new.expires_at.ms())
    )?;
    Ok(())
}

/// Another link in place of the old one; says whether the invitation was still open.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn renew(
    tx: &mut Tx,
    permit: &Permit,
    (id, email): (&InvitationId, &Email),
    hash: &[u8],
    expires_at: Moment,
) -> Result<bool, StoreError> {
    tx.charge_about(permit, &[Action::Invite], id.as_str(), email.as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(
        tx,
        sqlx::query(RENEW)
            .bind(org)
            .bind(id.as_str())
            .bind(hash)
            .bind(expires_at.ms())
            .bind(permit.actor().id())
    )?;
    Ok(rows == 1)
}

/// Says whether the invitation was still open.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn withdraw(
    tx: &mut Tx,
    permit: &Permit,
    (id, email): (&InvitationId, &Email),
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge_about(permit, &[Action::Invite], id.as_str(), email.as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(tx, sqlx::query(WITHDRAW).bind(org).bind(id.as_str()).bind(now.ms()))?;
    Ok(rows == 1)
}

/// Withdraws all open invitations that a person sent. Returns how many.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn withdraw_of(
    tx: &mut Tx,
    permit: &Permit,
    person: &PersonId,
    now: Moment,
) -> Result<u64, StoreError> {
    let actions = [Action::ChangeRole, Action::DisableMember, Action::RemoveMember, Action::Leave];
    compare(permit, &actions, Some(person.as_str()))?;
    let org = permit.org().as_str();
    changed!(tx, sqlx::query(WITHDRAW_OF).bind(org).bind(person.as_str()).bind(now.ms()))
}

/// Withdraws open invitations to a person's own address, so that they cannot rejoin with an older link. Call it
/// before the membership is written, in the order in which joining takes the rows.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn withdraw_for(tx: &mut Tx, permit: &Permit, email: &str, now: Moment) -> Result<u64, StoreError> {
    compare(
        permit,
        &[Action::DisableMember, Action::EnableMember, Action::RemoveMember, Action::Leave],
        None,
    )?;
    changed!(tx, sqlx::query(WITHDRAW_FOR).bind(permit.org().as_str()).bind(email).bind(now.ms()))
}

/// Withdraws open invitations to a team: all of them, or those that one person sent. Returns how many.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn withdraw_into(
    tx: &mut Tx,
    permit: &Permit,
    team: &TeamId,
    by: Option<&PersonId>,
    now: Moment,
) -> Result<u64, StoreError> {
    compare(permit, &[Action::ManageTeamPeople, Action::ArchiveTeam], None)?;
    changed!(
        tx,
        sqlx::query(WITHDRAW_INTO)
            .bind(permit.org().as_str())
            .bind(team.as_str())
            .bind(now.ms())
            .bind(by.map(PersonId::as_str))
    )
}

/// A mail with the link was handed over.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn mailed(tx: &mut Tx, permit: &Permit, id: &InvitationId, now: Moment) -> Result<(), StoreError> {
    compare(permit, &[Action::Invite], Some(id.as_str()))?;
    changed!(tx, sqlx::query(MAILED).bind(permit.org().as_str()).bind(id.as_str()).bind(now.ms()))?;
    Ok(())
}

/// `Some` while the link works: open, in time, and the organisation not suspended.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn find_by_hash(
    via: &mut impl Via,
    hash: &[u8],
    now: Moment,
) -> Result<Option<Invitation>, StoreError> {
    let row: Option<InvitationRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, InvitationRow>(BY_HASH).bind(hash).bind(now.ms()))?;
    row.map(Invitation::try_from).transpose()
}

/// An open invitation, also one that has run out.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn find(
    via: &mut impl Via,
    org: &OrgId,
    id: &InvitationId,
) -> Result<Option<Invitation>, StoreError> {
    let row: Option<InvitationRow> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, InvitationRow>(BY_ID).bind(org.as_str()).bind(id.as_str())
    )?;
    row.map(Invitation::try_from).transpose()
}

/// The organisation's open invitations by address, also those that have run out.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn list_open(via: &mut impl Via, org: &OrgId, max: i64) -> Result<Vec<Invitation>, StoreError> {
    let rows: Vec<InvitationRow> =
        run!(via, fetch_all, sqlx::query_as::<_, InvitationRow>(OPEN).bind(org.as_str()).bind(max))?;
    rows.into_iter().map(Invitation::try_from).collect()
}

/// Lets every open invitation run out now; answers how many.
///
/// # Errors
/// `WrongPermit` when the permit is for another action; otherwise when the database cannot be written.
pub async fn end_every(tx: &mut Tx, permit: &OperatorPermit, now: Moment) -> Result<u64, StoreError> {
    compare(permit, &[Action::SignEveryoneOut], None)?;
    changed!(tx, sqlx::query(END_EVERY).bind(now.ms()))
}

/// Uses the link up; `false` when it is unknown, used, withdrawn or late, or the organisation suspended.
///
/// # Errors
/// `StoreError` when the database fails.
pub async fn take(tx: &mut Tx, hash: &[u8], now: Moment) -> Result<bool, StoreError> {
    let rows = changed!(tx, sqlx::query(TAKE).bind(hash).bind(now.ms()))?;
    Ok(rows == 1)
}
