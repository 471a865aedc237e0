//! The form of a model: for a new one, and filled for one that is there.

use keydesk_core::domain::provider::Provider;
use keydesk_core::forms::model::{AddForm, MAX_MODEL_ID, MAX_VENDOR, ModelForm, SaveForm};
use keydesk_core::ops::models;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk};
use crate::layout::{Width, framed_apart};
use crate::pages::{field_errors, here, notice_line, page, returned, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, UnitField, on_page, select_field};
use crate::ui::page_head::page_head;

#[component]
pub fn NewModelPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::blank(&desk, &caller).await?;
        let form = typed::<AddForm>().map_or(view.form, |sent| sent.model);
        let field_errors = field_errors();
        let id = TextField {
            field: "id",
            name: "form[model][id]",
            label: "Model",
            help: "The name that clients send, such as gpt-5 or meta/llama-4. It cannot be changed later: keys and requests are written down with it.",
            max: Some(MAX_MODEL_ID),
            autofocus: true,
            ..Default::default()
        };
        let body = view! {
            {title("Add model")}
            {notice_line()}
            {page_head(crumbs(None), "Add model".into_any(), ().into_any(), ().into_any())}
            <form class="form" method="post" action="/api/models/add" data-enhance>
                {on_page(here())} {id.draw(form.id.clone(), &field_errors)} {fields(form, &view.providers, &field_errors)}
                <div class="actions">
                    <button class="btn primary">"Add model"</button>
                    <a class="btn quiet" href=LocalPath::models().as_str().to_owned()>"Cancel"</a>
                </div>
            </form>
        };
        Ok(framed_apart(&view.own, &caller, "/operator/models/new", Width::Narrow, body.into_any()))
    })
}

#[component]
pub fn EditModelPage() -> impl IntoView {
    let id = crate::ask::query("id").unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::show(&desk, &caller, &id).await?;
        let mut form = view.form;
        let mut was = serde_json::to_string(&form).unwrap_or_default();
        let mut version = view.known.map(|known| known.version).unwrap_or_default();
        // After a clash the form holds the model as it stands with this person's changes in it. After a mistake it is what
        // they typed, still drawn from the version that they saw.
        let merged = returned().and_then(|form| form.merged);
        if let Some(merged) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
            form = merged;
        } else if let Some(sent) = typed::<SaveForm>() {
            (form, was, version) = (sent.model, sent.was, sent.version);
        }
        let field_errors = field_errors();
        let own = LocalPath::model("edit", &id).as_str().to_owned();
        let retire = view! {
            <a class="btn danger-quiet" href=LocalPath::model("retire", &id).as_str().to_owned()>"Retire model"</a>
        };
        let under =
            view! { <p class="muted">"New prices hold for requests that start after they are saved."</p> };
        let body = view! {
            {title(id.clone())}
            {notice_line()}
            {page_head(crumbs(None), id.clone().into_any(), under.into_any(), retire.into_any())}
            <form class="form" method="post" action="/api/models/save" data-enhance>
                {on_page(own.clone())}
                <input type="hidden" name="form[model][id]" value=id />
                <input type="hidden" name="form[version]" value=version.to_string() />
                <input type="hidden" name="form[was]" value=was />
                {fields(form, &view.providers, &field_errors)}
                <div class="actions">
                    <button class="btn primary">"Save model"</button>
                    <a class="btn quiet" href=LocalPath::models().as_str().to_owned()>"Cancel"</a>
                </div>
            </form>
        };
        Ok(framed_apart(&view.own, &caller, &own, Width::Narrow, body.into_any()))
    })
}

fn fields(form: ModelForm, providers: &[Provider], field_errors: &FieldErrors) -> AnyView {
    let vendor = TextField {
        field: "vendor",
        name: "form[model][vendor]",
        label: "Vendor",
        help: "Whose model it is. Lists of models are grouped by it.",
        max: Some(MAX_VENDOR),
        ..Default::default()
    };
    let upstream = TextField {
        field: "upstream",
        name: "form[model][upstream]",
        label: "Name at the provider",
        help: "Where the provider calls it something else, such as a deployment’s name.",
        max: Some(MAX_MODEL_ID),
        optional: true,
        ..Default::default()
    };
    let nobody = (String::new(), "Nobody".to_owned());
    let named = providers
        .iter()
        .map(|one| (one.id.to_string(), format!("{} ({} protocol)", one.name, one.kind.label())));
    let served_help = match providers.is_empty() {
        true => "No provider is connected yet. Until one is, only the built-in demo/echo answers.",
        false => "Where requests for it are passed on to. While it is nobody, they are refused.",
    };
    let price = |field, name, label| UnitField { field, name, label, before: "$", after: "", help: "" };
    let input = price("input", "form[model][input]", "Input");
    let output = price("output", "form[model][output]", "Output");
    let cached = price("cached", "form[model][cached]", "Cached input");
    let held = UnitField {
        field: "held",
        name: "form[model][held]",
        label: "Held for a request without a maximum",
        before: "",
        after: "output tokens",
        help: "Before a request starts, what it may cost at most is held from budgets. One that names no maximum itself is held at this many output tokens.",
    };
    view! {
        {vendor.draw(form.vendor, field_errors)}
        <fieldset class="group">
            <legend>"Who serves it"</legend>
            {select_field(
                "route",
                "form[model][route]",
                "Provider",
                served_help,
                std::iter::once(nobody).chain(named).collect(),
                &form.route,
                field_errors,
            )}
            {upstream.draw(form.upstream, field_errors)}
        </fieldset>
        <fieldset class="group">
            <legend>"What a million tokens cost"</legend>
            <p class="help">"Cached input is what the provider read from its cache. Where it has no such price, type the one of input."</p>
            <div class="trio">
                {input.draw(form.input, field_errors)} {output.draw(form.output, field_errors)} {cached.draw(form.cached, field_errors)}
            </div>
            {held.draw(form.held, field_errors)}
        </fieldset>
    }
    .into_any()
}
