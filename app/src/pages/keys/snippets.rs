//! What people paste into a terminal, a program or its settings to use a new key. The page that shows a secret calls it, and
//! nothing here is stored.

use keydesk_core::ops::keys::FirstModels;

/// Ready to run, with this installation's own address: one small request in each protocol in which a model is served. Where
/// none is, each client lists the models, which always answers.
pub fn snippets(base: &str, secret: &str, models: &FirstModels) -> Vec<(&'static str, String)> {
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
    if let Some(model) = &models.openai {
        snippets.push(("Python stream", python_stream(base, secret, model)));
    }
    let programs: [(&str, &Option<String>, Snippet); 4] = [
        ("Claude Code", &models.anthropic, claude_code),
        ("Codex", &models.openai, codex),
        ("Cursor", &models.openai, cursor),
        ("Open WebUI", &models.openai, open_webui),
    ];
    let shown = programs.into_iter().filter(|(_, model, _)| model.is_some() || none_is_served);
    snippets.extend(shown.map(|(name, model, snippet)| (name, snippet(base, secret, model.as_deref()))));
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
        "# pip install openai\nfrom openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    api_key=\"{secret}\",\n)\n"
    );
    let call = model.map(|model| format!(
        "answer = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"{HELLO}\"}}],\n)\nprint(answer.choices[0].message.content)"
    ));
    client + &call.unwrap_or_else(|| PYTHON_LIST.into())
}

fn node_openai(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "// npm install openai\nimport OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{base}/v1\",\n  apiKey: \"{secret}\",\n}});\n"
    );
    let call = model.map(|model| format!(
        "const answer = await client.chat.completions.create({{\n  model: \"{model}\",\n  messages: [{{ role: \"user\", content: \"{HELLO}\" }}],\n}});\nconsole.log(answer.choices[0].message.content);"
    ));
    client + &call.unwrap_or_else(|| NODE_LIST.into())
}

fn python_anthropic(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "# pip install anthropic\nfrom anthropic import Anthropic\n\nclient = Anthropic(\n    base_url=\"{base}\",\n    api_key=\"{secret}\",\n)\n"
    );
    let call = model.map(|model| format!(
        "answer = client.messages.create(\n    model=\"{model}\",\n    max_tokens=100,\n    messages=[{{\"role\": \"user\", \"content\": \"{HELLO}\"}}],\n)\nprint(answer.content[0].text)"
    ));
    client + &call.unwrap_or_else(|| PYTHON_LIST.into())
}

fn node_anthropic(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "// npm install @anthropic-ai/sdk\nimport Anthropic from \"@anthropic-ai/sdk\";\n\nconst client = new Anthropic({{\n  baseURL: \"{base}\",\n  apiKey: \"{secret}\",\n}});\n"
    );
    let call = model.map(|model| format!(
        "const answer = await client.messages.create({{\n  model: \"{model}\",\n  max_tokens: 100,\n  messages: [{{ role: \"user\", content: \"{HELLO}\" }}],\n}});\nconsole.log(answer.content[0].text);"
    ));
    client + &call.unwrap_or_else(|| NODE_LIST.into())
}

fn python_google(base: &str, secret: &str, model: Option<&str>) -> String {
    let client = format!(
        "# pip install google-genai\nfrom google import genai\n\nclient = genai.Client(\n    api_key=\"{secret}\",\n    http_options={{\"base_url\": \"{base}\"}},\n)\n"
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

fn python_stream(base: &str, secret: &str, model: &str) -> String {
    format!(
        "# pip install openai\nfrom openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    api_key=\"{secret}\",\n)\nstream = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"{HELLO}\"}}],\n    stream=True,\n)\nfor chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)\nprint()"
    )
}

/// Its own words for a key that is sent as a bearer token: with `ANTHROPIC_API_KEY` it asks before it uses one.
fn claude_code(base: &str, secret: &str, model: Option<&str>) -> String {
    let model = model.map(|model| format!("export ANTHROPIC_MODEL={model}\n")).unwrap_or_default();
    format!(
        "# npm install -g @anthropic-ai/claude-code\nexport ANTHROPIC_BASE_URL={base}\nexport ANTHROPIC_AUTH_TOKEN={secret}\n{model}claude"
    )
}

fn codex(base: &str, secret: &str, model: Option<&str>) -> String {
    let model = model.map(|model| format!("model = \"{model}\"\n")).unwrap_or_default();
    format!(
        "# npm install -g @openai/codex\n# In the shell: export KEYDESK_API_KEY={secret}\n# In ~/.codex/config.toml:\n{model}model_provider = \"keydesk\"\n\n[model_providers.keydesk]\nname = \"Keydesk\"\nbase_url = \"{base}/v1\"\nenv_key = \"KEYDESK_API_KEY\"\nwire_api = \"responses\""
    )
}

fn cursor(base: &str, secret: &str, model: Option<&str>) -> String {
    let model = model.map(|model| format!("\nAdd Custom Model: {model}")).unwrap_or_default();
    format!(
        "# Cursor Settings > Models > API Keys. Cursor's own servers send the requests, so the address has to be\n# reachable from the internet.\nOpenAI API Key: {secret}\nOverride OpenAI Base URL: {base}/v1{model}"
    )
}

fn open_webui(base: &str, secret: &str, _model: Option<&str>) -> String {
    format!(
        "# For a new Open WebUI. In one that runs: Admin Settings > Connections > OpenAI API, with this URL and key.\ndocker run -d -p 8080:8080 -v open-webui:/app/backend/data \\\n  -e OPENAI_API_BASE_URL={base}/v1 \\\n  -e OPENAI_API_KEY={secret} \\\n  ghcr.io/open-webui/open-webui:main"
    )
}
