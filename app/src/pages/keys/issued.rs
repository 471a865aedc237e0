//! The one page that shows a secret. It comes in a sealed cookie that this page clears, so after a reload or from the
//! Back button only the last four characters are left.

use http::{HeaderValue, header};
use keydesk_core::domain::key_format::hint;
use keydesk_core::domain::model::DEMO_ECHO;
use keydesk_core::domain::policy::{Action, On};
use keydesk_core::domain::scope::no_match_words;
use keydesk_core::ops::keys::{self, FirstModels};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

use crate::ask::{caller, desk, gateway_url, param};
use crate::layout::{Page, Width};
use crate::lot::Lot;
use crate::pages::page;
use crate::path::LocalPath;
use crate::sealed::{self, ISSUED, Issued, Tone};
use crate::ui::code::{shown_once, tabs};
use crate::ui::notice::notice;

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
            // Neither stored nor transformed on the way.
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        }
        let secret = issued.filter(|issued| issued.key_id == key.id.as_str()).map(|issued| issued.secret);
        let key_page = LocalPath::key(&org.slug, &key.id);
        let rotated = view.secrets.current.created_at > key.created_at;
        let rotating =
            view.secrets.previous.is_some() && view.context.may(Action::RotateKey, On::Key(key.facts()));
        let next = if rotating { LocalPath::rotate(&org.slug, key.id.as_str()) } else { key_page.clone() };
        let lot = Lot::of_address();
        let place = lot.as_ref().map(|lot| lot.place(&key.id)).unwrap_or_default();
        let next_key = lot.and_then(|lot| lot.next(&org.slug, &key.id));
        let (stored, again) = match (&next_key, rotating) {
            (Some(_), _) => ("I have stored it: next key", "Next key"),
            (None, true) => ("I have stored it", "Go to the rotation"),
            (None, false) => ("I have stored it", "Go to the key"),
        };
        let next = next_key.unwrap_or(next);
        let (heading, body) = match secret {
            Some(secret) => {
                let models = keys::first_models(&desk, key).await?;
                let none = no_match_words(&keys::without_a_model(&desk, &key.models).await?);
                let advice = " Store it where the app reads its secrets. If it is lost, rotate the key.";
                let body = view! {
                    <div class="stack roomy" data-once>
                        {shown_once("The key", "Copy key", secret.clone(), advice.into())}
                        {none.map(|words| notice(Tone::Warn, words))}
                        <section class="stack">
                            <h2>"Use it"</h2>
                            <p class="muted">{about(&models)}</p>
                            {tabs(snippets(&gateway_url(), &secret, &models))}
                        </section>
                        <div class="actions">
                            <a class="btn" href=next>{stored}</a>
                            <span class="muted">{place}</span>
                        </div>
                    </div>
                };
                (
                    if rotated {
                        format!("New secret of {}", key.name)
                    } else {
                        format!("{} is ready", key.name)
                    },
                    body.into_any(),
                )
            }
            None => {
                let body = view! {
                    <div class="stack roomy">
                        <div class="secret">
                            <code>{hint(&key.last_four)}</code>
                        </div>
                        <p>
                            "The secret was shown once, when it was made, and is not stored. If you did not copy it, rotate the key."
                        </p>
                        <div class="actions">
                            <a class="btn" href=next>{again}</a>
                        </div>
                    </div>
                };
                (key.name.clone(), body.into_any())
            }
        };
        Ok(Page::new(if rotated { "Key rotated" } else { "Key created" }, Width::Mid)
            .crumb(LocalPath::keys(&org.slug), "Keys")
            .heading(heading)
            .path(key_page)
            .in_org(&view.context, &caller, body))
    })
}

/// What the snippets do when they are run.
fn about(models: &FirstModels) -> &'static str {
    match models.any() {
        Some(DEMO_ECHO) => {
            "Each sends one request to demo/echo, which answers while no provider is connected. It costs a fraction of a cent, which the key’s page shows immediately."
        }
        Some(_) => "Each sends one small request. The key’s page shows immediately what it cost.",
        None => "No model that this key can use is served yet, so each lists the models, which is free.",
    }
}

/// Ready to run, with this installation's own address: one small request in each protocol in which a model is served. Where
/// none is, each client lists the models, which always answers.
fn snippets(base: &str, secret: &str, models: &FirstModels) -> Vec<(&'static str, String)> {
    type Snippet = fn(&str, &str, Option<&str>) -> String;
    let clients: [(&str, &Option<String>, Snippet); 6] = [
        ("curl", &models.openai, curl),
        ("Python OpenAI", &models.openai, python_openai),
        ("Node OpenAI", &models.openai, node_openai),
        ("Python Anthropic", &models.anthropic, python_anthropic),
        ("Node Anthropic", &models.anthropic, node_anthropic),
        ("Python Google", &models.gemini, python_google),
    ];
    let none_is_served = models.any().is_none();
    let shown = clients.into_iter().filter(|(_, model, _)| model.is_some() || none_is_served);
    let mut snippets: Vec<_> =
        shown.map(|(name, model, snippet)| (name, snippet(base, secret, model.as_deref()))).collect();
    snippets.push((".env", env(base, secret, models.any().unwrap_or_default())));
    snippets
}

const HELLO: &str = "Say hello.";
const PYTHON_LIST: &str = "print([model.id for model in client.models.list()])";
const NODE_LIST: &str = "for await (const model of client.models.list()) console.log(model.id);";

fn curl(base: &str, secret: &str, model: Option<&str>) -> String {
    match model {
        Some(model) => format!(
            "curl {base}/v1/chat/completions \\\n  -H \"Authorization: Bearer {secret}\" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"{HELLO}\"}}]}}'"
        ),
        None => format!("curl {base}/v1/models \\\n  -H \"Authorization: Bearer {secret}\""),
    }
}

fn python_openai(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "from openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    api_key=\"{secret}\",\n)\n"
    );
    let call = model.map(|model| format!(
        "answer = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"{HELLO}\"}}],\n)\nprint(answer.choices[0].message.content)"
    ));
    client + &call.unwrap_or_else(|| PYTHON_LIST.into())
}

fn node_openai(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{base}/v1\",\n  apiKey: \"{secret}\",\n}});\n"
    );
    let call = model.map(|model| format!(
        "const answer = await client.chat.completions.create({{\n  model: \"{model}\",\n  messages: [{{ role: \"user\", content: \"{HELLO}\" }}],\n}});\nconsole.log(answer.choices[0].message.content);"
    ));
    client + &call.unwrap_or_else(|| NODE_LIST.into())
}

fn python_anthropic(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "from anthropic import Anthropic\n\nclient = Anthropic(\n    base_url=\"{base}\",\n    api_key=\"{secret}\",\n)\n"
    );
    let call = model.map(|model| format!(
        "answer = client.messages.create(\n    model=\"{model}\",\n    max_tokens=100,\n    messages=[{{\"role\": \"user\", \"content\": \"{HELLO}\"}}],\n)\nprint(answer.content[0].text)"
    ));
    client + &call.unwrap_or_else(|| PYTHON_LIST.into())
}

fn node_anthropic(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "import Anthropic from \"@anthropic-ai/sdk\";\n\nconst client = new Anthropic({{\n  baseURL: \"{base}\",\n  apiKey: \"{secret}\",\n}});\n"
    );
    let call = model.map(|model| format!(
        "const answer = await client.messages.create({{\n  model: \"{model}\",\n  max_tokens: 100,\n  messages: [{{ role: \"user\", content: \"{HELLO}\" }}],\n}});\nconsole.log(answer.content[0].text);"
    ));
    client + &call.unwrap_or_else(|| NODE_LIST.into())
}

fn python_google(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "from google import genai\n\nclient = genai.Client(\n    api_key=\"{secret}\",\n    http_options={{\"base_url\": \"{base}\"}},\n)\n"
    );
    let call = model.map(|model| format!(
        "answer = client.models.generate_content(\n    model=\"{model}\",\n    contents=\"{HELLO}\",\n)\nprint(answer.text)"
    ));
    client + &call.unwrap_or_else(|| "print([model.name for model in client.models.list()])".into())
}

fn env(base: &str, secret: &str, model: &str) -> String {
    format!(
        "OPENAI_BASE_URL={base}/v1\nOPENAI_API_KEY={secret}\nANTHROPIC_BASE_URL={base}\nANTHROPIC_API_KEY={secret}\nGOOGLE_GEMINI_BASE_URL={base}\nGEMINI_API_KEY={secret}\nMODEL={model}"
    )
}
