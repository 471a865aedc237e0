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
use crate::layout::{Page, Width, post_form};
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, field_error};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn ProviderPage() -> impl IntoView {
    let id = param("id");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = providers::show(&desk, &caller, &id).await?;
        let provider = &view.listed.provider;
        let field_errors = field_errors();
        let under = view! {
            <div class="facts-line muted">
                <span>{format!("{} protocol", provider.kind.label())}</span>
                <code>{provider.base_url.clone()}</code>
            </div>
        };
        let retire = view! {
            <a class="btn danger-quiet" href=LocalPath::provider(&provider.id).with_id("retire")>"Retire provider"</a>
        };
        let body = view! {
            <div class="stack roomy">
                {credential(provider)}
                <section class="stack">
                    <h2>"Models"</h2>
                    {models(&view, &field_errors)}
                </section>
                <section class="stack ruled">
                    <h2>"Connection"</h2>
                    {connection(&view, &field_errors)}
                </section>
            </div>
        };
        Ok(Page::new(provider.name.clone(), Width::Narrow)
            .crumbs(crumbs(None))
            .under(under)
            .actions(retire)
            .apart(&view.own, &caller, body))
    })
}

fn credential(provider: &Provider) -> AnyView {
    let name = provider.credential_env.clone();
    if name.is_empty() {
        return view! { <p class="muted">"No API key is sent to this provider."</p> }.into_any();
    }
    let badge = credential_badge(&name);
    if credentials::is_set(&name) {
        return view! { <p class="pairs">"Its API key is in " <code>{name}</code> {badge}</p> }.into_any();
    }
    view! {
        <p class="warn-line">
            {icon(Icon::Warn)} <span>
                <b>{format!("{name} is not set.")}</b>
                " Requests to this provider fail until you put its API key into this variable and restart Keydesk."
            </span>
        </p>
    }
    .into_any()
}

fn models(view: &ProviderView, field_errors: &FieldErrors) -> AnyView {
    let id = &view.listed.provider.id;
    let mut shown: Vec<&KnownModel> = view.served.iter().chain(&view.others).collect();
    // The vendor's own models first.
    let home = providers::vendor_of(view.listed.provider.kind);
    shown.sort_by_key(|known| {
        let vendor = &known.model.provider;
        (vendor != home, vendor, &known.model.id)
    });
    if shown.is_empty() {
        return view! {
            <p class="muted">
                "The catalogue has no more models to route here. " <a href="/operator/models/new">"Add a model"</a>
                ", or move one here from another provider on the model’s own page."
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
                elsewhere.map(|name| view! { <span class="help">{format!("served by {name}")}</span> });
            view! {
                {head}
                <label class="choice">
                    <input type="checkbox" name="form[models][]" value=model.id.clone() checked=ticked />
                    <span>{model.id.clone()} {elsewhere}</span>
                </label>
            }
        })
        .collect_view();
    let inside = view! {
        <fieldset class="stack" data-field="models">
            <legend class="sr">"Models that it serves"</legend>
            <p class="help">"Models of its vendor and all models that are not served. Select those that it serves."</p>
            <div class="checks">{boxes}</div>
            {field_error("models", field_errors.of("models"))}
        </fieldset>
        <div class="actions">
            <button class="btn primary">"Save models"</button>
        </div>
    };
    post_form("/api/providers/route", vec![("id", id.to_string()), ("was", was)], inside)
}

fn connection(view: &ProviderView, field_errors: &FieldErrors) -> AnyView {
    let listed = &view.listed;
    let mut form = ProviderForm::of(&ProviderSpec::of(&listed.provider));
    let mut was = serde_json::to_string(&form).unwrap_or_default();
    let mut version = listed.version;
    // After an edit conflict the form has the provider's present values with this person's changes in them. After a
    // mistake it has what they typed, and the version that they saw. The other form of this page has no version.
    let merged = returned().and_then(|form| form.merged);
    if let Some(merged) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
        form = merged;
    } else if let Some(sent) = typed::<SaveForm>().filter(|sent| sent.version > 0) {
        (form, was, version) = (sent.provider, sent.was, sent.version);
    }
    let hidden = vec![("id", listed.provider.id.to_string()), ("version", version.to_string()), ("was", was)];
    let inside = view! {
        {fields(form, false, field_errors)}
        <div class="actions">
            <button class="btn">"Save connection"</button>
        </div>
    };
    post_form("/api/providers/save", hidden, inside)
}
