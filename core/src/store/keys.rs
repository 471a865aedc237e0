//! Keys and their secrets: found, written, switched. Lists are in `key_list`, what a row is in `key_row`.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
pub(super) use super::key_row::{KeyRow, read_budget, read_scope, scope_kind, select_key, self_rotation};
use super::{StoreError, Tx, Via, changed, run, search, statements};
use crate::domain::ids::{KeyId, OrgId, PersonId, SecretId, TeamId};
use crate::domain::key::{EXTENDABLE_DAYS, Key, KeySpec, Status};
use crate::domain::key_format::SecretHash;
use crate::domain::moment::Moment;
use crate::domain::person::{Contact, fold};
use crate::domain::policy::{Action, Permit};
use crate::domain::scope::ModelScope;

/// Whether the key `k` is live. Lists, counts and the partial indexes say it in these words, so that they mean the same
/// keys. A key is live until the job marks it as expired, at most 15 seconds after the time.
macro_rules! is_live {
    () => {
        "k.status NOT IN ('expired', 'revoked')"
    };
}
pub(super) use is_live;

statements! {
    INSERT_KEY = "INSERT INTO keys (id, org_id, team_id, owner_id, name, name_folded, note, status, status_at, status_by,
            prefix, last_four, model_scope, addresses, rpm, tpm, concurrent, expires_at, created_at, created_by,
            secret_created_at, rotate_days, self_rotation, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $8, $9, $8, $18, $19, 1)";
    INSERT_SECRET = "INSERT INTO key_secrets (id, org_id, key_id, hash, prefix, last_four, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    /// State and version stand in the condition: of two edits from one version, one changes no row.
    UPDATE_KEY = "UPDATE keys SET team_id = $4, name = $5, name_folded = $6, note = $7, model_scope = $8, addresses = $9,
            rpm = $10, tpm = $11, concurrent = $12, expires_at = $13, owner_id = COALESCE($14, owner_id), version = version + 1,
            rotate_days = $15, self_rotation = $16,
            offboarded_at = CASE WHEN COALESCE($14, owner_id) = owner_id THEN offboarded_at ELSE NULL END
        WHERE org_id = $1 AND id = $2 AND version = $3 AND status IN ('active', 'disabled')";
    SWITCH = "UPDATE keys SET status = $4, status_at = $5, status_by = $6, version = version + 1
        WHERE org_id = $1 AND id = $2 AND status = $3";
    /// What an expired key may still become, and nothing after `$9`. A revocation at the same time wins: it finds the key
    /// in any state, and this one only in these.
    EXTEND = "UPDATE keys SET status = 'active', status_at = $4, status_by = $5, expires_at = $6, name = $7, name_folded = $8,
            version = version + 1
        WHERE org_id = $1 AND id = $2 AND version = $3 AND expires_at > $9
            AND (status = 'expired' OR status IN ('active', 'disabled') AND expires_at <= $4)";
    REVOKE = "UPDATE keys SET status = 'revoked', status_at = $3, status_by = $4, version = version + 1
        WHERE org_id = $1 AND id = $2 AND status <> 'revoked'";
    /// The owner stands in the condition: of two who decide at once, one changes a row.
    REASSIGN = "UPDATE keys SET owner_id = $4, offboarded_at = NULL, version = version + 1
        WHERE org_id = $1 AND id = $2 AND owner_id = $3 AND status IN ('active', 'disabled')";
    KEEP = "UPDATE keys SET expires_at = $4, offboarded_at = $5, version = version + 1
        WHERE org_id = $1 AND id = $2 AND owner_id = $3 AND status IN ('active', 'disabled')
            AND (expires_at IS NULL OR expires_at >= $4)";
    DECIDED = "SELECT id FROM keys WHERE org_id = $1 AND owner_id = $2 AND status IN ('active', 'disabled')
        AND offboarded_at IS NOT NULL";
    EXPIRE_DUE = "UPDATE keys SET status = 'expired', status_at = expires_at, status_by = NULL
        WHERE status IN ('active', 'disabled') AND expires_at IS NOT NULL AND expires_at <= $1";
    CLEAR_SCOPE = "DELETE FROM scopes WHERE org_id = $1 AND holder_kind = 'key' AND holder_id = $2";
    ADD_SCOPE = "INSERT INTO scopes (holder_kind, holder_id, pattern, org_id) VALUES ('key', $1, $2, $3)";
    CLEAR_BUDGETS = "DELETE FROM budgets WHERE org_id = $1 AND holder_kind = 'key' AND holder_id = $2";
    ADD_BUDGET = "INSERT INTO budgets (holder_kind, holder_id, period, org_id, amount) VALUES ('key', $1, $2, $3, $4)";
    /// Also without those that the job has yet to mark as expired: they no longer keep a member from a new key.
    LIVE_OF_OWNER = concat!("SELECT COUNT(*) FROM keys k WHERE k.owner_id = $1 AND k.org_id = $2 AND ", is_live!(),
        " AND (k.expires_at IS NULL OR k.expires_at > $3)");
    /// In the words of `keys_name_unique`.
    NAMED = concat!("SELECT COUNT(*) FROM keys k WHERE k.org_id = $1 AND COALESCE(k.team_id, '') = $2 AND k.name_folded = $3
        AND k.id <> $4 AND ", is_live!());
    /// As `gateway_contacts_v1`, with addresses, which the view leaves out.
    CONTACTS = "SELECT 'team admin' AS role, p.name, p.email FROM keys k
            JOIN team_members t ON t.team_id = k.team_id AND t.role = 'admin'
            JOIN memberships m ON m.org_id = k.org_id AND m.person_id = t.person_id AND m.disabled_at IS NULL
            JOIN people p ON p.id = t.person_id AND p.disabled_at IS NULL
            WHERE k.id = $1
        UNION ALL SELECT 'owner', p.name, p.email FROM keys k
            JOIN memberships m ON m.org_id = k.org_id AND m.role = 'owner' AND m.disabled_at IS NULL
            JOIN people p ON p.id = m.person_id AND p.disabled_at IS NULL
            WHERE k.id = $1
        ORDER BY 1 DESC, 2 LIMIT 20";
    TOUCH = "UPDATE keys SET last_used_at = $2 WHERE id = $1 AND COALESCE(last_used_at, 0) < $2";
}

pub(super) fn find_text(dialect: Dialect) -> String {
    format!("{} WHERE k.org_id = $1 AND k.id = $2", select_key(dialect))
}

/// How many live keys of one person are read at once.
pub const MAX_OF_OWNER: i64 = 100;

/// The text of `list_of_owner`, for the test that prepares it.
pub fn of_owner_text(dialect: Dialect) -> String {
    format!(
        "{} WHERE k.org_id = $1 AND k.owner_id = $2 AND {}
            AND (CAST($3 AS BIGINT) = 0 OR k.offboarded_at IS NULL) ORDER BY k.seq DESC LIMIT $4",
        select_key(dialect),
        is_live!()
    )
}

/// A person's live keys, newest first, at most `MAX_OF_OWNER`; on wish only those that no one has decided about since
/// they left. Without budgets and spend: `spend::fill` puts them in.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list_of_owner(
    via: &mut impl Via,
    org: &OrgId,
    owner: &PersonId,
    undecided: bool,
) -> Result<Vec<Key>, StoreError> {
    let text = of_owner_text(Dialect::of(via));
    let rows: Vec<KeyRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, KeyRow>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(owner.as_str())
            .bind(i64::from(undecided))
            .bind(MAX_OF_OWNER)
    )?;
    rows.into_iter().map(Key::try_from).collect()
}

/// Those of a person's live keys that go on by a decision.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn decided(via: &mut impl Via, org: &OrgId, owner: &PersonId) -> Result<Vec<KeyId>, StoreError> {
    let ids: Vec<String> = run!(
        via,
        fetch_all,
        sqlx::query_scalar::<_, String>(DECIDED).bind(org.as_str()).bind(owner.as_str())
    )?;
    ids.iter().map(|id| KeyId::parse(id).ok_or(StoreError::Unreadable { column: "keys.id" })).collect()
}

/// Gives a live key another owner; says whether `from` still owned it.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key; otherwise when the database cannot be written.
pub async fn reassign(
    tx: &mut Tx,
    permit: &Permit,
    id: &KeyId,
    from: &PersonId,
    to: &PersonId,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditKey], id.as_str())?;
    let rows = changed!(
        tx,
        sqlx::query(REASSIGN)
            .bind(permit.org().as_str())
            .bind(id.as_str())
            .bind(from.as_str())
            .bind(to.as_str())
    )?;
    Ok(rows == 1)
}

/// Lets a key of a person who left run on until its end, which is never put off; says whether it was live and theirs.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key; otherwise when the database cannot be written.
pub async fn keep(
    tx: &mut Tx,
    permit: &Permit,
    id: &KeyId,
    owner: &PersonId,
    until: Moment,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditKey], id.as_str())?;
    let rows = changed!(
        tx,
        sqlx::query(KEEP)
            .bind(permit.org().as_str())
            .bind(id.as_str())
            .bind(owner.as_str())
            .bind(until.ms())
            .bind(now.ms())
    )?;
    Ok(rows == 1)
}

/// Without budgets and spend: `spend::fill` puts them in.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find(via: &mut impl Via, org: &OrgId, id: &KeyId) -> Result<Option<Key>, StoreError> {
    let text = find_text(Dialect::of(via));
    let row: Option<KeyRow> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, KeyRow>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(id.as_str())
    )?;
    row.map(Key::try_from).transpose()
}

fn newest_of_team_text(dialect: Dialect) -> String {
    format!(
        "{} WHERE k.org_id = $1 AND k.team_id = $2 AND {} ORDER BY k.seq DESC LIMIT $3",
        select_key(dialect),
        is_live!()
    )
}

fn some_text(dialect: Dialect) -> String {
    format!("{} WHERE k.org_id = $1 AND {}", select_key(dialect), dialect.any_of("k.id", "$2"))
}

/// The texts that differ between the databases, for the test that prepares them.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![newest_of_team_text(dialect), some_text(dialect), lock_text(dialect)]
}

/// Those of the keys that the organisation has, in no order. Without budgets and spend: `spend::fill` puts them in.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn some(via: &mut impl Via, org: &OrgId, ids: &[&KeyId]) -> Result<Vec<Key>, StoreError> {
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let list = serde_json::to_string(&ids).unwrap_or_default();
    let text = some_text(Dialect::of(via));
    let rows: Vec<KeyRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, KeyRow>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(&list)
    )?;
    rows.into_iter().map(Key::try_from).collect()
}

/// The newest live keys of a team. Without budgets and spend: `spend::fill` puts them in.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn newest_of_team(
    via: &mut impl Via,
    org: &OrgId,
    team: &TeamId,
    max: i64,
) -> Result<Vec<Key>, StoreError> {
    let text = newest_of_team_text(Dialect::of(via));
    let rows: Vec<KeyRow> = run!(
        via,
        fetch_all,
        sqlx::query_as::<_, KeyRow>(AssertSqlSafe(text.clone()))
            .bind(org.as_str())
            .bind(team.as_str())
            .bind(max)
    )?;
    rows.into_iter().map(Key::try_from).collect()
}

/// How many keys of this organisation the person owns that are neither revoked nor expired.
///
/// # Errors
/// When the database cannot be read.
pub async fn live_of_owner(
    via: &mut impl Via,
    org: &OrgId,
    owner: &PersonId,
    now: Moment,
) -> Result<i64, StoreError> {
    run!(
        via,
        fetch_one,
        sqlx::query_scalar::<_, i64>(LIVE_OF_OWNER).bind(owner.as_str()).bind(org.as_str()).bind(now.ms())
    )
}

/// Whether a live key other than `id` has the name of `spec` in its team, or among those without a team.
///
/// # Errors
/// When the database cannot be read.
pub async fn name_is_taken(
    via: &mut impl Via,
    org: &OrgId,
    id: &KeyId,
    spec: &KeySpec,
) -> Result<bool, StoreError> {
    let named = run!(
        via,
        fetch_one,
        sqlx::query_scalar::<_, i64>(NAMED)
            .bind(org.as_str())
            .bind(spec.team.as_ref().map_or("", TeamId::as_str))
            .bind(fold(&spec.name))
            .bind(id.as_str())
    )?;
    Ok(named > 0)
}

/// What a new key needs beside what people decide about it.
pub struct NewKey<'a> {
    /// The key's id.
    pub id: &'a KeyId,
    /// The id of the person who owns it.
    pub owner: &'a PersonId,
    /// `None` on the command line.
    pub created_by: Option<&'a PersonId>,
    /// What people decide about it.
    pub spec: &'a KeySpec,
    /// The id of its first secret.
    pub secret_id: &'a SecretId,
    /// SHA-256 of the whole secret.
    pub hash: &'a SecretHash,
    /// The start of the secret, such as `sk-acme-`.
    pub prefix: &'a str,
    /// The last four characters of the secret.
    pub last_four: &'a str,
    /// When it is made.
    pub now: Moment,
}

/// # Errors
/// `ConstraintViolation(KeyName)` when a live key of the same team has the name.
pub async fn insert(tx: &mut Tx, permit: &Permit, new: &NewKey<'_>) -> Result<(), StoreError> {
    tx.charge_about(permit, &[Action::CreateKey], permit.org().as_str(), new.id.as_str())?;
    let (org, spec) = (permit.org().as_str(), new.spec);
    changed!(
        &mut *tx,
        sqlx::query(INSERT_KEY)
            .bind(new.id.as_str())
            .bind(org)
            .bind(spec.team.as_ref().map(TeamId::as_str))
            .bind(new.owner.as_str())
            .bind(&spec.name)
            .bind(fold(&spec.name))
            .bind(&spec.note)
            .bind(new.now.ms())
            .bind(new.created_by.map(PersonId::as_str))
            .bind(new.prefix)
            .bind(new.last_four)
            .bind(scope_kind(&spec.models))
            .bind(spec.addresses.lines())
            .bind(spec.limits.rpm)
            .bind(spec.limits.tpm)
            .bind(spec.limits.concurrent)
            .bind(spec.expires_at.map(Moment::ms))
            .bind(spec.rotate_days)
            .bind(self_rotation(spec))
    )?;
    changed!(
        &mut *tx,
        sqlx::query(INSERT_SECRET)
            .bind(new.secret_id.as_str())
            .bind(org)
            .bind(new.id.as_str())
            .bind(new.hash.as_bytes().as_slice())
            .bind(new.prefix)
            .bind(new.last_four)
            .bind(new.now.ms())
    )?;
    search::write(tx, new.id, spec).await?;
    add_parts(tx, org, new.id, spec).await
}

/// Writes what the edited spec says, if the key is still at `version` and live; says whether it was.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key, `ConstraintViolation(KeyName)` when another live key of
/// the same team has the name; otherwise when the database cannot be written.
pub async fn update(
    tx: &mut Tx,
    permit: &Permit,
    id: &KeyId,
    version: i64,
    spec: &KeySpec,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditKey], id.as_str())?;
    let org = permit.org().as_str();
    let rows = changed!(
        &mut *tx,
        sqlx::query(UPDATE_KEY)
            .bind(org)
            .bind(id.as_str())
            .bind(version)
            .bind(spec.team.as_ref().map(TeamId::as_str))
            .bind(&spec.name)
            .bind(fold(&spec.name))
            .bind(&spec.note)
            .bind(scope_kind(&spec.models))
            .bind(spec.addresses.lines())
            .bind(spec.limits.rpm)
            .bind(spec.limits.tpm)
            .bind(spec.limits.concurrent)
            .bind(spec.expires_at.map(Moment::ms))
            .bind(spec.owner.as_ref().map(PersonId::as_str))
            .bind(spec.rotate_days)
            .bind(self_rotation(spec))
    )?;
    if rows != 1 {
        return Ok(false);
    }
    changed!(&mut *tx, sqlx::query(CLEAR_SCOPE).bind(org).bind(id.as_str()))?;
    changed!(&mut *tx, sqlx::query(CLEAR_BUDGETS).bind(org).bind(id.as_str()))?;
    search::write(tx, id, spec).await?;
    add_parts(tx, org, id, spec).await?;
    Ok(true)
}

async fn add_parts(tx: &mut Tx, org: &str, id: &KeyId, spec: &KeySpec) -> Result<(), StoreError> {
    if let ModelScope::Listed(patterns) = &spec.models {
        for pattern in patterns {
            changed!(&mut *tx, sqlx::query(ADD_SCOPE).bind(id.as_str()).bind(pattern.as_str()).bind(org))?;
        }
    }
    for budget in &spec.budgets {
        changed!(
            &mut *tx,
            sqlx::query(ADD_BUDGET)
                .bind(id.as_str())
                .bind(budget.period.as_str())
                .bind(org)
                .bind(budget.amount.nanos())
        )?;
    }
    Ok(())
}

/// Turns an active key off or a disabled one on; says whether it was in the other state until now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key; otherwise when the database cannot be written.
pub async fn set_status(
    tx: &mut Tx,
    permit: &Permit,
    id: &KeyId,
    from: Status,
    to: Status,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::DisableKey, Action::EnableKey], id.as_str())?;
    let rows = changed!(
        tx,
        sqlx::query(SWITCH)
            .bind(permit.org().as_str())
            .bind(id.as_str())
            .bind(from.as_str())
            .bind(to.as_str())
            .bind(now.ms())
            .bind(permit.actor().id())
    )?;
    Ok(rows == 1)
}

/// Puts an expired key back in use with the name and expiry of `spec`; says whether it was still at `version`, expired
/// and not so long ago that this is final.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key, `ConstraintViolation(KeyName)` when a live key of the same
/// team has the name; otherwise when the database cannot be written.
pub async fn extend(
    tx: &mut Tx,
    permit: &Permit,
    id: &KeyId,
    version: i64,
    spec: &KeySpec,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditKey], id.as_str())?;
    let rows = changed!(
        &mut *tx,
        sqlx::query(EXTEND)
            .bind(permit.org().as_str())
            .bind(id.as_str())
            .bind(version)
            .bind(now.ms())
            .bind(permit.actor().id())
            .bind(spec.expires_at.map(Moment::ms))
            .bind(&spec.name)
            .bind(fold(&spec.name))
            .bind(now.plus_days(-EXTENDABLE_DAYS).ms())
    )?;
    search::write(tx, id, spec).await?;
    Ok(rows == 1)
}

/// Ends the key for good; says whether it was still alive, so that of two people clicking both learn what happened.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or key; otherwise when the database cannot be written.
pub async fn revoke(tx: &mut Tx, permit: &Permit, id: &KeyId, now: Moment) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RevokeKey], id.as_str())?;
    let rows = changed!(
        tx,
        sqlx::query(REVOKE)
            .bind(permit.org().as_str())
            .bind(id.as_str())
            .bind(now.ms())
            .bind(permit.actor().id())
    )?;
    Ok(rows == 1)
}

/// Whom a person can ask about the key: the admins of its team, or, when there are none, its organisation's owners, and
/// not the person with the address `but`.
///
/// # Errors
/// When the database cannot be read.
pub async fn contacts(via: &mut impl Via, id: &KeyId, but: &str) -> Result<Vec<Contact>, StoreError> {
    let rows: Vec<(String, String, String)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, String, String)>(CONTACTS).bind(id.as_str()))?;
    let nearest = rows.first().map(|(role, ..)| role.clone());
    let rows = rows.into_iter().filter(|(role, _, email)| Some(role) == nearest.as_ref() && email != but);
    Ok(rows.map(|(_, name, email)| Contact { name, email }).collect())
}

fn lock_text(dialect: Dialect) -> String {
    format!("SELECT id FROM keys WHERE org_id = $1 AND id = $2{}", dialect.for_change())
}

/// Waits until no one else changes the key; until the transaction ends, no one does. Last uses are written in this order
/// too, the key before its secrets.
///
/// # Errors
/// When the database cannot be read.
pub async fn lock(tx: &mut Tx, org: &OrgId, id: &KeyId) -> Result<(), StoreError> {
    let text = lock_text(Dialect::of(tx));
    let _: Option<String> = run!(
        tx,
        fetch_optional,
        sqlx::query_scalar::<_, String>(AssertSqlSafe(text.clone())).bind(org.as_str()).bind(id.as_str())
    )?;
    Ok(())
}

/// Marks what has expired: a clock that steps back later revives nothing. Returns how many.
///
/// # Errors
/// When the database cannot be written.
pub async fn expire_due(tx: &mut Tx, now: Moment) -> Result<u64, StoreError> {
    changed!(tx, sqlx::query(EXPIRE_DUE).bind(now.ms()))
}

/// Last use, forward only.
///
/// # Errors
/// When the database cannot be written.
pub async fn touch(tx: &mut Tx, id: &KeyId, at: Moment) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(TOUCH).bind(id.as_str()).bind(at.ms()))?;
    Ok(())
}
