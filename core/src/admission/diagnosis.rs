//! What the gateway answers to a request that a person describes. It runs the same functions as the gateway, reserves
//! nothing and counts nothing.

use std::net::IpAddr;
use std::sync::Arc;

use super::reservations::{ReservationRequest, expected_use, try_reserve};
use super::{
    AdmissionError, AuthContext, KnownKey, Presented, callable_models, check_found, find_presented, limits,
    look_up_model, usable_models,
};
use crate::Desk;
use crate::domain::api_error::Stop;
use crate::domain::doctor::RequestSize;
use crate::domain::expected_use::{AskedUse, InputTokens};
use crate::domain::gate::Rejection;
use crate::domain::ids::{KeyId, OrgId, RequestId};
use crate::domain::limit_use::{HolderKind, LimitUse};
use crate::domain::route::Route;
use crate::store::{StoreError, admission as stored};

/// Whose request it is.
pub enum Subject<'a> {
    /// Of who sends these credentials: every gate is asked.
    Sender(&'a Presented),
    /// Of the key's current secret: gates 1 and 2 are not asked.
    Key(&'a OrgId, &'a KeyId),
}

/// What the gateway would answer now, and what is known about the key.
pub struct Diagnosis {
    /// Where the request stops; `None` when it is passed on.
    pub stop: Option<Stop>,
    /// The key, when its secret is known; also when a gate stops it.
    pub key: Option<DiagnosedKey>,
}

/// The key of a diagnosed request.
pub struct DiagnosedKey {
    /// The key's id.
    pub id: KeyId,
    /// The organisation's id.
    pub org: OrgId,
    /// The last four characters of the secret.
    pub last_four: String,
    /// Ids of the models that it may use and that are served, in the catalogue's order.
    pub models: Vec<String>,
    /// Whose scope rejected the model, where one did.
    pub out_of_scope_of: Option<HolderKind>,
    /// Every limit that applies to the key, as it is now.
    pub limits: Vec<LimitUse>,
}

/// Runs the gates for a request to `route` with `model`; without them, for the list of models, which needs gates 1 to 5.
///
/// # Errors
/// When the database cannot be read.
pub async fn diagnose(
    desk: &Desk,
    subject: Subject<'_>,
    address: Option<IpAddr>,
    target: Option<(Route, &str)>,
    size: RequestSize,
) -> Result<Diagnosis, StoreError> {
    let found = match subject {
        Subject::Sender(presented) => match find_presented(desk, presented).await {
            Ok(found) => found,
            Err(AdmissionError::Rejected(rejection, _)) => return Ok(Diagnosis::of_no_key(rejection)),
            Err(AdmissionError::Unavailable(error)) => return Err(error),
        },
        Subject::Key(org, key) => match stored::find_current(&mut desk.db.read().await?, org, key).await? {
            Some(found) => Arc::new(found),
            None => return Ok(Diagnosis::of_no_key(Rejection::Unknown)),
        },
    };
    let checked = check_found(&found, address, desk.now()).map_err(Stop::Gate);
    let context = AuthContext::new(found);
    let stop = match (checked, target) {
        (Err(stop), _) => Some(stop),
        (Ok(()), None) => None,
        (Ok(()), Some((route, model))) => check_request(desk, &context, route, model, size).await?.err(),
    };
    let out_of_scope_of = match (&stop, target) {
        (Some(Stop::Gate(Rejection::Model { .. })), Some((_, model))) => context.scope_without(model),
        _ => None,
    };
    let models = match target {
        Some((route, _)) => callable_models(desk, &context, route.kind()).await?,
        None => usable_models(desk, &context).await?,
    };
    let models = models.into_iter().map(|model| model.id).collect();
    let limits = limits(desk, &context).await?;
    let KnownKey { key: id, org } = context.known();
    let last_four = context.found.last_four.clone();
    Ok(Diagnosis { stop, key: Some(DiagnosedKey { id, org, last_four, models, out_of_scope_of, limits }) })
}

impl Diagnosis {
    /// Of a secret that is unknown to who asks.
    pub(crate) fn of_unknown() -> Self {
        Self::of_no_key(Rejection::Unknown)
    }

    fn of_no_key(rejection: Rejection) -> Self {
        Self { stop: Some(Stop::Gate(rejection)), key: None }
    }
}

/// Gates 6 to 8, with the model's target between them.
async fn check_request(
    desk: &Desk,
    context: &AuthContext,
    route: Route,
    model: &str,
    size: RequestSize,
) -> Result<Result<(), Stop>, StoreError> {
    if let Err(stop) = context.admit_model(model) {
        return Ok(Err(stop));
    }
    let (model, _) = match look_up_model(desk, model).await?.for_route(route) {
        Ok(found) => found,
        Err(why) => return Ok(Err(Stop::NoTarget(why))),
    };
    if route.is_free() {
        return Ok(Ok(()));
    }
    let input = InputTokens { likely: size.input, max: size.max_input };
    let output = if route.has_output() { size.output } else { 0 };
    let expected = expected_use(desk, context, &model, &AskedUse::of(input, Some(output)));
    let request = RequestId::new(desk.now(), desk.id_entropy());
    let wanted = ReservationRequest::new(request, &model, &expected);
    Ok(try_reserve(desk, context, &wanted).await?.map(drop).map_err(Stop::Gate))
}
