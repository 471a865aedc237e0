//! The one page that shows a secret. It comes in a sealed cookie that this page clears, so a reload, the Back button
//! and anybody else see only the last four characters.

use http::{HeaderValue, header};
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::scope::ModelScope;
use keydesk_core::ops::keys;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use crate::ask::{base_url, caller, desk, param};
use crate::pages::{page, title};
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, Issued};
use crate::ui::code::{copy_button, tabs};
use crate::ui::frame::{Width, framed, page_head};
use crate::ui::icon::{Icon, icon};

#[component]
pub fn IssuedPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::show(&desk, &caller, &slug, &id).await?;
        let (org, key) = (&view.visit.org, &view.key);
        let path = LocalPath::issued(&org.slug, &key.id);
        let issued: Option<Issued> = sealed::take(ISSUED, path.as_str(), view.now);
        if let Some(response) = use_context::<ResponseOptions>() {
            // Neither kept nor repacked on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let secret = issued.filter(|issued| issued.key_id == key.id.as_str()).map(|issued| issued.secret);
        let crumbs = vec![(LocalPath::keys(&org.slug).as_str().to_owned(), "Keys".to_owned())];
        let key_page = LocalPath::key(&org.slug, &key.id).as_str().to_owned();
        let body = match secret {
            Some(secret) => {
                let model = first_model(&key.models);
                view! {
                    {title("Key created")}
                    {page_head(crumbs, format!("{} is ready", key.name).into_any(), ().into_any(), ().into_any())}
                    <div class="stack roomy" data-once>
                        <section class="stack">
                            <h2 class="sr">"The key"</h2>
                            <div class="secret">
                                <code id="secret">{secret.clone()}</code>
                                {copy_button("Copy key", "primary", "secret".into())}
                            </div>
                            <p class="warn-line">
                                {icon(Icon::Warn)} <span>
                                    <b>"This is the only time it is shown."</b>
                                    " Store it where the app reads its secrets. If it is lost, create another key and revoke this one."
                                </span>
                            </p>
                        </section>
                        <section class="stack">
                            <h2>"Use it"</h2>
                            {tabs(snippets(&base_url(), &secret, &model))}
                        </section>
                        <div class="actions">
                            <a class="btn" href=key_page>"I have stored it"</a>
                        </div>
                    </div>
                }
                .into_any()
            }
            None => view! {
                {title("Key created")}
                {page_head(crumbs, key.name.clone().into_any(), ().into_any(), ().into_any())}
                <div class="stack roomy">
                    <div class="secret">
                        <code>{hint(&key.last_four)}</code>
                    </div>
                    <p>
                        "The whole key was shown once, when it was created, and is not kept anywhere. If it was not stored, create another key and revoke this one."
                    </p>
                    <div class="actions">
                        <a class="btn" href=key_page>"Go to the key"</a>
                    </div>
                </div>
            }
            .into_any(),
        };
        Ok(framed(&view.visit, &caller, LocalPath::key(&org.slug, &key.id).as_str(), Width::Mid, body))
    })
}

/// A model that the key may use, to stand in the snippets.
fn first_model(scope: &ModelScope) -> String {
    match scope {
        ModelScope::Every => "gpt-5-mini".into(),
        ModelScope::Listed(list) => {
            let named = list.iter().find(|pattern| !pattern.as_str().contains('*')).or(list.first());
            named.map(|pattern| pattern.as_str().replace('*', "")).unwrap_or_default()
        }
    }
}

/// Ready to run, with this installation's own address. Each asks for the list of models, which costs nothing.
fn snippets(base: &str, secret: &str, model: &str) -> Vec<(&'static str, String)> {
    vec![
        ("curl", format!("curl {base}/v1/models \\\n  -H \"Authorization: Bearer {secret}\"")),
        (
            "Python OpenAI",
            format!(
                "from openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    api_key=\"{secret}\",\n)\nprint([model.id for model in client.models.list()])"
            ),
        ),
        (
            "Node OpenAI",
            format!(
                "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{base}/v1\",\n  apiKey: \"{secret}\",\n}});\nfor await (const model of client.models.list()) console.log(model.id);"
            ),
        ),
        (
            "Python Anthropic",
            format!(
                "from anthropic import Anthropic\n\nclient = Anthropic(\n    base_url=\"{base}\",\n    api_key=\"{secret}\",\n)\nprint([model.id for model in client.models.list()])"
            ),
        ),
        (
            "Node Anthropic",
            format!(
                "import Anthropic from \"@anthropic-ai/sdk\";\n\nconst client = new Anthropic({{\n  baseURL: \"{base}\",\n  apiKey: \"{secret}\",\n}});\nfor await (const model of client.models.list()) console.log(model.id);"
            ),
        ),
        (
            "Python google-genai",
            format!(
                "from google import genai\n\nclient = genai.Client(\n    api_key=\"{secret}\",\n    http_options={{\"base_url\": \"{base}\"}},\n)\nprint([model.name for model in client.models.list()])"
            ),
        ),
        (
            ".env",
            format!(
                "OPENAI_BASE_URL={base}/v1\nOPENAI_API_KEY={secret}\nANTHROPIC_BASE_URL={base}\nANTHROPIC_API_KEY={secret}\nMODEL={model}"
            ),
        ),
    ]
}
