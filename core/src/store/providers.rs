//! Where models are served. A credential is nowhere in here: only the name of the variable that holds it.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::ProviderId;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, OperatorPermit};
use crate::domain::provider::{ListedProvider, OnDisconnect, Provider, ProviderKind, ProviderSpec};

statements! {
    LIST = "SELECT p.id, p.name, p.kind, p.base_url, p.credential_env, p.connect_ms, p.idle_ms, p.whole_ms, p.on_disconnect, p.version,
            (SELECT COUNT(*) FROM models m WHERE m.provider_id = p.id AND m.retired_at IS NULL) AS models
        FROM providers p WHERE p.retired_at IS NULL";
    FIND = "SELECT p.id, p.name, p.kind, p.base_url, p.credential_env, p.connect_ms, p.idle_ms, p.whole_ms, p.on_disconnect, p.version,
            (SELECT COUNT(*) FROM models m WHERE m.provider_id = p.id AND m.retired_at IS NULL) AS models
        FROM providers p WHERE p.retired_at IS NULL AND p.id = $1";
    ANY = "SELECT COUNT(*) FROM (SELECT 1 FROM providers WHERE retired_at IS NULL LIMIT 1) counted";
    INSERT = "INSERT INTO providers (id, name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms,
            created_at, on_disconnect, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1)";
    /// The version stands in the condition: of two changes from one version, one changes no row.
    UPDATE = "UPDATE providers SET name = $3, kind = $4, base_url = $5, credential_env = $6, connect_ms = $7, idle_ms = $8,
            whole_ms = $9, on_disconnect = $10, version = version + 1
        WHERE id = $1 AND version = $2 AND retired_at IS NULL";
    /// Takes the row's lock: until the transaction ends, no one retires it.
    LOCK = "UPDATE providers SET version = version WHERE id = $1 AND retired_at IS NULL";
    RETIRE = "UPDATE providers SET retired_at = $2, version = version + 1 WHERE id = $1 AND retired_at IS NULL";
}

#[derive(sqlx::FromRow)]
struct ProviderRow {
    id: String,
    name: String,
    kind: String,
    base_url: String,
    credential_env: String,
    connect_ms: i64,
    idle_ms: i64,
    whole_ms: i64,
    on_disconnect: String,
    version: i64,
    models: i64,
}

fn read(row: ProviderRow) -> Result<ListedProvider, StoreError> {
    let provider = Provider {
        id: ProviderId::parse(&row.id).ok_or(StoreError::Unreadable { column: "providers.id" })?,
        name: row.name,
        kind: ProviderKind::parse(&row.kind).ok_or(StoreError::Unreadable { column: "providers.kind" })?,
        base_url: row.base_url,
        credential_env: row.credential_env,
        connect_ms: row.connect_ms,
        idle_ms: row.idle_ms,
        whole_ms: row.whole_ms,
        on_disconnect: OnDisconnect::parse(&row.on_disconnect)
            .ok_or(StoreError::Unreadable { column: "providers.on_disconnect" })?,
    };
    Ok(ListedProvider { provider, version: row.version, models: row.models })
}

/// Those in use, by name in any case.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(via: &mut impl Via) -> Result<Vec<ListedProvider>, StoreError> {
    let rows: Vec<ProviderRow> = run!(via, fetch_all, sqlx::query_as::<_, ProviderRow>(LIST))?;
    let mut list: Vec<ListedProvider> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
    // The two databases sort letters differently.
    list.sort_by_cached_key(|listed| (listed.provider.name.to_lowercase(), listed.provider.id.clone()));
    Ok(list)
}

/// One in use.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find(via: &mut impl Via, id: &ProviderId) -> Result<Option<ListedProvider>, StoreError> {
    let row: Option<ProviderRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, ProviderRow>(FIND).bind(id.as_str()))?;
    row.map(read).transpose()
}

/// Whether any is in use at all.
///
/// # Errors
/// When the database cannot be read.
pub async fn any(via: &mut impl Via) -> Result<bool, StoreError> {
    let count: i64 = run!(via, fetch_one, sqlx::query_scalar::<_, i64>(ANY))?;
    Ok(count > 0)
}

/// # Errors
/// `ConstraintViolation(ProviderName)` when another in use has the name.
pub async fn insert(
    tx: &mut Tx,
    permit: &OperatorPermit,
    provider: &Provider,
    now: Moment,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::AddProvider], provider.id.as_str())?;
    changed!(
        tx,
        sqlx::query(INSERT)
            .bind(provider.id.as_str())
            .bind(&provider.name)
            .bind(provider.kind.as_str())
            .bind(&provider.base_url)
            .bind(&provider.credential_env)
            .bind(provider.connect_ms)
            .bind(provider.idle_ms)
            .bind(provider.whole_ms)
            .bind(now.ms())
            .bind(provider.on_disconnect.as_str())
    )?;
    Ok(())
}

/// Writes it if no one changed it since `version`; says whether it was still at it.
///
/// # Errors
/// `ConstraintViolation(ProviderName)` when another in use has the name.
pub async fn update(
    tx: &mut Tx,
    permit: &OperatorPermit,
    id: &ProviderId,
    version: i64,
    spec: &ProviderSpec,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditProvider], id.as_str())?;
    let rows = changed!(
        tx,
        sqlx::query(UPDATE)
            .bind(id.as_str())
            .bind(version)
            .bind(&spec.name)
            .bind(spec.kind.as_str())
            .bind(&spec.base_url)
            .bind(&spec.credential_env)
            .bind(spec.connect_ms)
            .bind(spec.idle_ms)
            .bind(spec.whole_ms)
            .bind(spec.on_disconnect.as_str())
    )?;
    Ok(rows == 1)
}

/// Keeps it in use until the transaction ends; says whether it is.
///
/// # Errors
/// When the database cannot be written.
pub async fn lock(tx: &mut Tx, id: &ProviderId) -> Result<bool, StoreError> {
    Ok(changed!(tx, sqlx::query(LOCK).bind(id.as_str()))? == 1)
}

/// Takes it out of use; says whether it was in use until now. Its models are `models::unroute_all`'s.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or provider; otherwise when the database cannot be written.
pub async fn retire(
    tx: &mut Tx,
    permit: &OperatorPermit,
    id: &ProviderId,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RetireProvider], id.as_str())?;
    Ok(changed!(tx, sqlx::query(RETIRE).bind(id.as_str()).bind(now.ms()))? == 1)
}
