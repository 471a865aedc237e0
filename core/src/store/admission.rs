//! What a gateway needs to know about a secret, in one round trip.

use sqlx::AssertSqlSafe;

use super::dialect::Dialect;
use super::keys::read_scope;
use super::{StoreError, Via, run};
use crate::domain::addresses::AllowList;
use crate::domain::ids::{KeyId, OrgId, SecretId, TeamId};
use crate::domain::key::Status;
use crate::domain::key_format::SecretHash;
use crate::domain::moment::Moment;
use crate::domain::scope::ModelScope;

/// A secret, its key, its team and its organisation, as the gates ask about them.
pub struct Admitted {
    pub secret: SecretId,
    pub secret_ends: Option<Moment>,
    pub last_four: String,
    pub key: KeyId,
    pub org: OrgId,
    pub team: Option<(TeamId, String)>,
    pub status: Status,
    pub status_at: Moment,
    pub expires_at: Option<Moment>,
    pub addresses: AllowList,
    /// Of the key, its team and its organisation: a model must be in all.
    pub scopes: Vec<ModelScope>,
    pub org_suspended: bool,
    pub team_archived: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    secret_id: String,
    ends_at: Option<i64>,
    last_four: String,
    key_id: String,
    org_id: String,
    team_id: Option<String>,
    team_name: Option<String>,
    status: String,
    status_at: i64,
    expires_at: Option<i64>,
    addresses: String,
    key_scope: String,
    key_patterns: Option<String>,
    org_scope: String,
    org_patterns: Option<String>,
    team_scope: Option<String>,
    team_patterns: Option<String>,
    suspended_at: Option<i64>,
    archived_at: Option<i64>,
}

fn text(dialect: Dialect) -> String {
    format!(
        "SELECT s.id AS secret_id, s.ends_at, s.last_four, k.id AS key_id, k.org_id, k.team_id, t.name AS team_name,
            k.status, k.status_at, k.expires_at, k.addresses,
            k.model_scope AS key_scope, {key} AS key_patterns, o.model_scope AS org_scope, {org} AS org_patterns,
            t.model_scope AS team_scope, {team} AS team_patterns, o.suspended_at, t.archived_at
        FROM key_secrets s
        JOIN keys k ON k.id = s.key_id
        JOIN orgs o ON o.id = k.org_id
        LEFT JOIN teams t ON t.id = k.team_id
        WHERE s.hash = $1",
        key = dialect.patterns_of("key", "k.id"),
        org = dialect.patterns_of("org", "k.org_id"),
        team = dialect.patterns_of("team", "k.team_id"),
    )
}

/// The text that differs between the databases, for the test that prepares it.
pub fn every_text(dialect: Dialect) -> Vec<String> {
    vec![text(dialect)]
}

pub async fn find(via: &mut impl Via, hash: &SecretHash) -> Result<Option<Admitted>, StoreError> {
    let statement = text(Dialect::of(via));
    let row: Option<Row> = run!(
        via,
        fetch_optional,
        sqlx::query_as::<_, Row>(AssertSqlSafe(statement.clone())).bind(hash.as_bytes().as_slice())
    )?;
    row.map(read).transpose()
}

fn read(row: Row) -> Result<Admitted, StoreError> {
    let unreadable = |column| StoreError::Unreadable { column };
    let mut scopes =
        vec![read_scope(&row.key_scope, row.key_patterns)?, read_scope(&row.org_scope, row.org_patterns)?];
    if let Some(kind) = row.team_scope {
        scopes.push(read_scope(&kind, row.team_patterns)?);
    }
    let team = match (row.team_id, row.team_name) {
        (Some(id), Some(name)) => Some((TeamId::parse(&id).ok_or(unreadable("keys.team_id"))?, name)),
        _ => None,
    };
    Ok(Admitted {
        secret: SecretId::parse(&row.secret_id).ok_or(unreadable("key_secrets.id"))?,
        secret_ends: row.ends_at.map(Moment::from_ms),
        last_four: row.last_four,
        key: KeyId::parse(&row.key_id).ok_or(unreadable("keys.id"))?,
        org: OrgId::parse(&row.org_id).ok_or(unreadable("keys.org_id"))?,
        team,
        status: Status::parse(&row.status).ok_or(unreadable("keys.status"))?,
        status_at: Moment::from_ms(row.status_at),
        expires_at: row.expires_at.map(Moment::from_ms),
        addresses: AllowList::parse_lines(&row.addresses).map_err(|_| unreadable("keys.addresses"))?,
        scopes,
        org_suspended: row.suspended_at.is_some(),
        team_archived: row.archived_at.is_some(),
    })
}
