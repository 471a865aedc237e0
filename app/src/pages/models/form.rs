//! The form of a model: for a new one, and filled for one that is there.

use keydesk_core::domain::key_format::has_secret;
use keydesk_core::domain::meter::{Meter, Unit};
use keydesk_core::domain::provider::Provider;
use keydesk_core::forms::model::{AddForm, ModelForm, SaveForm};
use keydesk_core::ops::models;
use leptos::prelude::*;

use super::{crumbs, further};
use crate::ask::{caller, desk, query};
use crate::layout::{Page, Width, post_form, post_form_on, save_or_cancel};
use crate::pages::{field_errors, page, returned, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, UnitField, field_error, lines_field, select_field};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn NewModelPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = models::blank(&desk, &caller).await?;
        let sent = typed::<AddForm>();
        let starts = sent.as_ref().map(|sent| sent.starts.clone()).unwrap_or_default();
        let form = sent.map_or_else(|| offered(&view.providers), |sent| sent.model);
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
            {fields(form, starts, &view.providers, &field_errors)}
            {save_or_cancel("Add model", LocalPath::models())}
        };
        Ok(Page::new("Add model", Width::Narrow).crumbs(crumbs(None)).apart(
            &view.own,
            &caller,
            post_form("/api/models/add", vec![], inside),
        ))
    })
}

/// The form of a model that a provider lists, or of none.
fn offered(providers: &[Provider]) -> ModelForm {
    let form = ModelForm::with_defaults();
    let id = query("id").filter(|id| !has_secret(id)).unwrap_or_default();
    let provider = query("provider").and_then(|id| providers.iter().find(|one| one.id.as_str() == id));
    match provider {
        Some(provider) => {
            ModelForm { id, vendor: provider.spec.name.clone(), route: provider.id.to_string(), ..form }
        }
        None => ModelForm { id, ..form },
    }
}

#[component]
pub fn EditModelPage() -> impl IntoView {
    let id = query("id").unwrap_or_default();
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
        let starts = typed::<SaveForm>().map(|sent| sent.starts).unwrap_or_default();
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
            {fields(form, starts, &view.providers, &field_errors)}
            {save_or_cancel("Save model", LocalPath::model("show", &id))}
        };
        Ok(Page::new(format!("Edit {id}"), Width::Narrow)
            .crumbs(crumbs(Some(&id)))
            .under(view! { <p class="muted">"Other prices apply to requests that start after you save, or later if you say so."</p> })
            .actions(retire)
            .path(own.clone())
            .apart(&view.own, &caller, post_form_on(own, "/api/models/save", hidden, inside)))
    })
}

/// The names of the fields of the meters that are less common.
const MORE: [(Meter, &str); 11] = [
    (Meter::CacheWriteShort, "form[model][more][cache_write_short]"),
    (Meter::CacheWriteLong, "form[model][more][cache_write_long]"),
    (Meter::AudioInput, "form[model][more][audio_input]"),
    (Meter::CachedAudio, "form[model][more][cached_audio]"),
    (Meter::ImageInput, "form[model][more][image_input]"),
    (Meter::Reasoning, "form[model][more][reasoning]"),
    (Meter::AudioOutput, "form[model][more][audio_output]"),
    (Meter::ImageOutput, "form[model][more][image_output]"),
    (Meter::Searches, "form[model][more][searches]"),
    (Meter::ToolUses, "form[model][more][tool_uses]"),
    (Meter::Requests, "form[model][more][requests]"),
];

fn fields(form: ModelForm, starts: String, providers: &[Provider], field_errors: &FieldErrors) -> AnyView {
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
        .map(|one| (one.id.to_string(), format!("{} ({} protocol)", one.spec.name, one.spec.kind.label())));
    let served_help = match providers.is_empty() {
        true => "No provider is connected yet. Until then, only the built-in demo/echo model answers.",
        false => "Requests for the model are forwarded to this provider. While it is not served, they fail.",
    };
    let tokens = |field, name, label, help| UnitField {
        field,
        name,
        label,
        after: "tokens",
        help,
        optional: true,
        ..Default::default()
    };
    let context = tokens("context_tokens", "form[model][context_tokens]", "Context length", "");
    let max_output = tokens("max_output_tokens", "form[model][max_output_tokens]", "Max output", "");
    let default_output_tokens = UnitField {
        field: "default_output_tokens",
        name: "form[model][default_output_tokens]",
        label: "Expected output without a maximum",
        after: "output tokens",
        help: "Before a request starts, its likely cost is reserved from the budgets. A request that sets no maximum is expected to give this many output tokens, until its key has used the model.",
        ..Default::default()
    };
    view! {
        {vendor.draw(form.vendor.clone(), field_errors)}
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
            {upstream.draw(form.upstream.clone(), field_errors)} {further::fields(&form, providers, field_errors)}
        </fieldset>
        {prices(&form, starts, field_errors)}
        <fieldset class="group">
            <legend>"Size"</legend>
            <div class="trio">
                {context.draw(form.context_tokens, field_errors)} {max_output.draw(form.max_output_tokens, field_errors)}
            </div>
            {default_output_tokens.draw(form.default_output_tokens, field_errors)}
        </fieldset>
    }
    .into_any()
}

fn prices(form: &ModelForm, starts: String, field_errors: &FieldErrors) -> AnyView {
    let price = |field, name, label, after| UnitField {
        field,
        name,
        label,
        before: "$",
        after,
        optional: true,
        ..Default::default()
    };
    let input = price("input", "form[model][input]", "Input", "");
    let output = price("output", "form[model][output]", "Output", "");
    let cached = price("cached", "form[model][cached]", "Cached input", "");
    let more = MORE.map(|(meter, name)| {
        let after = if meter.unit() == Unit::MillionTokens { "" } else { meter.unit().words() };
        price(meter.name(), name, meter.label(), after).draw(form.price_text(meter).to_owned(), field_errors)
    });
    let filled = MORE.iter().any(|(meter, _)| !form.price_text(*meter).is_empty());
    let wrong = |field: &&str| field_errors.of(field).is_some();
    let wrong =
        MORE.iter().map(|(meter, _)| meter.name()).chain(["lines", "factors"]).any(|field| wrong(&field));
    let open = filled || wrong || !form.lines.is_empty() || !form.factors.is_empty();
    let source = TextField::new("source", "form[model][source]", "Source")
        .help("Where the prices are published: an address, or words.")
        .optional();
    let starts_field = TextField {
        field: "starts",
        name: "form[starts]",
        label: "Prices start",
        help: "Date and time in UTC. Empty: as soon as you save. A request costs the price that is in force when it starts.",
        kind: "datetime-local",
        optional: true,
        ..Default::default()
    };
    view! {
        <fieldset class="group">
            <legend>"Price per million tokens"</legend>
            <p class="help">
                "Leave a price empty if there is none. Cached input without a price costs what input costs. Without any price the model can’t be used with a budget."
            </p>
            {field_error("price", field_errors.of("price"))}
            <div class="trio">
                {input.draw(form.input.clone(), field_errors)} {output.draw(form.output.clone(), field_errors)}
                {cached.draw(form.cached.clone(), field_errors)}
            </div>
            <details class="more" open=open>
                <summary>{icon(Icon::Right)} "More prices"</summary>
                <div class="stack">
                    <div class="trio">{more.into_iter().collect_view()}</div>
                    {lines_field(
                        "lines",
                        "form[model][lines]",
                        "Prices for long input",
                        "One line for each number of input tokens above which the whole request costs other prices.",
                        "272000: input=4, cached_input=0.4, output=15",
                        form.lines.clone(),
                        field_errors,
                    )}
                    {lines_field(
                        "factors",
                        "form[model][factors]",
                        "Factors",
                        "One line for each service tier, region or speed that costs more or less. For a price that the factor does not give: tier:flex:cached_input=0.03.",
                        "tier:flex=0.5",
                        form.factors.clone(),
                        field_errors,
                    )}
                </div>
            </details>
            {source.draw(form.source.clone(), field_errors)}
            {starts_field.draw(starts, field_errors)}
        </fieldset>
    }
    .into_any()
}
