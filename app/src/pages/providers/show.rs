//! One provider: the models that it serves, and its form.

use std::collections::BTreeMap;

use keydesk_core::domain::ids::ProviderId;
use keydesk_core::domain::model::KnownModel;
use keydesk_core::domain::provider::ProviderSpec;
use keydesk_core::forms::provider::{ProviderForm, RouteForm, SaveForm, TestForm};
use keydesk_core::ops::providers::{self, ProviderView};
use leptos::prelude::*;

use super::address::{TypedAddress, address_form, fixed, typed_address};
use super::crumbs;
use super::form::fields;
use super::health;
use super::status::{credential, credential_words, state_badge, test_section};
use crate::ask::{caller, desk, param, query};
use crate::layout::{Page, Width, post_form, post_form_on};
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, field_error};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn ProviderPage() -> impl IntoView {
    let id = param("id");
    let at = typed_address();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = providers::show(&desk, &caller, &id).await?;
        let provider = &view.listed.provider;
        let field_errors = field_errors();
        let asked = typed::<TestForm>().map(|sent| sent.model).unwrap_or_default();
        let under = view! {
            <div class="facts-line muted">
                {state_badge(&view.listed)}
                <span>{format!("{} protocol", provider.spec.kind.label())}</span>
                <code>{provider.spec.address().typed()}</code>
            </div>
        };
        let retire = view! {
            <a class="btn danger-quiet" href=LocalPath::provider(&provider.id).with_id("retire")>"Retire provider"</a>
        };
        let body = view! {
            <div class="stack roomy">
                <section class="stack">
                    <h2>"Test"</h2>
                    {credential(provider)}
                    {test_section(&view.listed, asked, view.now, &field_errors)}
                </section>
                {health::section(&view)}
                <section class="stack ruled" id="models">
                    <h2>"Models"</h2>
                    {models(&view, &field_errors)} {further(&view)}
                </section>
                <section class="stack ruled" id="connection">
                    <h2>"Connection"</h2>
                    {connection(&view, at, &field_errors)}
                </section>
            </div>
        };
        Ok(Page::new(provider.spec.name.clone(), Width::Narrow)
            .crumbs(crumbs(None))
            .under(under)
            .actions(retire)
            .apart(&view.own, &caller, body))
    })
}

fn models(view: &ProviderView, field_errors: &FieldErrors) -> AnyView {
    let id = &view.listed.provider.id;
    let mut shown: Vec<&KnownModel> = view.served.iter().chain(&view.others).collect();
    // Those that it lists first, then the vendor's own.
    let home = providers::vendor_of(view.listed.provider.spec.kind);
    shown.sort_by_key(|known| {
        let vendor = &known.model.provider;
        let found = view.found.contains(&known.model.id);
        (!found && !view.found.is_empty(), vendor != home, vendor, &known.model.id)
    });
    // While it serves none, what it lists and no one else serves is ticked.
    let suggests = view.served.is_empty() && view.listed.test.as_ref().is_some_and(|test| test.ok);
    let suggested =
        |known: &KnownModel| suggests && known.model.route.is_none() && view.found.contains(&known.model.id);
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
    let mut head = String::new();
    let boxes = shown
        .iter()
        .map(|known| {
            let model = &known.model;
            let found = view.found.contains(&model.id);
            let words = match (view.found.is_empty(), found) {
                (true, _) => model.provider.clone(),
                (false, true) => format!("{}, listed by this provider", model.provider),
                (false, false) => format!("{}, not listed by this provider", model.provider),
            };
            let head = (words != head).then(|| {
                head.clone_from(&words);
                view! { <p class="head">{words}</p> }
            });
            let own = model.route.as_ref() == Some(id);
            let ticked =
                sent.as_ref().map_or(own || suggested(known), |sent| sent.models.contains(&model.id));
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
            <p class="help">
                {if suggests {
                    "The models that it listed and that are not served yet are selected. Save them, and keys can use them."
                } else {
                    "Models of its vendor and all models that are not served. Select those that it serves."
                }}
            </p>
            <div class="checks">{boxes}</div>
            {field_error("models", field_errors.of("models"))}
        </fieldset>
        <div class="actions">
            <button class="btn primary">"Save models"</button>
        </div>
    };
    view! {
        {post_form("/api/providers/route", vec![("id", id.to_string()), ("was", was)], inside)}
        {unknown(view)}
    }
    .into_any()
}

/// What it lists besides: each can be put into the catalogue, with its price.
fn unknown(view: &ProviderView) -> Option<AnyView> {
    let count = view.unknown.len();
    if count == 0 {
        return None;
    }
    let add = |name: &String| {
        let values = [("id", name.as_str()), ("provider", view.listed.provider.id.as_str())];
        format!("/operator/models/new?{}", serde_urlencoded::to_string(values).unwrap_or_default())
    };
    let rows = view.unknown.iter().map(|name| {
        let href = add(name);
        view! {
            <li>
                <code>{name.clone()}</code> " " <a href=href>"Add to the catalogue"</a>
            </li>
        }
    });
    let words = match count {
        1 => "It lists 1 model that is not in the catalogue".to_owned(),
        count => format!("It lists {count} models that are not in the catalogue"),
    };
    Some(
        view! {
            <details class="more">
                <summary>{icon(Icon::Right)} {words}</summary>
                <ul class="stack">{rows.collect_view()}</ul>
            </details>
        }
        .into_any(),
    )
}

/// What it serves besides another provider: that is changed at the model.
fn further(view: &ProviderView) -> Option<AnyView> {
    if view.further.is_empty() {
        return None;
    }
    let one = |(known, weight): &(KnownModel, i64)| {
        let id = &known.model.id;
        let first = known.served_by.clone().unwrap_or_default();
        let words = format!(", weight {weight} beside {first} with {}", known.model.weight);
        view! { <li><a href=LocalPath::model("show", id)>{id.clone()}</a> {words}</li> }
    };
    Some(
        view! {
            <div class="stack">
                <p class="muted">"It is a further provider of these models. Change that on the model’s own page."</p>
                <ul>{view.further.iter().map(one).collect_view()}</ul>
            </div>
        }
        .into_any(),
    )
}

fn connection(view: &ProviderView, at: Option<TypedAddress>, field_errors: &FieldErrors) -> AnyView {
    let listed = &view.listed;
    let mut form = ProviderForm::of(&listed.provider.spec);
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
    let own: String = LocalPath::provider(&listed.provider.id).into();
    let mut page = own.clone();
    if let Some(at) = at {
        match at.read() {
            Ok((kind, address)) => {
                let mut spec = ProviderSpec::new(String::new(), kind, String::new());
                spec.set_address(address);
                let read = ProviderForm::of(&spec);
                let values = [
                    ("kind", at.kind.as_str()),
                    ("url", &at.url),
                    ("exact", if at.exact { "yes" } else { "" }),
                ];
                page = format!("{own}?{}", serde_urlencoded::to_string(values).unwrap_or_default());
                (form.kind, form.base_url, form.exact) = (read.kind, read.base_url, read.exact);
            }
            Err(errors) => return address_form(&own, &at, &errors, "Check the address"),
        }
    } else if query("step").is_some_and(|step| step == "address") {
        let at = TypedAddress {
            kind: form.kind,
            url: form.base_url,
            exact: form.exact == "yes",
            name: String::new(),
        };
        return address_form(&own, &at, &FieldErrors::default(), "Check the address");
    }
    let stored =
        if listed.provider.spec.stored_key { credential_words(&listed.provider) } else { String::new() };
    let hidden = vec![("id", listed.provider.id.to_string()), ("version", version.to_string()), ("was", was)];
    let inside = view! {
        {fixed(&form, format!("{own}?step=address"), field_errors)}
        {fields(form, false, &stored, field_errors)}
        <div class="actions">
            <button class="btn">"Save connection"</button>
        </div>
    };
    post_form_on(page, "/api/providers/save", hidden, inside)
}
