//! Forms as a page's action takes them: parsed, then done.

use keydesk_core::Desk;
use keydesk_core::domain::ids::{KeyId, TeamId};
use keydesk_core::domain::provider::{Provider, ProviderSpec};
use keydesk_core::forms::key::{CreateForm, EditForm, KeyForm, KeyRef, RevokeForm};
use keydesk_core::forms::ledger::{EnforceForm, EnterForm};
use keydesk_core::forms::model::ModelForm;
use keydesk_core::forms::org::{NewOrgForm, OrgStatusForm};
use keydesk_core::forms::provider::{ProviderForm, RouteForm};
use keydesk_core::forms::settings::{SaveForm, SettingsForm};
use keydesk_core::forms::team::TeamForm;
use keydesk_core::forms::{model, provider, team};
use keydesk_core::ops::access::Caller;
use keydesk_core::ops::edit::{EditConflict, Outcome};
use keydesk_core::ops::keys::{self, FormView, IssuedKey};
use keydesk_core::ops::orgs::{self, Created, Enforced, Entered, OperatorActor};
use keydesk_core::ops::providers::{Retired, Routed};
use keydesk_core::ops::{OpError, connection, models, providers, teams};

type Ended<T, F> = Result<Outcome<T, F>, OpError>;

/// The outcome with the form that a page would show.
fn with_form<T, S, F>(outcome: Outcome<T, S>, form: impl FnOnce(S) -> F) -> Outcome<T, F> {
    match outcome {
        Outcome::Saved(saved) => Outcome::Saved(saved),
        Outcome::Unchanged(there) => Outcome::Unchanged(there),
        Outcome::Conflict(conflict) => {
            let EditConflict { sentence, errors, merged } = *conflict;
            Outcome::Conflict(Box::new(EditConflict { sentence, errors, merged: form(merged) }))
        }
    }
}

/// The form as a page draws it first.
pub fn key_form(view: &FormView) -> KeyForm {
    match &view.key {
        Some(key) => KeyForm::of(&key.spec(), &view.models),
        None => {
            let team = view.team.as_ref().map(|(team, bounds)| (team, bounds));
            KeyForm::blank(&view.models, &view.context.org, view.context.principal.person(), team)
        }
    }
}

pub async fn create_key(desk: &Desk, caller: &Caller, form: &CreateForm) -> Result<IssuedKey, OpError> {
    keys::create(desk, caller, &form.org, &form.key.parse()?).await
}

pub async fn edit_key(desk: &Desk, caller: &Caller, form: &EditForm) -> Ended<KeyId, KeyForm> {
    let outcome = keys::edit(desk, caller, &form.parse()?).await?;
    Ok(with_form(outcome, |merged| form.merged(&merged, &[])))
}

pub async fn disable_key(desk: &Desk, caller: &Caller, form: &KeyRef) -> Result<String, OpError> {
    keys::disable(desk, caller, &form.org, &form.id).await
}

pub async fn enable_key(desk: &Desk, caller: &Caller, form: &KeyRef) -> Result<String, OpError> {
    keys::enable(desk, caller, &form.org, &form.id).await
}

pub async fn revoke_key(desk: &Desk, caller: &Caller, form: &RevokeForm) -> Result<String, OpError> {
    keys::revoke(desk, caller, &form.org, &form.id, &form.name).await
}

pub async fn create_team(desk: &Desk, caller: &Caller, form: &team::CreateForm) -> Result<TeamId, OpError> {
    teams::create(desk, caller, &form.org, &form.team.parse()?).await
}

pub async fn edit_team(desk: &Desk, caller: &Caller, form: &team::EditForm) -> Ended<TeamId, TeamForm> {
    let outcome = teams::edit(desk, caller, &form.parse()?).await?;
    Ok(with_form(outcome, |merged| TeamForm::of(&merged, &[])))
}

pub async fn save_org(desk: &Desk, caller: &Caller, form: &SaveForm) -> Ended<String, SettingsForm> {
    let outcome = orgs::save(desk, caller, &form.parse()?).await?;
    Ok(with_form(outcome, |merged| SettingsForm::of(&merged)))
}

pub async fn create_org(desk: &Desk, by: OperatorActor<'_>, form: &NewOrgForm) -> Result<Created, OpError> {
    by.must_operate()?;
    orgs::create(desk, by, &form.parse()?).await
}

pub async fn suspend_org(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &OrgStatusForm,
) -> Result<String, OpError> {
    orgs::suspend(desk, by, &form.org, &form.reason).await
}

pub async fn resume_org(desk: &Desk, by: OperatorActor<'_>, form: &OrgStatusForm) -> Result<String, OpError> {
    orgs::resume(desk, by, &form.org, &form.reason).await
}

pub async fn add_entry_org(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &EnterForm,
) -> Ended<Entered, Option<keydesk_core::domain::ledger::NewEntry>> {
    by.must_operate()?;
    orgs::add_entry(desk, by, &form.parse()?).await
}

pub async fn enforce_org(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &EnforceForm,
) -> Result<Enforced, OpError> {
    by.must_operate()?;
    orgs::enforce(desk, by, &form.org, form.parse()?).await
}

pub async fn add_model(desk: &Desk, by: OperatorActor<'_>, form: &model::AddForm) -> Result<String, OpError> {
    by.must_operate()?;
    let (model, starts) = form.parse()?;
    models::add(desk, by, &model, starts).await
}

pub async fn save_model(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &model::SaveForm,
) -> Ended<String, ModelForm> {
    by.must_operate()?;
    let outcome = models::save(desk, by, &form.parse()?).await?;
    Ok(with_form(outcome, |merged| ModelForm::of(&merged)))
}

pub async fn retire_model(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &model::RetireForm,
) -> Result<String, OpError> {
    models::retire(desk, by, &form.id).await
}

pub async fn add_provider(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &provider::AddForm,
) -> Result<Provider, OpError> {
    by.must_operate()?;
    let (spec, key) = form.parse()?;
    connection::connect(desk, by, &spec, key.as_ref()).await
}

pub async fn save_provider(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &provider::SaveForm,
) -> Ended<ProviderSpec, ProviderForm> {
    by.must_operate()?;
    let outcome = providers::save(desk, by, &form.parse()?).await?;
    Ok(with_form(outcome, |merged| ProviderForm::of(&merged)))
}

pub async fn retire_provider(
    desk: &Desk,
    by: OperatorActor<'_>,
    form: &provider::RetireForm,
) -> Result<Retired, OpError> {
    providers::retire(desk, by, &form.id).await
}

pub async fn route_provider(desk: &Desk, by: OperatorActor<'_>, form: &RouteForm) -> Result<Routed, OpError> {
    by.must_operate()?;
    providers::route(desk, by, &form.parse()?).await
}
