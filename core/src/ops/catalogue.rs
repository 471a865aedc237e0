//! The catalogue of models as a whole: the one that comes with the program, and importing another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OpError;
use super::models::{model_event, must_be_there};
use super::providers::{named, names_of, unknown};
use crate::Desk;
use crate::domain::audit::{Event, EventKind};
use crate::domain::catalogue;
use crate::domain::imported;
use crate::domain::meter::Meter;
use crate::domain::model::{KnownModel, Model};
use crate::domain::policy::{Action, OperatorPermit};
use crate::domain::price::Price;
use crate::store::models;

/// One entry of the list that `write` makes. Prices are dollars for a million tokens, as text, so that none is ever rounded.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    /// Whose model it is.
    provider: String,
    input: String,
    output: String,
    cached: String,
    /// The name of the provider that serves it, or empty quotes when not served. Not there: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// What that provider calls it. Not there: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    /// Output tokens reserved for a request that sets no maximum. Not there: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_output_tokens: Option<i64>,
}

/// A model as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Without a route.
    pub model: Model,
    /// What the file says about its route: a provider's name, or nothing when not served.
    pub route: Option<String>,
    /// Whether the file says what its provider calls it.
    pub sets_upstream: bool,
    /// Whether the file says how many output tokens are reserved for a request that sets no maximum.
    pub sets_default_output: bool,
}

/// The models of a file in one of the forms that `domain::catalogue` reads.
///
/// # Errors
/// A sentence that says what cannot be read and why.
pub fn read(text: &str) -> Result<Vec<Imported>, String> {
    let file = catalogue::read(text).map_err(|error| error.to_string())?;
    Ok(file.models.into_iter().map(from_file).collect())
}

/// A model of a file.
pub fn from_file(file: imported::Imported) -> Imported {
    let (sets_upstream, sets_default_output) =
        (file.upstream.is_some(), file.default_output_tokens.is_some());
    let mut model =
        Model { price: file.tariff.map(Price::unrecorded), ..Model::unrouted(&file.id, &file.vendor) };
    model.upstream_name = file.upstream.unwrap_or_default();
    if let Some(default_output_tokens) = file.default_output_tokens {
        model.default_output_tokens = default_output_tokens;
    }
    Imported { model, route: file.route, sets_upstream, sets_default_output }
}

/// The form that `read` takes.
pub fn write(list: &[KnownModel]) -> String {
    let entries: Vec<Entry> = list
        .iter()
        .map(|KnownModel { model, served_by, .. }| Entry {
            id: model.id.clone(),
            provider: model.provider.clone(),
            input: model.rate(Meter::Input).unwrap_or_default().input(),
            output: model.rate(Meter::Output).unwrap_or_default().input(),
            cached: model.rate(Meter::CachedInput).unwrap_or_default().input(),
            route: served_by.clone(),
            upstream: (!model.upstream_name.is_empty()).then(|| model.upstream_name.clone()),
            default_output_tokens: Some(model.default_output_tokens),
        })
        .collect();
    serde_json::to_string_pretty(&entries).unwrap_or_default()
}

/// Adds and updates, all or nothing; with `only`, models that the list does not name are retired. What the list does not
/// say about a model in use stays as it is.
///
/// # Errors
/// `Conflict` with a sentence when an entry names a provider that is not there.
pub async fn import(desk: &Desk, list: &[Imported], only: bool) -> Result<usize, OpError> {
    let now = desk.now();
    let program = |action, id: &str| OperatorPermit::program(action, id, "command line");
    let mut tx = desk.db.write().await?;
    let there = models::list(&mut tx).await?;
    let there: BTreeMap<&str, &Model> = there.iter().map(|model| (model.id.as_str(), model)).collect();
    let (mut events, names) = (Vec::new(), names_of(&mut tx).await?);
    for Imported { model, route, sets_upstream, sets_default_output } in list {
        let mut model = model.clone();
        if let Some(known) = there.get(model.id.as_str()) {
            model.route.clone_from(&known.route);
            if !sets_upstream {
                model.upstream_name.clone_from(&known.upstream_name);
            }
            if !sets_default_output {
                model.default_output_tokens = known.default_output_tokens;
            }
        }
        match route.as_deref() {
            None => {}
            Some("") => model.route = None,
            Some(name) => match named(&mut tx, name).await? {
                Some(listed) => {
                    must_be_there(&mut tx, Some(&listed.provider.id)).await?;
                    model.route = Some(listed.provider.id);
                }
                None => return Err(unknown_in(&model.id, unknown(&mut tx, name).await?)),
            },
        }
        let known = there.get(model.id.as_str()).copied();
        if known == Some(&model) {
            continue;
        }
        let (action, kind) = match known {
            Some(_) => (Action::EditModel, EventKind::ModelEdited),
            None => (Action::AddModel, EventKind::ModelAdded),
        };
        let permit = program(action, &model.id);
        models::put(&mut tx, &permit, &model, now).await?;
        events.push((permit, model_event(kind, known, &model, &names)));
    }
    if only {
        for id in there.keys().filter(|id| !list.iter().any(|kept| kept.model.id == **id)) {
            let permit = program(Action::RetireModel, id);
            models::retire(&mut tx, &permit, id, now).await?;
            events.push((permit, Event::new(EventKind::ModelRetired, *id, *id)));
        }
    }
    tx.save_all(events, now).await?;
    Ok(list.len())
}

fn unknown_in(model: &str, error: OpError) -> OpError {
    match error {
        OpError::Conflict(sentence) => {
            OpError::Conflict(format!("{model}: route: {sentence} Nothing was imported."))
        }
        other => other,
    }
}

/// Fills a new database's catalogue with the one that comes with the program.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn seed(desk: &Desk) -> Result<(), OpError> {
    if !models::any(&mut desk.db.read().await?).await? {
        let list = read(catalogue::SHIPPED).map_err(OpError::Conflict)?;
        import(desk, &list, false).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_that_comes_with_the_program_reads() {
        let list = read(catalogue::SHIPPED).unwrap();
        assert!(list.len() >= 12);
        let known: Vec<_> = list
            .iter()
            .map(|entry| KnownModel { model: entry.model.clone(), version: 1, served_by: None })
            .collect();
        let again: Vec<_> = read(&write(&known)).unwrap().into_iter().map(|entry| entry.model).collect();
        assert_eq!(again, list.into_iter().map(|entry| entry.model).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_may_say_who_serves_a_model_and_under_which_name() {
        let file = r#"[{"id": "a/b", "provider": "Meta", "input": "1", "output": "2", "cached": "0.1",
            "route": "Fireworks", "upstream": "accounts/x/b", "default_output_tokens": 4000}]"#;
        let [entry] = &read(file).unwrap()[..] else { panic!("one entry") };
        assert_eq!(
            (entry.route.as_deref(), entry.sets_upstream, entry.sets_default_output),
            (Some("Fireworks"), true, true)
        );
        assert_eq!((entry.model.name_upstream(), entry.model.default_output_tokens), ("accounts/x/b", 4_000));
        let known =
            KnownModel { model: entry.model.clone(), version: 1, served_by: Some("Fireworks".into()) };
        assert_eq!(&read(&write(&[known])).unwrap()[0], entry);
    }

    #[test]
    fn a_mistake_in_an_import_names_the_entry() {
        let entry = |id: &str, more: &str| {
            read(&format!(
                r#"[{{"id": "{id}", "provider": "OpenAI", "input": "1", "output": "2", "cached": "0.1"{more}}}]"#
            ))
        };
        assert!(entry("gpt-*", "").unwrap_err().starts_with("gpt-*: id:"));
        assert!(
            entry("gpt-5", r#", "default_output_tokens": 0"#)
                .unwrap_err()
                .starts_with("gpt-5: default_output_tokens:")
        );
        assert!(entry("gpt-5", r#", "upstream": "a b""#).unwrap_err().starts_with("gpt-5: upstream:"));
        assert!(entry("gpt-5", r#", "x": 1"#).is_err());
        assert!(entry("gpt-5", "").is_ok());
    }
}
