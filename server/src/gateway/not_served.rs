//! What clients call and this gateway does not forward, so that they are told "not yet" and do not look for a mistake in
//! their key or base URL.
//!
//! What a provider stores under an id (responses, files, batches, caches) belongs to this installation's account there, not
//! to a key. It is not passed on, because nothing here knows whose it is. Audio, videos and edited images are asked for
//! with forms of several parts or answered without a usage, so that no meter can count them.

use super::PREFIXES;

/// A slash at the end stands for what is under a path that is served itself, or for the rest under one.
const PATHS: [&str; 39] = [
    "/v1/assistants",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/audio/",
    "/v1/batches",
    "/v1/cachedContents",
    "/v1/complete",
    "/v1/containers",
    "/v1/conversations",
    "/v1/evals",
    "/v1/fileSearchStores",
    "/v1/files",
    "/v1/fine_tuning",
    "/v1/images/edits",
    "/v1/images/variations",
    "/v1/interactions",
    "/v1/messages/batches",
    "/v1/operations",
    "/v1/organizations",
    "/v1/realtime",
    "/v1/rerank",
    "/v1/skills",
    "/v1/threads",
    "/v1/tunedModels",
    "/v1/uploads",
    "/v1/vector_stores",
    "/v1/videos",
    "/v1beta/batches",
    "/v1beta/cachedContents",
    "/v1beta/corpora",
    "/v1beta/fileSearchStores",
    "/v1beta/files",
    "/v1beta/generatedFiles",
    "/v1beta/interactions",
    "/v1beta/operations",
    "/v1beta/tunedModels",
    "/v1/chat/completions/",
    "/v1/responses/",
];

/// Gemini writes the action after the model's name: `/v1beta/models/NAME:predict`.
const ACTIONS: [&str; 7] = [
    "asyncBatchEmbedContent",
    "batchGenerateContent",
    "computeTokens",
    "embedText",
    "generateAnswer",
    "predict",
    "predictLongRunning",
];

/// Where Google's clients open a WebSocket for the Live API.
const LIVE: &str = "/ws/google.";

/// Every path, for those that look for one.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.into_iter()
}

/// What a path asks for that is not served: itself, or what it is under.
pub fn of(path: &str) -> Option<String> {
    if is_live(path) {
        return Some("the Live API".into());
    }
    let path = canonical(path);
    let found = PATHS.into_iter().find(|known| {
        let rest = path.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || known.ends_with('/') || rest.starts_with('/'))
    })?;
    Some(if found.ends_with('/') { format!("what is under {found}") } else { found.to_owned() })
}

/// The action of this name.
pub fn action(name: &str) -> Option<&'static str> {
    ACTIONS.into_iter().find(|known| *known == name)
}

/// It holds with any key, which is not checked.
pub fn sentence(what: &str) -> String {
    format!("This installation does not serve {what} yet. Neither the key nor the base URL is the reason.")
}

pub fn is_live(path: &str) -> bool {
    path.starts_with(LIVE)
}

/// A path without empty parts, prefixes of other gateways and repeated versions; the last version counts.
pub fn canonical(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    let mut version = "v1";
    let leading = |part: &&str| matches!(*part, "v1" | "v1beta") || PREFIXES.contains(part);
    while let Some(part) = parts.next_if(leading) {
        match part {
            "v1" | "v1beta" => version = part,
            // Google's own address for OpenAI's clients is `/v1beta/openai`.
            "openai" => version = "v1",
            _ => {}
        }
    }
    let mut whole = format!("/{version}");
    parts.for_each(|part| whole.extend(["/", part]));
    whole
}
