//! The form of a model: for a new one, and filled for one that is there.

use keydesk_core::domain::provider::Provider;
use keydesk_core::forms::model::{AddForm, ModelForm, SaveForm};
use keydesk_core::ops::models;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk};
use crate::layout::{Page, Width, post_form, post_form_on, save_or_cancel};
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, UnitField, select_field};

#[component]
pub fn NewModelPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::blank(&desk, &caller).await?;
        let form = typed::<AddForm>().map_or_else(ModelForm::with_defaults, |sent| sent.model);
        let field_errors = field_errors();
        let id = TextField {
            field: "id",
            name: "form[model][id]",
            label: "Model",
            help: "The name that clients send, such as gpt-5 or meta/llama-4. You can't change it later, because keys and requests refer to it.",
            autofocus: true,
            ..Default::default()
        };
        let inside = view! {
            {id.draw(form.id.clone(), &field_errors)}
            {fields(form, &view.providers, &field_errors)}
            {save_or_cancel("Add model", LocalPath::models())}
        };
        Ok(Page::new("Add model", Width::Narrow).crumbs(crumbs(None)).apart(
            &view.own,
            &caller,
            post_form("/api/models/add", vec![], inside),
        ))
    })
}

#[component]
pub fn EditModelPage() -> impl IntoView {
    let id = crate::ask::query("id").unwrap_or_default();
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::show(&desk, &caller, &id).await?;
        let known = view.known.as_ref();
        let mut form = known.map(|known| ModelForm::of(&known.model)).unwrap_or_default();
        let mut was = serde_json::to_string(&form).unwrap_or_default();
        let mut version = known.map(|known| known.version).unwrap_or_default();
        // After an edit conflict the form has the model's present values with this person's changes in them. After a
        // mistake it has what they typed, and the version that they saw.
        let merged = returned().and_then(|form| form.merged);
        if let Some(merged) = merged.and_then(|json| serde_json::from_str(&json).ok()) {
            form = merged;
        } else if let Some(sent) = typed::<SaveForm>() {
            (form, was, version) = (sent.model, sent.was, sent.version);
        }
        let field_errors = field_errors();
        let own: String = LocalPath::model("edit", &id).into();
        let retire = view! {
            <a class="btn danger-quiet" href=LocalPath::model("retire", &id)>"Retire model"</a>
        };
        let hidden = vec![("version", version.to_string()), ("was", was)];
        let inside = view! {
            <input type="hidden" name="form[model][id]" value=id.clone() />
            {fields(form, &view.providers, &field_errors)}
            {save_or_cancel("Save model", LocalPath::models())}
        };
        Ok(Page::new(id, Width::Narrow)
            .crumbs(crumbs(None))
            .under(view! { <p class="muted">"New prices apply to requests that start after you save."</p> })
            .actions(retire)
            .path(own.clone())
            .apart(&view.own, &caller, post_form_on(own, "/api/models/save", hidden, inside)))
    })
}

fn fields(form: ModelForm, providers: &[Provider], field_errors: &FieldErrors) -> AnyView {
    let vendor = TextField {
        field: "vendor",
        name: "form[model][vendor]",
        label: "Vendor",
        help: "The company that makes the model. Lists of models are grouped by it.",
        ..Default::default()
    };
    let upstream = TextField {
        field: "upstream",
        name: "form[model][upstream]",
        label: "Name at the provider",
        help: "If the provider uses another name, such as a deployment’s name.",
        optional: true,
        ..Default::default()
    };
    let none = (String::new(), "Not served".to_owned());
    let named = providers
        .iter()
        .map(|one| (one.id.to_string(), format!("{} ({} protocol)", one.name, one.kind.label())));
    let served_help = match providers.is_empty() {
        true => "No provider is connected yet. Until then, only the built-in demo/echo model answers.",
        false => "Requests for the model are forwarded to this provider. While it is not served, they fail.",
    };
    let price = |field, name, label| UnitField { field, name, label, before: "$", after: "", help: "" };
    let input = price("input", "form[model][input]", "Input");
    let output = price("output", "form[model][output]", "Output");
    let cached = price("cached", "form[model][cached]", "Cached input");
    let default_output_tokens = UnitField {
        field: "default_output_tokens",
        name: "form[model][default_output_tokens]",
        label: "Default max output tokens for budget checks",
        before: "",
        after: "output tokens",
        help: "Before a request starts, its maximum cost is reserved from the budgets. A request that sets no maximum counts with this many output tokens.",
    };
    view! {
        {vendor.draw(form.vendor, field_errors)}
        <fieldset class="group">
            <legend>"Provider"</legend>
            {select_field(
                "route",
                "form[model][route]",
                "Provider",
                served_help,
                std::iter::once(none).chain(named).collect(),
                &form.route,
                field_errors,
            )}
            {upstream.draw(form.upstream, field_errors)}
        </fieldset>
        <fieldset class="group">
            <legend>"Price per million tokens"</legend>
            <p class="help">"Cached input is what the provider reads from its cache. If it has no price for that, enter the input price."</p>
            <div class="trio">
                {input.draw(form.input, field_errors)} {output.draw(form.output, field_errors)} {cached.draw(form.cached, field_errors)}
            </div>
            {default_output_tokens.draw(form.default_output_tokens, field_errors)}
        </fieldset>
    }
    .into_any()
}
