//! The form of a provider: for a new one, and its fields for the page of one that is there.

use keydesk_core::domain::base_url::MAX_BASE_URL;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::forms::provider::{AddForm, MAX_PROVIDER_NAME, ProviderForm};
use keydesk_core::ops::providers;
use leptos::prelude::*;

use super::crumbs;
use crate::ask::{caller, desk};
use crate::layout::{Width, framed_apart};
use crate::pages::{field_errors, here, notice_line, page, title, typed};
use crate::path::LocalPath;
use crate::ui::field::{FieldErrors, TextField, UnitField, on_page, select_field};
use crate::ui::page_head::page_head;

/// Where the three protocols are at home.
const AT_HOME: [&str; 3] =
    ["https://api.openai.com", "https://api.anthropic.com", "https://generativelanguage.googleapis.com"];

#[component]
pub fn NewProviderPage() -> impl IntoView {
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let own = providers::list(&desk, &caller).await?.own;
        let form = typed::<AddForm>().map_or_else(ProviderForm::with_defaults, |sent| sent.provider);
        let field_errors = field_errors();
        let under = view! {
            <p class="muted">"What it serves is chosen on the next page."</p>
        };
        let body = view! {
            {title("Connect provider")}
            {notice_line()}
            {page_head(crumbs(None), "Connect provider".into_any(), under.into_any(), ().into_any())}
            <form class="form" method="post" action="/api/providers/add" data-enhance>
                {on_page(here())} {fields(form, true, &field_errors)} <div class="actions">
                    <button class="btn primary">"Connect provider"</button>
                    <a class="btn quiet" href=LocalPath::providers().as_str().to_owned()>"Cancel"</a>
                </div>
            </form>
        };
        Ok(framed_apart(&own, &caller, "/operator/providers/new", Width::Narrow, body.into_any()))
    })
}

pub(super) fn fields(form: ProviderForm, new: bool, field_errors: &FieldErrors) -> AnyView {
    // A key that was pasted into the wrong field goes into no page.
    let form = form.without_secrets();
    let name = TextField {
        field: "name",
        name: "form[provider][name]",
        label: "Name",
        help: "What you call it, such as OpenAI or vLLM Zurich.",
        max: Some(MAX_PROVIDER_NAME),
        autofocus: new,
        ..Default::default()
    };
    let base_url = TextField {
        field: "base_url",
        name: "form[provider][base_url]",
        label: "Base URL",
        help: "Where it is, without the version: a slash, /v1 or /v1beta at the end is taken off. Plain http only reaches hosts in your own network.",
        inputmode: "url",
        max: Some(MAX_BASE_URL),
        list: "base-urls",
        ..Default::default()
    };
    let credential = TextField {
        field: "credential_env",
        name: "form[provider][credential_env]",
        label: "Credential variable",
        help: "The environment variable of Keydesk that holds its API key, such as OPENAI_API_KEY. The key itself is not kept here. Left empty, none is sent.",
        max: Some(64),
        optional: true,
        ..Default::default()
    };
    let kinds = ProviderKind::ALL.map(|kind| (kind.as_str().to_owned(), kind.label().to_owned()));
    let time =
        |field, name, label, help| UnitField { field, name, label, before: "", after: "seconds", help };
    let connect = time("connect", "form[provider][connect]", "To connect", "From 1 to 60.");
    let idle = time("idle", "form[provider][idle]", "Silence", "From 1 to 600.");
    let whole = time("whole", "form[provider][whole]", "Whole answer", "From 1 to 3,600.");
    view! {
        {name.draw(form.name, field_errors)}
        {select_field(
            "kind",
            "form[provider][kind]",
            "Protocol",
            "Requests are passed on in the protocol they came in; nothing is translated. Most others, such as Mistral, Groq, vLLM and Ollama, speak OpenAI’s.",
            kinds.into(),
            &form.kind,
            field_errors,
        )}
        {base_url.draw(form.base_url, field_errors)}
        <datalist id="base-urls">{AT_HOME.map(|url| view! { <option value=url></option> })}</datalist>
        {credential.draw(form.credential_env, field_errors)}
        <fieldset class="group">
            <legend>"How long to wait"</legend>
            <p class="help">"Silence is the longest wait for the next part of an answer. Models that think are quiet for long."</p>
            <div class="trio">
                {connect.draw(form.connect, field_errors)} {idle.draw(form.idle, field_errors)} {whole.draw(form.whole, field_errors)}
            </div>
        </fieldset>
    }
    .into_any()
}
