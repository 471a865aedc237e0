//! The catalogue of models and their prices.

use super::permit::compare;
use super::prices::PriceColumns;
use super::providers::{ProviderColumns, provider_columns};
use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::failover::FurtherProvider;
use crate::domain::ids::ProviderId;
use crate::domain::meter::Meter;
use crate::domain::model::{KnownModel, Model, demo_echo};
use crate::domain::moment::Moment;
use crate::domain::money::Money;
use crate::domain::policy::{Action, OperatorPermit};
use crate::domain::provider::{Provider, ProviderKind};

/// Of a model `m` and its price `r`.
macro_rules! priced {
    () => {
        "m.id, m.provider, m.provider_id, m.upstream_name, m.default_output_tokens, m.context_tokens, m.max_output_tokens,
            (SELECT w.weight FROM models w WHERE w.id = m.id) AS weight,
            (SELECT string_agg(f.provider_id || ' ' || f.weight || ' ' || f.upstream_name, ',' ORDER BY f.weight DESC, f.provider_id)
                FROM model_providers f WHERE f.model_id = m.id) AS further,
            r.id AS price_id, r.starts_at, r.origin, r.source, r.tariff"
    };
}

/// The price that is in force at the moment which is the parameter.
macro_rules! at_price {
    ($at:literal) => {
        concat!(
            " LEFT JOIN prices r ON r.id = (SELECT id FROM prices WHERE model_id = m.id AND withdrawn_at IS NULL
                AND starts_at <= ",
            $at,
            " ORDER BY starts_at DESC LIMIT 1)"
        )
    };
}

/// A provider `p` that has answered and serves a model, as its first provider or as a further one.
macro_rules! really_serves {
    () => {
        "p.retired_at IS NULL AND p.connected_at IS NOT NULL
            AND (EXISTS (SELECT 1 FROM models m WHERE m.provider_id = p.id AND m.retired_at IS NULL)
                OR EXISTS (SELECT 1 FROM model_providers f WHERE f.provider_id = p.id))"
    };
}
pub(super) use really_serves;

statements! {
    KNOWN = concat!("SELECT ", priced!(), ", m.version, p.name AS served_by
        FROM models m LEFT JOIN providers p ON p.id = m.provider_id", at_price!("$1"),
        " WHERE m.retired_at IS NULL ORDER BY m.provider, m.id");
    FIND = concat!("SELECT ", priced!(), ", m.version, p.name AS served_by
        FROM models m LEFT JOIN providers p ON p.id = m.provider_id", at_price!("$2"),
        " WHERE m.retired_at IS NULL AND m.id = $1");
    LIST = concat!("SELECT ", priced!(), " FROM models m", at_price!("$1"),
        " WHERE m.retired_at IS NULL ORDER BY m.provider, m.id");
    SERVED = concat!("SELECT ", priced!(), ", ", provider_columns!(), " FROM gateway_models_v1 m
        LEFT JOIN providers p ON p.id = m.provider_id LEFT JOIN provider_keys s ON s.provider_id = p.id", at_price!("$2"),
        " WHERE m.id = $1");
    PRICED = concat!("SELECT ", priced!(), " FROM models m", at_price!("$2"), " WHERE m.id = $1");
    ANY = "SELECT COUNT(*) FROM (SELECT 1 FROM models LIMIT 1) counted";
    ANY_SERVED = concat!("SELECT COUNT(*) FROM (SELECT 1 FROM providers p WHERE ", really_serves!(), " LIMIT 1) counted");
    UPSERT = "INSERT INTO models (id, provider, created_at, retired_at, provider_id, upstream_name, default_output_tokens,
            context_tokens, max_output_tokens, weight)
        VALUES ($1, $2, $3, NULL, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (id) DO UPDATE SET provider = $2, retired_at = NULL, provider_id = $4, upstream_name = $5,
            default_output_tokens = $6, context_tokens = $7, max_output_tokens = $8, weight = $9, version = models.version + 1";
    /// The version stands in the condition: of two changes from one version, one changes no row.
    UPDATE = "UPDATE models SET provider = $3, provider_id = $4, upstream_name = $5, default_output_tokens = $6,
            context_tokens = $7, max_output_tokens = $8, weight = $9, version = version + 1
        WHERE id = $1 AND version = $2 AND retired_at IS NULL";
    TOUCH = "UPDATE models SET version = version + 1 WHERE id = $1 AND version = $2 AND retired_at IS NULL";
    LOCK_ALL = "UPDATE models SET version = version";
    /// A further provider that becomes the first one keeps its name of the model and its share.
    ROUTE = "UPDATE models SET provider_id = $2, version = version + 1,
            upstream_name = COALESCE((SELECT f.upstream_name FROM model_providers f WHERE f.model_id = models.id AND f.provider_id = $2), upstream_name),
            weight = COALESCE((SELECT f.weight FROM model_providers f WHERE f.model_id = models.id AND f.provider_id = $2), weight)
        WHERE id = $1 AND retired_at IS NULL AND COALESCE(provider_id, '') = $3";
    UNROUTE_ALL = "UPDATE models SET provider_id = NULL, version = version + 1 WHERE provider_id = $1";
    ADD_FURTHER = "INSERT INTO model_providers (model_id, provider_id, weight, upstream_name) VALUES ($1, $2, $3, $4)";
    DELETE_FURTHER = "DELETE FROM model_providers WHERE model_id = $1";
    DELETE_PROVIDER = "DELETE FROM model_providers WHERE provider_id = $1";
    TOUCH_FURTHER = "UPDATE models SET version = version + 1 WHERE id IN (SELECT f.model_id FROM model_providers f WHERE f.provider_id = $1)";
    /// The further provider with the largest share becomes the first one, where there is none.
    PROMOTE = "UPDATE models SET
            upstream_name = (SELECT f.upstream_name FROM model_providers f WHERE f.model_id = models.id ORDER BY f.weight DESC, f.provider_id LIMIT 1),
            weight = (SELECT f.weight FROM model_providers f WHERE f.model_id = models.id ORDER BY f.weight DESC, f.provider_id LIMIT 1),
            provider_id = (SELECT f.provider_id FROM model_providers f WHERE f.model_id = models.id ORDER BY f.weight DESC, f.provider_id LIMIT 1)
        WHERE provider_id IS NULL AND retired_at IS NULL AND EXISTS (SELECT 1 FROM model_providers f WHERE f.model_id = models.id)";
    /// The first provider is not a further one.
    TIDY = "DELETE FROM model_providers WHERE EXISTS (SELECT 1 FROM models m
        WHERE m.id = model_providers.model_id AND m.provider_id = model_providers.provider_id)";
    /// A model that comes back is routed again.
    RETIRE = "UPDATE models SET retired_at = $2, provider_id = NULL, version = version + 1
        WHERE id = $1 AND retired_at IS NULL";
    ROUTED = concat!("SELECT ", priced!(), ", m.kind FROM gateway_models_v1 m", at_price!("$1"), " WHERE m.kind IS NOT NULL");
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    id: String,
    provider: String,
    provider_id: Option<String>,
    upstream_name: String,
    weight: i64,
    further: Option<String>,
    default_output_tokens: i64,
    context_tokens: Option<i64>,
    max_output_tokens: Option<i64>,
    #[sqlx(flatten)]
    price: PriceColumns,
}

fn read(row: ModelRow) -> Result<Model, StoreError> {
    let route = row
        .provider_id
        .map(|id| ProviderId::parse(&id).ok_or(StoreError::Unreadable { column: "models.provider_id" }));
    Ok(Model {
        id: row.id,
        provider: row.provider,
        price: row.price.read()?,
        route: route.transpose()?,
        upstream_name: row.upstream_name,
        weight: row.weight,
        further: read_further(row.further.as_deref().unwrap_or_default())?,
        default_output_tokens: row.default_output_tokens,
        context_tokens: row.context_tokens,
        max_output_tokens: row.max_output_tokens,
    })
}

/// `prov_1 2 name,prov_2 0 `: no id and no name contains a space or a comma.
fn read_further(text: &str) -> Result<Vec<FurtherProvider>, StoreError> {
    let read = |one: &str| {
        let mut parts = one.split(' ');
        let id = ProviderId::parse(parts.next()?)?;
        let weight = parts.next()?.parse().ok()?;
        Some(FurtherProvider { id, weight, upstream_name: parts.next().unwrap_or_default().to_owned() })
    };
    let all = text.split(',').filter(|one| !one.is_empty());
    all.map(|one| read(one).ok_or(StoreError::Unreadable { column: "model_providers" })).collect()
}

/// Replaces the further providers of a model. A first provider that is missing is made of them.
async fn set_further(tx: &mut Tx, model: &Model) -> Result<(), StoreError> {
    changed!(&mut *tx, sqlx::query(DELETE_FURTHER).bind(&model.id))?;
    for one in &model.further {
        changed!(
            &mut *tx,
            sqlx::query(ADD_FURTHER)
                .bind(&model.id)
                .bind(one.id.as_str())
                .bind(one.weight)
                .bind(&one.upstream_name)
        )?;
    }
    settle_first(tx).await
}

/// Every model with further providers has a first one, which is none of them.
async fn settle_first(tx: &mut Tx) -> Result<(), StoreError> {
    changed!(&mut *tx, sqlx::query(PROMOTE))?;
    changed!(tx, sqlx::query(TIDY))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct KnownRow {
    #[sqlx(flatten)]
    model: ModelRow,
    version: i64,
    served_by: Option<String>,
}

fn read_known(row: KnownRow) -> Result<KnownModel, StoreError> {
    Ok(KnownModel { model: read(row.model)?, version: row.version, served_by: row.served_by })
}

/// Those in use with who serves each, by vendor and id.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list_known(via: &mut impl Via, now: Moment) -> Result<Vec<KnownModel>, StoreError> {
    let rows: Vec<KnownRow> = run!(via, fetch_all, sqlx::query_as::<_, KnownRow>(KNOWN).bind(now.ms()))?;
    rows.into_iter().map(read_known).collect()
}

/// One in use.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn find(via: &mut impl Via, id: &str, now: Moment) -> Result<Option<KnownModel>, StoreError> {
    let row: Option<KnownRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, KnownRow>(FIND).bind(id).bind(now.ms()))?;
    row.map(read_known).transpose()
}

/// Those in use, by provider and id.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn list(via: &mut impl Via, now: Moment) -> Result<Vec<Model>, StoreError> {
    let rows: Vec<ModelRow> = run!(via, fetch_all, sqlx::query_as::<_, ModelRow>(LIST).bind(now.ms()))?;
    rows.into_iter().map(read).collect()
}

/// One with the price at `at`, in use or retired: a request that was let in before is paid all the same.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn priced(via: &mut impl Via, id: &str, at: Moment) -> Result<Option<Model>, StoreError> {
    let row: Option<ModelRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, ModelRow>(PRICED).bind(id).bind(at.ms()))?;
    row.map(read).transpose()
}

#[derive(sqlx::FromRow)]
struct ServedRow {
    #[sqlx(flatten)]
    model: ModelRow,
    #[sqlx(flatten)]
    provider: ProviderColumns,
}

/// A model in use and who serves it, as a gateway asks; `None` beside it when no one does.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn served(
    via: &mut impl Via,
    id: &str,
    now: Moment,
) -> Result<Option<(Model, Option<Provider>)>, StoreError> {
    let row: Option<ServedRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, ServedRow>(SERVED).bind(id).bind(now.ms()))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((read(row.model)?, row.provider.read()?)))
}

/// Whether a provider that has answered serves a model, so that no demonstration is needed.
///
/// # Errors
/// When the database cannot be read.
pub async fn any_served(via: &mut impl Via) -> Result<bool, StoreError> {
    let count: i64 = run!(via, fetch_one, sqlx::query_scalar::<_, i64>(ANY_SERVED))?;
    Ok(count > 0)
}

/// Whether there ever was a catalogue, be it emptied since.
///
/// # Errors
/// When the database cannot be read.
pub async fn any(via: &mut impl Via) -> Result<bool, StoreError> {
    let count: i64 = run!(via, fetch_one, sqlx::query_scalar::<_, i64>(ANY))?;
    Ok(count > 0)
}

/// Adds a model, or sets all of an existing one but its price, and takes it back into use.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; otherwise when the database cannot be written.
pub async fn put(tx: &mut Tx, permit: &OperatorPermit, model: &Model, now: Moment) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::AddModel, Action::EditModel], &model.id)?;
    changed!(
        &mut *tx,
        sqlx::query(UPSERT)
            .bind(&model.id)
            .bind(&model.provider)
            .bind(now.ms())
            .bind(model.route.as_ref().map(ProviderId::as_str))
            .bind(&model.upstream_name)
            .bind(model.default_output_tokens)
            .bind(model.context_tokens)
            .bind(model.max_output_tokens)
            .bind(model.weight)
    )?;
    set_further(tx, model).await
}

/// Writes it, except for its price, if no one changed it since `version`; says whether it was still at it.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; otherwise when the database cannot be written.
pub async fn update(
    tx: &mut Tx,
    permit: &OperatorPermit,
    version: i64,
    model: &Model,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::EditModel], &model.id)?;
    let rows = changed!(
        &mut *tx,
        sqlx::query(UPDATE)
            .bind(&model.id)
            .bind(version)
            .bind(&model.provider)
            .bind(model.route.as_ref().map(ProviderId::as_str))
            .bind(&model.upstream_name)
            .bind(model.default_output_tokens)
            .bind(model.context_tokens)
            .bind(model.max_output_tokens)
            .bind(model.weight)
    )?;
    if rows == 1 {
        set_further(tx, model).await?;
    }
    Ok(rows == 1)
}

/// Counts a change of a model that is in none of its columns; says whether it was still at `version`.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; otherwise when the database cannot be written.
pub async fn touch(tx: &mut Tx, permit: &OperatorPermit, id: &str, version: i64) -> Result<bool, StoreError> {
    compare(permit, &[Action::SetPrice], Some(id))?;
    Ok(changed!(tx, sqlx::query(TOUCH).bind(id).bind(version))? == 1)
}

/// Locks every model until the transaction ends, so that what is read of them stays so.
///
/// # Errors
/// When the database cannot be written.
pub async fn lock_all(tx: &mut Tx) -> Result<(), StoreError> {
    changed!(tx, sqlx::query(LOCK_ALL))?;
    Ok(())
}

/// No other than its first provider serves a model.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; otherwise when the database cannot be written.
pub async fn drop_further(tx: &mut Tx, permit: &OperatorPermit, id: &str) -> Result<(), StoreError> {
    compare(permit, &[Action::RouteModel], Some(id))?;
    changed!(tx, sqlx::query(DELETE_FURTHER).bind(id))?;
    Ok(())
}

/// Routes a model from one provider, or from none, to another, or to none; says whether it was routed so. Of its further
/// providers one becomes the first, where it is routed to none.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; otherwise when the database cannot be written.
pub async fn route(
    tx: &mut Tx,
    permit: &OperatorPermit,
    id: &str,
    from: Option<&ProviderId>,
    to: Option<&ProviderId>,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RouteModel], id)?;
    let (from, to) = (from.map_or("", ProviderId::as_str), to.map(ProviderId::as_str));
    let rows = changed!(&mut *tx, sqlx::query(ROUTE).bind(id).bind(to).bind(from))?;
    settle_first(tx).await?;
    Ok(rows == 1)
}

/// This provider serves nothing more. What others serve too, one of them serves first.
///
/// # Errors
/// `WrongPermit` when the permit is not for retiring this provider; otherwise when the database cannot be written.
pub async fn unroute_all(tx: &mut Tx, permit: &OperatorPermit, from: &ProviderId) -> Result<(), StoreError> {
    compare(permit, &[Action::RetireProvider], Some(from.as_str()))?;
    changed!(&mut *tx, sqlx::query(TOUCH_FURTHER).bind(from.as_str()))?;
    changed!(&mut *tx, sqlx::query(DELETE_PROVIDER).bind(from.as_str()))?;
    changed!(&mut *tx, sqlx::query(UNROUTE_ALL).bind(from.as_str()))?;
    settle_first(tx).await
}

/// Takes a model out of the catalogue; usage rows that name it stay as they are.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; otherwise when the database cannot be written.
pub async fn retire(tx: &mut Tx, permit: &OperatorPermit, id: &str, now: Moment) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::RetireModel], id)?;
    changed!(&mut *tx, sqlx::query(DELETE_FURTHER).bind(id))?;
    Ok(changed!(tx, sqlx::query(RETIRE).bind(id).bind(now.ms()))? == 1)
}

/// What keys can be scoped to: the catalogue, and while no model is really served the demonstration, last.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn offered(via: &mut impl Via, now: Moment) -> Result<Vec<Model>, StoreError> {
    let mut models = list(via, now).await?;
    if !any_served(via).await? {
        models.push(demo_echo());
    }
    Ok(models)
}

#[derive(sqlx::FromRow)]
struct RoutedRow {
    #[sqlx(flatten)]
    model: ModelRow,
    kind: String,
}

/// Those that are served, by id and protocol: the cheapest first, and last those that have no price for output.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn routed(via: &mut impl Via, now: Moment) -> Result<Vec<(String, ProviderKind)>, StoreError> {
    let rows: Vec<RoutedRow> = run!(via, fetch_all, sqlx::query_as::<_, RoutedRow>(ROUTED).bind(now.ms()))?;
    let read_row = |row: RoutedRow| {
        let kind = ProviderKind::parse(&row.kind);
        Ok((read(row.model)?, kind.ok_or(StoreError::Unreadable { column: "providers.kind" })?))
    };
    let mut routed = rows.into_iter().map(read_row).collect::<Result<Vec<_>, StoreError>>()?;
    routed.sort_by_cached_key(|(model, _)| {
        let output = model.rate(Meter::Output).unwrap_or_default();
        (output == Money::ZERO, output, model.id.clone())
    });
    Ok(routed.into_iter().map(|(model, kind)| (model.id, kind)).collect())
}
