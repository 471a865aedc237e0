//! The price book: what each model costs from a moment on. Rows are added and, before they start, withdrawn; what a request
//! was paid at stays as it is.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::ids::PriceId;
use crate::domain::moment::Moment;
use crate::domain::policy::{Action, Authorized, OperatorPermit};
use crate::domain::price::{PastPrice, Price, PriceOrigin};
use crate::domain::tariff::Tariff;

statements! {
    INSERT = "INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// One that has started is not withdrawn.
    WITHDRAW = "UPDATE prices SET withdrawn_at = $3
        WHERE id = $1 AND model_id = $2 AND withdrawn_at IS NULL AND starts_at > $3";
    NEXT_START = "SELECT MIN(starts_at) FROM prices WHERE model_id = $1 AND withdrawn_at IS NULL AND starts_at > $2";
    BY_ID = "SELECT model_id, id AS price_id, starts_at, origin, source, tariff FROM prices WHERE id = $1";
    HISTORY = "SELECT id AS price_id, starts_at, origin, source, tariff, created_at, set_by, withdrawn_at FROM prices
        WHERE model_id = $1 ORDER BY starts_at DESC, created_at DESC";
}

/// The columns of a price, all of them empty where a model has none.
#[derive(sqlx::FromRow)]
pub(super) struct PriceColumns {
    price_id: Option<String>,
    starts_at: Option<i64>,
    origin: Option<String>,
    source: Option<String>,
    tariff: Option<String>,
}

impl PriceColumns {
    /// `None` without a price, and where the price in force says that there is none.
    pub(super) fn read(self) -> Result<Option<Price>, StoreError> {
        let Some(id) = self.price_id.as_deref() else { return Ok(None) };
        let price = read(id, self.starts_at, self.origin, self.source, self.tariff)?;
        Ok(Some(price).filter(|price| !price.tariff.is_empty()))
    }
}

fn read(
    id: &str,
    starts_at: Option<i64>,
    origin: Option<String>,
    source: Option<String>,
    tariff: Option<String>,
) -> Result<Price, StoreError> {
    let unreadable = |column| StoreError::Unreadable { column };
    let tariff = tariff.and_then(|json| serde_json::from_str::<Tariff>(&json).ok());
    let origin = origin.and_then(|origin| PriceOrigin::parse(&origin));
    Ok(Price {
        id: PriceId::parse(id).ok_or(unreadable("prices.id"))?,
        starts_at: starts_at.map(Moment::from_ms).ok_or(unreadable("prices.starts_at"))?,
        origin: origin.ok_or(unreadable("prices.origin"))?,
        source: source.unwrap_or_default(),
        tariff: tariff.ok_or(unreadable("prices.tariff"))?,
    })
}

#[derive(sqlx::FromRow)]
struct PastRow {
    #[sqlx(flatten)]
    price: PriceColumns,
    created_at: i64,
    set_by: String,
    withdrawn_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct OwnedRow {
    model_id: String,
    #[sqlx(flatten)]
    price: PriceColumns,
}

/// A price and the id of its model; `None` when there is no such price.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn by_id(via: &mut impl Via, id: &PriceId) -> Result<Option<(String, Price)>, StoreError> {
    let row: Option<OwnedRow> =
        run!(via, fetch_optional, sqlx::query_as::<_, OwnedRow>(BY_ID).bind(id.as_str()))?;
    let Some(OwnedRow { model_id, price }) = row else { return Ok(None) };
    Ok(price.read()?.map(|price| (model_id, price)))
}

/// When the next price of a model after `at` starts; `None` when there is none.
///
/// # Errors
/// When the database cannot be read.
pub async fn next_start(via: &mut impl Via, model: &str, at: Moment) -> Result<Option<Moment>, StoreError> {
    let next: Option<i64> =
        run!(via, fetch_one, sqlx::query_scalar::<_, Option<i64>>(NEXT_START).bind(model).bind(at.ms()))?;
    Ok(next.map(Moment::from_ms))
}

/// Every price of a model, the last to start first; withdrawn ones too.
///
/// # Errors
/// When the database cannot be read, or `Unreadable` for a value in it.
pub async fn history(via: &mut impl Via, model: &str) -> Result<Vec<PastPrice>, StoreError> {
    let rows: Vec<PastRow> = run!(via, fetch_all, sqlx::query_as::<_, PastRow>(HISTORY).bind(model))?;
    let read_row = |PastRow { price, created_at, set_by, withdrawn_at }: PastRow| {
        let id = price.price_id.unwrap_or_default();
        Ok(PastPrice {
            price: read(&id, price.starts_at, price.origin, price.source, price.tariff)?,
            created_at: Moment::from_ms(created_at),
            set_by,
            withdrawn_at: withdrawn_at.map(Moment::from_ms),
        })
    };
    rows.into_iter().map(read_row).collect()
}

/// Gives a model another price.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; a constraint when another price starts at the same moment;
/// otherwise when the database cannot be written.
pub async fn add(
    tx: &mut Tx,
    permit: &OperatorPermit,
    model: &str,
    price: &Price,
    now: Moment,
) -> Result<(), StoreError> {
    tx.charge(permit, &[Action::SetPrice, Action::AddModel], model)?;
    let tariff = serde_json::to_string(&price.tariff)
        .map_err(|_| StoreError::Unreadable { column: "prices.tariff" })?;
    changed!(
        tx,
        sqlx::query(INSERT)
            .bind(price.id.as_str())
            .bind(model)
            .bind(price.starts_at.ms())
            .bind(price.origin.name())
            .bind(&price.source)
            .bind(&tariff)
            .bind(now.ms())
            .bind(permit.authority().actor().name())
    )?;
    Ok(())
}

/// Withdraws a price; says whether it had not started and was not withdrawn before.
///
/// # Errors
/// `WrongPermit` when the permit is for another action or model; otherwise when the database cannot be written.
pub async fn withdraw(
    tx: &mut Tx,
    permit: &OperatorPermit,
    model: &str,
    id: &PriceId,
    now: Moment,
) -> Result<bool, StoreError> {
    tx.charge(permit, &[Action::WithdrawPrice], model)?;
    Ok(changed!(tx, sqlx::query(WITHDRAW).bind(id.as_str()).bind(model).bind(now.ms()))? == 1)
}
