//! Where a provider is: what an operator types, and the URLs that are made of it, which are shown before anything is saved.
//! The address is read with a GET, so that it works without a script; the form that saves carries it in hidden fields.

use keydesk_core::domain::base_url::{ProviderAddress, parse_address};
use keydesk_core::domain::key_format::has_secret;
use keydesk_core::domain::provider::ProviderKind;
use keydesk_core::domain::route::Route;
use keydesk_core::forms::provider::ProviderForm;
use leptos::prelude::*;

use crate::ask::query;
use crate::path::LocalPath;
use crate::provider_calls::proxy_to;
use crate::ui::field::{FieldErrors, TextField, field_error, select_field};
use crate::ui::icon::{Icon, icon};

/// A provider whose address is known: its name, protocol and base URL.
pub(super) struct Vendor {
    pub(super) name: &'static str,
    kind: ProviderKind,
    url: &'static str,
    /// What has to be put in the place of a part of the URL.
    pub(super) note: &'static str,
}

const fn vendor(name: &'static str, kind: ProviderKind, url: &'static str) -> Vendor {
    Vendor { name, kind, url, note: "" }
}

pub(super) const VENDORS: [Vendor; 12] = [
    vendor("OpenAI", ProviderKind::OpenAi, "https://api.openai.com/v1"),
    vendor("Anthropic", ProviderKind::Anthropic, "https://api.anthropic.com/v1"),
    vendor("Google Gemini", ProviderKind::Gemini, "https://generativelanguage.googleapis.com/v1beta"),
    Vendor {
        name: "Azure OpenAI",
        kind: ProviderKind::OpenAi,
        url: "https://RESOURCE.openai.azure.com/openai/v1",
        note: "Put the name of your resource in the place of RESOURCE. For the older API, use the endpoint of a deployment with its ?api-version.",
    },
    vendor("Mistral", ProviderKind::OpenAi, "https://api.mistral.ai/v1"),
    vendor("DeepSeek", ProviderKind::OpenAi, "https://api.deepseek.com/v1"),
    vendor("Groq", ProviderKind::OpenAi, "https://api.groq.com/openai/v1"),
    vendor("OpenRouter", ProviderKind::OpenAi, "https://openrouter.ai/api/v1"),
    vendor("xAI", ProviderKind::OpenAi, "https://api.x.ai/v1"),
    vendor("Z.ai", ProviderKind::OpenAi, "https://api.z.ai/api/paas/v4"),
    vendor("Ollama", ProviderKind::OpenAi, "http://localhost:11434/v1"),
    vendor("vLLM", ProviderKind::OpenAi, "http://localhost:8000/v1"),
];

impl Vendor {
    /// The page on which its address is checked.
    pub(super) fn path(&self, page: &str) -> String {
        let values = [("kind", self.kind.as_str()), ("url", self.url), ("name", self.name)];
        format!("{page}?{}", serde_urlencoded::to_string(values).unwrap_or_default())
    }
}

/// An address as it stands in the page's own address.
pub(super) struct TypedAddress {
    pub(super) kind: String,
    pub(super) url: String,
    pub(super) exact: bool,
    pub(super) name: String,
}

/// What was typed, if something was. A secret in it is not shown again.
pub(super) fn typed_address() -> Option<TypedAddress> {
    let url = query("url")?;
    let url = if has_secret(&url) || url.contains('@') { String::new() } else { url };
    let name = query("name").filter(|name| !has_secret(name)).unwrap_or_default();
    let kind = query("kind").unwrap_or_else(|| ProviderKind::OpenAi.as_str().into());
    Some(TypedAddress { kind, url, exact: query("exact").is_some_and(|exact| exact == "yes"), name })
}

impl TypedAddress {
    /// # Errors
    /// What is wrong with it, beside its field.
    pub(super) fn read(&self) -> Result<(ProviderKind, ProviderAddress), FieldErrors> {
        use keydesk_core::domain::field_error::FieldError;
        let Some(kind) = ProviderKind::parse(&self.kind) else {
            return Err(FieldErrors(vec![FieldError::say("kind", "Choose one of these protocols.")]));
        };
        if query("url").is_some_and(|url| has_secret(&url)) {
            let sentence = "There was a secret in the address. Type the address without it: the API key has a field of its own on the next page.";
            return Err(FieldErrors(vec![FieldError::say("url", sentence)]));
        }
        let read = parse_address(&self.url, kind, self.exact);
        read.map(|address| (kind, address)).map_err(|error| FieldErrors(vec![FieldError::new("url", error)]))
    }
}

/// The form that reads an address, on the page that shows what was made of it.
pub(super) fn address_form(
    page: &str,
    typed: &TypedAddress,
    errors: &FieldErrors,
    button: &'static str,
) -> AnyView {
    let kinds = ProviderKind::ALL.map(|kind| (kind.as_str().to_owned(), kind.label().to_owned()));
    let url = TextField::new("url", "url", "Base URL")
        .help("As the provider’s documentation has it. Plain http works only for hosts in your own network. {model} stands for the model’s name.")
        .inputmode("url");
    view! {
        <form class="form" method="get" action=page.to_owned()>
            <input type="hidden" name="name" value=typed.name.clone() />
            {select_field(
                "kind",
                "kind",
                "Protocol",
                "Requests are forwarded in the protocol in which they arrive, without translation. Most other providers, such as Mistral, Groq, vLLM and Ollama, use OpenAI’s.",
                kinds.into(),
                &typed.kind,
                errors,
            )}
            {url.draw(typed.url.clone(), errors)}
            <label class="choice">
                <input type="checkbox" name="exact" value="yes" checked=typed.exact />
                <span>"Add no version to this URL"</span>
            </label>
            <div class="actions">
                <button class="btn primary">{button}</button>
            </div>
        </form>
    }
    .into_any()
}

/// The URLs that requests go to.
pub(super) fn made_of(kind: ProviderKind, address: &ProviderAddress) -> AnyView {
    let model = "MODEL";
    let request = address.url(&Route::usual(kind).call(model), model);
    let through = proxy_to(&request).map(|proxy| {
        view! { <div><dt>"Through the proxy"</dt><dd><code>{proxy}</code></dd></div> }
    });
    view! {
        <dl class="facts">
            <div>
                <dt>"Protocol"</dt>
                <dd>{kind.label()}</dd>
            </div>
            <div>
                <dt>"Requests go to"</dt>
                <dd><code data-request-url>{request}</code></dd>
            </div>
            <div>
                <dt>"Models are listed at"</dt>
                <dd><code>{address.models_url()}</code></dd>
            </div>
            {through}
        </dl>
    }
    .into_any()
}

/// The address in a form that saves: fixed, with what was made of it and the way to change it.
pub(super) fn fixed(form: &ProviderForm, change: String, errors: &FieldErrors) -> AnyView {
    let kind = ProviderKind::parse(&form.kind).unwrap_or(ProviderKind::OpenAi);
    let shown = match parse_address(&form.base_url, kind, form.exact == "yes") {
        Ok(address) => made_of(kind, &address),
        Err(_) => {
            view! { <p class="warn-line">{icon(Icon::Warn)} <span>"The address is not complete."</span></p> }
                .into_any()
        }
    };
    view! {
        <div class="field" data-field="base_url">
            <input type="hidden" name="form[provider][kind]" value=form.kind.clone() />
            <input type="hidden" name="form[provider][base_url]" value=form.base_url.clone() />
            <input type="hidden" name="form[provider][exact]" value=form.exact.clone() />
            {shown}
            {field_error("base_url", errors.of("base_url"))}
            <p><a href=change>"Change the address"</a></p>
        </div>
    }
    .into_any()
}

/// The page of a new provider with this address.
pub(super) fn new_page(form: &ProviderForm) -> String {
    let page: String = LocalPath::providers().with_id("new").into();
    let values =
        [("kind", form.kind.as_str()), ("url", &form.base_url), ("exact", &form.exact), ("name", &form.name)];
    format!("{page}?{}&step=address", serde_urlencoded::to_string(values).unwrap_or_default())
}
