//! The form of a new provider; its fields are also on the page of each provider.

use keydesk_core::domain::provider::{OnDisconnect, ProviderKind};
use keydesk_core::forms::provider::{AddForm, ProviderForm};
use keydesk_core::ops::providers;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk};
use crate::layout::{Page, Width, post_form, save_or_cancel};
use crate::pages::{field_errors, page, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, UnitField, select_field};

/// The vendors' own APIs, one for each protocol.
const VENDOR_URLS: [&str; 3] =
    ["https://api.openai.com", "https://api.anthropic.com", "https://generativelanguage.googleapis.com"];

#[component]
pub fn NewProviderPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let own = providers::list(&desk, &caller).await?.own;
        let form = typed::<AddForm>().map_or_else(ProviderForm::with_defaults, |sent| sent.provider);
        let field_errors = field_errors();
        let inside = view! {
            {fields(form, true, &field_errors)}
            {save_or_cancel("Connect provider", LocalPath::providers())}
        };
        Ok(Page::new("Connect provider", Width::Narrow)
            .crumbs(crumbs(None))
            .under(view! { <p class="muted">"You choose the models that it serves on the next page."</p> })
            .apart(&own, &caller, post_form("/api/providers/add", vec![], inside)))
    })
}

pub(super) fn fields(form: ProviderForm, new: bool, field_errors: &FieldErrors) -> AnyView {
    // A key that was pasted into the wrong field is never shown.
    let form = form.without_secrets();
    let name = TextField {
        field: "name",
        name: "form[provider][name]",
        label: "Name",
        help: "Your name for it, such as OpenAI or vLLM Zurich.",
        autofocus: new,
        ..Default::default()
    };
    let base_url = TextField::new("base_url", "form[provider][base_url]", "Base URL")
        .help("Without the version: a slash, /v1 or /v1beta at the end is removed. Plain http works only for hosts in your own network.")
        .inputmode("url")
        .list("base-urls");
    let credential = TextField::new("credential_env", "form[provider][credential_env]", "Credential variable")
        .help("The environment variable of Keydesk that contains the API key, such as OPENAI_API_KEY. Keydesk does not store the key. Leave empty to send none.")
        .optional();
    let kinds = ProviderKind::ALL.map(|kind| (kind.as_str().to_owned(), kind.label().to_owned()));
    let choices = OnDisconnect::ALL.map(|choice| (choice.as_str().to_owned(), choice.label().to_owned()));
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
    view! {
        {name.draw(form.name, field_errors)}
        {select_field(
            "kind",
            "form[provider][kind]",
            "Protocol",
            "Requests are forwarded in the protocol in which they arrive, without translation. Most other providers, such as Mistral, Groq, vLLM and Ollama, use OpenAI’s.",
            kinds.into(),
            &form.kind,
            field_errors,
        )}
        {base_url.draw(form.base_url, field_errors)}
        <datalist id="base-urls">{VENDOR_URLS.map(|url| view! { <option value=url></option> })}</datalist>
        {credential.draw(form.credential_env, field_errors)}
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
    }
    .into_any()
}
