//! Where models are served. A credential is nowhere in here in the clear: only the name of the variable that holds it, or
//! what is sealed, which is a table of its own.

use sqlx::query::Query;
use sqlx::{Database, Encode, Type};

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::ProviderId;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, OperatorPermit};
use crate::domain::provider::{
    ListedProvider, OnDisconnect, Provider, ProviderKind, ProviderSpec, SealedKey,
};
use crate::domain::provider_test::ProviderTest;
use crate::domain::provider_wire::{CredentialHeader, OmittedMember};

/// Of a provider `p` and its sealed key `s`, for `ProviderColumns`.
macro_rules! provider_columns {
    () => {
        "p.id AS p_id, p.name AS p_name, p.kind AS p_kind, p.base_url AS p_base_url, p.api_path AS p_api_path, p.query AS p_query,
            p.credential_env AS p_credential_env, p.stored_key AS p_stored_key, p.credential_header AS p_credential_header,
            p.headers AS p_headers, p.omitted AS p_omitted, p.connect_ms AS p_connect_ms, p.idle_ms AS p_idle_ms,
            p.whole_ms AS p_whole_ms, p.on_disconnect AS p_on_disconnect, p.connected_at AS p_connected_at,
            s.sealed AS p_sealed, s.sealed_with AS p_sealed_with, s.last_four AS p_last_four"
    };
}
pub(super) use provider_columns;

/// Those columns, all null where a join found no provider.
#[derive(sqlx::FromRow)]
pub(super) struct ProviderColumns {
    p_id: Option<String>,
    p_name: Option<String>,
    p_kind: Option<String>,
    p_base_url: Option<String>,
    p_api_path: Option<String>,
    p_query: Option<String>,
    p_credential_env: Option<String>,
    p_stored_key: Option<i64>,
    p_credential_header: Option<String>,
    p_headers: Option<String>,
    p_omitted: Option<String>,
    p_connect_ms: Option<i64>,
    p_idle_ms: Option<i64>,
    p_whole_ms: Option<i64>,
    p_on_disconnect: Option<String>,
    p_connected_at: Option<i64>,
    p_sealed: Option<Vec<u8>>,
    p_sealed_with: Option<String>,
    p_last_four: Option<String>,
}

impl ProviderColumns {
    /// # Errors
    /// `Unreadable` for a value that is none of its column.
    pub(super) fn read(self) -> Result<Option<Provider>, StoreError> {
        let Some(id) = self.p_id else { return Ok(None) };
        let unreadable = |column| StoreError::Unreadable { column };
        let missing = || unreadable("providers");
        let kind = self.p_kind.as_deref().and_then(ProviderKind::parse);
        let kind = kind.ok_or_else(|| unreadable("providers.kind"))?;
        let sealed_key = match (self.p_sealed, self.p_sealed_with, self.p_last_four) {
            (Some(sealed), Some(sealed_with), Some(last_four)) => {
                Some(SealedKey { sealed, sealed_with, last_four })
            }
            _ => None,
        };
        let header = self.p_credential_header.as_deref().and_then(CredentialHeader::parse);
        let omitted = self.p_omitted.as_deref().and_then(OmittedMember::split);
        let on_disconnect = self.p_on_disconnect.as_deref().and_then(OnDisconnect::parse);
        let spec = ProviderSpec {
            name: self.p_name.ok_or_else(missing)?,
            kind,
            base_url: self.p_base_url.ok_or_else(missing)?,
            // Null is the protocol's own.
            api_path: self.p_api_path.unwrap_or_else(|| kind.version_path().to_owned()),
            query: self.p_query.unwrap_or_default(),
            credential_env: self.p_credential_env.ok_or_else(missing)?,
            stored_key: self.p_stored_key == Some(1),
            credential_header: header.ok_or_else(|| unreadable("providers.credential_header"))?,
            headers: self.p_headers.unwrap_or_default(),
            omitted: omitted.ok_or_else(|| unreadable("providers.omitted"))?,
            connect_ms: self.p_connect_ms.ok_or_else(missing)?,
            idle_ms: self.p_idle_ms.ok_or_else(missing)?,
            whole_ms: self.p_whole_ms.ok_or_else(missing)?,
            on_disconnect: on_disconnect.ok_or_else(|| unreadable("providers.on_disconnect"))?,
        };
        Ok(Some(Provider {
            id: ProviderId::parse(&id).ok_or_else(|| unreadable("providers.id"))?,
            spec,
            sealed_key,
            connected_at: self.p_connected_at.map(Moment::from_ms),
        }))
    }
}

/// Providers in use, each with how many models it serves and its test.
macro_rules! listed {
    () => {
        concat!(
            "SELECT ",
            provider_columns!(),
            ", p.version, (SELECT COUNT(*) FROM models m WHERE m.provider_id = p.id AND m.retired_at IS NULL)
                + (SELECT COUNT(*) FROM model_providers f WHERE f.provider_id = p.id) AS models, t.result
            FROM providers p LEFT JOIN provider_keys s ON s.provider_id = p.id LEFT JOIN provider_tests t ON t.provider_id = p.id
            WHERE p.retired_at IS NULL"
        )
    };
}

statements! {
    LIST = listed!();
    FIND = concat!(listed!(), " AND p.id = $1");
    /// The further providers of a model. Its first one is read with it.
    FURTHER = concat!("SELECT ", provider_columns!(), " FROM model_providers f JOIN providers p ON p.id = f.provider_id
        LEFT JOIN provider_keys s ON s.provider_id = p.id WHERE f.model_id = $1 AND p.retired_at IS NULL");
    /// Those whose credential is stored here.
    STORED = concat!("SELECT ", provider_columns!(), " FROM providers p LEFT JOIN provider_keys s ON s.provider_id = p.id
        WHERE p.retired_at IS NULL AND p.stored_key = 1");
    INSERT = "INSERT INTO providers (id, created_at, name, kind, base_url, api_path, query, credential_env, stored_key,
            credential_header, headers, omitted, connect_ms, idle_ms, whole_ms, on_disconnect, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1)";
    /// The version stands in the condition: of two changes from one version, one changes no row.
    UPDATE = "UPDATE providers SET name = $3, kind = $4, base_url = $5, api_path = $6, query = $7, credential_env = $8, stored_key = $9,
            credential_header = $10, headers = $11, omitted = $12, connect_ms = $13, idle_ms = $14, whole_ms = $15, on_disconnect = $16,
            version = version + 1
        WHERE id = $1 AND version = $2 AND retired_at IS NULL";
    /// Takes the row's lock: until the transaction ends, no one retires it.
    LOCK = "UPDATE providers SET version = version WHERE id = $1 AND retired_at IS NULL";
    LOCK_ALL = "UPDATE providers SET version = version";
    RETIRE = "UPDATE providers SET retired_at = $2, stored_key = 0, version = version + 1 WHERE id = $1 AND retired_at IS NULL";
    CONNECTED = "UPDATE providers SET connected_at = $2 WHERE id = $1 AND connected_at IS NULL";
    PUT_KEY = "INSERT INTO provider_keys (provider_id, sealed, sealed_with, last_four, set_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (provider_id) DO UPDATE SET sealed = $2, sealed_with = $3, last_four = $4, set_at = $5";
    USE_KEY = "UPDATE providers SET stored_key = 1, credential_env = '', version = version + 1 WHERE id = $1 AND retired_at IS NULL";
    RESEAL = "UPDATE provider_keys SET sealed = $2, sealed_with = $3 WHERE provider_id = $1";
    DROP_KEY = "DELETE FROM provider_keys WHERE provider_id = $1";
    PUT_TEST = "INSERT INTO provider_tests (provider_id, tested_at, result) VALUES ($1, $2, $3)
        ON CONFLICT (provider_id) DO UPDATE SET tested_at = $2, result = $3";
    DROP_TEST = "DELETE FROM provider_tests WHERE provider_id = $1";
}

#[derive(sqlx::FromRow)]
struct ProviderRow {
    #[sqlx(flatten)]
    provider: ProviderColumns,
    version: i64,
    models: i64,
    result: Option<String>,
}

fn read(row: ProviderRow) -> Result<ListedProvider, StoreError> {
    let provider = row.provider.read()?.ok_or(StoreError::Unreadable { column: "providers.id" })?;
    // A test that another release wrote is as good as none.
    let test = row.result.and_then(|json| serde_json::from_str::<ProviderTest>(&json).ok());
    Ok(ListedProvider { provider, version: row.version, models: row.models, test })
}

/// Those in use, by name in any case.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(via: &mut impl Via) -> Result<Vec<ListedProvider>, StoreError> {
    let rows: Vec<ProviderRow> = run!(via, fetch_all, sqlx::query_as::<_, ProviderRow>(LIST))?;
    let mut list: Vec<ListedProvider> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
    // The two databases sort letters differently.
    list.sort_by_cached_key(|listed| (listed.provider.spec.name.to_lowercase(), listed.provider.id.clone()));
    Ok(list)
}

/// Those in use that serve a model besides its first one.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn further(via: &mut impl Via, model: &str) -> Result<Vec<Provider>, StoreError> {
    let rows: Vec<ProviderColumns> =
        run!(via, fetch_all, sqlx::query_as::<_, ProviderColumns>(FURTHER).bind(model))?;
    rows.into_iter().filter_map(|row| row.read().transpose()).collect()
}

/// Those in use whose credential is stored here.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn with_stored_key(via: &mut impl Via) -> Result<Vec<Provider>, StoreError> {
    let rows: Vec<ProviderColumns> = run!(via, fetch_all, sqlx::query_as::<_, ProviderColumns>(STORED))?;
    rows.into_iter().filter_map(|row| row.read().transpose()).collect()
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

/// What operators decide, from `$3` on in the order of `INSERT` and `UPDATE`.
fn bind_spec<'q, DB>(
    query: Query<'q, DB, DB::Arguments>,
    spec: &'q ProviderSpec,
) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    &'q str: Encode<'q, DB> + Type<DB>,
    String: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
{
    query
        .bind(spec.name.as_str())
        .bind(spec.kind.as_str())
        .bind(spec.base_url.as_str())
        .bind(spec.api_path.as_str())
        .bind(spec.query.as_str())
        .bind(spec.credential_env.as_str())
        .bind(i64::from(spec.stored_key))
        .bind(spec.credential_header.as_str())
        .bind(spec.headers.as_str())
        .bind(OmittedMember::join(&spec.omitted))
        .bind(spec.connect_ms)
        .bind(spec.idle_ms)
        .bind(spec.whole_ms)
        .bind(spec.on_disconnect.as_str())
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
    changed!(tx, bind_spec(sqlx::query(INSERT).bind(provider.id.as_str()).bind(now.ms()), &provider.spec))?;
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
    let rows = changed!(tx, bind_spec(sqlx::query(UPDATE).bind(id.as_str()).bind(version), spec))?;
    Ok(rows == 1)
}

/// Keeps it in use until the transaction ends; says whether it is.
///
/// # Errors
/// When the database cannot be written.
pub async fn lock(tx: &mut Tx, id: &ProviderId) -> Result<bool, StoreError> {
    Ok(changed!(tx, sqlx::query(LOCK).bind(id.as_str()))? == 1)
}

/// Keeps every provider as it is until the transaction ends.
///
/// # Errors
/// When the database cannot be written.
pub async fn lock_all(tx: &mut Tx) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(LOCK_ALL))?;
    Ok(())
}

/// Stores a provider's sealed key, and has it used from now on; says whether the provider is in use.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or provider; otherwise when the database cannot be written.
pub async fn put_key(
    tx: &mut Tx,
    permit: &OperatorPermit,
    id: &ProviderId,
    key: &SealedKey,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditProvider], id.as_str())?;
    if changed!(&mut *tx, sqlx::query(USE_KEY).bind(id.as_str()))? == 0 {
        return Ok(false);
    }
    changed!(
        tx,
        sqlx::query(PUT_KEY)
            .bind(id.as_str())
            .bind(&key.sealed)
            .bind(&key.sealed_with)
            .bind(&key.last_four)
            .bind(now.ms())
    )?;
    Ok(true)
}

/// Replaces what is sealed by the same key sealed anew.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or provider; otherwise when the database cannot be written.
pub async fn reseal(
    tx: &mut Tx,
    permit: &OperatorPermit,
    id: &ProviderId,
    key: &SealedKey,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::EditProvider], id.as_str())?;
    changed!(tx, sqlx::query(RESEAL).bind(id.as_str()).bind(&key.sealed).bind(&key.sealed_with))?;
    Ok(())
}

/// Forgets a provider's stored key.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or provider; otherwise when the database cannot be written.
pub async fn drop_key(tx: &mut Tx, permit: &OperatorPermit, id: &ProviderId) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::EditProvider, Action::RetireProvider], id.as_str())?;
    changed!(tx, sqlx::query(DROP_KEY).bind(id.as_str()))?;
    Ok(())
}

/// Keeps what a test found, in the place of the one before.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or provider; otherwise when the database cannot be written.
pub async fn put_test(
    tx: &mut Tx,
    permit: &OperatorPermit,
    id: &ProviderId,
    test: &ProviderTest,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::TestProvider], id.as_str())?;
    let result = serde_json::to_string(test).unwrap_or_default();
    changed!(tx, sqlx::query(PUT_TEST).bind(id.as_str()).bind(test.at.ms()).bind(result))?;
    Ok(())
}

/// Forgets the test of a connection that is another one now.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or provider; otherwise when the database cannot be written.
pub async fn drop_test(tx: &mut Tx, permit: &OperatorPermit, id: &ProviderId) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::EditProvider], id.as_str())?;
    changed!(tx, sqlx::query(DROP_TEST).bind(id.as_str()))?;
    Ok(())
}

/// Notes that it answered for the first time; says whether it was that.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_connected(tx: &mut Tx, id: &ProviderId, now: Moment) -> Result<bool, StoreError> {
    Ok(changed!(tx, sqlx::query(CONNECTED).bind(id.as_str()).bind(now.ms()))? == 1)
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
