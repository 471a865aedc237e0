//! What a gateway needs to know about a secret, in one round trip.

use super::keys::read_scope;
use super::{StoreError, Via, run, statements};
use crate::domain::addresses::AllowList;
use crate::domain::ids::{KeyId, OrgId, SecretId, TeamId};
use crate::domain::key::Status;
use crate::domain::key_format::SecretHash;
use crate::domain::limit_use::HolderKind;
use crate::domain::moment::{Moment, Zone};
use crate::domain::org::Unpriced;
use crate::domain::scope::ModelScope;

macro_rules! presented_key {
    () => {
        "SELECT secret_id, secret_expires_at, last_four, key_id, key_name, status, status_at, expires_at, addresses,
            org_id, org_name, org_zone, org_suspended_at, team_id, team_name, team_archived_at,
            key_scope, key_patterns, team_scope, team_patterns, org_scope, org_patterns, secret_replaced_at,
            org_unpriced
        FROM gateway_keys_v1"
    };
}

statements! {
    BY_SECRET = concat!(presented_key!(), " WHERE hash = $1");
    CURRENT_OF_KEY = concat!(presented_key!(), " WHERE org_id = $1 AND key_id = $2 AND secret_replaced_at IS NULL");
    ZONE_OF_SECRET = "SELECT org_zone FROM gateway_keys_v1 WHERE secret_id = $1";
    CONTACTS = "SELECT role, name FROM gateway_contacts_v1 WHERE key_id = $1 ORDER BY role DESC, name LIMIT 20";
}

/// A presented secret with its key, team and organisation: what the gates check.
pub struct PresentedKey {
    /// The secret's id.
    pub secret: SecretId,
    /// When a replaced secret ends; `None` for the current one, and while the end depends on its first use.
    pub secret_expires_at: Option<Moment>,
    /// Whether a rotation replaced the secret.
    pub secret_replaced: bool,
    /// The last four characters of the presented secret.
    pub last_four: String,
    /// The key's id.
    pub key: KeyId,
    /// The key's name.
    pub key_name: String,
    /// The organisation's id.
    pub org: OrgId,
    /// The organisation's name.
    pub org_name: String,
    /// The organisation's time zone, in which budgets reset.
    pub zone: Zone,
    /// The team's id and name; `None` for a key without a team.
    pub team: Option<(TeamId, String)>,
    /// As stored: a key past `expires_at` may still be active here.
    pub status: Status,
    /// Since when the key has this status.
    pub status_at: Moment,
    /// When the key expires; `None` for a key that never expires.
    pub expires_at: Option<Moment>,
    /// Where requests may come from; an empty list means any address.
    pub addresses: AllowList,
    /// Of the key, its team and its organisation: a model must be in all.
    pub scopes: Vec<(HolderKind, ModelScope)>,
    /// Whether the organisation is suspended.
    pub org_suspended: bool,
    /// Whether the team is archived; `false` for a key without a team.
    pub team_archived: bool,
    /// What the organisation says of requests without a price.
    pub unpriced: Unpriced,
}

#[derive(sqlx::FromRow)]
struct Row {
    secret_id: String,
    secret_expires_at: Option<i64>,
    last_four: String,
    key_id: String,
    key_name: String,
    status: String,
    status_at: i64,
    expires_at: Option<i64>,
    addresses: String,
    org_id: String,
    org_name: String,
    org_zone: String,
    org_suspended_at: Option<i64>,
    team_id: Option<String>,
    team_name: Option<String>,
    team_archived_at: Option<i64>,
    key_scope: String,
    key_patterns: Option<String>,
    team_scope: Option<String>,
    team_patterns: Option<String>,
    org_scope: String,
    org_patterns: Option<String>,
    secret_replaced_at: Option<i64>,
    org_unpriced: String,
}

/// The key of a secret; `None` when the secret is unknown.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(via: &mut impl Via, hash: &SecretHash) -> Result<Option<PresentedKey>, StoreError> {
    let row: Option<Row> =
        run!(via, fetch_optional, sqlx::query_as::<_, Row>(BY_SECRET).bind(hash.as_bytes().as_slice()))?;
    row.map(read).transpose()
}

/// The same for the key's current secret, without knowing it.
///
/// # Errors
/// When the database cannot be read.
pub async fn find_current(
    via: &mut impl Via,
    org: &OrgId,
    key: &KeyId,
) -> Result<Option<PresentedKey>, StoreError> {
    let row: Option<Row> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, Row>(CURRENT_OF_KEY).bind(org.as_str()).bind(key.as_str())
    )?;
    row.map(read).transpose()
}

/// The time zone of a secret's organisation.
///
/// # Errors
/// When the database cannot be read.
pub async fn zone_of_secret(via: &mut impl Via, secret: &SecretId) -> Result<Option<Zone>, StoreError> {
    let zone: Option<String> =
        run!(via, fetch_optional, sqlx::query_scalar::<_, String>(ZONE_OF_SECRET).bind(secret.as_str()))?;
    Ok(zone.and_then(|zone| Zone::parse(&zone)))
}

/// The contacts of a key: the names of its team's admins, or, when there are none, of its organisation's owners.
///
/// # Errors
/// When the database cannot be read.
pub async fn contacts(via: &mut impl Via, key: &KeyId) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String, String)> =
        run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(CONTACTS).bind(key.as_str()))?;
    let nearest = rows.first().map(|(role, _)| role.clone());
    Ok(rows.into_iter().filter(|(role, _)| Some(role) == nearest.as_ref()).map(|(_, name)| name).collect())
}

fn read(row: Row) -> Result<PresentedKey, StoreError> {
    let unreadable = |column| StoreError::Unreadable { column };
    let mut scopes = vec![
        (HolderKind::Key, read_scope(&row.key_scope, row.key_patterns)?),
        (HolderKind::Org, read_scope(&row.org_scope, row.org_patterns)?),
    ];
    if let Some(kind) = row.team_scope {
        scopes.push((HolderKind::Team, read_scope(&kind, row.team_patterns)?));
    }
    let team = match (row.team_id, row.team_name) {
        (Some(id), Some(name)) => Some((TeamId::parse(&id).ok_or(unreadable("keys.team_id"))?, name)),
        _ => None,
    };
    Ok(PresentedKey {
        secret: SecretId::parse(&row.secret_id).ok_or(unreadable("key_secrets.id"))?,
        secret_expires_at: row.secret_expires_at.map(Moment::from_ms),
        secret_replaced: row.secret_replaced_at.is_some(),
        last_four: row.last_four,
        key: KeyId::parse(&row.key_id).ok_or(unreadable("keys.id"))?,
        key_name: row.key_name,
        org: OrgId::parse(&row.org_id).ok_or(unreadable("keys.org_id"))?,
        org_name: row.org_name,
        zone: Zone::parse(&row.org_zone).ok_or(unreadable("orgs.zone"))?,
        team,
        status: Status::parse(&row.status).ok_or(unreadable("keys.status"))?,
        status_at: Moment::from_ms(row.status_at),
        expires_at: row.expires_at.map(Moment::from_ms),
        addresses: AllowList::parse_lines(&row.addresses).map_err(|_| unreadable("keys.addresses"))?,
        scopes,
        org_suspended: row.org_suspended_at.is_some(),
        team_archived: row.team_archived_at.is_some(),
        unpriced: Unpriced::parse(&row.org_unpriced).ok_or(unreadable("orgs.unpriced"))?,
    })
}
