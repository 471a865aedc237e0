//! The form of a new provider, in two steps: where it is, then its API key. Its fields are also on the page of each provider.

use keydesk_core::domain::base_url::ProviderAddress;
use keydesk_core::domain::provider::{OnDisconnect, ProviderKind, ProviderSpec};
use keydesk_core::domain::provider_wire::{CredentialHeader, OmittedMember};
use keydesk_core::forms::provider::{AddForm, ProviderForm};
use keydesk_core::ops::providers;
use leptos::prelude::*;

use super::address::{TypedAddress, VENDORS, address_form, fixed, new_page, typed_address};
use super::crumbs;
use crate::ask::{caller, desk, query};
use crate::layout::{Page, Width, post_form_on, save_or_cancel};
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, UnitField, field_error, lines_field, select_field};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn NewProviderPage() -> impl IntoView {
    let at = typed_address();
    let back = query("step").is_some_and(|step| step == "address");
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let own = providers::list(&desk, &caller).await?.own;
        let sent = typed::<AddForm>().map(|sent| sent.provider.without_secrets());
        let read = at.as_ref().map(TypedAddress::read);
        let (under, body) = match (sent, read) {
            (Some(form), _) => (SECOND, second_step(form, &field_errors())),
            (None, Some(Ok((kind, address)))) if !back => {
                let name = at.map(|at| at.name).unwrap_or_default();
                (SECOND, second_step(blank(name, kind, address), &field_errors()))
            }
            (None, read) => {
                let errors = read.and_then(Result::err).unwrap_or_default();
                (FIRST, first_step(at, &errors))
            }
        };
        Ok(Page::new("Connect provider", Width::Narrow)
            .crumbs(crumbs(None))
            .under(view! { <p class="muted">{under}</p> })
            .apart(&own, &caller, body))
    })
}

const FIRST: &str = "Step 1 of 2: where it is. You see the full URL before anything is saved.";
const SECOND: &str =
    "Step 2 of 2: its API key. Saving tests the connection; then you choose the models that it serves.";

fn blank(name: String, kind: ProviderKind, address: ProviderAddress) -> ProviderForm {
    let mut spec = ProviderSpec::new(name, kind, String::new());
    spec.set_address(address);
    // A model of one's own network mostly wants no key.
    spec.stored_key = spec.base_url.starts_with("https://");
    ProviderForm::of(&spec)
}

fn first_step(at: Option<TypedAddress>, errors: &FieldErrors) -> AnyView {
    let own: String = LocalPath::providers().with_id("new").into();
    let vendors = VENDORS
        .iter()
        .map(|vendor| view! { <a class="btn" href=vendor.path(&own)>{vendor.name}</a> })
        .collect_view();
    let at = at.unwrap_or_else(|| TypedAddress {
        kind: ProviderKind::OpenAi.as_str().into(),
        url: String::new(),
        exact: false,
        name: String::new(),
    });
    view! {
        <div class="stack roomy">
            <section class="stack">
                <h2>"A known provider"</h2>
                <div class="actions">{vendors}</div>
            </section>
            <section class="stack ruled">
                <h2>"Any other address"</h2>
                {address_form(&own, &at, errors, "Check the address")}
            </section>
        </div>
    }
    .into_any()
}

fn second_step(form: ProviderForm, field_errors: &FieldErrors) -> AnyView {
    let change = new_page(&form);
    let page = change.replace("&step=address", "");
    let known = VENDORS.iter().find(|vendor| vendor.name == form.name && form.base_url.contains("RESOURCE"));
    let note = known.map(|vendor| {
        view! { <p class="warn-line">{icon(Icon::Warn)} <span>{vendor.note} " Change the address first."</span></p> }
    });
    let inside = view! {
        {note}
        {fixed(&form, change, field_errors)}
        {fields(form, true, "", field_errors)}
        {save_or_cancel("Save and test", LocalPath::providers())}
    };
    post_form_on(page, "/api/providers/add", vec![], inside)
}

/// All but the address. `stored` is the end of the key that is stored; empty for none.
pub(super) fn fields(form: ProviderForm, new: bool, stored: &str, field_errors: &FieldErrors) -> AnyView {
    // A key that was pasted into the wrong field is never shown.
    let mut form = form.without_secrets();
    if form.credential.is_empty() {
        form.credential = if form.credential_env.is_empty() { "none" } else { "env" }.into();
    }
    let name = TextField {
        field: "name",
        name: "form[provider][name]",
        label: "Name",
        help: "Your name for it, such as OpenAI or vLLM Zurich.",
        autofocus: new && form.name.is_empty(),
        ..Default::default()
    };
    let choices = OnDisconnect::ALL.map(|choice| (choice.as_str().to_owned(), choice.label().to_owned()));
    let headers = CredentialHeader::ALL.map(|choice| (choice.as_str().to_owned(), choice.label().to_owned()));
    let time = |field, name, label, help| UnitField {
        field,
        name,
        label,
        after: "seconds",
        help,
        ..Default::default()
    };
    let connect = time("connect", "form[provider][connect]", "Connect timeout", "From 1 to 60.");
    let idle = time("idle", "form[provider][idle]", "Idle timeout", "From 1 to 600.");
    let whole = time("whole", "form[provider][whole]", "Total timeout", "From 1 to 3,600.");
    let omitted = OmittedMember::ALL.map(|member| {
        let name = member.as_str();
        let ticked = form.omitted.iter().any(|sent| sent == name);
        let help = (member == OmittedMember::StreamOptions).then(|| {
            view! { <span class="help">"The usage of streams is estimated where it is not reported."</span> }
        });
        view! {
            <label class="choice">
                <input type="checkbox" name="form[provider][omitted][]" value=name checked=ticked />
                <span><code>{name}</code> {help}</span>
            </label>
        }
    });
    let special = ["credential_header", "headers", "omitted", "connect", "idle", "whole", "on_disconnect"];
    let usual =
        ProviderForm { name: form.name.clone(), kind: form.kind.clone(), ..ProviderForm::with_defaults() };
    let changed = ProviderForm {
        base_url: String::new(),
        exact: String::new(),
        credential: usual.credential.clone(),
        credential_env: String::new(),
        ..form.clone()
    } != usual;
    let open = changed || special.iter().any(|field| field_errors.of(field).is_some());
    view! {
        {name.draw(form.name.clone(), field_errors)}
        {credential(&form, stored, field_errors)}
        <details class="more" open=open>
            <summary>{icon(Icon::Right)} "Headers, timeouts and what it does not take"</summary>
            <div class="stack">
                {select_field(
                    "credential_header",
                    "form[provider][credential_header]",
                    "Header with the API key",
                    "At Azure the protocol’s own is api-key.",
                    headers.into(),
                    &form.credential_header,
                    field_errors,
                )}
                {lines_field(
                    "headers",
                    "form[provider][headers]",
                    "Extra headers",
                    "Sent with every request, one per line. They are shown to operators, so put no secrets here.",
                    "OpenAI-Project: proj_123",
                    form.headers.clone(),
                    field_errors,
                )}
                <fieldset class="group" data-field="omitted">
                    <legend>"Left out of requests"</legend>
                    <p class="help">"Members of the body that this provider rejects. They change no answer’s text."</p>
                    <div class="checks">{omitted}</div>
                    {field_error("omitted", field_errors.of("omitted"))}
                </fieldset>
                <fieldset class="group">
                    <legend>"Timeouts"</legend>
                    <p class="help">"Idle timeout: longest gap between chunks. Reasoning models need more."</p>
                    <div class="trio">
                        {connect.draw(form.connect, field_errors)} {idle.draw(form.idle, field_errors)} {whole.draw(form.whole, field_errors)}
                    </div>
                </fieldset>
                {select_field(
                    "on_disconnect",
                    "form[provider][on_disconnect]",
                    "When a client leaves",
                    "A client can close its stream before the provider reports the usage. Reading on records what the provider charges; it takes up to 5 minutes.",
                    choices.into(),
                    &form.on_disconnect,
                    field_errors,
                )}
            </div>
        </details>
    }
    .into_any()
}

/// Where the API key is: pasted here, in the environment, or nowhere.
fn credential(form: &ProviderForm, stored: &str, field_errors: &FieldErrors) -> AnyView {
    let help = match stored {
        "" => "Paste it here. It is encrypted before it is stored, and never shown again.".to_owned(),
        end => format!("The stored key ends with {end}. Leave empty to keep it, or paste another one."),
    };
    let secret = TextField::new("secret", "form[secret]", "API key").password("off").optional();
    let variable = TextField::new("credential_env", "form[provider][credential_env]", "Credential variable")
        .help("The environment variable of Keydesk that contains the API key, such as OPENAI_API_KEY. A change of it needs a restart.")
        .optional();
    let choice = |value: &'static str, words: &'static str, reveals: bool| {
        let checked = form.credential == value;
        view! {
            <label class="choice">
                <input
                    type="radio"
                    name="form[provider][credential]"
                    value=value
                    data-reveals=reveals.then_some("")
                    checked=checked
                />
                <span>{words}</span>
            </label>
        }
    };
    view! {
        <fieldset class="group" data-field="credential">
            <legend>"API key"</legend>
            <div class="stack">
                <div class="reveals">
                    {choice("stored", "Stored here, encrypted", true)}
                    <div class="reveal">{secret.draw_with(help, String::new(), field_errors)}</div>
                </div>
                <div class="reveals">
                    {choice("env", "In an environment variable", true)}
                    <div class="reveal">{variable.draw(form.credential_env.clone(), field_errors)}</div>
                </div>
                {choice("none", "None: the provider asks for no key", false)}
            </div>
            {field_error("credential", field_errors.of("credential"))}
        </fieldset>
    }
    .into_any()
}
