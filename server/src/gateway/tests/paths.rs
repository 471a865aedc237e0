//! Every path that clients are known to call, with every method, as the clients of each protocol call it: it is forwarded,
//! or it is told what it accepts, or it is told that it is not served yet. Never is it a bad key or a wrong address.

use axum::http::Method;
use serde_json::{Value, json};

use super::support::*;
use super::upstream::{Upstream, whole};

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The shape of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    OpenAi,
    Anthropic,
    Gemini,
}

use Shape::{Anthropic, Gemini, OpenAi};

/// As the clients of a protocol send their key.
fn sent_by(client: Shape, ask: TestRequest, key: &str) -> TestRequest {
    match client {
        OpenAi => ask.bearer(key),
        Anthropic => ask.anthropic().header("x-api-key", key),
        Gemini => ask.header("x-goog-api-key", key),
    }
}

/// The error's code, after its shape was looked at.
fn code(shape: Shape, answer: &TestResponse) -> String {
    let body = answer.json();
    let error = &body["error"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let code = match shape {
        OpenAi => {
            assert_eq!(error["type"], "invalid_request_error", "{body}");
            text(&error["code"])
        }
        Anthropic => {
            assert_eq!(body["type"], "error", "{body}");
            text(&error["type"])
        }
        Gemini => {
            assert_eq!(error["code"], answer.status, "{body}");
            text(&error["details"][0]["reason"])
        }
    };
    assert!(!code.is_empty(), "{shape:?}: {body}");
    code
}

/// Neither is there anything about a key, nor will a client try again.
fn is_final(answer: &TestResponse, path: &str) {
    assert_eq!(answer.find_header("x-should-retry"), Some("false"), "{path}");
    for absent in ["retry-after", "www-authenticate", "x-keydesk-rejected-by"] {
        assert_eq!(answer.find_header(absent), None, "{path}: {absent}");
    }
}

/// A path, what it is called in the sentence, and the shape in which clients of OpenAI's, Anthropic's and Google's
/// libraries are answered.
const NOT_YET: [(&str, &str, [Shape; 3]); 46] = [
    ("/v1/responses/resp_123", "what is under /v1/responses/", [OpenAi, Anthropic, OpenAi]),
    ("/v1/responses/resp_123/cancel", "what is under /v1/responses/", [OpenAi, Anthropic, OpenAi]),
    ("/v1/responses/resp_123/input_items", "what is under /v1/responses/", [OpenAi, Anthropic, OpenAi]),
    ("/v1/chat/completions/id_123", "what is under /v1/chat/completions/", [OpenAi, Anthropic, OpenAi]),
    (
        "/v1/chat/completions/id_123/messages",
        "what is under /v1/chat/completions/",
        [OpenAi, Anthropic, OpenAi],
    ),
    ("/v1/images/edits", "/v1/images/edits", [OpenAi, Anthropic, OpenAi]),
    ("/v1/images/variations", "/v1/images/variations", [OpenAi, Anthropic, OpenAi]),
    ("/v1/audio/speech", "/v1/audio/speech", [OpenAi, Anthropic, OpenAi]),
    ("/v1/audio/transcriptions", "/v1/audio/transcriptions", [OpenAi, Anthropic, OpenAi]),
    ("/v1/audio/translations", "/v1/audio/translations", [OpenAi, Anthropic, OpenAi]),
    ("/v1/audio/voices", "what is under /v1/audio/", [OpenAi, Anthropic, OpenAi]),
    ("/v1/files", "/v1/files", [OpenAi, Anthropic, Gemini]),
    ("/v1/files/", "/v1/files", [OpenAi, Anthropic, Gemini]),
    ("/v1/files/file_123", "/v1/files", [OpenAi, Anthropic, Gemini]),
    ("/v1/files/file_123/content", "/v1/files", [OpenAi, Anthropic, Gemini]),
    ("/v1/uploads/upload_123/parts", "/v1/uploads", [OpenAi, Anthropic, OpenAi]),
    ("/v1/batches", "/v1/batches", [OpenAi, Anthropic, Gemini]),
    ("/v1/batches/batch_123/cancel", "/v1/batches", [OpenAi, Anthropic, Gemini]),
    ("/v1/conversations/conv_123/items", "/v1/conversations", [OpenAi, Anthropic, OpenAi]),
    ("/v1/vector_stores/vs_123/files", "/v1/vector_stores", [OpenAi, Anthropic, OpenAi]),
    ("/v1/containers/cntr_123/files", "/v1/containers", [OpenAi, Anthropic, OpenAi]),
    ("/v1/videos/video_123/content", "/v1/videos", [OpenAi, Anthropic, OpenAi]),
    ("/v1/realtime/client_secrets", "/v1/realtime", [OpenAi, Anthropic, OpenAi]),
    ("/v1/fine_tuning/jobs", "/v1/fine_tuning", [OpenAi, Anthropic, OpenAi]),
    ("/v1/evals/eval_123/runs", "/v1/evals", [OpenAi, Anthropic, OpenAi]),
    ("/v1/assistants/asst_123", "/v1/assistants", [OpenAi, Anthropic, OpenAi]),
    ("/v1/threads/thread_123/runs", "/v1/threads", [OpenAi, Anthropic, OpenAi]),
    ("/v1/rerank", "/v1/rerank", [OpenAi, Anthropic, OpenAi]),
    ("/v1/organizations/api_keys", "/v1/organizations", [OpenAi, Anthropic, OpenAi]),
    ("/v1/messages/batches", "/v1/messages/batches", [Anthropic, Anthropic, Anthropic]),
    ("/v1/messages/batches/msgbatch_123", "/v1/messages/batches", [Anthropic, Anthropic, Anthropic]),
    ("/v1/messages/batches/msgbatch_123/results", "/v1/messages/batches", [Anthropic, Anthropic, Anthropic]),
    ("/v1/complete", "/v1/complete", [OpenAi, Anthropic, OpenAi]),
    ("/v1/skills/skill_123/versions", "/v1/skills", [OpenAi, Anthropic, OpenAi]),
    ("/v1/cachedContents", "/v1/cachedContents", [OpenAi, Anthropic, Gemini]),
    ("/v1beta/cachedContents", "/v1beta/cachedContents", [Gemini, Gemini, Gemini]),
    ("/v1beta/cachedContents/id_123", "/v1beta/cachedContents", [Gemini, Gemini, Gemini]),
    ("/v1beta/files/id_123", "/v1beta/files", [Gemini, Gemini, Gemini]),
    ("/v1beta/batches/id_123:cancel", "/v1beta/batches", [Gemini, Gemini, Gemini]),
    ("/v1beta/interactions", "/v1beta/interactions", [Gemini, Gemini, Gemini]),
    ("/v1beta/fileSearchStores/id_123", "/v1beta/fileSearchStores", [Gemini, Gemini, Gemini]),
    ("/v1beta/tunedModels/id_123", "/v1beta/tunedModels", [Gemini, Gemini, Gemini]),
    // With what a wrong base URL puts in front.
    ("//v1/audio/speech", "/v1/audio/speech", [OpenAi, Anthropic, OpenAi]),
    ("/v1/v1/files/file_123", "/v1/files", [OpenAi, Anthropic, OpenAi]),
    ("/v1/openai/v1/batches", "/v1/batches", [OpenAi, Anthropic, OpenAi]),
    ("/v1beta/openai/files", "/v1/files", [OpenAi, Anthropic, OpenAi]),
];

#[tokio::test]
async fn what_is_not_served_yet_says_so_in_every_protocol_and_with_every_method() {
    let desk = installation().await;
    let upstream = Upstream::answering(|| whole(200, "application/json", "{}")).await;
    desk.served_by("openai", &upstream.base_url, "TEST_API_KEY").await;
    let key = desk.every_key().await;
    for (path, name, shapes) in NOT_YET {
        for (client, shape) in [OpenAi, Anthropic, Gemini].into_iter().zip(shapes) {
            for method in METHODS {
                // It is the same with any key.
                for key in [key.as_str(), "sk-desk-wrong"] {
                    let at = format!("{client:?} {method} {path}");
                    let asked = post(path, &json!({"model": "routed"})).method(method.clone());
                    let answer = desk.send(sent_by(client, asked, key)).await;
                    assert_eq!(answer.status, 404, "{at}: {}", answer.text);
                    let expected = match shape {
                        OpenAi => "not_served",
                        Anthropic => "not_found_error",
                        Gemini => "NOT_SERVED",
                    };
                    assert_eq!(code(shape, &answer), expected, "{at}");
                    assert_eq!(
                        answer.message(),
                        format!(
                            "This installation does not serve {name} yet. Neither the key nor the base URL is the reason."
                        ),
                        "{at}"
                    );
                    is_final(&answer, &at);
                    assert!(!answer.text.contains("123"), "{at}");
                }
            }
        }
    }
    assert!(upstream.arrived().is_empty());
    assert_eq!(desk.number("SELECT COUNT(*) FROM usage").await, 0);
}

#[tokio::test]
async fn actions_of_geminis_that_are_not_served_yet_say_so() {
    let desk = installation().await;
    let key = desk.every_key().await;
    for version in ["/v1", "/v1beta"] {
        for action in [
            "batchGenerateContent",
            "asyncBatchEmbedContent",
            "predict",
            "predictLongRunning",
            "generateAnswer",
        ] {
            let path = format!("{version}/models/gemini-2.5-pro:{action}");
            let answer = desk.send(sent_by(Gemini, post(&path, &json!({})), &key)).await;
            assert_eq!((answer.status, code(Gemini, &answer).as_str()), (404, "NOT_SERVED"), "{path}");
            assert!(answer.message().contains(&format!("does not serve {action} yet.")), "{}", answer.text);
            is_final(&answer, &path);
        }
    }
}

/// A path that is forwarded, a body for it, and where it arrives.
fn forwarded() -> Vec<(Shape, &'static str, Value, &'static str)> {
    let input = json!({"model": "routed", "input": "Hi"});
    let chat = json!({"model": "routed", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let contents = json!({"contents": [{"parts": [{"text": "Hi"}]}]});
    let content = json!({"content": {"parts": [{"text": "Hi"}]}});
    let requests = json!({"requests": [{"model": "models/routed", "content": {"parts": [{"text": "Hi"}]}}]});
    vec![
        (OpenAi, "/v1/chat/completions", chat.clone(), "/v1/chat/completions"),
        (OpenAi, "/v1/completions", json!({"model": "routed", "prompt": "Hi"}), "/v1/completions"),
        (OpenAi, "/v1/embeddings", input.clone(), "/v1/embeddings"),
        (OpenAi, "/v1/responses", input.clone(), "/v1/responses"),
        (OpenAi, "/v1/responses/compact", input.clone(), "/v1/responses/compact"),
        (OpenAi, "/v1/responses/input_tokens", input.clone(), "/v1/responses/input_tokens"),
        (
            OpenAi,
            "/v1/images/generations",
            json!({"model": "routed", "prompt": "Hi"}),
            "/v1/images/generations",
        ),
        (OpenAi, "/v1/moderations", input, "/v1/moderations"),
        (Anthropic, "/v1/messages", chat.clone(), "/v1/messages"),
        (Anthropic, "/v1/messages/count_tokens", chat, "/v1/messages/count_tokens"),
        (
            Gemini,
            "/v1beta/models/routed:generateContent",
            contents.clone(),
            "/v1beta/models/real-name:generateContent",
        ),
        (
            Gemini,
            "/v1beta/models/routed:streamGenerateContent",
            contents.clone(),
            "/v1beta/models/real-name:streamGenerateContent",
        ),
        (
            Gemini,
            "/v1beta/models/routed:countTokens",
            contents.clone(),
            "/v1beta/models/real-name:countTokens",
        ),
        (Gemini, "/v1beta/models/routed:embedContent", content, "/v1beta/models/real-name:embedContent"),
        (
            Gemini,
            "/v1beta/models/routed:batchEmbedContents",
            requests,
            "/v1beta/models/real-name:batchEmbedContents",
        ),
        (Gemini, "/v1/models/routed:generateContent", contents, "/v1beta/models/real-name:generateContent"),
    ]
}

#[tokio::test]
async fn what_is_served_is_forwarded_by_post_and_says_so_to_other_methods() {
    for (client, path, body, target) in forwarded() {
        let desk = installation().await;
        let upstream = Upstream::answering(|| whole(200, "application/json", "{}")).await;
        let kind = match client {
            OpenAi => "openai",
            Anthropic => "anthropic",
            Gemini => "gemini",
        };
        desk.served_by(kind, &upstream.base_url, "TEST_API_KEY").await;
        desk.execute(
            "UPDATE prices SET tariff = '{\"input\":\"1\",\"output\":\"1\",\"image_output\":\"1\"}' WHERE model_id = 'routed'",
        )
        .await;
        let key = desk.every_key().await;
        for method in METHODS {
            let at = format!("{method} {path}");
            let asked = post(path, &body).method(method.clone());
            let answer = desk.pass(sent_by(client, asked, &key)).await;
            // Gemini's actions are at the address of a model, which can be read.
            let expected = match (client, &method) {
                (_, &Method::POST) => 200,
                (Gemini, &Method::GET) => 404,
                _ => 405,
            };
            assert_eq!(answer.status, expected, "{at}: {}", answer.text);
            if expected == 405 {
                let allowed = if client == Gemini { "GET, HEAD" } else { "POST" };
                assert_eq!(answer.find_header("allow"), Some(allowed), "{at}");
                let names = ["method_not_allowed", "invalid_request_error", "METHOD_NOT_ALLOWED"];
                assert!(names.contains(&code(client, &answer).as_str()), "{at}: {}", answer.text);
                is_final(&answer, &at);
            }
        }
        assert_eq!(upstream.one().target, target);
        let free = ["input_tokens", "moderations", "count_tokens", "countTokens"];
        let is_free = free.iter().any(|name| path.contains(name));
        let settled = desk.settled().await;
        assert_eq!((settled.len(), settled[0].5 == 0), (1, is_free), "{path}: {settled:?}");
    }
}
