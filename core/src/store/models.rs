//! The catalogue of models and their prices.

use super::{StoreError, Tx, Via, changed, run, statements};
use crate::domain::model::Model;
use crate::domain::moment::Moment;
use crate::domain::money::Money;

statements! {
    LIST = "SELECT id, provider, input_price, output_price, cached_price FROM models
        WHERE retired_at IS NULL ORDER BY provider, id";
    ANY = "SELECT COUNT(*) FROM (SELECT 1 FROM models LIMIT 1) counted";
    UPSERT = "INSERT INTO models (id, provider, input_price, output_price, cached_price, created_at, retired_at)
        VALUES ($1, $2, $3, $4, $5, $6, NULL)
        ON CONFLICT (id) DO UPDATE SET provider = $2, input_price = $3, output_price = $4, cached_price = $5, retired_at = NULL";
    RETIRE = "UPDATE models SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL";
}

/// Those in use, by provider and id.
pub async fn list(via: &mut impl Via) -> Result<Vec<Model>, StoreError> {
    type Row = (String, String, i64, i64, i64);
    let rows: Vec<Row> = run!(via, fetch_all, sqlx::query_as::<_, Row>(LIST))?;
    Ok(rows
        .into_iter()
        .map(|(id, provider, input, output, cached)| Model {
            id,
            provider,
            input_price: Money::from_nanos(input),
            output_price: Money::from_nanos(output),
            cached_price: Money::from_nanos(cached),
        })
        .collect())
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
