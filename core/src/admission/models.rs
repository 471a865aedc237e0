//! Which model a request may go to, and who serves it.

use std::collections::BTreeMap;

use super::AuthContext;
use crate::Desk;
use crate::domain::api_error::NoTarget;
use crate::domain::failover::FurtherProvider;
use crate::domain::ids::ProviderId;
use crate::domain::model::{DEMO_ECHO, Model, catalogue_name, demo_echo};
use crate::domain::moment::Moment;
use crate::domain::provider::{Provider, ProviderKind};
use crate::domain::route::Route;
use crate::store::{StoreError, Unaudited, models, prices, providers};

/// Who answers a request.
pub enum Target {
    /// The demonstration model of an installation whose models no provider serves yet.
    Demonstration,
    /// The provider that the model is routed to.
    Provider(Box<Provider>),
}

/// What the catalogue says about a model's id.
pub enum ModelLookup {
    /// Not in the catalogue, or retired.
    Unknown,
    /// In the catalogue, but no provider serves it.
    Unrouted(Box<Model>),
    /// Served, by a provider or by the demonstration.
    Routed(Box<Model>, Target),
}

impl ModelLookup {
    /// The model and its target on a route. The demonstration speaks every protocol.
    ///
    /// # Errors
    /// Why a request on this route goes to no provider.
    pub fn for_route(self, route: Route) -> Result<(Model, Target), NoTarget> {
        match self {
            ModelLookup::Unknown => Err(NoTarget::UnknownModel),
            ModelLookup::Unrouted(_) => Err(NoTarget::NotServed),
            ModelLookup::Routed(_, Target::Provider(provider)) if provider.spec.kind != route.kind() => {
                Err(NoTarget::OtherProtocol(provider.spec.kind))
            }
            ModelLookup::Routed(model, target) => Ok((*model, target)),
        }
    }
}

/// Looks a model up by the name that a client sends. It does not check the key's scope: call `AuthContext::admit_model` first.
///
/// # Errors
/// When the database cannot be read.
pub async fn look_up_model(desk: &Desk, sent: &str) -> Result<ModelLookup, StoreError> {
    let (id, now) = (catalogue_name(sent), desk.now());
    let (lease, kept) = (desk.lease(), &desk.key_cache.served);
    let routed = |(model, provider): &(Model, Provider)| {
        ModelLookup::Routed(Box::new(model.clone()), Target::Provider(Box::new(provider.clone())))
    };
    if let Some(found) = kept.get(&lease, id, Some(now)) {
        return Ok(routed(&found));
    }
    let seen = lease.seen();
    let mut read = desk.db.read().await?;
    Ok(match models::served(&mut read, id, now).await? {
        Some((model, Some(provider))) => {
            let until = prices::next_start(&mut read, id, now).await?;
            let found = (model, provider);
            routed(&kept.put_for(&lease, id.to_owned(), found, seen, Some(now), until))
        }
        _ if id == DEMO_ECHO && !models::any_served(&mut read).await? => {
            ModelLookup::Routed(Box::new(demo_echo()), Target::Demonstration)
        }
        Some((model, None)) => ModelLookup::Unrouted(Box::new(model)),
        None => ModelLookup::Unknown,
    })
}

/// Notes that a provider answered a client for the first time.
///
/// # Errors
/// When the database cannot be written.
pub async fn note_answer(desk: &Desk, provider: &ProviderId) -> Result<(), StoreError> {
    let mut tx = desk.db.write().await?;
    providers::mark_connected(&mut tx, provider, desk.now()).await?;
    tx.save_unaudited(Unaudited::ProviderAnswered).await
}

/// Who serves a model besides its first provider and speaks this protocol, with its share and its name of the model; in the
/// order of the model's.
///
/// # Errors
/// When the database cannot be read.
pub async fn further_providers(
    desk: &Desk,
    model: &Model,
    protocol: ProviderKind,
) -> Result<Vec<(Provider, FurtherProvider)>, StoreError> {
    if model.further.is_empty() {
        return Ok(Vec::new());
    }
    let (lease, kept) = (desk.lease(), &desk.key_cache.further);
    let found = match kept.get(&lease, model.id.as_str(), None) {
        Some(found) => found,
        None => {
            let seen = lease.seen();
            let found = providers::further(&mut desk.db.read().await?, &model.id).await?;
            kept.put(&lease, model.id.clone(), found, seen)
        }
    };
    let with_provider = |one: &FurtherProvider| {
        let provider =
            found.iter().find(|provider| provider.id == one.id && provider.spec.kind == protocol)?;
        Some((provider.clone(), one.clone()))
    };
    Ok(model.further.iter().filter_map(with_provider).collect())
}

/// The model with the price that was in force at a moment, also when it is retired. The demonstration model and a proxy's
/// placeholder are in no catalogue; the latter costs nothing.
///
/// # Errors
/// When the database cannot be read.
pub async fn priced_model(desk: &Desk, sent: &str, at: Moment) -> Result<Model, StoreError> {
    let id = catalogue_name(sent);
    let (lease, kept) = (desk.lease(), &desk.key_cache.priced);
    if let Some(model) = kept.get(&lease, id, Some(at)) {
        return Ok(Model::clone(&model));
    }
    let seen = lease.seen();
    let mut read = desk.db.read().await?;
    let Some(model) = models::priced(&mut read, id, at).await? else {
        return Ok(if id == DEMO_ECHO { demo_echo() } else { Model::unrouted(id, "") });
    };
    let from = model.price.as_ref().map_or(at, |price| price.starts_at);
    let until = prices::next_start(&mut read, id, at).await?;
    Ok(Model::clone(&kept.put_for(&lease, id.to_owned(), model, seen, Some(from), until)))
}

/// The catalogue's models in the scope of this request's key.
///
/// # Errors
/// When the database cannot be read.
pub async fn models_in_scope(desk: &Desk, context: &AuthContext) -> Result<Vec<Model>, StoreError> {
    let mut list = models::offered(&mut desk.db.read().await?, desk.now()).await?;
    list.retain(|model| context.model(&model.id).is_ok());
    Ok(list)
}

/// Those of the usable models that a client of a protocol can call. Anthropic's has no route for embeddings.
///
/// # Errors
/// When the database cannot be read.
pub async fn callable_models(
    desk: &Desk,
    context: &AuthContext,
    protocol: ProviderKind,
) -> Result<Vec<Model>, StoreError> {
    let mut found = usable_models(desk, context).await?;
    let routed = models::routed(&mut desk.db.read().await?, desk.now()).await?;
    let kinds: BTreeMap<_, _> = routed.into_iter().collect();
    found.retain(|model| {
        kinds.get(&model.id).is_none_or(|kind| *kind == protocol)
            && (protocol != ProviderKind::Anthropic || model.gives_output())
    });
    Ok(found)
}

/// The models in scope that a provider serves; first the demonstration model, as long as no provider has answered yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn usable_models(desk: &Desk, context: &AuthContext) -> Result<Vec<Model>, StoreError> {
    let mut found = models_in_scope(desk, context).await?;
    let demonstrates = found.iter().any(|model| model.id == DEMO_ECHO && model.route.is_none());
    found.retain(|model| model.route.is_some());
    if demonstrates {
        found.insert(0, demo_echo());
    }
    Ok(found)
}
