//! The catalogue of models: the one that comes with the program, and importing another.

use serde::{Deserialize, Serialize};

use super::OpError;
use crate::Desk;
use crate::domain::model::{Model, check_model_id};
use crate::domain::money::Money;
use crate::store::models;

/// Names and list prices in dollars per million tokens, as providers published them in autumn 2026 or as near as is
/// known; meant to be edited.
const SEED: &str = include_str!("../../models.json");

/// One entry of an import file. Prices are dollars for a million tokens, as text, so that none is ever rounded.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    provider: String,
    input: String,
    output: String,
    cached: String,
}

/// # Errors
/// A sentence that says which entry cannot be read and why.
pub fn read(json: &str) -> Result<Vec<Model>, String> {
    let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| {
        format!(
            "The file is not a list of models: line {}, column {}: {error}.",
            error.line(),
            error.column()
        )
    })?;
    entries
        .into_iter()
        .map(|entry| {
            let wrong = |what: &str, why: &dyn std::fmt::Display| format!("{}: {what}: {why}", entry.id);
            check_model_id(&entry.id).map_err(|problem| wrong("id", &problem))?;
            let price = |what: &str, text: &str| Money::parse(text).map_err(|problem| wrong(what, &problem));
            Ok(Model {
                input_price: price("input", &entry.input)?,
                output_price: price("output", &entry.output)?,
                cached_price: price("cached", &entry.cached)?,
                ..Model::unrouted(&entry.id, &entry.provider)
            })
        })
        .collect()
}

/// The form that `read` takes.
pub fn write(list: &[Model]) -> String {
    let entries: Vec<Entry> = list
        .iter()
        .map(|model| Entry {
            id: model.id.clone(),
            provider: model.provider.clone(),
            input: model.input_price.input(),
            output: model.output_price.input(),
            cached: model.cached_price.input(),
        })
        .collect();
    serde_json::to_string_pretty(&entries).unwrap_or_default()
}

/// Adds and updates; with `only`, models that the list does not name are retired.
pub async fn import(desk: &Desk, list: &[Model], only: bool) -> Result<usize, OpError> {
    let now = desk.now();
    let mut tx = desk.db.write().await?;
    for model in list {
        models::put(&mut tx, model, now).await?;
    }
    if only {
        for model in models::list(&mut tx).await? {
            if !list.iter().any(|kept| kept.id == model.id) {
                models::retire(&mut tx, &model.id, now).await?;
            }
        }
    }
    tx.save_unaudited("the catalogue belongs to no organisation").await?;
    Ok(list.len())
}

/// Fills a new database's catalogue with the one that comes with the program.
pub async fn seed(desk: &Desk) -> Result<(), OpError> {
    if !models::any(&mut desk.db.read().await?).await? {
        let list = read(SEED).unwrap_or_default();
        import(desk, &list, false).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_that_comes_with_the_program_reads() {
        let list = read(SEED).unwrap();
        assert!(list.len() >= 12);
        assert_eq!(read(&write(&list)).unwrap(), list);
    }

    #[test]
    fn a_mistake_in_an_import_names_the_entry() {
        let wrong =
            r#"[{"id": "gpt-*", "provider": "OpenAI", "input": "1", "output": "2", "cached": "0.1"}]"#;
        assert!(read(wrong).unwrap_err().starts_with("gpt-*: id:"));
        let unknown = r#"[{"id": "gpt-5", "provider": "OpenAI", "input": "1", "output": "2", "cached": "0.1", "x": 1}]"#;
        assert!(read(unknown).is_err());
    }
}
