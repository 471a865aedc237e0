//! A key's row: its columns, and how its parts are written and read.

use super::StoreError;
use super::dialect::Dialect;
use crate::domain::addresses::AllowList;
use crate::domain::ids::{KeyId, PersonId, TeamId};
use crate::domain::key::{Key, KeySpec, Status};
use crate::domain::limits::{Budget, BudgetUse, Granted, Limits};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::person::PersonName;
use crate::domain::scope::{ModelPattern, ModelScope};
use crate::domain::team::Team;
use crate::domain::window::Period;

/// The columns of `Key`, for every statement that reads keys under the alias `k`.
pub(super) fn select_key(dialect: Dialect) -> String {
    format!(
        "SELECT k.seq, k.id, k.name, k.name_folded, k.note, k.team_id, t.name AS team_name, k.owner_id, o.name AS owner_name,
            k.status, k.status_at, s.name AS status_by, k.prefix, k.last_four, k.model_scope, {patterns} AS patterns,
            k.addresses, k.rpm, k.tpm, k.concurrent, k.expires_at, k.created_at, c.name AS created_by, k.last_used_at,
            k.secret_created_at, k.rotate_days, k.self_rotation, k.version, t.archived_at AS team_archived_at,
            (SELECT g.suspended_at FROM orgs g WHERE g.id = k.org_id) AS org_suspended_at
        FROM keys k
        JOIN people o ON o.id = k.owner_id
        LEFT JOIN teams t ON t.id = k.team_id
        LEFT JOIN people s ON s.id = k.status_by
        LEFT JOIN people c ON c.id = k.created_by",
        patterns = dialect.patterns_of("key", "k.id")
    )
}

#[derive(sqlx::FromRow)]
pub(super) struct KeyRow {
    pub(super) seq: i64,
    id: String,
    name: String,
    pub(super) name_folded: String,
    note: String,
    team_id: Option<String>,
    team_name: Option<String>,
    owner_id: String,
    owner_name: String,
    status: String,
    status_at: i64,
    status_by: Option<String>,
    prefix: String,
    last_four: String,
    model_scope: String,
    patterns: Option<String>,
    addresses: String,
    rpm: Option<i64>,
    tpm: Option<i64>,
    concurrent: Option<i64>,
    pub(super) expires_at: Option<i64>,
    created_at: i64,
    created_by: Option<String>,
    pub(super) last_used_at: Option<i64>,
    pub(super) secret_created_at: i64,
    rotate_days: Option<i64>,
    self_rotation: String,
    version: i64,
    team_archived_at: Option<i64>,
    org_suspended_at: Option<i64>,
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { column }
}

/// A scope from its two stored parts.
pub(super) fn read_scope(kind: &str, patterns: Option<String>) -> Result<ModelScope, StoreError> {
    if kind == "every" {
        return Ok(ModelScope::Every);
    }
    let mut list = patterns
        .unwrap_or_default()
        .lines()
        .map(|line| ModelPattern::parse(line).map_err(|_| unreadable("scopes.pattern")))
        .collect::<Result<Vec<_>, _>>()?;
    list.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(ModelScope::Listed(list))
}

impl TryFrom<KeyRow> for Key {
    type Error = StoreError;

    /// Budgets, the key's and its team's, are not in the row: `spend::fill` puts them in.
    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let team = match (row.team_id, row.team_name) {
            (Some(id), Some(name)) => {
                Some(Team { id: TeamId::parse(&id).ok_or(unreadable("keys.team_id"))?, name })
            }
            _ => None,
        };
        Ok(Key {
            id: KeyId::parse(&row.id).ok_or(unreadable("keys.id"))?,
            seq: row.seq,
            name: row.name,
            note: row.note,
            team,
            owner: PersonName {
                id: PersonId::parse(&row.owner_id).ok_or(unreadable("keys.owner_id"))?,
                name: row.owner_name,
            },
            status: Status::parse(&row.status).ok_or(unreadable("keys.status"))?,
            status_at: Moment::from_ms(row.status_at),
            status_by: row.status_by,
            prefix: row.prefix,
            last_four: row.last_four,
            models: read_scope(&row.model_scope, row.patterns)?,
            addresses: AllowList::parse_lines(&row.addresses).map_err(|_| unreadable("keys.addresses"))?,
            limits: Limits { rpm: row.rpm, tpm: row.tpm, concurrent: row.concurrent },
            expires_at: row.expires_at.map(Moment::from_ms),
            created_at: Moment::from_ms(row.created_at),
            created_by: row.created_by.unwrap_or_else(|| "command line".into()),
            last_used_at: row.last_used_at.map(Moment::from_ms),
            secret_created_at: Moment::from_ms(row.secret_created_at),
            rotate_days: row.rotate_days,
            rotates_itself: row.self_rotation == "yes",
            version: row.version,
            budgets: Vec::new(),
            month_spent: Money::ZERO,
            org_suspended: row.org_suspended_at.is_some(),
            team_archived: row.team_archived_at.is_some(),
            shared: Vec::new(),
            balance: None,
        })
    }
}

pub(super) fn self_rotation(spec: &KeySpec) -> &'static str {
    if spec.rotates_itself { "yes" } else { "no" }
}

pub(super) fn scope_kind(scope: &ModelScope) -> &'static str {
    match scope {
        ModelScope::Every => "every",
        ModelScope::Listed(_) => "listed",
    }
}

/// A budget, its spend and what is granted of it from their stored parts.
pub(super) fn read_budget(
    period: &str,
    (amount, spent): (i64, i64),
    granted: Option<Granted>,
) -> Result<BudgetUse, StoreError> {
    let period = Period::parse(period).ok_or(unreadable("budgets.period"))?;
    Ok(BudgetUse {
        budget: Budget { period, amount: Money::from_nanos(amount) },
        spent: Money::from_nanos(spent),
        granted,
    })
}
