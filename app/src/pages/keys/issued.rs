//! The one page that shows a secret. It comes in a sealed cookie that this page clears, so a reload, the Back button
//! and anybody else see only the last four characters.

use http::{HeaderValue, header};
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::model::DEMO_ECHO;
use keydesk_core::ops::keys::{self, FirstModels};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use crate::ask::{caller, desk, gateway_url, param};
use crate::layout::{Width, framed};
use crate::pages::{page, title};
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, Issued};
use crate::ui::code::{copy_button, tabs};
use crate::ui::icon::{Icon, icon};
use crate::ui::page_head::page_head;

#[component]
pub fn IssuedPage() -> impl IntoView {
    let (slug, id) = (param("org"), param("id"));
    page(async move {
        let (desk, caller) = (desk()?, caller()?);
        let view = keys::show(&desk, &caller, &slug, &id).await?;
        let (org, key) = (&view.context.org, &view.key);
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
                let models = keys::first_models(&desk, key).await?;
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
                            <p class="muted">{about(&models)}</p>
                            {tabs(snippets(&gateway_url(), &secret, &models))}
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
        Ok(framed(&view.context, &caller, LocalPath::key(&org.slug, &key.id).as_str(), Width::Mid, body))
    })
}

/// What the snippets do when they are run.
fn about(models: &FirstModels) -> &'static str {
    match models.any() {
        Some(DEMO_ECHO) => {
            "Each asks demo/echo, which answers while no provider is connected. That costs a fraction of a cent, and the key’s page shows it at once."
        }
        Some(_) => "Each sends one small request. The key’s page shows at once what it cost.",
        None => {
            "Nothing that this key may use is served yet, so each asks for the list of models, which costs nothing."
        }
    }
}

/// Ready to run, with this installation's own address: one small request in each client's protocol. Where nothing is served
/// in it, the list of models, which always answers.
fn snippets(base: &str, secret: &str, models: &FirstModels) -> Vec<(&'static str, String)> {
    let python_openai = format!(
        "from openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    api_key=\"{secret}\",\n)\n"
    );
    let node_openai = format!(
        "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{base}/v1\",\n  apiKey: \"{secret}\",\n}});\n"
    );
    let python_anthropic = format!(
        "from anthropic import Anthropic\n\nclient = Anthropic(\n    base_url=\"{base}\",\n    api_key=\"{secret}\",\n)\n"
    );
    let node_anthropic = format!(
        "import Anthropic from \"@anthropic-ai/sdk\";\n\nconst client = new Anthropic({{\n  baseURL: \"{base}\",\n  apiKey: \"{secret}\",\n}});\n"
    );
    let python_google = format!(
        "from google import genai\n\nclient = genai.Client(\n    api_key=\"{secret}\",\n    http_options={{\"base_url\": \"{base}\"}},\n)\n"
    );
    let curl = match &models.openai {
        Some(model) => format!(
            "curl {base}/v1/chat/completions \\\n  -H \"Authorization: Bearer {secret}\" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"{HELLO}\"}}]}}'"
        ),
        None => format!("curl {base}/v1/models \\\n  -H \"Authorization: Bearer {secret}\""),
    };
    let model = models.any().unwrap_or_default();
    vec![
        ("curl", curl),
        (
            "Python OpenAI",
            python_openai
                + &match &models.openai {
                    Some(model) => format!(
                        "answer = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"{HELLO}\"}}],\n)\nprint(answer.choices[0].message.content)"
                    ),
                    None => PYTHON_LIST.into(),
                },
        ),
        (
            "Node OpenAI",
            node_openai
                + &match &models.openai {
                    Some(model) => format!(
                        "const answer = await client.chat.completions.create({{\n  model: \"{model}\",\n  messages: [{{ role: \"user\", content: \"{HELLO}\" }}],\n}});\nconsole.log(answer.choices[0].message.content);"
                    ),
                    None => NODE_LIST.into(),
                },
        ),
        (
            "Python Anthropic",
            python_anthropic
                + &match &models.anthropic {
                    Some(model) => format!(
                        "answer = client.messages.create(\n    model=\"{model}\",\n    max_tokens=100,\n    messages=[{{\"role\": \"user\", \"content\": \"{HELLO}\"}}],\n)\nprint(answer.content[0].text)"
                    ),
                    None => PYTHON_LIST.into(),
                },
        ),
        (
            "Node Anthropic",
            node_anthropic
                + &match &models.anthropic {
                    Some(model) => format!(
                        "const answer = await client.messages.create({{\n  model: \"{model}\",\n  max_tokens: 100,\n  messages: [{{ role: \"user\", content: \"{HELLO}\" }}],\n}});\nconsole.log(answer.content[0].text);"
                    ),
                    None => NODE_LIST.into(),
                },
        ),
        (
            "Python Google",
            python_google
                + &match &models.gemini {
                    Some(model) => format!(
                        "answer = client.models.generate_content(\n    model=\"{model}\",\n    contents=\"{HELLO}\",\n)\nprint(answer.text)"
                    ),
                    None => "print([model.name for model in client.models.list()])".into(),
                },
        ),
        (
            ".env",
            format!(
                "OPENAI_BASE_URL={base}/v1\nOPENAI_API_KEY={secret}\nANTHROPIC_BASE_URL={base}\nANTHROPIC_API_KEY={secret}\nGOOGLE_GEMINI_BASE_URL={base}\nGEMINI_API_KEY={secret}\nMODEL={model}"
            ),
        ),
    ]
}

const HELLO: &str = "Say hello.";
const PYTHON_LIST: &str = "print([model.id for model in client.models.list()])";
const NODE_LIST: &str = "for await (const model of client.models.list()) console.log(model.id);";
