//! The catalogue of models and their prices.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::ProviderId;
use crate::domain::model::{Model, demo_echo};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::provider::{Provider, ProviderKind};

statements! {
    LIST = "SELECT id, provider, input_price, output_price, cached_price, provider_id, upstream_name, output_held FROM models
        WHERE retired_at IS NULL ORDER BY provider, id";
    SERVED = "SELECT id, provider, input_price, output_price, cached_price, provider_id, upstream_name, output_held,
            provider_name, kind, base_url, credential_env, connect_ms, idle_ms, whole_ms
        FROM gateway_models_v1 WHERE id = $1";
    ANY_PROVIDER = "SELECT COUNT(*) FROM (SELECT 1 FROM providers WHERE retired_at IS NULL LIMIT 1) counted";
    ANY = "SELECT COUNT(*) FROM (SELECT 1 FROM models LIMIT 1) counted";
    UPSERT = "INSERT INTO models (id, provider, input_price, output_price, cached_price, created_at, retired_at)
        VALUES ($1, $2, $3, $4, $5, $6, NULL)
        ON CONFLICT (id) DO UPDATE SET provider = $2, input_price = $3, output_price = $4, cached_price = $5, retired_at = NULL";
    RETIRE = "UPDATE models SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL";
    ROUTED = "SELECT id, kind FROM gateway_models_v1 WHERE kind IS NOT NULL
        ORDER BY CASE WHEN output_price = 0 THEN 1 ELSE 0 END, output_price, id";
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    id: String,
    provider: String,
    input_price: i64,
    output_price: i64,
    cached_price: i64,
    provider_id: Option<String>,
    upstream_name: String,
    output_held: i64,
}

fn read(row: ModelRow) -> Result<Model, StoreError> {
    let route = row
        .provider_id
        .map(|id| ProviderId::parse(&id).ok_or(StoreError::Unreadable { column: "models.provider_id" }));
    Ok(Model {
        id: row.id,
        provider: row.provider,
        input_price: Money::from_nanos(row.input_price),
        output_price: Money::from_nanos(row.output_price),
        cached_price: Money::from_nanos(row.cached_price),
        route: route.transpose()?,
        upstream_name: row.upstream_name,
        output_held: row.output_held,
    })
}

/// Those in use, by provider and id.
pub async fn list(via: &mut impl Via) -> Result<Vec<Model>, StoreError> {
    let rows: Vec<ModelRow> = run!(via, fetch_all, sqlx::query_as::<_, ModelRow>(LIST))?;
    rows.into_iter().map(read).collect()
}

#[derive(sqlx::FromRow)]
struct ServedRow {
    #[sqlx(flatten)]
    model: ModelRow,
    provider_name: Option<String>,
    kind: Option<String>,
    base_url: Option<String>,
    credential_env: Option<String>,
    connect_ms: Option<i64>,
    idle_ms: Option<i64>,
    whole_ms: Option<i64>,
}

/// A model in use and who serves it, as a gateway asks; `None` beside it when nobody does.
pub async fn served(via: &mut impl Via, id: &str) -> Result<Option<(Model, Option<Provider>)>, StoreError> {
    let row: Option<ServedRow> = run!(via, fetch_optional, sqlx::query_as::<_, ServedRow>(SERVED).bind(id))?;
    let Some(row) = row else { return Ok(None) };
    let model = read(row.model)?;
    let Some(id) = model.route.clone() else { return Ok(Some((model, None))) };
    let missing = || StoreError::Unreadable { column: "providers" };
    let provider = Provider {
        id,
        name: row.provider_name.ok_or_else(missing)?,
        kind: row.kind.as_deref().and_then(ProviderKind::parse).ok_or_else(missing)?,
        base_url: row.base_url.ok_or_else(missing)?,
        credential_env: row.credential_env.ok_or_else(missing)?,
        connect_ms: row.connect_ms.ok_or_else(missing)?,
        idle_ms: row.idle_ms.ok_or_else(missing)?,
        whole_ms: row.whole_ms.ok_or_else(missing)?,
    };
    Ok(Some((model, Some(provider))))
}

/// Whether models are served anywhere at all: without a provider, the demonstration answers.
pub async fn any_provider(via: &mut impl Via) -> Result<bool, StoreError> {
    let count: i64 = run!(via, fetch_one, sqlx::query_scalar::<_, i64>(ANY_PROVIDER))?;
    Ok(count > 0)
}

/// Whether there ever was a catalogue, be it emptied since.
pub async fn any(via: &mut impl Via) -> Result<bool, StoreError> {
    let count: i64 = run!(via, fetch_one, sqlx::query_scalar::<_, i64>(ANY))?;
    Ok(count > 0)
}

/// Adds a model, or sets an existing one's provider and prices and takes it back into use.
pub async fn put(tx: &mut Tx, model: &Model, now: Moment) -> Result<(), StoreError> {
    changed!(
        tx,
        sqlx::query(UPSERT)
            .bind(&model.id)
            .bind(&model.provider)
            .bind(model.input_price.nanos())
            .bind(model.output_price.nanos())
            .bind(model.cached_price.nanos())
            .bind(now.ms())
    )?;
    Ok(())
}

/// Takes a model out of the catalogue; usage rows that name it stay as they are.
pub async fn retire(tx: &mut Tx, id: &str, now: Moment) -> Result<bool, StoreError> {
    Ok(changed!(tx, sqlx::query(RETIRE).bind(id).bind(now.ms()))? == 1)
}

/// What keys can be scoped to: the catalogue, and while nothing is served anywhere the demonstration, last.
pub async fn offered(via: &mut impl Via) -> Result<Vec<Model>, StoreError> {
    let mut models = list(via).await?;
    if !any_provider(via).await? {
        models.push(demo_echo());
    }
    Ok(models)
}

/// Those that are served, by id and protocol: the cheapest first, and last those that have no price for output.
pub async fn routed(via: &mut impl Via) -> Result<Vec<(String, ProviderKind)>, StoreError> {
    let rows: Vec<(String, String)> = run!(via, fetch_all, sqlx::query_as::<_, (String, String)>(ROUTED))?;
    let kind =
        |kind: &str| ProviderKind::parse(kind).ok_or(StoreError::Unreadable { column: "providers.kind" });
    rows.into_iter().map(|(id, word)| Ok((id, kind(&word)?))).collect()
}
