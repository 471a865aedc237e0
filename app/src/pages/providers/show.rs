//! One provider: the models that it serves, and its form.

use std::collections::BTreeMap;

use keydesk_core::domain::ids::ProviderId;
use keydesk_core::domain::model::KnownModel;
use keydesk_core::domain::provider::{Provider, ProviderSpec};
use keydesk_core::forms::provider::{ProviderForm, RouteForm, SaveForm};
use keydesk_core::ops::providers::{self, ProviderView};
use leptos::prelude::*;

use super::form::fields;
use super::{credential_badge, crumbs};
use crate::ask::{caller, desk, param};
use crate::credentials;
use crate::layout::{Width, framed_apart};
use crate::pages::{field_errors, here, notice_line, page, returned, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, field_error, on_page};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;

#[component]
pub fn ProviderPage() -> impl IntoView {
    let id = param("id");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = providers::show(&desk, &caller, &id).await?;
        let provider = &view.listed.provider;
        let path = LocalPath::provider(&provider.id).as_str().to_owned();
        let field_errors = field_errors();
        let under = view! {
            <div class="facts-line muted">
                <span>{format!("{} protocol", provider.kind.label())}</span>
                <code>{provider.base_url.clone()}</code>
            </div>
        };
        let retire =
            view! { <a class="btn danger-quiet" href=format!("{path}/retire")>"Retire provider"</a> };
        let body = view! {
            {title(provider.name.clone())}
            {notice_line()}
            {page_head(crumbs(None), provider.name.clone().into_any(), under.into_any(), retire.into_any())}
            <div class="stack roomy">
                {credential(provider)}
                <section class="stack">
                    <h2>"Models that it serves"</h2>
                    {models(&view, &field_errors)}
                </section>
                <section class="stack ruled">
                    <h2>"Connection"</h2>
                    {connection(&view, &field_errors)}
                </section>
            </div>
        };
        Ok(framed_apart(&view.own, &caller, &path, Width::Narrow, body.into_any()))
    })
}

fn credential(provider: &Provider) -> AnyView {
    let name = provider.credential_env.clone();
    if name.is_empty() {
        return view! { <p class="muted">"No credential is sent to it."</p> }.into_any();
    }
    let badge = credential_badge(&name);
    if credentials::is_set(&name) {
        return view! { <p class="pairs">"Its credential is in " <code>{name}</code> {badge}</p> }.into_any();
    }
    view! {
        <p class="warn-line">
            {icon(Icon::Warn)} <span>
                <b>{format!("{name} is not set in this process.")}</b>
                " Requests to this provider fail until it is: put its API key into the variable and start Keydesk again."
            </span>
        </p>
    }
    .into_any()
}

fn models(view: &ProviderView, field_errors: &FieldErrors) -> AnyView {
    let id = &view.listed.provider.id;
    let mut shown: Vec<&KnownModel> = view.served.iter().chain(&view.others).collect();
    // Its own vendor's first.
    let home = providers::vendor_of(view.listed.provider.kind);
    shown.sort_by_key(|known| {
        let vendor = &known.model.provider;
        (vendor != home, vendor, &known.model.id)
    });
    if shown.is_empty() {
        return view! {
            <p class="muted">
                "Nothing in the catalogue is left to route to it. " <a href="/operator/models/new">"Add a model"</a>
                ", or take one from another provider on the model’s own page."
            </p>
        }
        .into_any();
    }
    let route =
        |known: &KnownModel| known.model.route.as_ref().map(ProviderId::to_string).unwrap_or_default();
    let was: BTreeMap<&str, String> =
        shown.iter().map(|known| (known.model.id.as_str(), route(known))).collect();
    let was = serde_json::to_string(&was).unwrap_or_default();
    let sent = typed::<RouteForm>();
    let mut vendor = "";
    let boxes = shown
        .iter()
        .map(|known| {
            let model = &known.model;
            let head = (model.provider != vendor).then(|| {
                vendor = &model.provider;
                view! { <p class="head">{model.provider.clone()}</p> }
            });
            let own = model.route.as_ref() == Some(id);
            let ticked = sent.as_ref().map_or(own, |sent| sent.models.contains(&model.id));
            let elsewhere = known.served_by.as_ref().filter(|_| !own);
            let elsewhere =
                elsewhere.map(|name| view! { <span class="help">{format!("now served by {name}")}</span> });
            view! {
                {head}
                <label class="choice">
                    <input type="checkbox" name="form[models][]" value=model.id.clone() checked=ticked />
                    <span>{model.id.clone()} {elsewhere}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <form class="form" method="post" action="/api/providers/route" data-enhance>
            {on_page(here())}
            <input type="hidden" name="form[id]" value=id.to_string() />
            <input type="hidden" name="form[was]" value=was />
            <fieldset class="stack" data-field="models">
                <legend class="sr">"Route models to it"</legend>
                <p class="help">"Listed are models of its vendor and all that nobody serves. What is not ticked, it does not serve."</p>
                <div class="checks">{boxes}</div>
                {field_error("models", field_errors.of("models"))}
            </fieldset>
            <div class="actions">
                <button class="btn primary">"Route models"</button>
            </div>
        </form>
    }
    .into_any()
}

fn connection(view: &ProviderView, field_errors: &FieldErrors) -> AnyView {
    let listed = &view.listed;
    let mut form = ProviderForm::of(&ProviderSpec::of(&listed.provider));
    let mut was = serde_json::to_string(&form).unwrap_or_default();
    let mut version = listed.version;
    // After a clash the form holds the provider as it stands with this person's changes in it. After a mistake it is what
    // they typed, still drawn from the version that they saw. The other form of this page has no version.
    let merged = returned().and_then(|form| form.merged);
    if let Some(merged) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
        form = merged;
    } else if let Some(sent) = typed::<SaveForm>().filter(|sent| sent.version > 0) {
        (form, was, version) = (sent.provider, sent.was, sent.version);
    }
    view! {
        <form class="form" method="post" action="/api/providers/save" data-enhance>
            {on_page(here())}
            <input type="hidden" name="form[id]" value=listed.provider.id.to_string() />
            <input type="hidden" name="form[version]" value=version.to_string() />
            <input type="hidden" name="form[was]" value=was />
            {fields(form, false, field_errors)}
            <div class="actions">
                <button class="btn">"Save connection"</button>
            </div>
        </form>
    }
    .into_any()
}
